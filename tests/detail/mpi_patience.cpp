#include <manyhands/detail/mpi_patience.hpp>

#include <support/catch.hpp>

TEST_CASE("who waits for long sleeps, and who has waited is quick again") {
  manyhands::detail::mpi_patience patience;
  const auto time_of = [&](int rounds) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) patience.wait();
    return std::chrono::steady_clock::now() - begin;
  };
  time_of(300);
  CHECK(time_of(20) >= std::chrono::milliseconds(20));  // a millisecond each
  patience.reset();
  const auto begin = std::chrono::steady_clock::now();
  patience.wait();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
}
