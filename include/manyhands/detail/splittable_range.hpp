#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <mutex>
#include <utility>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <manyhands/config.hpp>

namespace manyhands::detail {

/// Makes every running thread of this process pass a full memory barrier. False where the system cannot do it.
///
/// membarrier(2): the rare side pays for the barrier, the frequent side needs only a compiler fence.
[[nodiscard]] inline bool barrier_in_all_threads() noexcept {
#if defined(__linux__)
  static const bool registered = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
#else
  return false;
#endif
}

/// Whether `splittable_range::split` can ever succeed here.
[[nodiscard]] inline bool ranges_can_split() noexcept {
  static const bool possible = barrier_in_all_threads();
  return possible;
}

/// A batch of tasks that its owner runs one by one, and of which others may take the tail that has not begun.
///
/// Claiming a task costs the owner two plain memory accesses. With a read-modify-write per task, empty tasks would take ten times as long.
class alignas(cache_line) splittable_range {
 public:
  using clock = std::chrono::steady_clock;

  // --- the owner

  /// Starts a new batch.
  void open(std::size_t first, std::size_t last, clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    first_ = first;
    end_ = last;
    begun_.store(first, std::memory_order_relaxed);
    uncontested_.store(last, std::memory_order_relaxed);
    opened_ = now;
  }
  /// Ends the batch: nothing can be taken from it any more. Gives the number of tasks that were left to the owner.
  std::size_t close() noexcept {
    const std::lock_guard lock(mutex_);
    return std::exchange(end_, 0) - first_;
  }
  [[nodiscard]] std::size_t first() const noexcept { return first_; }

  /// Whether the owner may run this task: false once the tasks from here on are done or taken. To be asked for each in turn.
  [[nodiscard]] bool claim(std::size_t index) noexcept {
    begun_.store(index, std::memory_order_relaxed);
    // Against reordering by the compiler; the processor's is undone by the barrier that a thief sends.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (index < uncontested_.load(std::memory_order_relaxed)) return true;
    const std::lock_guard lock(mutex_);
    if (index >= end_) return false;
    uncontested_.store(end_, std::memory_order_relaxed);
    return true;
  }

  // --- anybody else

  enum class splitting {
    nothing_left,  ///< every task has begun
    too_young,     ///< the batch may well end by itself
    done           ///< `split` has taken tasks
  };

  /// Takes the second half of the tasks that have not begun into `[first, last)`, at least one; only from a batch that was opened before
  /// `before`.
  splitting split(clock::time_point before, std::size_t& first, std::size_t& last) noexcept {
    const std::lock_guard lock(mutex_);
    if (begun_.load(std::memory_order_relaxed) + 1 >= end_) return splitting::nothing_left;
    if (opened_ >= before) return splitting::too_young;
    uncontested_.store(0, std::memory_order_relaxed);
    if (!barrier_in_all_threads()) {
      uncontested_.store(end_, std::memory_order_relaxed);
      return splitting::nothing_left;
    }
    // The owner has seen 0 and waits for the mutex, or had claimed a task before: then the barrier has shown us which. That one stays its
    // own.
    const std::size_t rest = begun_.load(std::memory_order_relaxed) + 1;
    if (rest >= end_) {
      uncontested_.store(end_, std::memory_order_relaxed);
      return splitting::nothing_left;
    }
    first = rest + (end_ - rest) / 2;
    last = std::exchange(end_, first);
    uncontested_.store(first, std::memory_order_relaxed);
    return splitting::done;
  }

 private:
  std::atomic<std::size_t> begun_{0};        // the task that the owner runs or asks for
  std::atomic<std::size_t> uncontested_{0};  // the owner may run tasks below it without the mutex
  std::size_t first_ = 0;                    // the owner's
  std::mutex mutex_;
  std::size_t end_ = 0;            // guarded by mutex_
  clock::time_point opened_ = {};  // guarded by mutex_
};

}  // namespace manyhands::detail
