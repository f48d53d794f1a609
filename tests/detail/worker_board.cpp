#include <manyhands/detail/worker_board.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using manyhands::index_range;
using manyhands::no_index;
using namespace manyhands::detail;

namespace {

/// Claims the next tasks of a range, as a worker does.
std::uint32_t claim(worker_board& board, std::uint32_t number, std::uint32_t begun, int count) {
  for (; count > 0; --count) REQUIRE(board.claim(number, begun++));
  return begun;
}

}  // namespace

TEST_CASE("a worker claims the tasks of a range one by one") {
  worker_board board;
  CHECK_FALSE(board.has_range(0));
  board.post(0, {10, 13});
  REQUIRE(board.has_range(0));
  CHECK_FALSE(board.has_range(1));
  CHECK(board.range(0) == index_range{10, 13});
  const std::uint32_t begun = claim(board, 0, 0, 3);
  CHECK_FALSE(board.claim(0, begun));
}

TEST_CASE("what a worker has not begun can be taken back") {
  worker_board board;
  board.post(0, {10, 20});
  const std::uint32_t begun = claim(board, 0, 0, 2);

  SECTION("half of it, rounded up") {
    CHECK(board.take_back(0, {10, 20}, 11, share::half, 0) == index_range{16, 20});
    CHECK(board.take_back(0, {10, 16}, 11, share::half, 1) == index_range{14, 16});
    CHECK(board.range(0) == index_range{10, 14});
    const std::uint32_t then = claim(board, 0, begun, 2);
    CHECK_FALSE(board.claim(0, then));
  }
  SECTION("all of it") {
    CHECK(board.take_back(0, {10, 20}, 11, share::rest, 0) == index_range{12, 20});
    CHECK_FALSE(board.claim(0, begun));
    CHECK(board.take_back(0, {10, 12}, 12, share::rest, 0)->empty());
  }
  SECTION("nothing of a range that stays together, once it has begun") {
    CHECK(board.take_back(0, {10, 20}, 10, share::whole, 0)->empty());
  }
  SECTION("not the one that is left to the worker") {
    static_cast<void>(claim(board, 0, begun, 7));
    CHECK(board.take_back(0, {10, 20}, 10, share::half, 1)->empty());
    CHECK(board.take_back(0, {10, 20}, 10, share::half, 0) == index_range{19, 20});
  }
}

TEST_CASE("a range that has not begun can be taken back as a whole") {
  worker_board board;
  board.post(0, {0, 4});
  board.post(1, {4, 8});
  CHECK(board.take_back(0, {0, 4}, 0, share::whole, 1)->empty());
  CHECK(board.take_back(1, {4, 8}, 4, share::whole, 0) == index_range{4, 8});
  CHECK_FALSE(board.claim(1, 0));
}

TEST_CASE("what the caller's records do not allow is not taken") {
  worker_board board;
  board.post(0, {10, 20});
  static_cast<void>(claim(board, 0, 0, 2));
  CHECK_FALSE(board.take_back(0, {10, 21}, 10, share::half, 0).has_value());  // another end
  CHECK_FALSE(board.take_back(0, {10, 20}, 15, share::half, 0).has_value());  // tasks with results that never began
  // A worker that writes rubbish over all of its board.
  std::memset(static_cast<void*>(&board), 0x5a, sizeof board);
  CHECK_FALSE(board.take_back(0, {10, 20}, 10, share::half, 0).has_value());
  CHECK_FALSE(board.is_ready());
  CHECK_FALSE(board.is_leaving());
  CHECK(board.exit_code() == -1);
}

TEST_CASE("a worker whose own task has overwritten its range claims nothing") {
  worker_board board;
  board.post(0, {10, 20});
  std::memset(static_cast<void*>(&board), 0x5a, sizeof board);
  CHECK_FALSE(board.claim(0, 0));
}

TEST_CASE("every task is claimed or taken back, and none twice") {
  constexpr std::size_t tasks = 20'000;
  worker_board board;
  std::vector<int> seen(tasks);
  board.post(0, {0, tasks});
  std::size_t claimed = 0;
  std::thread worker([&] {
    for (std::uint32_t begun = 0; board.claim(0, begun); ++begun) claimed = begun + 1;
  });
  index_range left{0, tasks};
  for (;;) {
    const auto taken = board.take_back(0, left, 0, share::half, 0);
    if (!taken) FAIL("rubbish");
    if (taken->empty()) break;
    left.last = taken->first;
    for (std::size_t index = taken->first; index != taken->last; ++index) ++seen[index];
    std::this_thread::yield();
  }
  worker.join();
  for (std::size_t index = 0; index != claimed; ++index) ++seen[index];
  CHECK(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

TEST_CASE("the phase tells the task that runs, and nothing between tasks") {
  worker_board board;
  CHECK(board.running() == no_index);
  board.begin_task(0);
  CHECK(board.running() == 0);
  board.end_task(0);
  CHECK(board.running() == no_index);
  board.begin_task(1'000'000'000'000);
  CHECK(board.running() == 1'000'000'000'000);
}

TEST_CASE("a worker that waits is woken by a range, and by its dismissal") {
  worker_board board;
  std::vector<bool> got;
  std::thread worker([&] {
    board.wait_for_gate();
    for (std::uint32_t number = 0; board.wait_for_range(number); ++number) {
      got.push_back(true);
      board.finish_range(number, 17);
    }
    board.say_leaving();
  });
  board.open_gate();
  board.post(0, {0, 1});
  while (board.finished() != 1) std::this_thread::yield();
  CHECK(board.elapsed(0) == 17);
  board.post(1, {1, 2});
  while (board.finished() != 2) std::this_thread::yield();
  board.dismiss();
  worker.join();
  CHECK(got.size() == 2);
  CHECK(board.is_leaving());
}

TEST_CASE("a worker that was dismissed still takes what was posted") {
  worker_board board;
  board.post(0, {0, 1});
  board.dismiss();
  CHECK(board.wait_for_range(0));
  CHECK_FALSE(board.wait_for_range(1));
}

TEST_CASE("a caller is rung for once, and only while it sleeps") {
  worker_board board;
  CHECK_FALSE(board.shall_ring());
  board.caller_sleeps();
  CHECK(board.shall_ring());
  CHECK_FALSE(board.shall_ring());
  board.caller_sleeps();
  board.caller_wakes();
  CHECK_FALSE(board.shall_ring());
}

TEST_CASE("a board keeps what a worker says of itself") {
  worker_board board;
  CHECK_FALSE(board.is_ready());
  board.say_ready();
  CHECK(board.is_ready());
  board.say_exit(5);
  CHECK(board.exit_code() == 5);
  CHECK(board.limit() == no_index);
  board.limit(7);
  CHECK(board.limit() == 7);
}

TEST_CASE("a caller sees that its words were overwritten") {
  worker_board board;
  board.open_gate();
  board.post(0, {0, 1});
  board.limit(5);
  CHECK(board.is_intact(1, 5));
  CHECK_FALSE(board.is_intact(2, 5));
  CHECK_FALSE(board.is_intact(1, 6));
  board.dismiss();
  CHECK_FALSE(board.is_intact(1, 5));
}

TEST_CASE("a worker is told how often the tasks of a range were begun before") {
  worker_board board;
  board.post(0, {3, 4}, 2);
  board.post(1, {5, 9});
  CHECK(board.attempt(0) == 2);
  CHECK(board.attempt(1) == 0);
}

TEST_CASE("the caller sees which attempt has begun, and when") {
  worker_board board;
  CHECK(board.began() == 0);
  board.begin_attempt(3, 1234);
  CHECK(board.attempt() == 3);
  CHECK(board.began() == 1234);
  CHECK(board.end_attempt());
  CHECK(board.began() == 0);
  board.begin_attempt(4, 0);  // without a clock
  CHECK(board.attempt() == 4);
  CHECK(board.began() == 0);
}

TEST_CASE("a worker is condemned for the attempt that the caller has seen, and for no later one") {
  worker_board board;
  board.begin_attempt(0, 1000);
  CHECK(board.end_attempt());
  CHECK_FALSE(board.condemn(1000));
  board.begin_attempt(1, 2000);
  CHECK_FALSE(board.condemn(1000));
  CHECK(board.condemn(2000));
  CHECK_FALSE(board.condemn(2000));
  CHECK_FALSE(board.end_attempt());
}

TEST_CASE("of a caller that condemns and a worker that ends its attempt one comes first") {
  for (std::uint64_t round = 1; round <= 2000; ++round) {
    worker_board board;
    board.begin_attempt(0, round);
    bool condemned = false;
    std::thread caller([&] { condemned = board.condemn(round); });
    const bool ended = board.end_attempt();
    caller.join();
    REQUIRE(condemned != ended);
  }
}
