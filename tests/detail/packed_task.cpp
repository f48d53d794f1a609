#include <manyhands/detail/packed_task.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/detail/input.hpp>
#include <manyhands/detail/tuple_slots.hpp>
#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::delayed;
using manyhands::reader;
using manyhands::task_packing;
using manyhands::writer;
using manyhands::detail::input_for;
using manyhands::detail::packing_of;
using manyhands::detail::save_task;
using manyhands::detail::tuple_slots;

int twice(int x) { return 2 * x; }
int five() { return 5; }
std::string joined(const std::string& a, const std::vector<int>& b) { return a + std::to_string(b.size()); }
struct counts {
  std::size_t operator()(const std::string& text) const { return text.size(); }
};
struct scaled {
  int factor = 2;
  int operator()() const { return factor; }
};

/// Packs every task of a range, runs it of its bytes, and returns the values.
template <class Range>
auto over_there(Range&& range) {
  using input = input_for<std::remove_reference_t<Range>>;
  using result = typename input::result_type;
  input tasks(range);
  while (!tasks.complete() && tasks.read(100)) {
  }
  const task_packing packing = packing_of<typename input::task_type, result>();
  REQUIRE(packing.possible());
  std::vector<result> values;
  for (std::size_t index = 0; index != tasks.ready(); ++index) {
    writer out;
    tasks.pack(index, out);
    reader in(out.bytes());
    writer value;
    packing.run(in, value);
    reader back(value.bytes());
    values.push_back(back.template get<result>());
  }
  return values;
}

/// Why these tasks cannot travel.
template <class Task>
std::string obstacle(const Task&) {
  const task_packing packing = packing_of<Task, std::invoke_result_t<Task>>();
  CHECK_FALSE(packing.possible());
  CHECK_FALSE(packing.type_name.empty());
  return packing.obstacle;
}

}  // namespace

TEST_CASE("elements travel by value, whatever the range refers to") {
  const std::vector<int> numbers{1, 2, 3};
  CHECK(over_there(numbers | delayed([](int x) { return x + 1; })) == std::vector<int>{2, 3, 4});
  CHECK(over_there(numbers | delayed(&twice)) == std::vector<int>{2, 4, 6});
  CHECK(over_there(numbers | delayed(twice)) == std::vector<int>{2, 4, 6});
  std::vector<std::string> texts{"", "four"};
  CHECK(over_there(texts | delayed(counts())) == std::vector<std::size_t>{0, 4});
  CHECK(over_there(texts | delayed([](std::string& text) { return text += "!"; })) == std::vector<std::string>{"!", "four!"});
  CHECK(texts[1] == "four");
  CHECK(over_there(std::vector<std::string>{"a", "b"} | delayed([](std::string&& text) { return std::move(text); })) ==
        std::vector<std::string>{"a", "b"});
  std::list<int> elsewhere{3, 4};
  CHECK(over_there(elsewhere | delayed(twice)) == std::vector<int>{6, 8});
}

TEST_CASE("tasks with arguments travel, and are called as here") {
  std::vector tasks{delayed(joined)(std::string("a"), std::vector<int>{1, 2}), delayed(joined)(std::string("bb"), std::vector<int>())};
  CHECK(over_there(tasks) == std::vector<std::string>{"a2", "bb0"});
  const auto& constant = tasks;
  CHECK(over_there(constant) == std::vector<std::string>{"a2", "bb0"});
  const auto take = [](std::unique_ptr<int> pointer) { return *pointer; };
  using task = decltype(delayed(take)(std::make_unique<int>(1)));
  std::vector<task> movers;
  movers.push_back(delayed(take)(std::make_unique<int>(8)));
  CHECK(over_there(movers) == std::vector<int>{8});
  CHECK(over_there(movers) == std::vector<int>{8});  // packing has left it as it was
}

TEST_CASE("plain functions and captureless lambdas are tasks that travel") {
  std::vector<int (*)()> functions{&five, [] { return 6; }};
  CHECK(over_there(functions) == std::vector<int>{5, 6});
  const auto nine = [] { return 9; };
  std::array<std::remove_const_t<decltype(nine)>, 2> lambdas{nine, nine};
  CHECK(over_there(lambdas) == std::vector<int>{9, 9});
}

TEST_CASE("tasks of a tuple travel one by one") {
  auto a = delayed(twice)(4);
  auto b = [] { return std::string("b"); };
  tuple_slots<decltype(a)&, decltype(b), int (&)()> slots(a, std::move(b), five);
  const task_packing packing = slots.packing();
  REQUIRE(packing.possible());
  const auto run = [&](std::size_t index) {
    writer out;
    slots.pack(index, out);
    reader in(out.bytes());
    writer value;
    packing.run(in, value);
    return value;
  };
  CHECK(reader(run(0).bytes()).get<int>() == 8);
  CHECK(reader(run(1).bytes()).get<std::string>() == "b");
  CHECK(reader(run(2).bytes()).get<int>() == 5);
  const std::array<std::uint32_t, 1> wrong{3};
  reader in(std::as_bytes(std::span(wrong)));
  writer value;
  CHECK_THROWS_AS(packing.run(in, value), codec_error);
}

TEST_CASE("a task's own error is thrown as it is, and bytes that are no task are refused") {
  const auto fails = [](int x) -> int { throw std::out_of_range(std::to_string(x)); };
  const auto task = delayed(fails)(3);
  const task_packing packing = packing_of<decltype(task), int>();
  writer out;
  save_task<decltype(task)>(task, out);
  writer value;
  reader in(out.bytes());
  CHECK_THROWS_AS(packing.run(in, value), std::out_of_range);
  reader cut(out.bytes().first(2));
  CHECK_THROWS_AS(packing.run(cut, value), codec_error);
  out.put(1);
  reader longer(out.bytes());
  CHECK_THROWS_AS(packing.run(longer, value), codec_error);
}

TEST_CASE("what cannot travel says why, and the cure") {
  int there = 1;
  const auto captures = [there] { return there; };
  CHECK(obstacle(captures).find("pass what it captures as arguments of delayed(fn)(args...)") != std::string::npos);
  CHECK(obstacle(delayed([&there](int) { return there; })(1)).find("captures") != std::string::npos);
  CHECK(obstacle(scaled()).find("state") != std::string::npos);
  CHECK(obstacle(std::function<int()>(five)).find("delayed(fn)(args...)") != std::string::npos);
  CHECK(obstacle(delayed(std::function<int(int)>(twice))(1)).find("hides") != std::string::npos);
  CHECK(obstacle(std::ref(five)).find("refers") != std::string::npos);
  CHECK(obstacle(delayed(&std::string::size)(std::string())).find("in a lambda") != std::string::npos);
  CHECK(obstacle(delayed([](const char* text) { return *text; })("text")).find("pass a copy of the data instead of a pointer") !=
        std::string::npos);
  CHECK(obstacle(delayed([](int& x) { return x; })(std::ref(there))).find("pass a copy of the data") != std::string::npos);
  CHECK(
      obstacle(delayed([](const std::shared_ptr<int>& shared) { return *shared; })(std::make_shared<int>(1))).find("no longer be shared") !=
      std::string::npos);
}

TEST_CASE("a null function pointer is refused where it is packed") {
  int (*const nothing)() = nullptr;
  writer out;
  CHECK_THROWS_AS(save_task<decltype(nothing)>(nothing, out), manyhands::error);
}
