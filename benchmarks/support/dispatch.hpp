#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <span>

#include "measure.hpp"

namespace benchmark {

struct question {
  const char* name;
  measurement (*ask)(const conditions&);
};

/// What a contender's main function does: QUESTION WORKERS SPINS_PER_MICROSECOND. Answers once, and prints one line.
inline int dispatch(std::span<const question> questions, int argc, char** argv) {
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
