#pragma once

#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include "../support/measure.hpp"

namespace benchmark {

/// How well do many workers wait? Nanoseconds for 2,000 tasks that sleep for a millisecond, on 64 workers, whatever the machine.
template <class Contender>
measurement io_bound(const conditions&) {
  constexpr std::size_t tasks = 2'000;
  constexpr int workers = 64;
  if (!Contender::can.more_workers) throw left_out("there cannot be more workers than processors");

  Contender contender(workers);
  const auto wait = [](std::size_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return i;
  };
  return {time_of([&] { return contender.map(tasks, wait); },
                  [&](const std::vector<std::size_t>& results) {
                    for (std::size_t i = 0; i < results.size(); ++i)
                      if (results[i] != i) return false;
                    return results.size() == tasks;
                  })};
}

}  // namespace benchmark
