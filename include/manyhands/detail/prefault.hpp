#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace manyhands::detail {

/// Which pages a `prefault` is to make.
enum class prefaulted : bool {
  all,       ///< also memory that is shared with a forked copy of the process until it is written
  where_new  ///< nothing where the last page has memory, as all of what was allocated before usually has
};

/// Says that all of these bytes are about to be written. Those that have no memory of their own yet get it at once, which takes about half
/// as long as one page fault after the other; the others stay as they are, and to look at them takes a tenth of what writing them does.
/// Where there is no memory for them, who writes finds out. Less than 64 KiB are left as they are.
///
/// Linux 5.14 and later; elsewhere nothing happens.
inline void prefault([[maybe_unused]] void* data, [[maybe_unused]] std::size_t size,
                     [[maybe_unused]] prefaulted which = prefaulted::all) noexcept {
#if defined(MADV_POPULATE_WRITE)
  constexpr std::size_t worth_a_system_call = std::size_t{64} << 10;
  if (size < worth_a_system_call) return;
  constexpr std::uintptr_t page = 4096;  // where pages are larger, the system may refuse
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(data) + size) / page * page;
  if (begin >= end) return;
  unsigned char last = 0;
  if (which == prefaulted::where_new && ::mincore(reinterpret_cast<void*>(end - page), page, &last) == 0 && (last & 1U) != 0) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE);
#endif
}

}  // namespace manyhands::detail
