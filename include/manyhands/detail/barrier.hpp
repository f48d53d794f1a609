#pragma once

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

}  // namespace manyhands::detail
