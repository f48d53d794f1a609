// No contender but the measure of warm workers and of replaced ones: what the system takes for a wake-up each way, and for a fork.

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../support/process_answer.hpp"
#include "raw.hpp"

namespace {

/// The processors that this process may use.
std::vector<int> processors() {
  cpu_set_t allowed;
  benchmark::check(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
  std::vector<int> numbers;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &allowed)) numbers.push_back(i);
  return numbers;
}

void keep_to_processor(int number) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(number, &one);
  benchmark::check(sched_setaffinity(0, sizeof(one), &one) == 0);
}

/// Nanoseconds until a process on another processor has been woken, and has woken this one. With ROUND_TRIP_ANYWHERE the system places
/// both, and likes to put them on one processor, which suits this game and no workers that have something to do.
benchmark::measurement futex_round_trip(const benchmark::conditions&) {
  constexpr std::uint32_t end = UINT32_MAX;
  const raw::shared<std::atomic<std::uint32_t>> words(64);  // two of them, on cache lines of their own
  std::atomic<std::uint32_t>&there = words[0], &back = words[32];
  const std::vector<int> allowed = processors();
  const bool anywhere = std::getenv("ROUND_TRIP_ANYWHERE") != nullptr;
  if (!anywhere && allowed.size() < 2) throw benchmark::left_out("there is one processor only");
  if (!anywhere) keep_to_processor(allowed[0]);
  const std::vector<pid_t> partner{raw::forked([&] {
    if (!anywhere) keep_to_processor(allowed[1]);
    for (std::uint32_t seen = 0;;) {
      raw::sleep_while(there, seen);
      const std::uint32_t now = there.load();
      if (now == seen) continue;
      if (now == end) return;
      seen = now;
      back.store(now);
      raw::wake(back);
    }
  })};
  std::uint32_t trips = 0;
  const double time = benchmark::time_of(
      [&] {
        there.store(++trips);
        raw::wake(there);
        while (back.load() != trips) raw::sleep_while(back, trips - 1);
        return trips;
      },
      [&](std::uint32_t answered) { return answered == back.load(); });
  there.store(end);
  raw::wake(there);
  raw::collect(partner);
  return {time};
}

/// Nanoseconds until a child runs, of a program as large as the question's; with FORK_AND_END until it has ended and was collected, which
/// happens to a worker that is replaced, too. The median of many.
benchmark::measurement fork_alone(const benchmark::conditions&) {
  constexpr std::size_t forks = 40, warm_up = 5;
  const bool and_end = std::getenv("FORK_AND_END") != nullptr;
  const benchmark::ballast memory;
  const raw::shared<std::atomic<std::int64_t>> runs(1);
  std::vector<double> times;
  for (std::size_t i = 0; i < forks + warm_up; ++i) {
    const std::int64_t begin = benchmark::nanoseconds_now();
    raw::collect({raw::forked([&] { runs[0] = benchmark::nanoseconds_now(); })});
    const std::int64_t collected = benchmark::nanoseconds_now();
    benchmark::check(runs[0] > begin && collected > runs[0]);
    if (i >= warm_up) times.push_back(static_cast<double>((and_end ? collected : runs[0].load()) - begin));
  }
  return {benchmark::median_of(times)};
}

}  // namespace

int main(int argc, char** argv) {
  constexpr benchmark::question questions[] = {
      {"process_latency/2", futex_round_trip},
      {"process_latency/after_kill", fork_alone},
  };
  return benchmark::dispatch(questions, argc, argv);
}
