#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../support/measure.hpp"
#include "../support/work.hpp"

namespace benchmark {

/// What does a task cost beyond its work? Nanoseconds a task of a call with very many that do nothing, results in a vector.
template <class Contender>
measurement task_overhead_empty(const conditions& given) {
  const std::size_t tasks = std::min<std::size_t>(1'000'000, Contender::can.tasks);
  Contender contender(given.workers);
  const double run =
      time_of([&] { return contender.map(tasks, empty); }, [&](const auto& results) { return are_empty_tasks(results, tasks); });
  return {run / static_cast<double>(tasks)};
}

/// The same with tasks of some microseconds.
template <class Contender, std::size_t most_tasks, std::uint64_t microseconds>
measurement task_overhead(const conditions& given) {
  const std::uint64_t spins = microseconds * given.spins_per_microsecond;
  const std::size_t tasks = std::min(most_tasks, Contender::can.tasks);
  Contender contender(given.workers);
  const double run = time_of([&] { return contender.map(tasks, [spins](std::size_t i) { return benchmark_spin(spins) + i; }); },
                             [&](const std::vector<std::uint64_t>& results) {
                               for (std::size_t i = 0; i < results.size(); ++i)
                                 if (results[i] != spins + i) return false;
                               return results.size() == tasks;
                             });
  return {run / static_cast<double>(tasks)};
}

}  // namespace benchmark
