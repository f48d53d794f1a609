#include <manyhands/detail/team_call.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include <manyhands/detail/team.hpp>
#include <support/catch.hpp>
#include <support/plain_jobs.hpp>

using manyhands::detail::team;
using manyhands::detail::team_call;

namespace {

const auto nothing = [](std::size_t) {};

}  // namespace

TEST_CASE("a call has no more seats than workers, nor than tasks when it knows them") {
  team squad(3);
  plain_jobs two(2, nothing);
  plain_jobs many(100, nothing);
  plain_jobs unread(100, nothing, 1);
  REQUIRE(team_call(squad, nullptr, two, {.workers = 4}).seats() == 2);
  REQUIRE(team_call(squad, nullptr, many, {.workers = 4}).seats() == 4);
  REQUIRE(team_call(squad, nullptr, unread, {.workers = 4}).seats() == 4);
}

TEST_CASE("the caller counts among the workers, but for an outermost call that still reads") {
  team squad(3);
  plain_jobs known(100, nothing);
  plain_jobs unread(100, nothing, 1);
  team_call outer(squad, nullptr, known, {.workers = 2});
  REQUIRE(outer.caller_works);
  REQUIRE_FALSE(team_call(squad, nullptr, unread, {.workers = 2}).caller_works);
  REQUIRE(team_call(squad, &outer, unread, {.workers = 2}).caller_works);
}

TEST_CASE("a thread in a nested call counts in all calls around it") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call outer(squad, nullptr, work, {.workers = 6});
  team_call middle(squad, &outer, work, {.workers = 2});
  team_call inner(squad, &middle, work, {.workers = 6});
  REQUIRE(inner.is_below(&middle));
  REQUIRE(inner.is_below(&outer));
  REQUIRE_FALSE(outer.is_below(&inner));
  REQUIRE_FALSE(inner.is_below(&inner));
  // The callers of middle and of inner are one and two of its workers' seats.
  REQUIRE(inner.has_room(nullptr));
  const std::size_t seat = inner.sit_down(nullptr);
  REQUIRE_FALSE(inner.has_room(nullptr));
  REQUIRE_FALSE(middle.has_room(nullptr));
  REQUIRE(outer.has_room(nullptr));
  // Who works in middle already counts there.
  REQUIRE(inner.has_room(&middle));
  inner.stand_up(seat, nullptr);
  REQUIRE(middle.has_room(nullptr));
}

TEST_CASE("a thread that comes again gets its own seat, another one a seat of its own") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call call(squad, nullptr, work, {.workers = 4});
  const std::size_t mine = call.sit_down(&call);
  REQUIRE_FALSE(call.knows(mine));
  call.stand_up(mine, &call);
  std::size_t others = mine;
  std::thread([&] {
    others = call.sit_down(nullptr);
    call.stand_up(others, nullptr);
  }).join();
  REQUIRE(others != mine);
  REQUIRE(call.sit_down(&call) == mine);
  REQUIRE(call.knows(mine));
}

TEST_CASE("a worker runs every task, in order, whatever the batch") {
  const manyhands::batch_size batch =
      GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1), manyhands::batch_size(7));
  team squad(0);
  std::vector<std::size_t> ran;
  plain_jobs work(1000, [&](std::size_t index) { ran.push_back(index); });
  team_call call(squad, nullptr, work, {.workers = 2, .batch = batch});
  std::condition_variable moved;
  const std::size_t seat = call.sit_down(&call);
  call.run_batches(seat, {}, 1, moved);
  REQUIRE(ran.size() == (batch.is_automatic() ? 1 : batch.count()));
  call.run_batches(seat, {}, manyhands::no_index, moved);
  REQUIRE(ran.size() == 1000);
  REQUIRE(std::is_sorted(ran.begin(), ran.end()));
  call.stand_up(seat, &call);
  REQUIRE(call.look().call == nullptr);
  REQUIRE_FALSE(call.look().later);
}

TEST_CASE("an idle thread finds the rest of a batch that goes on for long") {
  if (!manyhands::detail::ranges_can_split()) return;  // then there are no batches of several tasks
  team squad(1);
  std::vector<std::atomic<int>> runs(1000);
  team_call* open = nullptr;
  team_call::chance chance;
  plain_jobs work(1000, [&](std::size_t index) {
    ++runs[index];
    if (chance.call != nullptr || open->work.waiting() > 0) return;
    // The last batch of all has begun: play the idle thread that looks for something to do.
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < patience) {
      chance = open->look();
      if (chance.call != nullptr || !chance.later) break;
    }
  });
  // One worker takes half of what is left at a time.
  team_call call(squad, nullptr, work, {.workers = 1});
  open = &call;
  std::condition_variable moved;
  const std::size_t seat = call.sit_down(&call);
  call.run_batches(seat, {}, manyhands::no_index, moved);
  if (chance.call != nullptr) {
    REQUIRE(chance.stolen.last == 1000);
    for (std::size_t index = 0; index < 1000; ++index) REQUIRE(runs[index] == (index < chance.stolen.first ? 1 : 0));
    call.run_batches(seat, chance.stolen, manyhands::no_index, moved);
  }
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
}
