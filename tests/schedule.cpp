#include <manyhands/schedule.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>

#include <support/catch.hpp>

namespace {

using manyhands::detail::adaptive_batch;
using manyhands::detail::fair_share;
using manyhands::detail::read_ahead;
using manyhands::detail::workers_for;
using namespace std::chrono_literals;

constexpr int largest_int = std::numeric_limits<int>::max();
constexpr int smallest_int = std::numeric_limits<int>::min();
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

}  // namespace

// --- n_jobs

TEST_CASE("a positive n_jobs is the number of workers, also above the number of processors") {
  CHECK(workers_for(1, 8) == 1);
  CHECK(workers_for(8, 8) == 8);
  CHECK(workers_for(100, 1) == 100);
  CHECK(workers_for(largest_int, 1) == largest_int);
}

TEST_CASE("a negative n_jobs counts down from all processors, to one at least") {
  CHECK(workers_for(-1, 8) == 8);
  CHECK(workers_for(-2, 8) == 7);
  CHECK(workers_for(-8, 8) == 1);
  CHECK(workers_for(-9, 8) == 1);
  CHECK(workers_for(-1, 1) == 1);
  CHECK(workers_for(-2, 1) == 1);
  CHECK(workers_for(-1, 2) == 2);
  CHECK(workers_for(-2, 2) == 1);
}

TEST_CASE("the smallest and the largest numbers do not overflow") {
  CHECK(workers_for(smallest_int, 1) == 1);
  CHECK(workers_for(smallest_int, largest_int) == 1);
  CHECK(workers_for(smallest_int + 1, largest_int) == 1);
  CHECK(workers_for(smallest_int + 2, largest_int) == 2);
  CHECK(workers_for(-1, largest_int) == largest_int);
  CHECK(workers_for(-largest_int + 1, largest_int) == 2);
}

TEST_CASE("n_jobs 0 is refused, with the cure") {
  try {
    static_cast<void>(workers_for(0, 8));
    FAIL("0 was taken");
  } catch (const std::invalid_argument& refused) {
    const std::string text = refused.what();
    CHECK(text.find("n_jobs is 0") != std::string::npos);
    CHECK(text.find("-1") != std::string::npos);
  }
}

// --- batch size

TEST_CASE("a call begins with one task at a time") { CHECK(adaptive_batch(20us).size() == 1); }

TEST_CASE("a batch grows to what fits into the time it is meant to last") {
  adaptive_batch batch(20us);
  batch.took(1, 4us);
  CHECK(batch.size() == 5);
  batch.took(5, 20us);
  CHECK(batch.size() == 5);
  batch.took(5, 10us);
  CHECK(batch.size() == 10);
}

TEST_CASE("a batch grows eightfold at most, however fast its tasks were") {
  adaptive_batch batch(20us);
  for (const std::size_t expected : {std::size_t{8}, std::size_t{64}, std::size_t{512}, std::size_t{4096}}) {
    batch.took(batch.size(), 1ns);
    CHECK(batch.size() == expected);
  }
}

TEST_CASE("a batch shrinks at once, to one task at least") {
  adaptive_batch batch(20us);
  for (int i = 0; i < 4; ++i) batch.took(batch.size(), 1ns);
  REQUIRE(batch.size() == 4096);
  batch.took(4096, 40us);
  CHECK(batch.size() == 2048);
  batch.took(2048, std::chrono::hours(10));
  CHECK(batch.size() == 1);
  batch.took(1, std::chrono::nanoseconds::max());
  CHECK(batch.size() == 1);
}

TEST_CASE("a clock that stands still or goes back does no harm") {
  adaptive_batch batch(20us);
  batch.took(1, 0ns);
  CHECK(batch.size() == 8);
  batch.took(8, -5ns);
  CHECK(batch.size() == 64);
  batch.took(64, std::chrono::nanoseconds::min());
  CHECK(batch.size() == 512);
}

TEST_CASE("a batch of which all was taken by others counts as a slow one") {
  adaptive_batch batch(20us);
  batch.took(1, 1ns);
  batch.took(0, 1us);
  CHECK(batch.size() == 1);
}

TEST_CASE("a batch never grows without bound") {
  adaptive_batch batch(std::chrono::nanoseconds::max());
  for (int i = 0; i < 100; ++i) batch.took(batch.size(), 0ns);
  CHECK(batch.size() <= 1'000'000'000);
  CHECK(batch.size() >= 1'000'000);
}

TEST_CASE("no time for a batch means one task") {
  adaptive_batch batch(0ns);
  batch.took(1, 1us);
  CHECK(batch.size() == 1);
}

// --- fair share

TEST_CASE("a worker takes half of its share of what is left, one task at least") {
  CHECK(fair_share(0, 4) == 1);
  CHECK(fair_share(1, 4) == 1);
  CHECK(fair_share(15, 4) == 1);
  CHECK(fair_share(16, 4) == 2);
  CHECK(fair_share(800, 4) == 100);
  CHECK(fair_share(10, 1) == 5);
}

TEST_CASE("a share of the most tasks, or among the most workers, does not overflow") {
  CHECK(fair_share(no_limit, 1) == no_limit / 2);
  CHECK(fair_share(no_limit, largest_int) == no_limit / 2 / static_cast<std::size_t>(largest_int));
  CHECK(fair_share(5, largest_int) == 1);
}

// --- reading ahead

TEST_CASE("input is read as many tasks ahead as the batches hold") {
  const read_ahead window(4);
  CHECK(window.room(0, 1) == 4);
  CHECK(window.room(3, 1) == 1);
  CHECK(window.room(4, 1) == 0);
  CHECK(window.room(0, 10) == 40);
  CHECK(window.room(39, 10) == 1);
}

TEST_CASE("a batch that has shrunk leaves no room, and no negative one") {
  const read_ahead window(4);
  CHECK(window.room(40, 10) == 0);
  CHECK(window.room(40, 1) == 0);
  CHECK(window.room(no_limit, 1) == 0);
}

TEST_CASE("what has finished at the front makes room") {
  read_ahead window(4);
  window.finished(0, 2);
  CHECK(window.oldest_unfinished() == 2);
  CHECK(window.room(4, 1) == 2);
  window.finished(2, 4);
  CHECK(window.oldest_unfinished() == 4);
  CHECK(window.room(4, 1) == 4);
}

TEST_CASE("the oldest unfinished task holds the window, however much has finished beyond it") {
  read_ahead window(4);
  window.finished(1, 2);
  window.finished(3, 4);
  window.finished(2, 3);
  CHECK(window.oldest_unfinished() == 0);
  CHECK(window.room(4, 1) == 0);
  window.finished(0, 1);
  CHECK(window.oldest_unfinished() == 4);
  CHECK(window.room(4, 1) == 4);
}

TEST_CASE("a gap in the middle stops the window there") {
  read_ahead window(10);
  window.finished(5, 8);
  window.finished(2, 4);
  window.finished(0, 2);
  CHECK(window.oldest_unfinished() == 4);
  window.finished(4, 5);
  CHECK(window.oldest_unfinished() == 8);
}

TEST_CASE("tasks may finish in any order of ranges") {
  for (const std::size_t stride : {std::size_t{3}, std::size_t{7}, std::size_t{11}}) {
    constexpr std::size_t ranges = 101;
    read_ahead window(1);
    for (std::size_t i = 0; i < ranges; ++i) {
      const std::size_t first = i * stride % ranges * 5;
      window.finished(first, first + 5);
    }
    CHECK(window.oldest_unfinished() == ranges * 5);
  }
}

TEST_CASE("an empty range that has finished says nothing") {
  read_ahead window(2);
  window.finished(0, 0);
  window.finished(1, 1);
  window.finished(1, 2);
  window.finished(1, 1);
  CHECK(window.oldest_unfinished() == 0);
  window.finished(0, 1);
  CHECK(window.oldest_unfinished() == 2);
}

TEST_CASE("without a limit there is always room") {
  read_ahead window(no_limit);
  CHECK(window.room(0, 1) > no_limit / 2);
  CHECK(window.room(1'000'000, 1) > no_limit / 2);
  CHECK(window.room(1'000'000, 1000) == no_limit);
  CHECK(window.room(0, no_limit) > no_limit / 2);
}

TEST_CASE("the product of many batches and large ones does not overflow") {
  const read_ahead window(std::size_t{1} << 40);
  CHECK(window.room(0, std::size_t{1} << 40) == no_limit);
  CHECK(window.room(0, no_limit) == no_limit);
  CHECK(read_ahead(1).room(5, no_limit) == no_limit - 5);
}

TEST_CASE("a kind of task of which nothing is known may take any time") {
  const manyhands::detail::task_cost cost;
  REQUIRE(cost.expected(1) > 1e18);
}

TEST_CASE("what a task takes is believed at once where it is less, and by and by where it is more") {
  manyhands::detail::task_cost cost;
  cost.learn(10, std::chrono::nanoseconds(1000));
  REQUIRE(cost.expected(1) == 100);
  REQUIRE(cost.expected(50) == 5000);
  cost.learn(10, std::chrono::nanoseconds(100));
  REQUIRE(cost.expected(1) == 10);
  // A second for one of them: the thread was kept from running.
  cost.learn(1, std::chrono::seconds(1));
  REQUIRE(cost.expected(1) < 30);
  for (int call = 0; call < 10; ++call) cost.learn(1, std::chrono::seconds(1));
  REQUIRE(cost.expected(1) > 100'000);
  cost.learn(0, std::chrono::seconds(1));
  cost.learn(1, std::chrono::nanoseconds(0));
  REQUIRE(cost.expected(1) > 0);
  REQUIRE(cost.expected(1) < 1);
}
