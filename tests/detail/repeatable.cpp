#include <manyhands/detail/repeatable.hpp>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::delayed;
using manyhands::detail::all_copyable;
using manyhands::detail::honest;
using manyhands::detail::lasting_call;
using manyhands::detail::takes_lvalues;

using only_moved = std::unique_ptr<int>;

/// Says that it can be copied, and cannot.
struct pretender {
  std::vector<only_moved> parts;
};

constexpr auto by_value = [](std::string text) { return text.size(); };
constexpr auto by_reference = [](const pretender& one) { return one.parts.size(); };
constexpr auto takes_pretender = [](pretender one) { return one.parts.size(); };
constexpr auto takes_pointer = [](only_moved pointer) { return *pointer; };
constexpr auto takes_rvalue = [](std::string&& text) { return text.size(); };
constexpr auto generic = [](const auto& value) { return value.size(); };

template <class Task>
constexpr bool can_be_repeated = lasting_call<Task>::possible;
template <class Fn, class... Args>
using task_of = decltype(delayed(std::declval<Fn>())(std::declval<Args>()...));

struct once {
  int operator()() && { return 1; }
};
struct differs {
  int operator()() & { return 1; }
  double operator()() && { return 2; }
};

std::size_t plain(const pretender& one, std::string text) { return one.parts.size() + text.size(); }

}  // namespace

TEST_CASE("of known types it is known whether they can be copied") {
  STATIC_REQUIRE(all_copyable<int, std::string, std::vector<std::string>, std::map<int, std::vector<std::string>>>);
  STATIC_REQUIRE(all_copyable<std::pair<int, std::string>, std::tuple<std::string, int*>, std::variant<int, std::string>>);
  STATIC_REQUIRE(honest<only_moved>);
  STATIC_REQUIRE_FALSE(all_copyable<only_moved>);
  STATIC_REQUIRE_FALSE(honest<std::vector<only_moved>>);
  STATIC_REQUIRE_FALSE(honest<std::tuple<int, std::vector<only_moved>>>);
  STATIC_REQUIRE_FALSE(honest<pretender>);
}

TEST_CASE("a function is called with lvalues only where that is sure to compile") {
  STATIC_REQUIRE(takes_lvalues<decltype(by_value), std::string>);
  STATIC_REQUIRE(takes_lvalues<decltype(by_reference), pretender>);
  STATIC_REQUIRE_FALSE(takes_lvalues<decltype(takes_pretender), pretender>);
  STATIC_REQUIRE(takes_lvalues<decltype(&plain), pretender, std::string>);
  CHECK(plain({}, "ab") == 2);
  STATIC_REQUIRE(takes_lvalues<decltype(generic), std::string>);
  STATIC_REQUIRE_FALSE(takes_lvalues<decltype(generic), pretender>);  // it might take it by value
}

TEST_CASE("a task that hands over what it holds cannot be repeated") {
  STATIC_REQUIRE(can_be_repeated<task_of<decltype(by_value), std::string>>);
  STATIC_REQUIRE(can_be_repeated<task_of<decltype(by_reference), pretender>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<task_of<decltype(takes_pretender), pretender>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<task_of<decltype(takes_pointer), only_moved>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<task_of<decltype(takes_pointer), only_moved>&>);
  STATIC_REQUIRE_FALSE(can_be_repeated<task_of<decltype(takes_rvalue), std::string>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<once>);
  STATIC_REQUIRE_FALSE(can_be_repeated<differs>);
  STATIC_REQUIRE(can_be_repeated<differs&>);
  STATIC_REQUIRE(can_be_repeated<std::function<int()>>);
}

TEST_CASE("an element that belongs to its task is kept for the next attempt") {
  using manyhands::detail::element_task;
  STATIC_REQUIRE(can_be_repeated<element_task<decltype(by_value), std::string>>);
  STATIC_REQUIRE(can_be_repeated<element_task<decltype(by_value), std::string&>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<element_task<decltype(takes_pointer), only_moved>>);
  STATIC_REQUIRE_FALSE(can_be_repeated<element_task<decltype(takes_pointer), only_moved&&>>);
  element_task<decltype(by_value), std::string> task(by_value, std::string(100, 'x'));
  CHECK(lasting_call<element_task<decltype(by_value), std::string>>::call(task) == 100);
  CHECK(lasting_call<element_task<decltype(by_value), std::string>>::call(task) == 100);
  CHECK(task() == 100);
}

TEST_CASE("an argument that is passed by std::ref stays where it is") {
  int there = 1;
  const auto add = [](int& i) { return ++i; };
  auto task = delayed(add)(std::ref(there));
  STATIC_REQUIRE(can_be_repeated<decltype(task)>);
  CHECK(lasting_call<decltype(task)>::call(task) == 2);
  CHECK(there == 2);
}

TEST_CASE("a repeated call leaves a task's arguments as they are") {
  auto task = delayed(by_value)(std::string(100, 'x'));
  CHECK(lasting_call<decltype(task)>::call(task) == 100);
  CHECK(lasting_call<decltype(task)>::call(task) == 100);
  CHECK(std::move(task)() == 100);
}
