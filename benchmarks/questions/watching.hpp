#pragma once

#include <cstddef>
#include <cstdint>

#include "../support/measure.hpp"
#include "../support/work.hpp"

namespace benchmark {

/// What does it cost to take results one by one while the call goes on, or to keep them for a later run? Nanoseconds a task of very many
/// that do nothing.
template <class Contender>
measurement watching_results(const conditions& given) {
  constexpr std::size_t tasks = 1'000'000;
  Contender contender(given.workers);
  const double run = time_of([&] { return contender.run(tasks, empty); },
                             [&](const auto& results) { return Contender::sum(results) == tasks * (tasks - 1) / 2; });
  return {run / static_cast<double>(tasks)};
}

/// What does it cost to be told of each task? Nanoseconds a task of 10 µs.
template <class Contender>
measurement watching_tasks(const conditions& given) {
  const std::uint64_t spins = 10 * given.spins_per_microsecond;
  constexpr std::size_t tasks = 100'000;
  Contender contender(given.workers);
  const double run = time_of([&] { return contender.run(tasks, [spins](std::size_t i) { return benchmark_spin(spins) * 0 + i; }); },
                             [&](const auto& results) { return Contender::sum(results) == tasks * (tasks - 1) / 2; });
  return {run / static_cast<double>(tasks)};
}

}  // namespace benchmark
