#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace benchmark {

/// What the driver says to each process.
struct conditions {
  int workers;                          // for each contender; a question about waiting takes more
  std::uint64_t spins_per_microsecond;  // for benchmark_spin, measured once for all
};

/// How many worker processes: two at least, since one task at a time is run without any by some.
inline int processes(const conditions& given) { return given.workers > 2 ? given.workers : 2; }

/// What a process says to the driver.
struct measurement {
  double nanoseconds;        // per task, call or run, as the question has it
  double busy_workers = -1;  // on average, while the caller made a pause; negative where nobody pauses
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

/// A task that does nothing. Opaque, as the body of a real task is: else some compilers would turn the whole loop into vector instructions,
/// and the question were another.
inline constexpr auto empty = [](std::size_t i) {
  asm volatile("" : "+r"(i));
  return i;
};
/// Whether these are the results of so many of them.
inline bool are_empty_tasks(const std::vector<std::size_t>& results, std::size_t tasks) {
  for (std::size_t i = 0; i < results.size(); ++i)
    if (results[i] != i) return false;
  return results.size() == tasks;
}

using steady = std::chrono::steady_clock;

inline double nanoseconds_since(steady::time_point begin) {
  return std::chrono::duration<double, std::nano>(steady::now() - begin).count();
}

/// Nanoseconds that the other threads of the process have run or, beside other programs, would have run had there been a free processor. To
/// be called by the first thread.
inline double wanted_by_workers() {
  double wanted = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == std::to_string(getpid())) continue;
    double ran = 0, waited = 0;
    if (std::ifstream(thread.path() / "schedstat") >> ran >> waited) wanted += ran + waited;  // else it has ended meanwhile
  }
  return wanted;
}

/// Nanoseconds that `run` takes, warmed up by three runs: the C library gives the first large block back to the system, and what comes
/// next would measure how the system makes pages. `is_right` is asked about the result of each, outside the time.
template <class Run, class IsRight>
double time_of(Run run, IsRight is_right) {
  constexpr double enough = 50e6;

  for (int warm_up = 0; warm_up < 3; ++warm_up) check(is_right(run()));
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
