#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <manyhands/detail/affinity.hpp>
#include <manyhands/detail/cgroup.hpp>
#include <manyhands/detail/hwloc.hpp>
#include <manyhands/detail/placement.hpp>
#include <manyhands/environment.hpp>

namespace manyhands {

namespace detail {

/// The lowest processor in a list such as "0-3,8", which stands for the core that they share. Empty where `member` is not in the list.
template <class = void>
[[nodiscard]] std::optional<int> lowest_sibling(std::string_view list, int member) noexcept {
  while (!list.empty() && list.back() == '\n') list.remove_suffix(1);
  std::optional<int> lowest;
  bool is_member = false;
  while (!list.empty()) {
    std::string_view range = take_until(list, ',');
    const std::optional<int> first = whole_int(take_until(range, '-'));
    const std::optional<int> last = range.empty() ? first : whole_int(range);
    if (!first || !last) return std::nullopt;
    lowest = std::min(lowest.value_or(*first), *first);
    is_member = is_member || (*first <= member && member <= *last);
  }
  return is_member ? lowest : std::nullopt;
}

/// The core that a processor is part of, by the number of its lowest processor. Empty where the files below `root` do not tell.
template <class = void>
[[nodiscard]] std::optional<int> sysfs_core(int processor, const std::string& root) {
  const std::string directory = root + "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/";
  // The second is what kernels before 5.3 have.
  for (const char* file : {"core_cpus_list", "thread_siblings_list"}) {
    const std::optional<std::string> list = read_text_file(directory + file);
    const std::optional<int> core = list ? lowest_sibling(*list, processor) : std::nullopt;
    if (core) return core;
  }
  return std::nullopt;
}

/// How many physical cores these processors are part of, after the files below `root`, which is "" for the machine. 0 where they do not
/// tell of each.
template <class = void>
[[nodiscard]] int sysfs_core_count(std::span<const int> processors, const std::string& root = "") {
  std::vector<int> cores;
  for (const int processor : processors) {
    const std::optional<int> core = sysfs_core(processor, root);
    if (!core) return 0;
    cores.push_back(*core);
  }
  std::sort(cores.begin(), cores.end());
  return static_cast<int>(std::unique(cores.begin(), cores.end()) - cores.begin());
}

/// How many physical cores these processors are part of, from hwloc or else from the system's files; 0 where neither can tell.
template <class = void>
[[nodiscard]] int physical_core_count(std::span<const int> processors) {
  // Without these files hwloc would say so on stderr, and know no more than we do.
  if (!processors.empty() && !sysfs_core(processors.front(), "")) return 0;
  const int cores = hwloc_core_count(processors);
  return cores > 0 ? cores : sysfs_core_count(processors);
}

/// The numbers in a list such as "0-3,8"; none where it is no such list.
template <class = void>
[[nodiscard]] std::vector<int> listed_numbers(std::string_view list) {
  constexpr int most = 1 << 20;  // more than any system counts up to: a broken file shall cost no more
  while (!list.empty() && list.back() == '\n') list.remove_suffix(1);
  std::vector<int> numbers;
  while (!list.empty()) {
    std::string_view range = take_until(list, ',');
    const std::optional<int> first = whole_int(take_until(range, '-'));
    const std::optional<int> last = range.empty() ? first : whole_int(range);
    if (!first || !last || *first < 0 || *last > most) return {};
    for (int number = *first; number <= *last; ++number) numbers.push_back(number);
  }
  return numbers;
}

/// Where these processors are on the machine, after the files below `root`, which is "" for the machine. What they do not tell stays
/// unknown. Takes about 20 us per processor.
template <class = void>
[[nodiscard]] std::vector<located_processor> sysfs_locate(std::span<const int> processors, const std::string& root = "") {
  std::vector<located_processor> found;
  for (const int processor : processors) found.push_back({.number = processor, .core = sysfs_core(processor, root).value_or(-1)});
  const std::string directory = root + "/sys/devices/system/node/";
  const std::optional<std::string> online = read_text_file(directory + "online");
  for (const int node : listed_numbers(online ? *online : "")) {
    const std::optional<std::string> members = read_text_file(directory + "node" + std::to_string(node) + "/cpulist");
    for (const int member : listed_numbers(members ? *members : "")) {
      const auto one = std::find_if(found.begin(), found.end(), [&](const located_processor& each) { return each.number == member; });
      if (one != found.end() && one->node < 0) one->node = node;
    }
  }
  return found;
}

/// Where these processors are on the machine, from hwloc or else from the system's files.
template <class = void>
[[nodiscard]] std::vector<located_processor> locate(std::span<const int> processors) {
  std::vector<located_processor> found;
  for (const int processor : processors) found.push_back({.number = processor});
  // Without these files hwloc would say so on stderr, and know no more than we do.
  const bool described = !processors.empty() && sysfs_core(processors.front(), "").has_value();
  return described && hwloc_locate(found) ? found : sysfs_locate(processors);
}

inline constinit cgroup_limit_cache known_cgroup_limit{};

/// The processors that this process's control groups leave it, at most a second old; empty where they do not limit it.
template <class = void>
[[nodiscard]] std::optional<int> cgroup_limit() {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  return known_cgroup_limit.get(static_cast<std::uint32_t>(now), [] { return read_cgroup_limit(); });
}

/// The smallest of what was found and the limits that there are, at least 1.
template <class = void>
[[nodiscard]] int limited(int found, std::optional<int> quota, std::optional<int> most) noexcept {
  return std::max(std::min({found, quota.value_or(found), most.value_or(found)}), 1);
}

}  // namespace detail

/// How many processors this program may use: the smallest of the machine's, those that the calling thread may run on, the control groups'
/// quota (v1 and v2, rounded up), and the environment's MANYHANDS_MAX_CPU_COUNT. At least 1.
///
/// `only_physical_cores` counts processors that share a core as one; where the system does not tell, they count in full.
///
/// Cheap enough for each call: the quota is read at most once a second, and hwloc, where it is linked, is loaded once and for physical
/// cores only. Any thread may call it. So may a process forked at any moment: no mutex is held, save while hwloc is being loaded. Throws
/// `std::invalid_argument` where the variable is no number of at least 1.
template <class = void>
[[nodiscard]] int cpu_count(bool only_physical_cores = false) {
  const std::optional<int> most = detail::env_max_cpu_count();
  const detail::affinity_mask mask;
  int count = mask.count();
  // hardware_concurrency() is no more than a guess: it knows neither masks nor groups, and is 0 where it knows nothing.
  if (count == 0) count = static_cast<int>(std::thread::hardware_concurrency());
  if (only_physical_cores) {
    const int cores = detail::physical_core_count(mask.processors());
    if (cores > 0) count = cores;
  }
  return detail::limited(count, detail::cgroup_limit(), most);
}

}  // namespace manyhands
