#pragma once

// First, against the usual order: it says whether there is an hwloc.h.
#include <manyhands/config.hpp>

#if MANYHANDS_WITH_HWLOC
#include <hwloc.h>
#endif

#include <atomic>
#include <mutex>
#include <span>

#include <manyhands/detail/placement.hpp>

// What hwloc knows of the machine. Without it these functions cannot tell, and topology.hpp asks the system's own files.

namespace manyhands::detail {

/// The state of hwloc in this program, one for all translation units. Those with hwloc and those without compile the same functions and
/// meet here alone, so that a program may mix them.
struct hwloc_state {
  /// Counts cores; null where no translation unit has hwloc.
  std::atomic<int (*)(std::span<const int>)> count_cores{nullptr};
  /// Finds the core and the node of each; null where no translation unit has hwloc.
  std::atomic<bool (*)(std::span<located_processor>)> locate{nullptr};
  std::atomic<bool> may_load{true};
  std::atomic<bool> loaded{false};
};

inline constinit hwloc_state hwloc{};

/// Whether hwloc has read the machine's topology in this process, or in the one that it was forked from. Counting physical cores and
/// binding workers do that, once; nothing else does.
[[nodiscard]] inline bool hwloc_loaded() noexcept { return hwloc.loaded.load(std::memory_order_relaxed); }

/// For a forked worker: what was not loaded before the fork stays so. Another thread may have been in the middle of it, or of a `dlopen`.
inline void hwloc_never_load() noexcept { hwloc.may_load.store(false, std::memory_order_relaxed); }

/// How many physical cores these processors, by the system's numbers, are part of; all cores of the machine where none is given. 0 where
/// hwloc is absent or cannot tell.
///
/// The first call reads the machine's topology, which takes milliseconds, on large nodes seconds. It starts no thread and leaves the
/// thread's binding alone. Any thread may call it.
[[nodiscard]] inline int hwloc_core_count(std::span<const int> processors) {
  const auto count = hwloc.count_cores.load(std::memory_order_relaxed);
  return count != nullptr ? count(processors) : 0;
}

/// Finds the core and the NUMA node of each processor. False where hwloc is absent or does not know one of them. Else as
/// `hwloc_core_count`.
[[nodiscard]] inline bool hwloc_locate(std::span<located_processor> processors) {
  const auto find = hwloc.locate.load(std::memory_order_relaxed);
  return find != nullptr && find(processors);
}

#if MANYHANDS_WITH_HWLOC
namespace with_hwloc {

// Never freed: other threads may still count cores while the program exits.
inline constinit std::atomic<hwloc_topology_t> topology{nullptr};
inline constinit std::once_flag load_once{};

/// All cores of this machine, null where hwloc cannot tell. Limited to what is cheap to find out.
[[nodiscard]] inline hwloc_topology_t load() noexcept {
  hwloc_topology_t found = nullptr;
  if (hwloc_get_api_version() >> 16U != HWLOC_API_VERSION >> 16U || hwloc_topology_init(&found) != 0) return nullptr;

  // Processors that are not allowed now may be later, and the topology is loaded but once.
  unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
#if HWLOC_API_VERSION >= 0x00020500
  flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#endif
#if HWLOC_API_VERSION >= 0x00020800
  flags |= HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#endif
#if HWLOC_API_VERSION >= 0x00020100
  // GPU runtimes start threads, and this process may be forked later. x86 binds the calling thread where there is no flag against it.
  for (const char* component : {"opencl", "gl", "cuda", "nvml", "rsmi", "levelzero", "x86"}) {
    static_cast<void>(hwloc_topology_set_components(found, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component));
  }
#endif
  const bool usable = hwloc_topology_set_flags(found, flags) == 0 &&
                      hwloc_topology_set_all_types_filter(found, HWLOC_TYPE_FILTER_KEEP_NONE) == 0 &&
                      hwloc_topology_set_type_filter(found, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL) == 0 &&
                      hwloc_topology_load(found) == 0 && hwloc_topology_is_thissystem(found) != 0;
  if (usable) return found;
  hwloc_topology_destroy(found);
  return nullptr;
}

[[nodiscard]] inline hwloc_topology_t loaded_topology() {
  if (const hwloc_topology_t known = topology.load(std::memory_order_acquire)) return known;
  if (!hwloc.may_load.load(std::memory_order_relaxed)) return nullptr;
  std::call_once(load_once, [] {
    hwloc.loaded.store(true, std::memory_order_relaxed);
    topology.store(load(), std::memory_order_release);
  });
  return topology.load(std::memory_order_acquire);
}

[[nodiscard]] inline int count_cores(std::span<const int> processors) {
  const hwloc_topology_t machine = loaded_topology();
  if (machine == nullptr) return 0;
  const hwloc_bitmap_t left = hwloc_bitmap_alloc();
  if (left == nullptr) return 0;
  for (const int processor : processors) static_cast<void>(hwloc_bitmap_set(left, static_cast<unsigned>(processor)));

  int cores = 0;
  for (hwloc_obj_t core = nullptr; (core = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_CORE, core)) != nullptr;) {
    if (!processors.empty() && hwloc_bitmap_intersects(core->cpuset, left) == 0) continue;
    ++cores;
    static_cast<void>(hwloc_bitmap_andnot(left, left, core->cpuset));
  }
  // A processor without a core was plugged in after the topology was loaded.
  const bool complete = hwloc_bitmap_iszero(left) != 0;
  hwloc_bitmap_free(left);
  return complete ? cores : 0;
}

[[nodiscard]] inline bool locate(std::span<located_processor> processors) {
  const hwloc_topology_t machine = loaded_topology();
  if (machine == nullptr) return false;
  for (located_processor& one : processors) {
    const hwloc_obj_t processor = hwloc_get_pu_obj_by_os_index(machine, static_cast<unsigned>(one.number));
    if (processor == nullptr) return false;
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_CORE, processor);
    one.core = core != nullptr ? hwloc_bitmap_first(core->cpuset) : -1;
    one.node = processor->nodeset != nullptr ? hwloc_bitmap_first(processor->nodeset) : -1;
  }
  return true;
}

inline const bool registered =
    (hwloc.count_cores.store(&count_cores, std::memory_order_relaxed), hwloc.locate.store(&locate, std::memory_order_relaxed), true);

}  // namespace with_hwloc
#endif

}  // namespace manyhands::detail
