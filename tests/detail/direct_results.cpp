#include <manyhands/detail/direct_results.hpp>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;

TEST_CASE("a result that a worker has put is there for its caller, after the worker's death, too") {
  const manyhands_test::leak_check leaks;
  const direct_results places(1000, 3);
  CHECK(places.size() == 3);
  places.memory().open_to_children();
  const auto end = manyhands_test::in_subprocess([&]() -> bool {
    const std::array<std::byte, 3> result{std::byte{1}, std::byte{2}, std::byte{3}};
    places.put(0, result);
    places.put(999, result);
    ::raise(SIGKILL);
    return false;
  });
  CHECK(end.signal == SIGKILL);
  for (std::size_t index = 0; index < 1000; ++index) CHECK(places.has(index) == (index == 0 || index == 999));
  CHECK(places.get(999).size() == 3);
  CHECK(places.get(999)[2] == std::byte{3});
}

TEST_CASE("without places there is no size") {
  const direct_results none;
  CHECK(none.size() == 0);
  CHECK_FALSE(none.memory());
}

TEST_CASE("more results than memory can hold are a system error") {
  CHECK_THROWS_AS(direct_results(std::numeric_limits<std::size_t>::max() / 8, 4096), std::system_error);
  CHECK_THROWS_AS(direct_results(std::size_t{1} << 50, 8), std::system_error);
}

TEST_CASE("results that are expected are put as others are, and none of them is there before") {
  constexpr std::size_t tasks = 100'000;
  const direct_results places(tasks, sizeof(std::size_t));
  const auto [first, last] = GENERATE_COPY(table<std::size_t, std::size_t>({{0, tasks}, {77, tasks - 1}, {5, 6}, {9, 9}}));
  places.expect(first, last);
  for (std::size_t index = 0; index < tasks; ++index) REQUIRE_FALSE(places.has(index));
  for (std::size_t index = first; index < last; ++index) places.put(index, std::as_bytes(std::span(&index, 1)));
  for (std::size_t index = 0; index < tasks; ++index) {
    const bool is_put = first <= index && index < last;
    REQUIRE(places.has(index) == is_put);
    if (is_put) REQUIRE(std::memcmp(places.get(index).data(), &index, sizeof index) == 0);
  }
}
