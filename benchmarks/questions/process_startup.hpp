#pragma once

#include <cstddef>
#include <vector>

#include "../support/measure.hpp"
#include "call_latency.hpp"

namespace benchmark {

/// What does a call cost whose workers are not there yet, and are gone afterwards? Nanoseconds to start 2 worker processes, run a trivial
/// task on each, and end them, whatever the machine.
template <class Contender>
measurement process_startup(const conditions&) {
  constexpr int workers = 2;
  constexpr std::size_t tasks = 2;
  return {time_of([] { return Contender(workers).map(tasks, trivial); },
                  [](const std::vector<std::size_t>& results) { return is_right_trivial(results, tasks); })};
}

}  // namespace benchmark
