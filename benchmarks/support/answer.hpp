#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "../questions/call_latency.hpp"
#include "../questions/io_bound.hpp"
#include "../questions/memory_bound.hpp"
#include "../questions/nested.hpp"
#include "../questions/task_overhead.hpp"
#include "../questions/uneven.hpp"
#include "measure.hpp"

namespace benchmark {

/// The main function of a contender: QUESTION WORKERS SPINS_PER_MICROSECOND. Answers once, and prints one line.
///
/// `Contender(workers)` makes it ready, as far as a program would keep it ready between calls. Then
/// `map(n, f)` gives the `std::vector` of `f(0)` to `f(n - 1)`, and `for_each(n, f)` only calls them, both as its user would write it.
template <class Contender>
int answer(int argc, char** argv) {
  struct question {
    const char* name;
    measurement (*ask)(const conditions&);
  };
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

  if (argc != 4) {
    std::fprintf(stderr, "usage: %s QUESTION WORKERS SPINS_PER_MICROSECOND\n", argv[0]);
    for (const question& one : questions) std::fprintf(stderr, "  %s\n", one.name);
    return 2;
  }
  for (const question& one : questions) {
    if (std::strcmp(one.name, argv[1]) != 0) continue;
    try {
      const measurement result = one.ask({std::atoi(argv[2]), std::strtoull(argv[3], nullptr, 10)});
      std::printf("%.4f %.4f\n", result.nanoseconds, result.busy_workers);
      return 0;
    } catch (const left_out& reason) {
      std::printf("left out: %s\n", reason.what());
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], error.what());
      return 1;
    }
  }
  std::fprintf(stderr, "%s: no such question: %s\n", argv[0], argv[1]);
  return 2;
}

}  // namespace benchmark
