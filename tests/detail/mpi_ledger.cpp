#include <manyhands/detail/mpi_ledger.hpp>

#include <chrono>

#include <support/catch.hpp>

using manyhands::automatic;
using manyhands::batch_size;
using manyhands::index_range;
using manyhands::no_index;
using manyhands::detail::mpi_ledger;
using namespace std::chrono_literals;

namespace {

constexpr mpi_ledger::clock::time_point start{};

}  // namespace

TEST_CASE("those that have nothing are served first, and nobody has more than two batches") {
  mpi_ledger ledger(2, batch_size(1));
  CHECK(ledger.hungry() == 0);
  ledger.gave(0, {0, 1}, start);
  CHECK(ledger.hungry() == 1);
  ledger.gave(1, {1, 2}, start);
  CHECK(ledger.hungry() == 0);
  ledger.gave(0, {2, 3}, start);
  ledger.gave(1, {3, 4}, start);
  CHECK(ledger.hungry() == -1);
  CHECK(ledger.unfinished() == 4);
  REQUIRE(ledger.answered(1, 0, 1, true, 1us, start));
  CHECK(ledger.hungry() == 1);
  CHECK(ledger.unfinished() == 3);
}

TEST_CASE("a worker's answers must be what it owes") {
  mpi_ledger ledger(1, batch_size(4));
  CHECK_FALSE(ledger.answered(0, 0, 0, true, 0us, start));  // it has nothing
  const auto number = ledger.gave(0, {0, 4}, start);
  CHECK(ledger.expected(0) == index_range{0, 4});
  CHECK_FALSE(ledger.answered(0, number + 1, 1, false, 0us, start));
  CHECK_FALSE(ledger.answered(0, number, 5, true, 0us, start));
  CHECK_FALSE(ledger.answered(0, number, 3, true, 0us, start));  // one is missing
}

TEST_CASE("a batch may be answered bit by bit") {
  mpi_ledger ledger(1, batch_size(4));
  const auto number = ledger.gave(0, {0, 4}, start);
  CHECK(ledger.answered(0, number, 3, false, 1us, start));
  CHECK(ledger.expected(0) == index_range{3, 4});
  CHECK(ledger.owes(0));
  CHECK(ledger.answered(0, number, 1, true, 1us, start));
  CHECK_FALSE(ledger.anybody_owes());
}

TEST_CASE("tasks above the limit need no result, but their batch an answer") {
  mpi_ledger ledger(1, batch_size(10));
  const auto number = ledger.gave(0, {0, 10}, start);
  ledger.put_back({10, 20});
  ledger.limited(5);
  CHECK(ledger.to_do() == 0);
  CHECK(ledger.take(100).empty());
  CHECK(ledger.anybody_owes());
  CHECK(ledger.answered(0, number, 6, true, 1us, start));
  CHECK_FALSE(ledger.anybody_owes());
  CHECK(ledger.unfinished() == 0);
}

TEST_CASE("what was put back comes next") {
  mpi_ledger ledger(2, batch_size(3));
  ledger.put_back({5, 10});
  CHECK(ledger.to_do() == 5);
  CHECK(ledger.take(3) == index_range{5, 8});
  CHECK(ledger.take(3) == index_range{8, 10});
  CHECK(ledger.take(3).empty());
}

TEST_CASE("automatic batches grow until they last long enough, and no batch takes what others could run") {
  mpi_ledger ledger(2, automatic);
  CHECK(ledger.batch_now(1'000'000) == 1);
  std::size_t next = 0;
  for (int round = 0; round < 10; ++round) {
    const std::size_t size = ledger.batch_now(1'000'000);
    const auto number = ledger.gave(0, {next, next + size}, start);
    next += size;
    REQUIRE(ledger.answered(0, number, size, true, size * 1us, start + size * 1us));
  }
  CHECK(ledger.batch_now(1'000'000) > 500);
  CHECK(ledger.batch_now(1'000'000) < 2'000);
  CHECK(ledger.batch_now(40) == 10);
}

TEST_CASE("on a slow network batches last longer") {
  const auto pace_with = [](std::chrono::nanoseconds latency) {
    mpi_ledger ledger(1, automatic);
    std::size_t next = 0;
    auto now = start;
    for (int round = 0; round < 20; ++round) {
      const std::size_t size = ledger.batch_now(10'000'000);
      const auto number = ledger.gave(0, {next, next + size}, now);
      next += size;
      now += size * 1us + latency;
      REQUIRE(ledger.answered(0, number, size, true, size * 1us, now));
    }
    return ledger.pace();
  };
  CHECK(pace_with(1us) < 2'000);
  CHECK(pace_with(1ms) > 8'000);
  CHECK(pace_with(10s) < 200'000);  // but not for ever
}

TEST_CASE("who has been busy for long is asked to give, once, when somebody is idle") {
  mpi_ledger ledger(2, automatic);
  const auto number = ledger.gave(0, {0, 8}, start);
  CHECK(ledger.rich(start) == -1);  // it has only begun
  CHECK(ledger.rich(start + 1s) == 0);
  ledger.asked(0);
  CHECK(ledger.rich(start + 1s) == -1);
  REQUIRE(ledger.gave_back(0, number, 4));
  CHECK(ledger.expected(0) == index_range{0, 4});
  CHECK(ledger.to_do() == 4);
  ledger.gave(1, ledger.take(4), start + 1s);
  CHECK(ledger.rich(start + 1s) == -1);  // nobody is idle
}

TEST_CASE("who had nothing to give is asked again only when it has got further") {
  mpi_ledger ledger(2, automatic);
  const auto number = ledger.gave(0, {0, 8}, start);
  REQUIRE(ledger.rich(start + 1s) == 0);
  ledger.asked(0);
  REQUIRE(ledger.gave_back(0, 0, no_index));
  CHECK(ledger.rich(start + 2s) == -1);
  REQUIRE(ledger.answered(0, number, 1, false, 1s, start + 2s));
  CHECK(ledger.rich(start + 3s) == 0);
}

TEST_CASE("what was not given cannot be given back") {
  mpi_ledger ledger(1, automatic);
  const auto number = ledger.gave(0, {4, 8}, start);
  CHECK_FALSE(ledger.gave_back(0, number, 3));
  CHECK_FALSE(ledger.gave_back(0, number, 8));
  CHECK_FALSE(ledger.gave_back(0, number + 1, 5));
  REQUIRE(ledger.answered(0, number, 2, false, 1us, start));
  CHECK_FALSE(ledger.gave_back(0, number, 5));
}

TEST_CASE("the tasks of a lost worker go to others, the one that it ran only so often") {
  mpi_ledger ledger(3, batch_size(3), 1);
  ledger.gave(0, {0, 3}, start);
  ledger.gave(0, {3, 6}, start);
  REQUIRE(ledger.answered(0, 0, 1, false, 1us, start));
  CHECK_FALSE(ledger.lost(0));
  CHECK(ledger.losses(1) == 1);
  CHECK(ledger.to_do() == 5);
  CHECK_FALSE(ledger.owes(0));
  CHECK(ledger.hungry() == 1);
  CHECK(ledger.take(2) == index_range{1, 3});
  ledger.gave(1, {1, 3}, start);
  CHECK(ledger.lost(1) == std::optional<std::size_t>(1));
  CHECK(ledger.take(9) == index_range{2, 3});
  CHECK(ledger.take(9) == index_range{3, 6});
  CHECK(ledger.anybody_left());
  CHECK_FALSE(ledger.lost(2));
  CHECK_FALSE(ledger.anybody_left());
  CHECK(ledger.hungry() == -1);
}
