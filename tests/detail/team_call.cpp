#include <manyhands/detail/team_call.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <manyhands/detail/team.hpp>
#include <support/catch.hpp>
#include <support/plain_jobs.hpp>

using manyhands::plan;
using manyhands::detail::team;
using manyhands::detail::team_call;

namespace {

const auto nothing = [](std::size_t) {};
const plan two{.workers = 2};
const plan three{.workers = 3};
const plan four{.workers = 4};
const plan six{.workers = 6};

}  // namespace

TEST_CASE("a call has no more seats than workers, nor than tasks when it knows them") {
  team squad(3);
  plain_jobs pair(2, nothing);
  plain_jobs many(100, nothing);
  plain_jobs unread(100, nothing, 1);
  REQUIRE(team_call(squad, nullptr, pair, four).seats() == 2);
  REQUIRE(team_call(squad, nullptr, many, four).seats() == 4);
  REQUIRE(team_call(squad, nullptr, unread, four).seats() == 4);
}

TEST_CASE("the caller counts among the workers, but for an outermost call that still reads") {
  team squad(3);
  plain_jobs known(100, nothing);
  plain_jobs unread(100, nothing, 1);
  team_call outer(squad, nullptr, known, two);
  REQUIRE(outer.caller_works);
  REQUIRE_FALSE(team_call(squad, nullptr, unread, two).caller_works);
  REQUIRE(team_call(squad, &outer, unread, two).caller_works);
}

TEST_CASE("a thread in a nested call counts in all calls around it") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call outer(squad, nullptr, work, six);
  team_call middle(squad, &outer, work, two);
  team_call inner(squad, &middle, work, six);
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

TEST_CASE("a call further up comes before one further down, and of two calls side by side the one with fewer threads") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call outer(squad, nullptr, work, six);
  team_call one(squad, &outer, work, six);
  team_call other(squad, &outer, work, six);
  CHECK(outer.comes_before(one));
  CHECK_FALSE(one.comes_before(outer));
  CHECK_FALSE(one.comes_before(other));
  const team_call::sitting seat = other.sit_down(nullptr);
  CHECK(one.comes_before(other));
  CHECK_FALSE(other.comes_before(one));
  CHECK(outer.comes_before(one));
  other.stand_up(seat.at, nullptr);
}

TEST_CASE("a thread that comes again gets its own seat, another one a seat of its own") {
  team squad(5);
  plain_jobs work(100, nothing);
  team_call call(squad, nullptr, work, four);
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
  team_call call(squad, nullptr, work, three);
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
  const plan many{.workers = std::numeric_limits<int>::max()};
  team_call call(squad, nullptr, unread, many);
  REQUIRE(call.has_room(nullptr));
  REQUIRE(call.sit_down(nullptr).at.number == 0);
  REQUIRE(call.has_room(nullptr));
}

TEST_CASE("a worker runs every task, in order, whatever the batch") {
  const manyhands::batch_size batch =
      GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1), manyhands::batch_size(7));
  const bool read = GENERATE(false, true);
  CAPTURE(read);
  team squad(0);
  std::vector<std::size_t> ran;
  plain_jobs work(
      1000, [&](std::size_t index) { ran.push_back(index); }, read ? std::optional<std::size_t>(1) : std::nullopt);
  while (!work.complete()) static_cast<void>(work.read(1));
  const plan how{.workers = 2, .batch = batch};
  team_call call(squad, nullptr, work, how);
  const team_call::sitting seat = call.sit_down(&call);
  if (call.in_parts) {
    const manyhands::index_range all = work.next(manyhands::no_index);
    seat.at.batch.open(all.first, all.last, team_call::clock::now());
    call.run_parts(seat.at, team_call::clock::now());
  } else {
    call.run_tasks(seat.at, 1);
    REQUIRE(ran.size() == batch.count());
    call.run_tasks(seat.at, manyhands::no_index);
  }
  REQUIRE(ran.size() == 1000);
  REQUIRE(std::is_sorted(ran.begin(), ran.end()));
  call.stand_up(seat.at, &call);
  REQUIRE(call.look(team_call::clock::now()).call == nullptr);
  REQUIRE_FALSE(call.look(team_call::clock::now()).later);
  REQUIRE_FALSE(call.has_tasks());
}

TEST_CASE("tasks are shared out to all seats in equal parts, and whoever sits there has its own") {
  team squad(3);
  std::vector<std::thread::id> ran(103);
  plain_jobs work(103, [&](std::size_t index) { ran[index] = std::this_thread::get_id(); });
  team_call call(squad, nullptr, work, four);
  const auto now = team_call::clock::now();
  const team_call::sitting mine = call.sit_down(&call);
  const manyhands::index_range all = work.next(manyhands::no_index);
  mine.at.batch.open(all.first, all.last, now);
  call.share_out(now);
  REQUIRE(mine.at.batch.left() == 26);
  REQUIRE(call.look(now).call == &call);
  REQUIRE(call.has_tasks());
  // One other comes: it has its own part, then what nobody came for, then perhaps of the caller's.
  std::thread::id helper;
  std::thread([&] {
    helper = std::this_thread::get_id();
    const team_call::sitting other = call.sit_down(nullptr);
    call.run_tasks(other.at, manyhands::no_index);
    call.stand_up(other.at, nullptr);
  }).join();
  for (std::size_t index = 26; index < 103; ++index) REQUIRE(ran[index] == helper);
  call.run_parts(mine.at, now);
  for (const std::thread::id& one : ran) REQUIRE(one != std::thread::id());
  REQUIRE_FALSE(call.has_tasks());
}

TEST_CASE("fewer tasks than workers are shared out, too") {
  team squad(5);
  std::atomic<int> runs = 0;
  plain_jobs work(3, [&](std::size_t) { ++runs; });
  team_call call(squad, nullptr, work, six);
  const auto now = team_call::clock::now();
  const team_call::sitting mine = call.sit_down(&call);
  const manyhands::index_range all = work.next(manyhands::no_index);
  mine.at.batch.open(all.first, all.last, now);
  call.share_out(now);
  REQUIRE(mine.at.batch.left() == 1);
  call.run_parts(mine.at, now);
  REQUIRE(runs == 3);
}

TEST_CASE("an idle thread finds the rest of a batch that goes on for long") {
  team squad(1);
  std::vector<std::atomic<int>> runs(1000);
  team_call* open = nullptr;
  std::atomic<int> helped = -1;
  plain_jobs work(1000, [&](std::size_t index) {
    ++runs[index];
    if (index != 500 || helped >= 0) return;
    // The batch stands still: play the idle thread that looks for something to do.
    std::thread([&] {
      const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (open->look(team_call::clock::now()).call == nullptr && std::chrono::steady_clock::now() < patience) {
      }
      const team_call::sitting seat = open->sit_down(nullptr);
      open->run_tasks(seat.at, manyhands::no_index);
      open->stand_up(seat.at, nullptr);
      helped = 0;
      for (std::size_t each = 501; each < 1000; ++each) helped += runs[each];
    }).join();
  });
  team_call call(squad, nullptr, work, two);
  open = &call;
  const auto now = team_call::clock::now();
  const team_call::sitting mine = call.sit_down(&call);
  const manyhands::index_range all = work.next(manyhands::no_index);
  mine.at.batch.open(all.first, all.last, now);
  call.run_parts(mine.at, now);
  REQUIRE(helped > 0);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
}
