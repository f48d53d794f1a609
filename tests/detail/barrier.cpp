#include <manyhands/detail/barrier.hpp>

#include <chrono>

#include <support/catch.hpp>

using manyhands::detail::barrier_in_all_threads;
using manyhands::detail::barrier_time;
using manyhands::detail::has_barrier_in_all_threads;

TEST_CASE("a barrier in all threads is there always, or never") {
  const bool works = has_barrier_in_all_threads();
  for (int i = 0; i < 10; ++i) CHECK(barrier_in_all_threads() == works);
}

TEST_CASE("what barriers take is learned from the last ones, and one of them does not count for much") {
  using std::chrono::microseconds;
  for (int i = 0; i < 100; ++i) barrier_time::learn(microseconds(8));
  CHECK(barrier_time::mean() > microseconds(7));
  CHECK(barrier_time::mean() <= microseconds(8));
  barrier_time::learn(std::chrono::seconds(1));
  CHECK(barrier_time::mean() < microseconds(35));
}
