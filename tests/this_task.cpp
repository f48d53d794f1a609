#include <manyhands/this_task.hpp>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <stop_token>
#include <thread>

#include <support/catch.hpp>

namespace {

using manyhands::detail::call_facts;
using manyhands::detail::context;
using manyhands::detail::here;
using manyhands::detail::mixed;

/// Makes the thread one that runs a task, until the end of the scope.
class running {
 public:
  running(std::uint64_t seed, std::size_t task, int worker = 0) : facts_{.seed = seed}, outer_(here) {
    here = context{.call = &facts_, .worker = worker, .task = task};
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() { here = outer_; }

 private:
  call_facts facts_;
  context outer_;
};

std::uint64_t seed_of(std::uint64_t seed, std::size_t task, int worker = 0) {
  const running one(seed, task, worker);
  return manyhands::this_task::seed();
}

}  // namespace

TEST_CASE("outside of any task one is task 0 of seed 0 on worker 0") {
  CHECK(manyhands::this_task::index() == 0);
  CHECK(manyhands::this_worker::index() == 0);
  CHECK(manyhands::this_task::seed() == seed_of(0, 0));
}

TEST_CASE("outside of any task it is the first attempt, and nothing asks to stop") {
  CHECK(manyhands::this_task::attempt() == 0);
  CHECK_FALSE(manyhands::this_task::stop_token().stop_possible());
}

TEST_CASE("a task knows its attempt, and gets the token that it was given") {
  const running one(0, 17, 3);
  here.attempt = 2;
  const std::stop_source source;
  const std::stop_token token = source.get_token();
  here.stop = &token;
  CHECK(manyhands::this_task::attempt() == 2);
  CHECK(manyhands::this_task::stop_token() == token);
}

TEST_CASE("a call is watched where it has a timeout or retries") {
  CHECK_FALSE(call_facts{}.is_watched());
  CHECK(call_facts{.retries = 1}.is_watched());
  CHECK(call_facts{.timeout = std::chrono::nanoseconds(1)}.is_watched());
}

TEST_CASE("a task knows its index and its worker") {
  const running one(0, 17, 3);
  CHECK(manyhands::this_task::index() == 17);
  CHECK(manyhands::this_worker::index() == 3);
}

TEST_CASE("the seed depends on the call's seed and the index, and on nothing else") {
  CHECK(seed_of(1, 5, 0) == seed_of(1, 5, 7));
  CHECK(seed_of(1, 5) != seed_of(2, 5));
  CHECK(seed_of(1, 5) != seed_of(1, 6));
  std::uint64_t elsewhere = 0;
  std::thread([&] { elsewhere = seed_of(1, 5); }).join();
  CHECK(elsewhere == seed_of(1, 5));
}

TEST_CASE("seeds are the same in every release: they are the published SplitMix64 sequence") {
  CHECK(seed_of(1234567, 0) == 6457827717110365317ULL);
  CHECK(seed_of(1234567, 1) == 3203168211198807973ULL);
  CHECK(seed_of(1234567, 2) == 9817491932198370423ULL);
  CHECK(seed_of(1234567, 3) == 4593380528125082431ULL);
  CHECK(seed_of(1234567, 4) == 16408922859458223821ULL);
  CHECK(seed_of(0, 0) == 0xe220a8397b1dcdafULL);
}

TEST_CASE("the seeds of many tasks are all different") {
  std::set<std::uint64_t> seen;
  for (std::size_t index = 0; index < 10'000; ++index) seen.insert(seed_of(0, index));
  CHECK(seen.size() == 10'000);
}

TEST_CASE("the seeds of neighbours differ in about half of their bits") {
  int bits = 0;
  for (std::size_t index = 0; index < 1000; ++index) {
    const int one = std::popcount(seed_of(0, index) ^ seed_of(0, index + 1));
    CHECK(one > 8);
    bits += one;
  }
  CHECK(bits > 31'000);
  CHECK(bits < 33'000);
  int between_calls = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) between_calls += std::popcount(seed_of(seed, 0) ^ seed_of(seed + 1, 0));
  CHECK(between_calls > 31'000);
  CHECK(between_calls < 33'000);
}

TEST_CASE("the largest seeds and indices are as good as any") {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  STATIC_REQUIRE(mixed(most, most) == mixed(most, most));
  CHECK(seed_of(most, most) != seed_of(most, most - 1));
  CHECK(seed_of(most, most) != seed_of(most - 1, most));
}

TEST_CASE("what a thread is doing, no other thread sees") {
  const running one(9, 17, 3);
  std::size_t task = 99;
  int worker = 99;
  std::uint64_t seed = 0;
  std::thread([&] {
    task = manyhands::this_task::index();
    worker = manyhands::this_worker::index();
    seed = manyhands::this_task::seed();
  }).join();
  CHECK(task == 0);
  CHECK(worker == 0);
  CHECK(seed == mixed(0, 0));
}
