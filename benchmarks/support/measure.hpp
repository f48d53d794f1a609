#pragma once

#include <time.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace benchmark {

/// What the driver says to each process.
struct conditions {
  int workers;                          // for each contender; a question about waiting takes more
  std::uint64_t spins_per_microsecond;  // for benchmark_spin, measured once for all
};

/// What a process says to the driver.
struct measurement {
  double nanoseconds;      // per task, call or run, as the question has it
  double busy_cores = -1;  // by workers, while the caller made a pause; negative where nobody pauses
};

/// What a contender is not made for. A contender without a member `can` takes all.
struct limits {
  std::size_t tasks = std::numeric_limits<std::size_t>::max();  // in one call, with a task for each index
  bool nested = true;                                           // calls from within its tasks
  bool more_workers = true;                                     // than there are processors
};

/// Thrown by a question that does not suit the contender: what() is shown beside the table.
struct left_out : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws unless the answer is right.
inline void check(bool right) {
  if (!right) throw std::logic_error("wrong answer");
}

using steady = std::chrono::steady_clock;

inline double nanoseconds_since(steady::time_point begin) {
  return std::chrono::duration<double, std::nano>(steady::now() - begin).count();
}

/// Nanoseconds of processor time, of the process or of the calling thread.
inline double processor_time(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Nanoseconds that `run` takes, warmed up by one run. `is_right` is asked about the result of each, outside the time.
template <class Run, class IsRight>
double time_of(Run run, IsRight is_right) {
  constexpr double enough = 50e6;

  check(is_right(run()));
  double total = 0;
  int runs = 0;
  do {
    const auto begin = steady::now();
    const auto result = run();
    total += nanoseconds_since(begin);
    ++runs;
    check(is_right(result));
  } while (total < enough);
  return total / runs;
}

}  // namespace benchmark
