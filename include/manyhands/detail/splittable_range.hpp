#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

#include <manyhands/config.hpp>
#include <manyhands/detail/barrier.hpp>

namespace manyhands::detail {

/// Tasks that one worker, the owner, runs one by one, while others may take the tail that has not begun.
///
/// Claiming a task costs the owner two plain memory accesses: with a read-modify-write per task, empty tasks would take ten times as long.
/// Whoever takes some pays for it with a barrier in all threads.
class alignas(cache_line) splittable_range {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t no_end = std::numeric_limits<std::size_t>::max();

  /// A range whose owner has stood at one task for so long has met a long one: others may take the rest, whatever it seems to be worth.
  static constexpr std::chrono::microseconds patience{20};
  /// Whoever takes tasks takes at least so much time of the owner's, as far as one can tell, and three times what the barrier takes here:
  /// it keeps the one who takes waiting, and then half of the rest is already done.
  static constexpr std::chrono::microseconds worth_taking{10};

  // --- the owner

  /// Starts with new tasks.
  void open(std::size_t first, std::size_t last, clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    open_unseen(first, last, now);
  }
  /// The same before anybody else knows of the range. The owner is given none from `pause` on until it resumes.
  void open_unseen(std::size_t first, std::size_t last, clock::time_point now, std::size_t pause = no_end) noexcept {
    owned_.store(true, std::memory_order_relaxed);
    set(first, last, now);
    pause_ = pause;
    uncontested_.store(std::min(last, pause), std::memory_order_relaxed);
  }
  /// Lets the owner go on beyond the pause it was stopped at.
  void resume(std::size_t pause = no_end) noexcept {
    const std::lock_guard lock(mutex_);
    pause_ = pause;
    uncontested_.store(std::min(end_.load(std::memory_order_relaxed), pause), std::memory_order_relaxed);
  }
  /// Cuts off the tasks behind the first `1/parts` of those that have not begun, and returns where they begin; they end at `last`.
  std::size_t cut(std::size_t parts, std::size_t& last) noexcept {
    const std::lock_guard lock(mutex_);
    last = end_.load(std::memory_order_relaxed);
    const std::size_t next = begun_.load(std::memory_order_relaxed);
    if (next >= last) return last;
    const std::size_t rest = last - next;
    const std::size_t keeps = rest / parts + (rest % parts != 0 ? 1 : 0);
    end_.store(next + keeps, std::memory_order_relaxed);
    uncontested_.store(std::min(next + keeps, pause_), std::memory_order_relaxed);
    return next + keeps;
  }
  /// Lets the range begin at the task that the owner is at, and now: what came before counts no more.
  void rebase(clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    set(begun_.load(std::memory_order_relaxed), end_.load(std::memory_order_relaxed), now);
  }
  /// Ends the range: nothing can be taken from it any more. Gives the number of tasks that were left to the owner.
  std::size_t close() noexcept {
    const std::lock_guard lock(mutex_);
    owned_.store(false, std::memory_order_relaxed);
    return end_.exchange(0, std::memory_order_relaxed) - first_;
  }
  [[nodiscard]] std::size_t first() const noexcept { return first_; }
  /// The task that was claimed last, or could not be.
  [[nodiscard]] std::size_t at() const noexcept { return begun_.load(std::memory_order_relaxed); }
  /// How many tasks are left from `at` on.
  [[nodiscard]] std::size_t left() const noexcept {
    const std::size_t end = end_.load(std::memory_order_relaxed);
    return end - std::min(at(), end);
  }

  /// Whether the owner may run this task: false once the tasks from here on are done, taken, or behind the pause. To be asked in turn.
  [[nodiscard]] bool claim(std::size_t index) noexcept { return claim(index, index); }
  /// The same for the tasks up to and including `last` together: nobody can take any of them then. False also where somebody has taken
  /// some of the range just before: one at a time is better then.
  [[nodiscard]] bool claim(std::size_t index, std::size_t last) noexcept {
    if (asymmetric_) {
      begun_.store(last, std::memory_order_relaxed);
      // Against reordering by the compiler; the processor's is undone by the barrier that a thief sends.
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      begun_.exchange(last, std::memory_order_seq_cst);
    }
    if (last < uncontested_.load(std::memory_order_seq_cst)) return true;
    return claim_slowly(index, last);
  }

  // --- who hands tasks out

  /// Leaves tasks for an owner who has not come yet, and for anybody else.
  void leave(std::size_t first, std::size_t last, clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    owned_.store(false, std::memory_order_relaxed);
    set(first, last, now);
    uncontested_.store(0, std::memory_order_relaxed);
  }
  /// Makes the calling thread the owner. False where nothing is left.
  bool adopt(clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    const std::size_t end = end_.load(std::memory_order_relaxed);
    if (first_ >= end) return false;
    owned_.store(true, std::memory_order_relaxed);
    set(first_, end, now);
    pause_ = no_end;
    uncontested_.store(end, std::memory_order_relaxed);
    return true;
  }

  // --- anybody else

  /// How many tasks nobody has begun.
  [[nodiscard]] std::size_t not_begun() const noexcept {
    const std::size_t end = end_.load(std::memory_order_relaxed);
    const std::size_t next = begun_.load(std::memory_order_relaxed) + (owned_.load(std::memory_order_relaxed) ? 1 : 0);
    return end - std::min(next, end);
  }

  /// What is to be had.
  enum class prospect : std::uint8_t {
    nothing,  ///< every task has begun
    later,    ///< the owner may well end by itself soon
    some      ///< worth a `split`
  };
  /// A guess, made without disturbing anybody. `rest` is the number of tasks that can be had.
  [[nodiscard]] prospect look(clock::time_point now, std::size_t& rest) noexcept {
    const std::size_t begun = begun_.load(std::memory_order_relaxed);
    rest = not_begun();
    if (rest == 0) return prospect::nothing;
    if (!owned_.load(std::memory_order_relaxed)) return prospect::some;
    const auto age = static_cast<double>(now.time_since_epoch().count() - opened_.load(std::memory_order_relaxed));
    const std::size_t done = begun - std::min(opened_at_.load(std::memory_order_relaxed), begun);
    const double enough = std::max(nanoseconds(worth_taking), nanoseconds(3 * barrier_time::mean()));
    if (done > 0 && age > nanoseconds(worth_taking) / 2 && age / static_cast<double>(done) * static_cast<double>(rest) > enough) {
      return prospect::some;
    }
    if (seen_.load(std::memory_order_relaxed) != begun) {
      seen_.store(begun, std::memory_order_relaxed);
      seen_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
      return prospect::later;
    }
    const auto stands = static_cast<double>(now.time_since_epoch().count() - seen_since_.load(std::memory_order_relaxed));
    return stands > nanoseconds(patience) ? prospect::some : prospect::later;
  }

  /// Takes the second half of the tasks that have not begun into `[first, last)`, at least one; all of them where no owner has come.
  [[nodiscard]] bool split(std::size_t& first, std::size_t& last) noexcept {
    const std::lock_guard lock(mutex_);
    const std::size_t end = end_.load(std::memory_order_relaxed);
    if (!owned_.load(std::memory_order_relaxed)) {
      if (first_ >= end) return false;
      first = first_;
      last = end_.exchange(first_, std::memory_order_relaxed);
      return true;
    }
    if (begun_.load(std::memory_order_relaxed) + 1 >= end) return false;
    const std::size_t before = uncontested_.exchange(0, std::memory_order_seq_cst);
    if (asymmetric_ && !timed_barrier()) {
      uncontested_.store(before, std::memory_order_relaxed);
      return false;
    }
    // The owner has seen 0 and waits for the mutex, or had claimed tasks before: then the barrier has shown us which. They stay its own.
    const std::size_t rest = begun_.load(std::memory_order_seq_cst) + 1;
    if (rest >= end) {
      uncontested_.store(before, std::memory_order_relaxed);
      return false;
    }
    first = rest + (end - rest) / 2;
    last = end;
    end_.store(first, std::memory_order_relaxed);
    uncontested_.store(std::min(first, pause_), std::memory_order_relaxed);
    return true;
  }

 private:
  template <class Duration>
  static constexpr double nanoseconds(Duration time) noexcept {
    return static_cast<double>(std::chrono::nanoseconds(time).count());
  }

  [[nodiscard]] static bool timed_barrier() noexcept {
    const clock::time_point begin = clock::now();
    if (!barrier_in_all_threads()) return false;
    barrier_time::learn(clock::now() - begin);
    return true;
  }

  void set(std::size_t first, std::size_t last, clock::time_point now) noexcept {
    first_ = first;
    end_.store(last, std::memory_order_relaxed);
    begun_.store(first, std::memory_order_relaxed);
    opened_at_.store(first, std::memory_order_relaxed);
    opened_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    seen_.store(first, std::memory_order_relaxed);
    seen_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  [[nodiscard]] bool claim_slowly(std::size_t index, std::size_t last) noexcept {
    // Only the owner moves the pause, and others only make the end come sooner.
    if (index == last && index >= std::min(end_.load(std::memory_order_relaxed), pause_)) return false;
    const std::lock_guard lock(mutex_);
    const std::size_t end = std::min(end_.load(std::memory_order_relaxed), pause_);
    uncontested_.store(end, std::memory_order_relaxed);
    begun_.store(index, std::memory_order_relaxed);
    return index == last && index < end;
  }

  // Written and read by the owner for each task, by others seldom.
  std::atomic<std::size_t> begun_{0};        // the last task that the owner runs or asks for
  std::atomic<std::size_t> uncontested_{0};  // the owner may run tasks below it without the mutex
  const bool asymmetric_ = has_barrier_in_all_threads();

  // Written under the mutex. The atomic ones are read without it where a guess will do.
  alignas(cache_line) std::mutex mutex_;
  std::size_t first_ = 0;
  std::size_t pause_ = no_end;
  std::atomic<std::size_t> end_{0};
  std::atomic<bool> owned_{false};
  std::atomic<std::size_t> opened_at_{0};
  std::atomic<clock::rep> opened_{0};

  // Where somebody who looked saw the owner stand, and since when.
  std::atomic<std::size_t> seen_{0};
  std::atomic<clock::rep> seen_since_{0};
};

}  // namespace manyhands::detail
