#include <manyhands/indexed.hpp>

#include <memory>
#include <type_traits>
#include <utility>

#include <support/catch.hpp>

using manyhands::indexed;

TEST_CASE("an indexed result is taken apart, and holds what can only be moved") {
  indexed<std::unique_ptr<int>> one{3, std::make_unique<int>(4)};
  auto [index, value] = std::move(one);
  REQUIRE(index == 3);
  REQUIRE(*value == 4);
}

TEST_CASE("of a task without a result there is the index alone") {
  const auto [index] = indexed<void>{7};
  REQUIRE(index == 7);
  static_assert(std::is_aggregate_v<indexed<void>>);
}
