#include <manyhands/detail/tuple_slots.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <manyhands/detail/slots.hpp>
#include <manyhands/task.hpp>

#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::delayed;
using manyhands::reader;
using manyhands::task_result;
using manyhands::writer;
using manyhands::detail::call_facts;
using manyhands::detail::slot_jobs;
using manyhands::detail::tuple_slots;

const call_facts no_facts;

/// The slots of these tasks, as Parallel makes them.
template <class... Tasks>
tuple_slots<Tasks...> slots_of(Tasks&&... tasks) {
  return tuple_slots<Tasks...>(std::forward<Tasks>(tasks)...);
}
template <class... Tasks>
auto run_all(Tasks&&... tasks) {
  tuple_slots<Tasks...> slots(std::forward<Tasks>(tasks)...);
  slot_jobs work(no_facts, slots, true);
  work.run({0, sizeof...(Tasks)});
  work.rethrow();
  return slots.take();
}

template <class Slots>
std::string thrown(const slot_jobs<Slots>& work) {
  try {
    work.rethrow();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

std::string text(int i) { return std::string(static_cast<std::size_t>(i), 'x'); }

}  // namespace

TEST_CASE("tasks of different types give a tuple of their results, in order") {
  const auto [number, word, flag] = run_all([] { return 1; }, delayed(text)(3), [] { return true; });
  CHECK(number == 1);
  CHECK(word == "xxx");
  CHECK(flag);
}

TEST_CASE("one task gives a tuple of one") {
  const std::tuple<int> one = run_all([] { return 7; });
  CHECK(std::get<0>(one) == 7);
}

TEST_CASE("tasks may be run in any order, each in its place") {
  auto a = [] { return 1; };
  auto b = [] { return std::string("2"); };
  auto c = [] { return 3.0; };
  auto slots = slots_of(a, b, c);
  CHECK(slots.ready() == 3);
  CHECK(slots.complete());
  CHECK_FALSE(slots.read(1));
  for (const std::size_t index : {std::size_t{2}, std::size_t{0}, std::size_t{1}}) slots.run(index);
  CHECK(slots.take() == std::tuple(1, std::string("2"), 3.0));
}

TEST_CASE("a task without a value leaves a monostate") {
  int ran = 0;
  const auto [nothing, number] = run_all([&] { ++ran; }, [] { return 2; });
  STATIC_REQUIRE(std::is_same_v<decltype(nothing), const std::monostate>);
  CHECK(ran == 1);
  CHECK(number == 2);
}

TEST_CASE("a reference that is returned is kept as a reference, a constant as a value") {
  int target = 1;
  const std::string constant = "c";
  auto results = run_all([&]() -> int& { return target; }, [&]() -> const std::string& { return constant; },
                         [&]() -> const std::string { return constant; });
  STATIC_REQUIRE(
      std::is_same_v<decltype(results), std::tuple<std::reference_wrapper<int>, std::reference_wrapper<const std::string>, std::string>>);
  CHECK(&std::get<0>(results).get() == &target);
  CHECK(&std::get<1>(results).get() == &constant);
}

TEST_CASE("a result that is handed over as an rvalue reference is kept as a value") {
  std::string source = "text";
  auto results = run_all([&]() -> std::string&& { return std::move(source); });
  STATIC_REQUIRE(std::is_same_v<decltype(results), std::tuple<std::string>>);
  CHECK(std::get<0>(results) == "text");
}

TEST_CASE("results may be such that only move, have no default, or are containers and tuples themselves") {
  struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
  };
  auto results = run_all([] { return std::make_unique<int>(1); }, [] { return no_default(2); }, [] { return std::tuple(3); },
                         [] {
                           return std::vector{4, 4};
                         },
                         [] { return std::optional<int>(); });
  CHECK(*std::get<0>(results) == 1);
  CHECK(std::get<1>(results).value == 2);
  CHECK(std::get<0>(std::get<2>(results)) == 3);
  CHECK(std::get<3>(results).size() == 2);
  CHECK_FALSE(std::get<4>(results).has_value());
}

TEST_CASE("tasks that are given by lvalue are called where they are, those by rvalue hand over what they hold") {
  int calls = 0;
  auto counter = [calls]() mutable { return ++calls; };
  CHECK(run_all(counter) == std::tuple(1));
  CHECK(run_all(counter) == std::tuple(2));
  auto take = [](std::unique_ptr<int> p) { return *p; };
  CHECK(run_all(delayed(take)(std::make_unique<int>(5))) == std::tuple(5));
  const auto constant = [] { return 6; };
  CHECK(run_all(constant, constant) == std::tuple(6, 6));
  std::function<int()> any = [] { return 7; };
  int (*pointer)() = [] { return 8; };
  CHECK(run_all(any, pointer, std::ref(any)) == std::tuple(7, 8, 7));
}

TEST_CASE("many tasks are as good as few") {
  const auto results =
      run_all([] { return 0; }, [] { return 1; }, [] { return 2; }, [] { return 3; }, [] { return 4; }, [] { return 5; }, [] { return 6; },
              [] { return 7; }, [] { return 8; }, [] { return 9; }, [] { return 10; }, [] { return 11; });
  CHECK(std::get<0>(results) == 0);
  CHECK(std::get<11>(results) == 11);
}

TEST_CASE("of several failed tasks the first one's error is thrown") {
  auto good = [] { return 1; };
  auto first = []() -> int { throw std::out_of_range("first"); };
  auto second = []() -> std::string { throw std::domain_error("second"); };
  auto slots = slots_of(good, first, second);
  slot_jobs work(no_facts, slots, true);
  work.run({2, 3});
  CHECK(work.limit() == 2);
  work.run({0, 2});
  CHECK(thrown(work) == "first");
}

TEST_CASE("tasks may be run by several threads at the same time") {
  auto a = [] { return std::string(100, 'a'); };
  auto b = [] { return std::vector<int>(100, 2); };
  auto c = [] {};
  auto d = [] { return std::make_unique<int>(4); };
  for (int round = 0; round < 20; ++round) {
    auto slots = slots_of(a, b, c, d);
    slot_jobs work(no_facts, slots, true);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (const manyhands::index_range mine = work.next(1)) work.run(mine);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto results = slots.take();
    REQUIRE(std::get<0>(results).size() == 100);
    REQUIRE(std::get<1>(results).size() == 100);
    REQUIRE(*std::get<3>(results) == 4);
  }
}

TEST_CASE("results come back from another process as bytes") {
  auto a = [] { return 1; };
  auto b = [] { return std::string("two"); };
  auto c = [] {};
  auto d = []() -> int { throw std::out_of_range("four"); };
  auto far_slots = slots_of(a, b, c, d);
  auto near_slots = slots_of(a, b, c, d);
  slot_jobs far(no_facts, far_slots, false);
  slot_jobs near(no_facts, near_slots, false);
  writer bytes;
  for (const std::size_t index : {std::size_t{1}, std::size_t{2}, std::size_t{0}}) {
    REQUIRE(far.execute(index, bytes) == task_result::value);
    reader in(bytes.bytes());
    near.load(index, in);
  }
  CHECK(thrown(near) == "nothing");
  CHECK(far.execute(3, bytes) == task_result::error);
  reader in(bytes.bytes());
  near.load_error(3, in);
  CHECK_THROWS_AS(near.rethrow(), std::out_of_range);
  CHECK(thrown(near) == "four");
}

TEST_CASE("results that came back as bytes stand in the tuple") {
  auto a = [] { return 1; };
  auto b = [] { return std::string("two"); };
  auto c = [] {};
  auto slots = slots_of(a, b, c);
  writer bytes;
  for (std::size_t index = 0; index < 3; ++index) {
    bytes.clear();
    slots.execute(index, bytes);
    reader in(bytes.bytes());
    slots.load(index, in);
  }
  CHECK(slots.take() == std::tuple(1, std::string("two"), std::monostate()));
}

TEST_CASE("bytes of another task's type are refused") {
  auto a = [] { return 1; };
  auto b = [] { return std::string("two"); };
  auto slots = slots_of(a, b);
  writer bytes;
  slots.execute(1, bytes);
  reader in(bytes.bytes());
  CHECK_THROWS_AS(slots.load(0, in), codec_error);
  reader again(bytes.bytes());
  slots.load(1, again);
  bytes.clear();
  slots.execute(0, bytes);
  reader number(bytes.bytes());
  CHECK_THROWS_AS(slots.load(1, number), codec_error);
}

TEST_CASE("results are of a fixed size only if all are of the same") {
  auto four = [] { return 1; };
  auto eight = [] { return 1.0; };
  auto any = [] { return std::string(); };
  auto nothing = [] {};
  CHECK(slots_of(four, four, four).transport().fixed_size == 4);
  CHECK(slots_of(nothing, nothing).transport().fixed_size == 1);
  CHECK(slots_of(four).transport().fixed_size == 4);
  CHECK(slots_of(four, eight).transport().fixed_size == 0);
  CHECK(slots_of(eight, four, four).transport().fixed_size == 0);
  CHECK(slots_of(four, eight, four).transport().fixed_size == 0);
  CHECK(slots_of(four, four, eight).transport().fixed_size == 0);
  CHECK(slots_of(four, any).transport().fixed_size == 0);
  CHECK(slots_of(any, four).transport().fixed_size == 0);
  CHECK(slots_of(four, nothing).transport().fixed_size == 0);
  CHECK(slots_of(any, four).transport().possible());
}

TEST_CASE("one result that cannot travel keeps all at home, and is named") {
  int target = 1;
  auto number = [] { return 1; };
  auto pointer = [&] { return &target; };
  auto reference = [&]() -> int& { return target; };
  const auto home = slots_of(number, pointer, reference).transport();
  CHECK_FALSE(home.possible());
  CHECK(home.type_name.find("int") != std::string::npos);
  CHECK(home.obstacle.find("pointer") != std::string::npos);
  CHECK_FALSE(slots_of(number, reference).transport().possible());
}
