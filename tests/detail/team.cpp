#include <manyhands/detail/team.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/plain_jobs.hpp>

using manyhands::detail::team;
using manyhands::detail::team_call;

namespace {

/// Runs a call in a team of its own.
void run_alone(manyhands::jobs& work, const manyhands::plan& how, int helpers) {
  team squad(helpers);
  team_call call(squad, nullptr, work, how);
  squad.run(call);
}

}  // namespace

TEST_CASE("a call ends when all its tasks have, with and without helpers") {
  const int helpers = GENERATE(0, 1, 3);
  const auto size = GENERATE(as<std::size_t>(), 1, 2, 10, 5000);
  CAPTURE(helpers, size);
  std::vector<std::atomic<int>> runs(size);
  plain_jobs work(size, [&](std::size_t index) { ++runs[index]; });
  run_alone(work, {.workers = helpers + 1}, helpers);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
}

TEST_CASE("a call that reads leaves the tasks to its helpers") {
  const int helpers = GENERATE(1, 3);
  CAPTURE(helpers);
  std::vector<std::atomic<int>> runs(500);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  plain_jobs work(
      500,
      [&](std::size_t index) {
        ++runs[index];
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      },
      1);
  run_alone(work, {.workers = helpers, .read_ahead = 4}, helpers);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
  REQUIRE(threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("the call that a thread works in is known inside of its tasks, and nowhere else") {
  REQUIRE(team::active() == nullptr);
  std::atomic<int> known = 0;
  plain_jobs work(100, [&](std::size_t) { known += team::active() != nullptr ? 1 : 0; });
  run_alone(work, {.workers = 3}, 2);
  REQUIRE(known == 100);
  REQUIRE(team::active() == nullptr);
}

TEST_CASE("a call inside of a task is served by the same team") {
  std::atomic<int> inner_runs = 0;
  plain_jobs outer(20, [&](std::size_t) {
    team_call* const around = team::active();
    plain_jobs inner(30, [&](std::size_t) { ++inner_runs; });
    const manyhands::plan how{.workers = 3};
    team_call call(around->squad, around, inner, how);
    around->squad.run(call);
    if (team::active() != around) inner_runs = -1000000;
  });
  run_alone(outer, {.workers = 3}, 2);
  REQUIRE(inner_runs == 600);
}

TEST_CASE("a call stops at a failure, also while it reads") {
  const auto ready = GENERATE(as<std::size_t>(), 1, 100000);
  CAPTURE(ready);
  std::atomic<int> runs = 0;
  plain_jobs* open = nullptr;
  plain_jobs work(
      100000,
      [&](std::size_t index) {
        ++runs;
        if (index == 10) open->fail(10, nullptr);
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      },
      ready);
  open = &work;
  run_alone(work, {.workers = 3, .batch = 1, .read_ahead = 6}, 3);
  REQUIRE(runs >= 11);
  REQUIRE(runs < 1000);
}
