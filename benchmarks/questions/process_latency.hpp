#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "../support/measure.hpp"
#include "call_latency.hpp"

namespace benchmark {

/// What does a call cost when its worker processes are there? Nanoseconds a call of 2 trivial tasks on 2 workers, back to back, whatever
/// the machine.
template <class Contender>
measurement process_latency_2(const conditions&) {
  constexpr int workers = 2;
  constexpr std::size_t tasks = 2;
  if (!Contender::warm) throw left_out("its workers are forked for each call");

  Contender contender(workers);
  return {time_of([&] { return contender.map(tasks, trivial); },
                  [](const std::vector<std::size_t>& results) { return is_right_trivial(results, tasks); })};
}

/// What does it cost to tell a worker of a task, and to hear of its result? Nanoseconds a task of a call with a million trivial ones.
template <class Contender>
measurement process_latency_million(const conditions& given) {
  constexpr std::size_t tasks = 1'000'000;
  if (!Contender::warm) throw left_out("its workers are forked for each call");

  const auto tiny = [](std::size_t i) { return trivial(i); };
  Contender contender(processes(given));
  const double run = time_of([&] { return contender.map(tasks, tiny); },
                             [](const std::vector<std::size_t>& results) { return is_right_trivial(results, tasks); });
  return {run / static_cast<double>(tasks)};
}

/// What the tasks of `process_latency_after_kill`, in three processes, know of each other. Times since the clock's epoch, 0 before.
struct crash_scene {
  std::atomic<int> arrived{0};
  std::atomic<bool> held{false};
  std::atomic<std::int64_t> killed{0}, replaced{0};
  std::array<std::atomic<pid_t>, 3> who{};
};
/// In shared memory. Global, since tasks have no captures.
inline crash_scene* scene = nullptr;

inline std::int64_t nanoseconds_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now().time_since_epoch()).count();
}

/// Sleeps until it is so, at most 10 s; false if it never was.
template <class So>
bool comes_true(So so) {
  for (int i = 0; i < 20'000; ++i) {
    if (so()) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return false;
}

/// The first task that runs waits for the second, which runs elsewhere, and is killed with its worker. The second keeps the other worker
/// until the third runs: so that one is in the replacement. The others are there so that there is always one left.
inline std::size_t task_at_the_scene(std::size_t i) {
  const int role = scene->arrived.fetch_add(1);
  if (role < 3) scene->who[static_cast<std::size_t>(role)] = getpid();
  if (role == 0 && comes_true([] { return scene->held.load(); })) {
    scene->killed = nanoseconds_now();
    std::raise(SIGKILL);
  }
  if (role == 1) {
    scene->held = true;
    comes_true([] { return scene->replaced != 0; });
  }
  if (role == 2) scene->replaced = nanoseconds_now();
  return i;
}

/// A program of some size: what a fork costs depends on it.
class ballast {
 public:
  ballast() {
    asm volatile("" : : "r"(touched_.data()) : "memory");  // else compilers leave it out
  }

 private:
  std::vector<char> touched_ = std::vector<char>(10'000'000, 1);
};

inline double median_of(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// How long is a worker missed? Nanoseconds from the SIGKILL that ends one of two until a task runs in its replacement; the program has 10
/// MB. The median of many.
template <class Contender>
measurement process_latency_after_kill(const conditions&) {
  constexpr int workers = 2;
  constexpr std::size_t tasks = 8, kills = 40, warm_up = 5;
  if constexpr (!requires(Contender contender) { contender.map_with_losses(tasks, task_at_the_scene); }) {
    throw left_out("a call does not survive it");
  } else {
    const ballast memory;
    void* const shared = mmap(nullptr, sizeof(crash_scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED);
    Contender contender(workers);
    std::vector<double> times;
    for (std::size_t i = 0; i < kills + warm_up; ++i) {
      scene = new (shared) crash_scene;
      check(contender.map_with_losses(tasks, task_at_the_scene) == 1);
      check(scene->killed != 0 && scene->replaced > scene->killed && scene->arrived == tasks);
      check(scene->who[2] != scene->who[0] && scene->who[2] != scene->who[1]);
      if (i >= warm_up) times.push_back(static_cast<double>(scene->replaced - scene->killed));
    }
    return {median_of(times)};
  }
}

}  // namespace benchmark
