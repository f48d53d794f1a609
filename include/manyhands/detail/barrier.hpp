#pragma once

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>

namespace manyhands::detail {

/// Makes every running thread of this process pass a full memory barrier, at the cost of a microsecond or more. False where the system
/// cannot do it.
///
/// membarrier(2): the rare side of a protocol pays for the barrier, the frequent side needs only a compiler fence.
[[nodiscard]] inline bool barrier_in_all_threads() noexcept {
#if defined(__linux__)
  static const bool registered = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
#else
  return false;
#endif
}

/// Whether `barrier_in_all_threads` works here: always, or never.
[[nodiscard]] inline bool has_barrier_in_all_threads() noexcept {
  static const bool works = barrier_in_all_threads();
  return works;
}

/// How long the last barriers of this process have taken, on average: a microsecond on one machine, and fifty on a virtual one, where
/// processors interrupt each other by way of its host.
class barrier_time {
 public:
  [[nodiscard]] static std::chrono::nanoseconds mean() noexcept { return std::chrono::nanoseconds(mean_.load(std::memory_order_relaxed)); }
  static void learn(std::chrono::nanoseconds taken) noexcept {
    // Not more at a time: now and then the thread has just lost its processor.
    constexpr std::chrono::nanoseconds most = std::chrono::microseconds(100);
    const auto before = mean_.load(std::memory_order_relaxed);
    mean_.store(before + (std::min(taken, most).count() - before) / 4, std::memory_order_relaxed);
  }

 private:
  static inline constinit std::atomic<std::chrono::nanoseconds::rep> mean_{0};
};

}  // namespace manyhands::detail
