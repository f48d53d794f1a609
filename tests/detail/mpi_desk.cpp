#include <manyhands/detail/mpi_desk.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/mpi_ranks.hpp>

using manyhands::detail::mpi_desk;
using manyhands::detail::mpi_letter_kind;
using manyhands::detail::mpi_post;
using manyhands::detail::mpi_short_letter;
using manyhands_test::head_of;
using manyhands_test::rank_group;
using manyhands_test::wait_for_letter;
using namespace std::chrono_literals;

TEST_CASE("letters are sorted by call, whoever moves them") {
  const rank_group here;
  mpi_post post(here.comm);
  if (here.rank == 0) {
    mpi_desk desk(post, here.size, 30s, [](int) {});
    const auto first = desk.open();
    const auto second = desk.open();
    for (int rank = 1; rank < here.size; ++rank) {
      desk.send(rank, mpi_short_letter({.kind = mpi_letter_kind::batch, .call = first, .number = 1}));
      desk.send(rank, mpi_short_letter({.kind = mpi_letter_kind::batch, .call = second, .number = 2}));
      desk.send(rank, mpi_short_letter({.kind = mpi_letter_kind::batch, .call = second + 1}));
    }
    std::vector<mpi_desk::letter> mine;
    std::vector<int> numbers;
    const auto last_moment = std::chrono::steady_clock::now() + 30s;
    // Those of the second call are moved by the first one's thread, and kept.
    while (numbers.size() < static_cast<std::size_t>(here.size - 1) && std::chrono::steady_clock::now() < last_moment) {
      static_cast<void>(desk.collect(first, mine));
      for (const auto& each : mine) numbers.push_back(static_cast<int>(head_of(each).number));
    }
    CHECK(numbers == std::vector<int>(static_cast<std::size_t>(here.size - 1), 1));
    numbers.clear();
    while (numbers.size() < static_cast<std::size_t>(here.size - 1) && std::chrono::steady_clock::now() < last_moment) {
      static_cast<void>(desk.collect(second, mine));
      for (const auto& each : mine) numbers.push_back(static_cast<int>(head_of(each).number));
    }
    CHECK(numbers == std::vector<int>(static_cast<std::size_t>(here.size - 1), 2));
    desk.close(first);
    desk.close(second);
    desk.send_all({.kind = mpi_letter_kind::finish});
    while (desk.is_sending()) std::this_thread::yield();
  } else {
    for (int i = 0; i < 3; ++i) {
      auto asked = wait_for_letter(post, mpi_letter_kind::batch);
      REQUIRE(asked);
      auto reply = head_of(*asked);
      reply.kind = mpi_letter_kind::answer;
      post.send(0, mpi_short_letter(reply));
    }
    CHECK(wait_for_letter(post, mpi_letter_kind::finish));
    while (post.is_sending()) std::this_thread::yield();
  }
}

TEST_CASE("calls get the ranks that have least to do") {
  const rank_group here;
  mpi_post post(here.comm);
  mpi_desk desk(post, 5, 30s, [](int) {});
  const auto all = desk.reserve(10);
  CHECK(all == std::vector<int>{1, 2, 3, 4});
  const auto two = desk.reserve(2);
  CHECK(two == std::vector<int>{1, 2});
  CHECK(desk.reserve(2) == std::vector<int>{3, 4});
  desk.release(two);
  CHECK(desk.reserve(1) == std::vector<int>{1});
}

TEST_CASE("a rank that owes something and is silent is asked, and then lost") {
  const rank_group here;
  mpi_post post(here.comm);
  if (here.rank == 0) {
    std::atomic<int> lost{0};
    mpi_desk desk(post, here.size, 1500ms, [&](int rank) { lost = rank; });
    const auto call = desk.open();
    desk.expect(1, 1);
    desk.expect(2, 1);
    std::vector<mpi_desk::letter> mine;
    const auto last_moment = std::chrono::steady_clock::now() + 30s;
    while (lost == 0 && std::chrono::steady_clock::now() < last_moment) {
      static_cast<void>(desk.collect(call, mine));
      std::this_thread::sleep_for(1ms);
    }
    CHECK(lost == 2);
    CHECK(desk.is_lost(2));
    CHECK_FALSE(desk.is_lost(1));
    CHECK(desk.losses() == 1);
    CHECK(desk.living() == 1);
    CHECK(desk.reserve(5) == std::vector<int>{1});
    desk.send_all({.kind = mpi_letter_kind::finish});
    while (desk.is_sending()) std::this_thread::yield();
    int over = 1;
    MPI_Send(&over, 1, MPI_INT, 2, 99, MPI_COMM_WORLD);
  } else if (here.rank == 1) {
    for (;;) {
      mpi_post::letter next;
      static_cast<void>(post.is_sending());
      if (!post.receive(next)) {
        std::this_thread::sleep_for(1ms);
        continue;
      }
      if (head_of(next).kind == mpi_letter_kind::finish) break;
      CHECK(head_of(next).kind == mpi_letter_kind::ping);
      post.send(0, mpi_short_letter({.kind = mpi_letter_kind::pong}));
    }
    while (post.is_sending()) std::this_thread::yield();
  } else if (here.rank == 2) {
    int over = 0;
    MPI_Recv(&over, 1, MPI_INT, 0, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    mpi_post::letter next;
    std::size_t pings = 0;
    while (post.receive(next)) pings += head_of(next).kind == mpi_letter_kind::ping;
    CHECK(pings >= 1);
  }
}

TEST_CASE("nobody is lost while nobody listens") {
  const rank_group here;
  mpi_post post(here.comm);
  int lost = 0;
  mpi_desk desk(post, here.size, 1000ms, [&](int rank) { lost = rank; });
  const auto call = desk.open();
  desk.expect(1, 1);
  std::vector<mpi_desk::letter> mine;
  static_cast<void>(desk.collect(call, mine));
  std::this_thread::sleep_for(1200ms);  // a slow input range, say
  static_cast<void>(desk.collect(call, mine));
  CHECK(lost == 0);
}
