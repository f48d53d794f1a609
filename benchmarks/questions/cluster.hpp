#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "../support/measure.hpp"

namespace benchmark {

/// What does a task cost on ranks, where so many travel together? Nanoseconds a task.
template <class Contender, std::size_t tasks, std::size_t batch>
measurement cluster_batches(const conditions&) {
  Contender contender;
  const double run = time_of([&] { return contender.map(tasks, batch, empty); },
                             [](const std::vector<std::size_t>& results) { return are_empty_tasks(results, tasks); });
  return {run / static_cast<double>(tasks)};
}

/// How long does one task take there and back? Nanoseconds a call.
template <class Contender>
measurement cluster_one_task(const conditions&) {
  constexpr std::size_t calls = 500;
  Contender contender;
  const auto call = [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) check(contender.map(1, 1, empty).front() == 0);
  };
  call(10);
  const auto begin = steady::now();
  call(calls);
  return {nanoseconds_since(begin) / static_cast<double>(calls)};
}

inline constexpr std::size_t large_results = 300;
inline constexpr std::size_t mib = std::size_t{1} << 20U;

inline std::vector<char> large(std::size_t i) { return std::vector<char>(mib, static_cast<char>(i % 100)); }
inline bool is_right_large(const std::vector<char>& result, std::size_t i) {
  return result.size() == mib && result.front() == static_cast<char>(i % 100) && result.back() == result.front();
}

/// How fast do large results come home, all of which are kept? Nanoseconds for 300 of 1 MiB.
template <class Contender>
measurement cluster_large_kept(const conditions&) {
  Contender contender;
  return {time_of([&] { return contender.map(large_results, 0, large); },
                  [](const std::vector<std::vector<char>>& results) {
                    for (std::size_t i = 0; i < results.size(); ++i)
                      if (!is_right_large(results[i], i)) return false;
                    return results.size() == large_results;
                  })};
}

/// The same where each is used and dropped as it comes.
template <class Contender>
measurement cluster_large_streamed(const conditions&) {
  Contender contender;
  return {time_of(
      [&] {
        std::size_t right = 0;
        contender.stream(large_results, large, [&](const std::vector<char>& result) { right += is_right_large(result, right) ? 1 : 0; });
        return right;
      },
      [](std::size_t right) { return right == large_results; })};
}

}  // namespace benchmark
