#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/measure.hpp"

namespace benchmark {

/// How do results get from one process to another? Nanoseconds a task of a call with a million that do nothing, results of 8 bytes. Workers
/// that are forked for the call are forked within the time.
template <class Contender>
measurement result_transport_8_bytes(const conditions& given) {
  constexpr std::size_t tasks = 1'000'000;
  Contender contender(processes(given));
  const double run = time_of([&] { return contender.map(tasks, empty); },
                             [](const std::vector<std::size_t>& results) { return are_empty_tasks(results, tasks); });
  return {run / static_cast<double>(tasks)};
}

/// The same with short strings: their length varies.
template <class Contender>
measurement result_transport_strings(const conditions& given) {
  constexpr std::size_t tasks = 1'000'000;
  const auto name = [](std::size_t i) { return "task " + std::to_string(i); };
  Contender contender(processes(given));
  const double run = time_of([&] { return contender.map(tasks, name); },
                             [&](const std::vector<std::string>& results) {
                               for (std::size_t i = 0; i < results.size(); ++i)
                                 if (results[i] != name(i)) return false;
                               return results.size() == tasks;
                             });
  return {run / static_cast<double>(tasks)};
}

/// And with large ones: nanoseconds for a call of 1,000 tasks that each make a vector of 1 MiB.
template <class Contender>
measurement result_transport_1_mib(const conditions& given) {
  constexpr std::size_t tasks = 1'000;
  static constexpr std::size_t elements = (std::size_t{1} << 20) / sizeof(std::uint64_t);
  const auto large = [](std::size_t i) { return std::vector<std::uint64_t>(elements, i + 1); };
  Contender contender(processes(given));
  return {time_of([&] { return contender.map(tasks, large); },
                  [](const std::vector<std::vector<std::uint64_t>>& results) {
                    for (std::size_t i = 0; i < results.size(); ++i)
                      if (results[i].size() != elements ||
                          static_cast<std::size_t>(std::count(results[i].begin(), results[i].end(), i + 1)) != elements)
                        return false;
                    return results.size() == tasks;
                  })};
}

}  // namespace benchmark
