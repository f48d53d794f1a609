#include <manyhands/detail/supervisor.hpp>

#include <algorithm>
#include <random>

#include <support/catch.hpp>
#include <support/fake_worker.hpp>

using manyhands::automatic;
using manyhands::index_range;
using namespace manyhands::detail;
using manyhands_test::fake_call;

namespace {

using kind = action::kind;

int count(const std::vector<action>& actions, kind what) {
  return static_cast<int>(std::count_if(actions.begin(), actions.end(), [what](const action& each) { return each.what == what; }));
}

/// Lets every worker run all that it has, round by round, until the call is finished.
void run_to_the_end(fake_call& call) {
  for (int round = 0; !call.supervisor.is_finished(); ++round) {
    REQUIRE(round < 100'000);
    call.settle_down();
    for (int number = 0; number < static_cast<int>(call.workers.size()); ++number) {
      if (!call.at(number).runs) continue;
      if (!call.at(number).is_ready) call.become_ready(number);
      if (call.at(number).running || call.begin(number)) call.finish(number);
      call.begin(number);
      if (call.at(number).running) call.finish(number);
    }
  }
}

bool all_once(const std::vector<int>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](int each) { return each == 1; });
}

}  // namespace

TEST_CASE("a worker is started before the first task is handed out") {
  fake_call call(2, automatic, 10);
  const auto first = call.supervisor.next();
  REQUIRE(first.has_value());
  CHECK(first->what == kind::start);
  CHECK(first->worker == 0);
}

TEST_CASE("every worker is started and has two ranges before any is waited for") {
  fake_call call(3, 4, 100);
  const auto actions = call.settle_down();
  CHECK(count(actions, kind::start) == 3);
  CHECK(count(actions, kind::give) == 6);
  for (const auto& worker : call.workers) {
    REQUIRE(worker.ranges.size() == 2);
    CHECK(worker.ranges[0].last - worker.ranges[0].next == 4);
  }
  CHECK(call.settle_down().empty());
}

TEST_CASE("no more workers are started than there are batches") {
  fake_call call(4, 10, 15);
  CHECK(count(call.settle_down(), kind::start) == 2);
  run_to_the_end(call);
  CHECK(all_once(call.settled));
}

TEST_CASE("automatic batches begin with one task and grow while tasks are short") {
  fake_call call(2, automatic, 100'000);
  call.settle_down();
  CHECK(call.at(0).ranges.front().last - call.at(0).ranges.front().next == 1);
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
}

TEST_CASE("every task is settled once for any batch size") {
  const auto batch = GENERATE(1, 3, 1000);
  fake_call call(3, batch, 100);
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
}

TEST_CASE("an idle worker gets what a busy one has not begun") {
  fake_call call(2, automatic, 4);  // one task at a time: two each
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  CHECK(call.begin(0) == 0);  // runs for long
  CHECK(call.begin(1) == 1);
  call.finish(1);
  CHECK(call.begin(1).has_value());
  call.finish(1);
  CHECK_FALSE(call.begin(1).has_value());
  const auto actions = call.settle_down();
  CHECK(count(actions, kind::take_back) >= 1);
  REQUIRE(call.begin(1).has_value());
  call.finish(1);
  CHECK_FALSE(call.begin(1).has_value());
  call.settle_down();
  CHECK_FALSE(call.supervisor.is_finished());
  call.finish(0);
  CHECK(call.supervisor.is_finished());
  CHECK(all_once(call.settled));
}

TEST_CASE("a worker whose initializer takes long keeps nobody waiting") {
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(automatic), manyhands::batch_size(2));
  fake_call call(2, batch, 8);
  call.settle_down();
  call.become_ready(0);
  for (int round = 0; round < 100 && !call.supervisor.is_finished(); ++round) {
    while (call.begin(0)) call.finish(0);
    call.settle_down();
  }
  CHECK(call.supervisor.is_finished());
  CHECK(all_once(call.settled));
}

TEST_CASE("a batch of a fixed size is passed on as a whole or not at all") {
  fake_call call(2, 3, 12);  // two batches each
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  CHECK(call.begin(0) == 0);
  while (call.begin(1)) call.finish(1);
  const auto actions = call.settle_down();
  CHECK(count(actions, kind::give) == 1);
  REQUIRE(call.at(1).ranges.size() == 1);
  CHECK(call.at(1).ranges.front().last - call.at(1).ranges.front().next == 3);
  while (call.begin(1)) call.finish(1);
  CHECK(count(call.settle_down(), kind::give) == 0);  // the rest of a batch that has begun stays where it is
  CHECK_FALSE(call.supervisor.is_finished());
}

TEST_CASE("two idle workers do not take one task from each other for ever") {
  fake_call call(3, automatic, 5);
  call.settle_down();
  for (int number = 0; number < 3; ++number) call.become_ready(number);
  call.begin(0);  // 0 runs task 0, and holds another one
  for (const int number : {1, 2}) {
    while (call.begin(number)) call.finish(number);
  }
  CHECK(call.settle_down().size() < 20);  // throws where it never ends
  CHECK(call.settle_down().size() < 5);
}

TEST_CASE("a dead worker takes one task with it, is replaced, and its other tasks run elsewhere") {
  fake_call call(2, 5, 20);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  call.begin(0);
  call.finish(0);
  CHECK(call.begin(0) == 1);
  CHECK(call.kill(0) == 1);
  CHECK(count(call.settle_down(), kind::start) == 1);
  CHECK(call.at(0).runs);
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
}

TEST_CASE("a worker that dies between two tasks takes none with it") {
  fake_call call(1, 5, 10);
  call.settle_down();
  call.become_ready(0);
  call.begin(0);
  call.finish(0);
  CHECK_FALSE(call.kill(0).has_value());
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
}

TEST_CASE("no worker is replaced that is not needed") {
  fake_call call(2, 1, 2);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  call.begin(0);
  call.begin(1);
  CHECK(call.kill(0) == 0);
  CHECK(call.settle_down().empty());
  call.finish(1);
  CHECK(call.supervisor.is_finished());
}

TEST_CASE("workers are let go as soon as nothing more can come for them, where that is wanted") {
  const bool is_wanted = GENERATE(false, true);
  fake_call call(2, 1, 5);
  if (is_wanted) call.supervisor.let_go_early();
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  CHECK(call.begin(0) == 0);
  CHECK(call.begin(1) == 1);
  call.finish(1);
  CHECK(call.begin(1) == 3);
  CHECK(count(call.settle_down(), kind::let_go) == 0);  // worker 0 has a task to spare
  call.finish(1);
  CHECK(call.begin(1) == 4);
  CHECK(count(call.settle_down(), kind::let_go) == 0);
  call.finish(0);
  CHECK(call.begin(0) == 2);
  CHECK(count(call.settle_down(), kind::let_go) == (is_wanted ? 2 : 0));
  call.finish(1);
  CHECK_FALSE(call.begin(1).has_value());
  CHECK(call.at(1).runs == !is_wanted);
  if (is_wanted) CHECK(call.settle_down().empty());
  CHECK_FALSE(call.supervisor.is_finished());
  call.finish(0);
  CHECK(call.supervisor.is_finished());
  CHECK(all_once(call.settled));
}

TEST_CASE("ranges have no more tasks than may be in one, unless somebody asked for more") {
  const bool automatic_size = GENERATE(true, false);
  fake_call call(1, automatic_size ? manyhands::batch_size(automatic) : manyhands::batch_size(50), 1000);
  call.supervisor.limit_ranges(20);
  std::size_t most = 0;
  while (!call.supervisor.is_finished()) {
    for (const action& each : call.settle_down()) {
      if (each.what == kind::give) most = std::max(most, each.tasks.size());
    }
    if (!call.at(0).is_ready) call.become_ready(0);
    if (call.begin(0)) call.finish(0);
  }
  CHECK(most == (automatic_size ? 20 : 50));
  CHECK(all_once(call.settled));
}

TEST_CASE("no worker is let go while a task may have to be begun again") {
  fake_call call(2, 1, 2, 1);
  call.supervisor.let_go_early();
  CHECK(count(call.settle_down(), kind::let_go) == 0);
}

TEST_CASE("the task of a worker that was let go and died before it began is run by a new one") {
  fake_call call(2, 1, 2);
  call.supervisor.let_go_early();
  CHECK(count(call.settle_down(), kind::let_go) == 2);
  CHECK_FALSE(call.kill(0).has_value());
  CHECK(count(call.settle_down(), kind::start) == 1);
  CHECK(call.at(0).runs);
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
}

TEST_CASE("eight deaths outside of any task break the pool") {
  fake_call call(2, automatic, 1000);
  for (int death = 1; death <= 8; ++death) {
    CHECK_FALSE(call.supervisor.is_broken());
    call.settle_down();
    call.kill(0);
  }
  CHECK(call.supervisor.is_broken());
  CHECK(call.settle_down().empty());
}

TEST_CASE("deaths outside of tasks do not add up while tasks are completed") {
  fake_call call(2, automatic, 1000);
  for (int death = 1; death <= 50; ++death) {
    call.settle_down();
    call.become_ready(1);
    if (call.begin(1)) call.finish(1);
    call.kill(0);
  }
  CHECK_FALSE(call.supervisor.is_broken());
}

TEST_CASE("sixty-four deaths without one task completed break the pool") {
  fake_call call(2, automatic, 1000);
  for (int death = 1; death <= 64; ++death) {
    CHECK_FALSE(call.supervisor.is_broken());
    call.settle_down();
    REQUIRE(call.begin(0).has_value());
    CHECK(call.kill(0).has_value());
  }
  CHECK(call.supervisor.is_broken());
}

TEST_CASE("a call goes on with those workers that could be started") {
  fake_call call(4, automatic, 50);
  call.forks_left = 2;
  call.settle_down();
  CHECK(std::count_if(call.workers.begin(), call.workers.end(), [](const auto& each) { return each.runs; }) == 2);
  call.forks_left = 100;
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(call.forks_left == 100);  // those that could not be started are not tried again while others work
}

TEST_CASE("workers that could not be started are tried again when nobody else is left") {
  fake_call call(2, 1, 3);
  call.forks_left = 1;
  call.settle_down();
  call.begin(0);
  call.forks_left = 0;
  CHECK(call.kill(0) == 0);
  const auto actions = call.settle_down();
  CHECK(count(actions, kind::start) == 1);
  CHECK_FALSE(call.supervisor.has_workers());
  call.forks_left = 1;
  CHECK(count(call.settle_down(), kind::start) == 1);
  CHECK(call.supervisor.has_workers());
}

TEST_CASE("after a failure the tasks below it are completed, and only those") {
  fake_call call(2, 10, 100);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  CHECK(call.begin(0) == 0);
  CHECK(call.begin(1) == 10);
  call.fail_at(15);
  call.settle_down();
  CHECK_FALSE(call.supervisor.is_finished());
  while (call.at(0).running || call.begin(0)) call.finish(0);
  while (call.at(1).running || call.begin(1)) call.finish(1);
  CHECK(call.supervisor.is_finished());
  for (std::size_t task = 0; task < 100; ++task) CHECK(call.settled[task] == (task < 15 ? 1 : 0));
}

TEST_CASE("a worker at a task that nobody wants is ended, and that is no loss") {
  fake_call call(2, 1, 100);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  CHECK(call.begin(0) == 0);
  CHECK(call.begin(1) == 1);
  call.fail_at(1);
  CHECK(count(call.settle_down(), kind::cut_short) >= 1);
  CHECK_FALSE(call.at(1).runs);
  CHECK_FALSE(call.supervisor.is_broken());
  CHECK_FALSE(call.supervisor.is_finished());
  call.finish(0);
  CHECK(call.supervisor.is_finished());
}

TEST_CASE("tasks that are wanted do not stay behind one that is not") {
  fake_call call(2, 1, 4);  // one worker has 0 and 2, the other 1 and 3
  call.forks_left = 2;
  call.settle_down();
  call.become_ready(0);
  call.begin(0);
  call.finish(0);
  CHECK(call.begin(0) == 2);
  CHECK_FALSE(call.kill(1).has_value());
  call.settle_down();  // no fork is left: the worker at task 2 gets task 1, too
  call.fail_at(2);
  call.forks_left = 1;
  call.settle_down();
  REQUIRE(call.at(0).runs);
  CHECK_FALSE(call.at(0).running.has_value());
  CHECK(call.begin(0) == 1);
  call.finish(0);
  CHECK(call.supervisor.is_finished());
  CHECK(call.settled == std::vector<int>{1, 1, 0, 0});
}

TEST_CASE("a worker that may be at a task that nobody wants is looked at again soon") {
  fake_call call(1, 2, 4);
  call.settle_down();
  call.become_ready(0);
  CHECK_FALSE(call.supervisor.should_look_again_soon());
  call.fail_at(1);
  CHECK_FALSE(call.supervisor.should_look_again_soon());
  call.begin(0);
  call.finish(0);
  CHECK(call.supervisor.should_look_again_soon());
}

TEST_CASE("a call that was given up wants nothing more") {
  fake_call call(2, automatic, 100);
  call.settle_down();
  call.fail_at(0);
  CHECK(call.supervisor.is_finished());
  CHECK(call.settle_down().empty());
}

TEST_CASE("a range that is finished without its results is a lie") {
  fake_call call(1, 2, 4);
  call.settle_down();
  CHECK_FALSE(call.supervisor.range_finished(0, std::chrono::microseconds(1)));
}

TEST_CASE("whatever happens to workers, every task that is wanted is settled once") {
  const auto seed = GENERATE(range(0, 300));
  std::mt19937 random(static_cast<unsigned>(seed));
  auto chance = [&](unsigned of) { return random() % of == 0; };
  const std::size_t tasks = 1 + random() % 200;
  const int workers = 1 + static_cast<int>(random() % 5);
  fake_call call(workers, chance(2) ? manyhands::batch_size(automatic) : manyhands::batch_size(1 + random() % 9), tasks);
  const bool stops = chance(3);
  const bool corrupts = chance(2);
  if (chance(2)) call.supervisor.let_go_early();
  if (chance(2)) call.supervisor.limit_ranges(1 + random() % 7);

  for (int step = 0; !call.supervisor.is_finished() && !call.supervisor.is_broken(); ++step) {
    REQUIRE(step < 200'000);
    if (chance(2)) call.settle_down();
    const int number = static_cast<int>(random() % static_cast<unsigned>(workers));
    manyhands_test::fake_worker& who = call.at(number);
    if (!who.runs) continue;
    if (!who.is_ready) {
      if (chance(2)) call.become_ready(number);
    } else if (who.running) {
      if (chance(20)) call.kill(number);
      else if (corrupts && chance(20)) call.kill(number, last_sign::kind::corrupt);
      else call.finish(number);
    } else {
      call.begin(number);
    }
    if (who.runs && chance(60)) call.kill(number);
    if (stops && chance(200)) call.fail_at(random() % (2 * tasks));
  }
  if (call.supervisor.is_broken()) return;
  for (std::size_t task = 0; task < std::min(tasks, call.limit); ++task) {
    REQUIRE(call.settled[task] == 1);
    // One that may have overwritten its worker's memory runs again, and then alone.
    REQUIRE(call.runs[task] >= 1);
    REQUIRE(call.runs[task] <= (corrupts ? 2 : 1));
  }
}

TEST_CASE("a task that died with its worker is given again, alone, and tells how often it was begun") {
  fake_call call(1, 5, 10, 2);
  call.settle_down();
  call.become_ready(0);
  CHECK(call.begin(0) == 0);
  CHECK_FALSE(call.kill(0).has_value());
  call.settle_down();
  for (const int attempt : {1, 2}) {
    // First come its batch-mates, which had not begun.
    while (call.begin(0) != 0) {
      CHECK(call.at(0).attempt == 0);
      call.finish(0);
      call.settle_down();
    }
    CHECK(call.at(0).attempt == attempt);
    CHECK(call.at(0).ranges.front().last == 1);
    CHECK(call.kill(0).has_value() == (attempt == 2));
    call.settle_down();
  }
  run_to_the_end(call);
  CHECK(all_once(call.settled));
  CHECK(call.runs.at(0) == 3);
  CHECK(std::count(call.runs.begin(), call.runs.end(), 1) == 9);
}

TEST_CASE("attempts that a worker has made itself count, and what cannot be does not") {
  const auto [said, more] = GENERATE(table<int, int>({{0, 3}, {2, 1}, {3, 0}, {1'000'000, 0}, {-5, 3}}));
  fake_call call(1, 1, 1, 3);
  call.settle_down();
  call.become_ready(0);
  REQUIRE(call.begin(0) == 0);
  call.at(0).attempt = said;
  int again = 0;
  while (!call.kill(0)) {
    ++again;
    call.settle_down();
    REQUIRE(call.begin(0) == 0);
  }
  CHECK(again == more);
  CHECK(call.supervisor.is_finished());
}

TEST_CASE("a worker that has overwritten its memory costs one attempt, whatever it says") {
  fake_call call(1, 1, 1, 2);
  for (const bool last : {false, false, true}) {
    call.settle_down();
    call.become_ready(0);
    REQUIRE(call.begin(0) == 0);
    call.at(0).attempt = 99;
    CHECK(call.kill(0, last_sign::kind::corrupt).has_value() == last);
  }
}

TEST_CASE("of tasks whose results a worker may have wiped, each gets a worker for itself, and the one that does it again is lost") {
  const bool automatic_size = GENERATE(true, false);
  fake_call call(2, automatic_size ? manyhands::batch_size(automatic) : manyhands::batch_size(5), 20);
  call.supervisor.limit_ranges(5);
  constexpr std::size_t evil = 8;
  std::size_t lost = 0;
  for (int step = 0; !call.supervisor.is_finished(); ++step) {
    REQUIRE(step < 1000);
    call.settle_down();
    for (const int number : {0, 1}) {
      manyhands_test::fake_worker& who = call.at(number);
      if (!who.runs) continue;
      if (!who.is_ready) call.become_ready(number);
      // All that it owes before that task was done, and is wiped.
      const auto task = call.begin(number);
      if (!task) continue;
      const bool owes_others = who.ranges.size() > 1 || who.ranges.front().next != who.ranges.front().last;
      if (task == evil) {
        const auto blamed = call.kill(number, last_sign::kind::corrupt);
        if (blamed) {
          ++lost;
          CHECK(blamed == evil);
          CHECK_FALSE(owes_others);
        }
      } else {
        call.finish(number);
      }
    }
  }
  CHECK_FALSE(call.supervisor.is_broken());
  CHECK(lost == 1);
  CHECK(all_once(call.settled));
  CHECK(call.runs.at(evil) <= 2);
}

TEST_CASE("a worker that says it ran another task than the one whose result is missing has wiped results") {
  fake_call call(1, 5, 5);
  call.settle_down();
  call.become_ready(0);
  for (const std::size_t task : {0U, 1U, 2U}) REQUIRE(call.begin(0) == task);  // two results that were wiped
  CHECK_FALSE(call.kill(0).has_value());
  std::vector<std::size_t> alone;
  while (!call.supervisor.is_finished()) {
    call.settle_down();
    if (!call.at(0).is_ready) call.become_ready(0);
    const auto task = call.begin(0);
    if (!task) continue;
    CHECK(call.at(0).ranges.size() == 1);
    CHECK(call.at(0).ranges.front().next == call.at(0).ranges.front().last);
    alone.push_back(*task);
    if (task == 2) {
      CHECK(call.kill(0) == 2);
    } else {
      call.finish(0);
    }
  }
  CHECK(alone == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("who is excused counts for nothing where workers die again and again") {
  // Each of them overwrites the memory of its worker.
  fake_call call(2, 1, 60);
  while (!call.supervisor.is_finished()) {
    REQUIRE_FALSE(call.supervisor.is_broken());
    call.settle_down();
    for (const int number : {0, 1}) {
      if (!call.at(number).runs) continue;
      if (!call.at(number).is_ready) call.become_ready(number);
      if (call.begin(number)) call.kill(number, last_sign::kind::corrupt);
    }
  }
  CHECK(all_once(call.settled));
}

TEST_CASE("no worker is let go while tasks wait that are to run alone") {
  fake_call call(2, 5, 10);
  call.supervisor.let_go_early();
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  REQUIRE(call.begin(0) == 0);
  REQUIRE(call.begin(1) == 5);
  CHECK_FALSE(call.kill(0, last_sign::kind::corrupt).has_value());
  CHECK(count(call.settle_down(), kind::let_go) == 0);
  int started = 0;
  for (int step = 0; !call.supervisor.is_finished(); ++step) {
    REQUIRE(step < 100);
    for (const int number : {0, 1}) {
      if (!call.at(number).runs) continue;
      if (!call.at(number).is_ready) call.become_ready(number);
      if (call.at(number).running || call.begin(number)) call.finish(number);
      started += count(call.settle_down(), kind::start);
    }
  }
  CHECK(started == 0);
  CHECK(all_once(call.settled));
}

TEST_CASE("a task that waits for another attempt may be taken back, and keeps its count") {
  fake_call call(2, automatic, 2, 1);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  REQUIRE(call.begin(0) == 0);
  REQUIRE(call.begin(1) == 1);
  CHECK_FALSE(call.kill(0).has_value());
  call.settle_down();  // worker 1, busy, or the new one has it
  call.finish(1);
  call.become_ready(0);
  for (int round = 0; round < 10 && !call.supervisor.is_finished(); ++round) {
    call.settle_down();
    for (const int number : {0, 1}) {
      if (call.begin(number)) {
        CHECK(call.at(number).attempt == 1);
        call.finish(number);
      }
    }
  }
  CHECK(all_once(call.settled));
}

TEST_CASE("neither attempts that are left nor late tasks break the pool") {
  const auto how = GENERATE(last_sign::kind::running, last_sign::kind::late);
  fake_call call(1, 1, 1000, how == last_sign::kind::late ? 0 : 1'000);
  for (int death = 0; death < 500; ++death) {
    call.settle_down();
    call.become_ready(0);
    REQUIRE(call.begin(0).has_value());
    CHECK(call.kill(0, how).has_value() == (how == last_sign::kind::late));
  }
  CHECK_FALSE(call.supervisor.is_broken());
}

TEST_CASE("after a failure a task above it has no further attempt") {
  fake_call call(2, 1, 4, 5);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  REQUIRE(call.begin(0) == 0);
  REQUIRE(call.begin(1) == 1);
  CHECK_FALSE(call.kill(1).has_value());
  call.finish(0);
  call.fail_at(1);
  CHECK(call.settle_down().empty());
  CHECK(call.supervisor.is_finished());
}

TEST_CASE("a worker is given so many tasks, and then replaced") {
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(automatic), manyhands::batch_size(1), manyhands::batch_size(7));
  const auto most = GENERATE(as<std::size_t>(), 1, 5, 1000);
  fake_call call(3, batch, 200, 0, most);
  std::vector<std::size_t> begun(3);
  int starts = 0;
  for (int round = 0; !call.supervisor.is_finished(); ++round) {
    REQUIRE(round < 100'000);
    for (const action& each : call.settle_down()) {
      if (each.what != kind::start) continue;
      ++starts;
      begun.at(static_cast<std::size_t>(each.worker)) = 0;
    }
    for (int number = 0; number < 3; ++number) {
      if (!call.at(number).runs) continue;
      if (!call.at(number).is_ready) call.become_ready(number);
      if (!call.begin(number)) continue;
      REQUIRE(++begun.at(static_cast<std::size_t>(number)) <= most);
      call.finish(number);
    }
  }
  CHECK(all_once(call.settled));
  CHECK(all_once(call.runs));
  CHECK(starts >= static_cast<int>(200 / most));
}

TEST_CASE("a worker that has run enough does not keep others' tasks from being taken") {
  fake_call call(2, automatic, 6, 0, 2);
  call.settle_down();
  call.become_ready(0);
  call.become_ready(1);
  REQUIRE(call.begin(0).has_value());  // runs for long
  for (int round = 0; round < 100 && std::count(call.settled.begin(), call.settled.end(), 1) < 5; ++round) {
    if (!call.at(1).is_ready) call.become_ready(1);
    if (call.begin(1)) call.finish(1);
    call.settle_down();
  }
  CHECK(std::count(call.settled.begin(), call.settled.end(), 1) == 5);
}

TEST_CASE("a worker that is spared is not replaced while another one lives or can be started again") {
  for (const std::size_t quota : {std::size_t{0}, std::size_t{1}}) {
    CAPTURE(quota);
    fake_call call(2, 1, 2, 1, quota);
    call.settle_down();
    call.become_ready(0);
    call.become_ready(1);
    REQUIRE(call.begin(0) == 0u);
    REQUIRE(call.begin(1) == 1u);
    CHECK_FALSE(call.supervisor.can_spare(0));
    call.finish(0);
    static_cast<void>(call.begin(0));
    call.settle_down();  // with a quota it has retired by now
    REQUIRE(call.supervisor.can_spare(0));
    call.supervisor.spared(0);
    CHECK_FALSE(call.supervisor.can_spare(0));
    if (quota == 0) static_cast<void>(call.kill(0, last_sign::kind::ended));
    CHECK(call.settle_down().empty());
    // Its task has another attempt: in its own place.
    CHECK(call.kill(1) == std::nullopt);
    const auto actions = call.settle_down();
    REQUIRE(count(actions, kind::start) == 1);
    CHECK(actions.front().worker == 1);
    call.become_ready(1);
    REQUIRE(call.begin(1) == 1u);
    call.finish(1);
    CHECK(call.supervisor.is_finished());
  }
}
