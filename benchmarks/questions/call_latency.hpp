#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <thread>
#include <vector>

#include "../support/measure.hpp"

namespace benchmark {

/// A task of a few nanoseconds.
inline std::size_t trivial(std::size_t i) {
  asm volatile("" : "+r"(i));
  return i * i + 1;
}

inline bool is_right_trivial(const std::vector<std::size_t>& results, std::size_t tasks) {
  for (std::size_t i = 0; i < results.size(); ++i)
    if (results[i] != i * i + 1) return false;
  return results.size() == tasks;
}

/// What does a call cost? Nanoseconds a call of a few trivial tasks, one call after the other.
template <class Contender, std::size_t tasks>
measurement call_latency(const conditions& given) {
  constexpr double enough = 50e6;

  Contender contender(given.workers);
  for (std::size_t calls = 1;; calls *= 4) {
    bool right = true;
    const auto begin = steady::now();
    for (std::size_t i = 0; i < calls; ++i) right &= is_right_trivial(contender.map(tasks, trivial), tasks);
    const double taken = nanoseconds_since(begin);
    check(right);
    if (taken >= enough) return {taken / static_cast<double>(calls)};
  }
}

/// What does it cost when the workers have had time to fall asleep? The caller makes a pause before each call: below a millisecond it works
/// on something else, above it sleeps. And how busy are the workers in the meantime?
///
/// Of the calls in a row the slowest tenth is left out, else a single visit of another program to the processor would be all that one sees.
template <class Contender, std::size_t tasks, int microseconds>
measurement call_latency_after(const conditions& given) {
  constexpr std::chrono::microseconds pause(microseconds);
  constexpr std::size_t warm_up = 10;
  std::array<double, (pause < std::chrono::milliseconds(1) ? 300 : 40)> times{};

  Contender contender(given.workers);
  const auto call_after_pause = [&] {
    const auto paused = steady::now();
    if constexpr (pause < std::chrono::milliseconds(1)) {
      while (steady::now() - paused < pause) {
      }
    } else {
      std::this_thread::sleep_for(pause);
    }
    const auto begin = steady::now();
    const auto results = contender.map(tasks, trivial);
    const double taken = nanoseconds_since(begin);
    check(is_right_trivial(results, tasks));
    return taken;
  };
  for (std::size_t i = 0; i < warm_up; ++i) call_after_pause();

  const double wanted = wanted_by_workers();
  const auto begin = steady::now();
  std::generate(times.begin(), times.end(), call_after_pause);
  const double busy_workers = std::max(wanted_by_workers() - wanted, 0.0) / nanoseconds_since(begin);

  std::sort(times.begin(), times.end());
  constexpr std::size_t kept = times.size() - times.size() / 10;
  return {std::accumulate(times.begin(), times.begin() + kept, 0.0) / kept, busy_workers};
}

}  // namespace benchmark
