#pragma once

#include <cstddef>
#include <cstdint>

#include "../support/measure.hpp"
#include "../support/work.hpp"

namespace benchmark {

/// What does it cost to take results one by one while the call goes on? Nanoseconds a task of very many that do nothing.
template <class Contender>
measurement watching_stream(const conditions& given) {
  const auto empty = [](std::size_t i) {
    asm volatile("" : "+r"(i));
    return i;
  };
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

/// What does it cost to keep results for a later run? Nanoseconds a result of 8 bytes.
template <class Contender>
measurement watching_journal(const conditions& given) {
  return watching_stream<Contender>(given);
}

}  // namespace benchmark
