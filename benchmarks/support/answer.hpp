#pragma once

#include "../questions/call_latency.hpp"
#include "../questions/io_bound.hpp"
#include "../questions/memory_bound.hpp"
#include "../questions/nested.hpp"
#include "../questions/task_overhead.hpp"
#include "../questions/uneven.hpp"
#include "dispatch.hpp"

namespace benchmark {

/// The main function of a contender whose workers are threads.
///
/// `Contender(workers)` makes it ready, as far as a program would keep it ready between calls. Then
/// `map(n, f)` gives the `std::vector` of `f(0)` to `f(n - 1)`, and `for_each(n, f)` only calls them, both as its user would write it.
template <class Contender>
int answer(int argc, char** argv) {
  constexpr question questions[] = {
      {"task_overhead/empty", task_overhead_empty<Contender>},
      {"task_overhead/1us", task_overhead<Contender, 200'000, 1>},
      {"task_overhead/100us", task_overhead<Contender, 5'000, 100>},
      {"call_latency/2", call_latency<Contender, 2>},
      {"call_latency/8", call_latency<Contender, 8>},
      {"call_latency/2_after_200us", call_latency_after<Contender, 2, 200>},
      {"call_latency/8_after_200us", call_latency_after<Contender, 8, 200>},
      {"call_latency/2_after_5ms", call_latency_after<Contender, 2, 5'000>},
      {"call_latency/8_after_5ms", call_latency_after<Contender, 8, 5'000>},
      {"uneven/longest_first", uneven<Contender, order::longest_first>},
      {"uneven/longest_last", uneven<Contender, order::longest_last>},
      {"uneven/random", uneven<Contender, order::random>},
      {"memory_bound", memory_bound<Contender>},
      {"nested", nested<Contender>},
      {"io_bound", io_bound<Contender>},
  };
  return dispatch(questions, argc, argv);
}

}  // namespace benchmark
