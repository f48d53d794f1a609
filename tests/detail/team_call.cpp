#include <manyhands/detail/team_call.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <limits>
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
  const team_call::sitting seat = inner.sit_down(nullptr);
  REQUIRE_FALSE(inner.has_room(nullptr));
  REQUIRE_FALSE(middle.has_room(nullptr));
  REQUIRE(outer.has_room(nullptr));
  // Who works in middle already counts there.
  REQUIRE(inner.has_room(&middle));
  inner.stand_up(seat.at, nullptr);
  REQUIRE(middle.has_room(nullptr));
}

TEST_CASE("a thread that comes again gets its own seat, another one a seat of its own") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call call(squad, nullptr, work, {.workers = 4});
  const team_call::sitting mine = call.sit_down(&call);
  REQUIRE(mine.first_time);
  REQUIRE(mine.at.number == 0);
  call.stand_up(mine.at, &call);
  std::size_t others = 0;
  std::thread([&] {
    const team_call::sitting other = call.sit_down(nullptr);
    others = other.at.number;
    call.stand_up(other.at, nullptr);
  }).join();
  REQUIRE(others == 1);
  const team_call::sitting again = call.sit_down(&call);
  REQUIRE(&again.at == &mine.at);
  REQUIRE_FALSE(again.first_time);
}

TEST_CASE("no more threads run an initializer than a call has workers, others may come and go") {
  const bool binds = GENERATE(false, true);
  CAPTURE(binds);
  team squad(5);
  plain_jobs work(100, nothing, 100, binds ? std::function<void()>([] {}) : nullptr);
  team_call call(squad, nullptr, work, {.workers = 3});
  REQUIRE(call.binds == binds);
  int admitted = 0;
  std::vector<std::thread> threads;  // all of them live at once: ids are not used again
  std::atomic<int> done = 0;
  for (int each = 1; each <= 4; ++each) {
    threads.emplace_back([&, each] {
      while (done != each - 1) std::this_thread::yield();
      if (call.has_room(nullptr)) {
        const team_call::sitting seat = call.sit_down(nullptr);
        CHECK(seat.first_time);
        call.stand_up(seat.at, nullptr);
        ++admitted;
      }
      ++done;
      while (done != 4) std::this_thread::yield();
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(admitted == (binds ? 2 : 4));  // the first seat is the caller's
}

TEST_CASE("a call that allows for any number of workers makes room for those who come") {
  team squad(5);
  plain_jobs unread(100, nothing, 1);
  team_call call(squad, nullptr, unread, {.workers = std::numeric_limits<int>::max()});
  REQUIRE(call.has_room(nullptr));
  REQUIRE(call.sit_down(nullptr).at.number == 0);
  REQUIRE(call.has_room(nullptr));
}

TEST_CASE("a worker runs every task, in order, whatever the batch") {
  const manyhands::batch_size batch =
      GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1), manyhands::batch_size(7));
  team squad(0);
  std::vector<std::size_t> ran;
  plain_jobs work(1000, [&](std::size_t index) { ran.push_back(index); });
  team_call call(squad, nullptr, work, {.workers = 2, .batch = batch});
  std::condition_variable moved;
  const team_call::sitting seat = call.sit_down(&call);
  call.run_batches(seat.at, {}, 1, moved);
  REQUIRE(ran.size() == (batch.is_automatic() ? 1 : batch.count()));
  call.run_batches(seat.at, {}, manyhands::no_index, moved);
  REQUIRE(ran.size() == 1000);
  REQUIRE(std::is_sorted(ran.begin(), ran.end()));
  call.stand_up(seat.at, &call);
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
  const team_call::sitting seat = call.sit_down(&call);
  call.run_batches(seat.at, {}, manyhands::no_index, moved);
  if (chance.call != nullptr) {
    REQUIRE(chance.stolen.last == 1000);
    for (std::size_t index = 0; index < 1000; ++index) REQUIRE(runs[index] == (index < chance.stolen.first ? 1 : 0));
    call.run_batches(seat.at, chance.stolen, manyhands::no_index, moved);
  }
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
}
