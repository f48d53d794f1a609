#include <manyhands/detail/barrier.hpp>

#include <support/catch.hpp>

using manyhands::detail::barrier_in_all_threads;
using manyhands::detail::has_barrier_in_all_threads;

TEST_CASE("a barrier in all threads is there always, or never") {
  const bool works = has_barrier_in_all_threads();
  for (int i = 0; i < 10; ++i) CHECK(barrier_in_all_threads() == works);
}
