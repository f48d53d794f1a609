#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "../support/measure.hpp"
#include "../support/work.hpp"

namespace benchmark {

enum class order { longest_first, longest_last, random };

/// The work of 5,000 tasks, 240 ms in all: a power law, the longest a thousand times the shortest (7 ms and 7 µs), each quantile once.
inline std::vector<std::uint64_t> uneven_work(order wanted, std::uint64_t spins_per_microsecond) {
  constexpr std::size_t tasks = 5'000;
  constexpr double longest = 1'000, total_microseconds = 240'000;

  std::vector<double> lengths(tasks);  // from the shortest, 1, to the longest
  double sum = 0;
  for (std::size_t i = 0; i < tasks; ++i) {
    lengths[i] = 1 / (1 - (static_cast<double>(i) + 0.5) / tasks * (1 - 1 / longest));
    sum += lengths[i];
  }
  std::vector<std::uint64_t> spins(tasks);
  std::transform(lengths.begin(), lengths.end(), spins.begin(), [&](double length) {
    return static_cast<std::uint64_t>(length / sum * total_microseconds * static_cast<double>(spins_per_microsecond));
  });
  if (wanted == order::longest_first) std::reverse(spins.begin(), spins.end());
  if (wanted == order::random) std::shuffle(spins.begin(), spins.end(), std::mt19937_64(1));
  return spins;
}

/// Who keeps all workers at work until the end, when tasks differ a thousandfold? Nanoseconds a call.
template <class Contender, order wanted>
measurement uneven(const conditions& given) {
  const std::vector<std::uint64_t> work = uneven_work(wanted, given.spins_per_microsecond);
  if (work.size() > Contender::can.tasks) throw left_out("so many tasks are too many");

  Contender contender(given.workers);
  return {time_of([&] { return contender.map(work.size(), [&work](std::size_t i) { return benchmark_spin(work[i]); }); },
                  [&](const std::vector<std::uint64_t>& results) { return results == work; })};
}

}  // namespace benchmark
