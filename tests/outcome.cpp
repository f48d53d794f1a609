#include <manyhands/outcome.hpp>

#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::kept_result;
using manyhands::outcome;

template <class Value>
outcome<Value> failed(std::size_t index = 3) {
  return {index, std::make_exception_ptr(std::out_of_range("too far"))};
}

}  // namespace

TEST_CASE("an outcome with a value gives it in every way") {
  outcome<std::string> good(4, std::in_place, "text");
  const outcome<std::string>& constant = good;
  CHECK(good.has_value());
  CHECK(static_cast<bool>(good));
  CHECK(good.value() == "text");
  CHECK(constant.value() == "text");
  CHECK(*good == "text");
  CHECK(*constant == "text");
  CHECK(good->size() == 4);
  CHECK(constant->size() == 4);
  CHECK(good.value_or("other") == "text");
  CHECK(good.error() == nullptr);
  CHECK(good.index() == 4);
}

TEST_CASE("an outcome with an error throws it for the value") {
  outcome<std::string> bad = failed<std::string>(7);
  const outcome<std::string>& constant = bad;
  CHECK_FALSE(bad.has_value());
  CHECK_FALSE(static_cast<bool>(bad));
  CHECK_THROWS_AS(bad.value(), std::out_of_range);
  CHECK_THROWS_AS(constant.value(), std::out_of_range);
  CHECK_THROWS_AS(std::move(bad).value(), std::out_of_range);
  CHECK(bad.value_or("other") == "other");
  CHECK(bad.error() != nullptr);
  CHECK(bad.index() == 7);
}

TEST_CASE("the error is thrown as often as it is asked for, and stays what it was") {
  const outcome<int> bad = failed<int>();
  for (int i = 0; i < 3; ++i) {
    try {
      static_cast<void>(bad.value());
      FAIL("nothing was thrown");
    } catch (const std::out_of_range& error) {
      CHECK(std::string(error.what()) == "too far");
    }
  }
  CHECK_THROWS_AS(std::rethrow_exception(bad.error()), std::out_of_range);
}

TEST_CASE("an outcome of a task without a value tells only whether it was reached") {
  const outcome<void> good(0, std::in_place);
  CHECK(good.has_value());
  CHECK(static_cast<bool>(good));
  CHECK_NOTHROW(good.value());
  CHECK_NOTHROW(*good);
  CHECK(good.error() == nullptr);
  const outcome<void> bad = failed<void>(5);
  CHECK_FALSE(bad.has_value());
  CHECK_THROWS_AS(bad.value(), std::out_of_range);
  CHECK(bad.index() == 5);
  STATIC_REQUIRE(std::is_void_v<decltype(bad.value())>);
  STATIC_REQUIRE(std::is_void_v<outcome<void>::value_type>);
}

TEST_CASE("the value may be changed in its place") {
  outcome<int> good(0, std::in_place, 1);
  good.value() = 2;
  CHECK(*good == 2);
  *good = 3;
  CHECK(good.value() == 3);
  outcome<std::string> text(0, std::in_place, "a");
  text->push_back('b');
  CHECK(*text == "ab");
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<const outcome<int>&>().value()), const int&>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<const outcome<int>&>()), const int&>);
}

TEST_CASE("an rvalue outcome hands its value over, and leaves no reference to itself behind") {
  outcome<std::unique_ptr<int>> good(0, std::in_place, std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(good).value();
  CHECK(*taken == 5);
  outcome<std::unique_ptr<int>> other(0, std::in_place, std::make_unique<int>(6));
  CHECK(*(*std::move(other)) == 6);
  STATIC_REQUIRE(std::is_same_v<decltype(std::declval<outcome<std::string>>().value()), std::string>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<outcome<std::string>>()), std::string>);
}

TEST_CASE("what stands in for a value is used only where there is none") {
  CHECK(outcome<int>(0, std::in_place, 1).value_or(2) == 1);
  CHECK(failed<int>().value_or(2) == 2);
  const outcome<std::string> bad = failed<std::string>();
  CHECK(bad.value_or("literal") == "literal");
  CHECK(*failed<std::unique_ptr<int>>().value_or(std::make_unique<int>(9)) == 9);
  outcome<std::unique_ptr<int>> good(0, std::in_place, std::make_unique<int>(8));
  CHECK(*std::move(good).value_or(nullptr) == 8);
}

TEST_CASE("a false value is a value") {
  const outcome<bool> no(0, std::in_place, false);
  CHECK(no.has_value());
  CHECK(static_cast<bool>(no));
  CHECK_FALSE(no.value());
  const outcome<int*> null(0, std::in_place, nullptr);
  CHECK(null.has_value());
  CHECK(null.value() == nullptr);
}

TEST_CASE("an exception_ptr can be a value") {
  const outcome<std::exception_ptr> good(1, std::in_place, std::make_exception_ptr(1));
  CHECK(good.has_value());
  CHECK(good.error() == nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(good.value()), int);
}

TEST_CASE("a reference is kept as a reference") {
  int target = 1;
  outcome<std::reference_wrapper<int>> good(0, std::in_place, target);
  good.value().get() = 5;
  CHECK(target == 5);
  CHECK(&good->get() == &target);
  STATIC_REQUIRE(std::is_same_v<kept_result<int&>, std::reference_wrapper<int>>);
  STATIC_REQUIRE(std::is_same_v<kept_result<const int&>, std::reference_wrapper<const int>>);
}

TEST_CASE("what is no reference to something that stays is kept by value") {
  STATIC_REQUIRE(std::is_same_v<kept_result<int>, int>);
  STATIC_REQUIRE(std::is_same_v<kept_result<const std::string>, std::string>);
  STATIC_REQUIRE(std::is_same_v<kept_result<std::string&&>, std::string>);
  STATIC_REQUIRE(std::is_same_v<kept_result<const std::string&&>, std::string>);
  STATIC_REQUIRE(std::is_same_v<kept_result<bool>, bool>);
}

TEST_CASE("a value is made in its place, from any arguments") {
  const outcome<std::string> good(0, std::in_place, std::size_t{3}, 'x');
  CHECK(*good == "xxx");
  struct stays {
    explicit stays(int v) : value(v) {}
    stays(const stays&) = delete;
    stays& operator=(const stays&) = delete;
    int value;
  };
  const outcome<stays> unmoved(0, std::in_place, 4);
  CHECK(unmoved->value == 4);
}

TEST_CASE("the index may be the largest") {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  CHECK(outcome<int>(most, std::in_place, 1).index() == most);
  CHECK(failed<int>(most).index() == most);
  CHECK(failed<int>(0).index() == 0);
}

TEST_CASE("outcomes can be copied where their values can, moved where those can, and stand in a vector") {
  const outcome<std::string> good(1, std::in_place, "a");
  const outcome<std::string> copy = good;
  CHECK(*copy == "a");
  CHECK(copy.index() == 1);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<outcome<std::unique_ptr<int>>>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<outcome<std::unique_ptr<int>>>);
  std::vector<outcome<std::unique_ptr<int>>> all;
  for (int i = 0; i < 10; ++i) all.emplace_back(static_cast<std::size_t>(i), std::in_place, std::make_unique<int>(i));
  all.push_back(failed<std::unique_ptr<int>>(10));
  CHECK(*all[9].value() == 9);
  CHECK_FALSE(all[10].has_value());
}

TEST_CASE("a condition takes an outcome, an integer does not") {
  STATIC_REQUIRE(std::is_constructible_v<bool, outcome<int>>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<outcome<int>, bool>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<outcome<int>, int>);
}
