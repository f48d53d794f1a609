#include <manyhands/detail/results.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::outcome;
using manyhands::reader;
using manyhands::writer;
using manyhands::detail::load_result;
using manyhands::detail::outcome_results;
using manyhands::detail::save_result;
using manyhands::detail::transport_of;
using manyhands::detail::value_results;

struct point {
  int x = 0;
  int y = 0;
  friend bool operator==(const point&, const point&) = default;
};
/// Can be moved, and nothing else.
class only_moved {
 public:
  explicit only_moved(int v) : value(std::make_unique<int>(v)) {}
  only_moved(only_moved&&) = default;
  only_moved& operator=(only_moved&&) = delete;
  ~only_moved() = default;
  std::unique_ptr<int> value;
};
/// Can be copied bit by bit, and never assigned.
struct fixed {
  const int value = 0;
};

/// Settles `size` places in a shuffled order with what `make(i)` gives, and takes the results.
template <class Results, class Make>
auto filled(std::size_t size, Make make) {
  Results results;
  results.make_room(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t index = (i * 7 + 3) % size;
    results.emplace(index, [&] { return make(index); });
  }
  return results.take(size);
}

template <class Result>
writer saved(Result value) {
  writer bytes;
  save_result<Result>([&] { return value; }, bytes);
  return bytes;
}
template <class Result>
Result loaded(const writer& bytes) {
  reader in(bytes.bytes());
  std::optional<Result> kept;
  load_result<Result>(in, [&](Result value) { kept.emplace(std::move(value)); });
  return *std::move(kept);
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("results come in the order of their tasks, whatever the order in which they were settled") {
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(i * i);
  const auto square = [](std::size_t i) { return static_cast<int>(i * i); };
  CHECK(filled<value_results<int, true>>(100, square) == expected);
  CHECK(filled<value_results<int, false>>(100, square) == expected);
  const auto text = [](std::size_t i) { return std::to_string(i); };
  CHECK(filled<value_results<std::string, true>>(100, text)[42] == "42");
  CHECK(filled<value_results<std::string, false>>(100, text)[99] == "99");
}

TEST_CASE("no task gives no result") {
  CHECK(value_results<int, true>().take(0).empty());
  CHECK(value_results<std::string, false>().take(0).empty());
  CHECK(outcome_results<int>().take(0).empty());
}

TEST_CASE("a result needs only a move constructor") {
  std::vector<only_moved> all = filled<value_results<only_moved, true>>(20, [](std::size_t i) { return only_moved(static_cast<int>(i)); });
  REQUIRE(all.size() == 20);
  CHECK(*all[13].value == 13);
  auto outcomes = filled<outcome_results<only_moved>>(20, [](std::size_t i) { return only_moved(static_cast<int>(i)); });
  CHECK(*outcomes[13].value().value == 13);
}

TEST_CASE("a result of bits that cannot be assigned is kept, too") {
  const std::vector<fixed> all = filled<value_results<fixed, true>>(10, [](std::size_t i) { return fixed{static_cast<int>(i)}; });
  REQUIRE(all.size() == 10);
  CHECK(all[7].value == 7);
}

TEST_CASE("room that is made late is the same, for few results and for many") {
  const std::size_t size = GENERATE(std::size_t{0}, std::size_t{3}, std::size_t{100'000});
  value_results<std::size_t, true> values;
  value_results<std::string, true> strings;
  outcome_results<std::size_t> outcomes;
  value_results<void, true> nothing;
  values.make_room_late(size);
  strings.make_room_late(size);
  outcomes.make_room_late(size);
  nothing.make_room_late(size);
  for (std::size_t index = 0; index < size; ++index) {
    values.emplace(index, [=] { return index; });
    strings.emplace(index, [=] { return std::to_string(index); });
    outcomes.emplace(index, [=] { return index; });
  }
  const std::vector<std::size_t> taken = values.take(size);
  const std::vector<std::string> taken_strings = strings.take(size);
  const auto taken_outcomes = outcomes.take(size);
  REQUIRE(taken.size() == size);
  REQUIRE(taken_strings.size() == size);
  REQUIRE(taken_outcomes.size() == size);
  for (std::size_t index = 0; index < size; ++index) {
    REQUIRE(taken[index] == index);
    REQUIRE(taken_strings[index] == std::to_string(index));
    REQUIRE(*taken_outcomes[index] == index);
  }
}

TEST_CASE("truth values of neighbours do not disturb each other") {
  constexpr std::size_t size = 10'000;
  value_results<bool, true> results;
  results.make_room(size);
  std::vector<std::thread> threads;
  for (std::size_t me = 0; me < 4; ++me) {
    threads.emplace_back([&, me] {
      for (std::size_t index = me; index < size; index += 4) results.emplace(index, [=] { return index % 3 == 0; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<bool> all = results.take(size);
  std::size_t wrong = 0;
  for (std::size_t index = 0; index < size; ++index) wrong += all[index] == (index % 3 == 0) ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("a reference that is returned is kept as a reference") {
  int target = 1;
  value_results<int&, true> results;
  results.make_room(1);
  results.emplace(0, [&] { return std::ref(target); });
  const std::vector<std::reference_wrapper<int>> all = results.take(1);
  CHECK(&all[0].get() == &target);
}

TEST_CASE("a constant that is returned is kept as a value") {
  STATIC_REQUIRE(std::is_same_v<decltype(value_results<const std::string, true>().take(0)), std::vector<std::string>>);
  STATIC_REQUIRE(std::is_same_v<decltype(value_results<std::string&&, true>().take(0)), std::vector<std::string>>);
  STATIC_REQUIRE(std::is_same_v<decltype(value_results<const int&, false>().take(0)), std::vector<std::reference_wrapper<const int>>>);
}

TEST_CASE("tasks without a value run, and leave nothing") {
  int ran = 0;
  value_results<void, true> results;
  results.make_room(3);
  for (std::size_t index = 0; index < 3; ++index) results.emplace(index, [&] { ++ran; });
  results.take(3);
  CHECK(ran == 3);
  STATIC_REQUIRE(std::is_void_v<decltype(results.take(3))>);
}

TEST_CASE("a result that could not be made leaves the others alone") {
  value_results<std::string, false> results;
  results.make_room(3);
  results.emplace(0, [] { return "0"; });
  CHECK_THROWS_AS(results.emplace(1, []() -> std::string { throw std::out_of_range("1"); }), std::out_of_range);
  results.emplace(1, [] { return "1"; });
  results.emplace(2, [] { return "2"; });
  CHECK(results.take(3) == std::vector<std::string>{"0", "1", "2"});
}

TEST_CASE("room may be made bit by bit where the number of tasks is not known") {
  value_results<point, false> results;
  for (std::size_t index = 0; index < 100; ++index) {
    results.make_room(index + 1);
    results.emplace(index, [=] { return point{static_cast<int>(index), 1}; });
  }
  const std::vector<point> all = results.take(100);
  CHECK(all[99] == point{99, 1});
}

TEST_CASE("results that were never taken end with their place") {
  const auto alive = std::make_shared<int>(1);
  {
    value_results<std::shared_ptr<int>, false> results;
    results.make_room(5);
    for (const std::size_t index : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) results.emplace(index, [&] { return alive; });
    CHECK(alive.use_count() == 4);
  }
  CHECK(alive.use_count() == 1);
}

// --- outcomes

TEST_CASE("every task has its outcome, good or bad, with its index") {
  outcome_results<int> results;
  results.make_room(3);
  results.emplace(2, [] { return 22; });
  results.emplace_error(1, std::make_exception_ptr(std::out_of_range("one")));
  results.emplace(0, [] { return 0; });
  const std::vector<outcome<int>> all = results.take(3);
  REQUIRE(all.size() == 3);
  CHECK(all[0].value() == 0);
  CHECK(all[2].value() == 22);
  CHECK_THROWS_AS(all[1].value(), std::out_of_range);
  for (std::size_t index = 0; index < 3; ++index) CHECK(all[index].index() == index);
}

TEST_CASE("tasks without a value and tasks with a reference have outcomes, too") {
  outcome_results<void> nothing;
  nothing.make_room(2);
  nothing.emplace(0, [] {});
  nothing.emplace_error(1, std::make_exception_ptr(1));
  const std::vector<outcome<void>> all = nothing.take(2);
  CHECK(all[0].has_value());
  CHECK_FALSE(all[1].has_value());
  int target = 1;
  outcome_results<int&> references;
  references.make_room(1);
  references.emplace(0, [&] { return std::ref(target); });
  CHECK(&references.take(1)[0].value().get() == &target);
}

TEST_CASE("a task that throws can still be given its error") {
  outcome_results<std::string> results;
  results.make_room(1);
  CHECK_THROWS_AS(results.emplace(0, []() -> std::string { throw std::out_of_range("x"); }), std::out_of_range);
  results.emplace_error(0, std::make_exception_ptr(std::out_of_range("x")));
  CHECK_THROWS_AS(results.take(1)[0].value(), std::out_of_range);
}

// --- to another process and back

TEST_CASE("values go to bytes and come back") {
  CHECK(loaded<int>(saved(42)) == 42);
  CHECK(loaded<std::string>(saved(std::string("text"))) == "text");
  CHECK(loaded<point>(saved(point{1, 2})) == point{1, 2});
  CHECK(loaded<bool>(saved(true)));
  CHECK(loaded<std::vector<std::string>>(saved(std::vector<std::string>{"a", "b"})).back() == "b");
}

TEST_CASE("a task without a value leaves a trace of one byte") {
  int ran = 0;
  writer bytes;
  save_result<void>([&] { ++ran; }, bytes);
  CHECK(ran == 1);
  CHECK(bytes.size() == 1);
  int kept = 0;
  reader in(bytes.bytes());
  load_result<void>(in, [&] { ++kept; });
  CHECK(kept == 1);
}

TEST_CASE("what a task throws comes out where it runs") {
  writer bytes;
  CHECK_THROWS_AS(save_result<int>([]() -> int { throw std::out_of_range("x"); }, bytes), std::out_of_range);
  CHECK_THROWS_AS(save_result<void>([] { throw std::out_of_range("x"); }, bytes), std::out_of_range);
}

TEST_CASE("bytes that are cut short or too long are no value") {
  writer good = saved(std::string("hello"));
  for (std::size_t size = 0; size < good.size(); ++size) {
    reader in(good.bytes().first(size));
    int kept = 0;
    CHECK_THROWS_AS(load_result<std::string>(in, [&](const std::string&) { ++kept; }), codec_error);
    CHECK(kept == 0);
  }
  good.put('!');
  reader in(good.bytes());
  int kept = 0;
  CHECK_THROWS_AS(load_result<std::string>(in, [&](const std::string&) { ++kept; }), codec_error);
  CHECK(kept == 0);
}

TEST_CASE("bytes that are not the trace of a task without a value are refused") {
  int kept = 0;
  const auto load = [&](std::vector<std::byte> bytes) {
    reader in(bytes);
    load_result<void>(in, [&] { ++kept; });
  };
  CHECK_THROWS_AS(load({}), codec_error);
  CHECK_THROWS_AS(load({std::byte{1}, std::byte{1}}), codec_error);
  CHECK_THROWS_AS(load({std::byte{0}}), codec_error);
  CHECK_THROWS_AS(load({std::byte{2}}), codec_error);
  CHECK(kept == 0);
  load({std::byte{1}});
  CHECK(kept == 1);
}

TEST_CASE("a type knows how it travels, and of what size it is") {
  CHECK(transport_of<int>().possible());
  CHECK(transport_of<int>().fixed_size == sizeof(int));
  CHECK(transport_of<const int>().fixed_size == sizeof(int));
  CHECK(transport_of<point>().fixed_size == sizeof(point));
  CHECK(transport_of<std::string>().possible());
  CHECK(transport_of<std::string>().fixed_size == 0);
  CHECK(transport_of<void>().possible());
  CHECK(transport_of<void>().fixed_size == 1);
}

TEST_CASE("what cannot travel is told with the type, the reason and the cure") {
  const auto reference = transport_of<int&>();
  CHECK_FALSE(reference.possible());
  CHECK(mentions(reference.type_name, "int"));
  CHECK(mentions(reference.type_name, "&"));
  CHECK(mentions(reference.obstacle, "reference"));
  CHECK(mentions(reference.obstacle, "shares memory"));
  const auto pointer = transport_of<int*>();
  CHECK(mentions(pointer.obstacle, "pointer"));
  CHECK(mentions(pointer.obstacle, "return a copy"));
  const auto inside = transport_of<std::vector<int*>>();
  CHECK(mentions(inside.type_name, "vector"));
  CHECK(mentions(inside.obstacle, "pointer"));
  CHECK_FALSE(transport_of<std::shared_ptr<int>>().possible());
  CHECK_FALSE(transport_of<std::function<int()>>().possible());
  CHECK_FALSE(transport_of<std::string_view>().possible());
}

TEST_CASE("a result that is handed over as an rvalue reference travels as the value that is kept of it") {
  CHECK(transport_of<std::string&&>().possible());
  CHECK(transport_of<int&&>().fixed_size == sizeof(int));
}
