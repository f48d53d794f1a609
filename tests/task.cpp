#include <manyhands/task.hpp>

#include <cstddef>
#include <deque>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <support/catch.hpp>

// clang 14 cannot compile the adaptors of libstdc++.
#if !defined(__clang__) || __clang_major__ > 15
#define HAS_ADAPTORS 1
#else
#define HAS_ADAPTORS 0
#endif

namespace {

using manyhands::delayed;

int add(int a, int b) { return a + b; }

/// Counts how often it is copied and moved.
struct counted {
  explicit counted(int v) : value(v) {}
  counted(const counted& other) : value(other.value), copies(other.copies + 1), moves(other.moves) {}
  counted(counted&& other) noexcept : value(other.value), copies(other.copies), moves(other.moves + 1) {}
  counted& operator=(const counted&) = delete;
  ~counted() = default;

  int value;
  int copies = 0;
  int moves = 0;
};

struct never_copied {
  explicit never_copied(int v) : value(v) {}
  never_copied(const never_copied&) = delete;
  never_copied& operator=(const never_copied&) = delete;

  int value;
};

struct account {
  int balance = 0;
  int deposit(int amount) { return balance += amount; }
  int twice() const { return 2 * balance; }
};

template <class Range>
auto run_all(Range&& tasks) {
  using task = std::ranges::range_value_t<Range>;
  std::vector<std::invoke_result_t<task&>> results;
  for (auto&& one : tasks) results.push_back(one());
  return results;
}

std::vector<int> numbers() { return {1, 2, 3}; }
constexpr auto square = [](int i) { return i * i; };

}  // namespace

// --- one task

TEST_CASE("a task calls its function with its arguments") {
  auto task = delayed(add)(2, 3);
  CHECK(task() == 5);
  CHECK(delayed(&add)(2, 3)() == 5);
  CHECK(delayed([](int a, const std::string& b) { return b + std::to_string(a); })(1, "x")() == "x1");
  CHECK(delayed([] { return 7; })()() == 7);
}

TEST_CASE("a task tells what it returns") {
  STATIC_REQUIRE(std::is_same_v<decltype(delayed(add)(1, 2))::result_type, int>);
  STATIC_REQUIRE(std::is_same_v<decltype(delayed([] {})())::result_type, void>);
  STATIC_REQUIRE(
      std::is_same_v<decltype(delayed([](int& i) -> int& { return i; })(std::declval<std::reference_wrapper<int>>()))::result_type, int&>);
  STATIC_REQUIRE(std::is_same_v<decltype(delayed([](std::unique_ptr<int> p) { return p; })(std::unique_ptr<int>()))::result_type,
                                std::unique_ptr<int>>);
}

TEST_CASE("a task holds decayed copies: it needs nothing of what it was made from") {
  auto task = [] {
    std::string text = "hello";
    const char array[] = "world";
    const int number = 3;
    auto made = delayed([](const std::string& a, const std::string& b, int c) { return a + b + std::to_string(c); })(
        text, std::string(array), number);
    text = "changed";
    return made;
  }();
  CHECK(task() == "helloworld3");
}

TEST_CASE("an argument that is given by lvalue is copied once, one that is given by rvalue never") {
  const counted original(1);
  auto look = [](const counted& c) { return c.copies; };
  CHECK(delayed(look)(original)() == 1);
  CHECK(delayed(look)(counted(1))() == 0);
}

TEST_CASE("arrays and functions become pointers") {
  auto length = [](auto text) {
    static_assert(std::is_same_v<decltype(text), const char*>);
    return std::string_view(text).size();
  };
  CHECK(delayed(length)("four")() == 4);
  auto call = [](int (*function)(int, int)) { return function(1, 2); };
  CHECK(delayed(call)(add)() == 3);
}

TEST_CASE("std::ref passes the object itself") {
  int sum = 1;
  auto task = delayed([](int& total, int more) { total += more; })(std::ref(sum), 5);
  task();
  task();
  CHECK(sum == 11);
  const never_copied kept(4);
  CHECK(delayed([](const never_copied& k) { return k.value; })(std::cref(kept))() == 4);
}

TEST_CASE("a reference that is returned is the object itself") {
  int target = 1;
  auto task = delayed([](int& i) -> int& { return i; })(std::ref(target));
  CHECK(&task() == &target);
  CHECK(&std::move(task)() == &target);
  static int global = 3;
  CHECK(&delayed([]() -> int& { return global; })()() == &global);
}

TEST_CASE("arguments and functions that can only be moved will do") {
  CHECK(delayed([](const std::unique_ptr<int>& p) { return *p; })(std::make_unique<int>(4))() == 4);
  auto only_moved = [p = std::make_unique<int>(5)](int i) { return *p + i; };
  auto task = delayed(std::move(only_moved))(1);
  CHECK(task() == 6);
  CHECK(std::move(task)() == 6);
}

TEST_CASE("an argument that is taken by value and only moves is handed over: the task is good for one call") {
  auto take = [](std::unique_ptr<int> p) { return p == nullptr ? -1 : *p; };
  CHECK(delayed(take)(std::make_unique<int>(4))() == 4);
  auto task = delayed(take)(std::make_unique<int>(5));
  CHECK(task() == 5);
  CHECK(task() == -1);
}

TEST_CASE("a task that is called twice has its arguments twice") {
  auto task = delayed([](std::string text) { return text; })(std::string(100, 'x'));
  CHECK(task() == std::string(100, 'x'));
  CHECK(task() == std::string(100, 'x'));
}

TEST_CASE("an rvalue task hands its arguments over") {
  auto task = delayed([](counted c) { return c.copies; })(counted(1));
  CHECK(task() == 1);
  CHECK(std::move(task)() == 0);
}

TEST_CASE("a function that changes its argument changes the task's copy") {
  int outside = 0;
  auto task = delayed([](int& i) { return ++i; })(outside);
  CHECK(task() == 1);
  CHECK(task() == 2);
  CHECK(outside == 0);
}

TEST_CASE("a function with a state keeps it in the task") {
  int seed = 10;
  auto counter = [seed]() mutable { return ++seed; };
  auto task = delayed(counter)();
  CHECK(task() == 11);
  CHECK(task() == 12);
  CHECK(delayed(counter)()() == 11);
}

TEST_CASE("a part of the task's own arguments comes back as a value: the arguments end with the task") {
  struct point {
    int x = 0;
  };
  const auto x = delayed(&point::x)(point{3});
  static_assert(std::same_as<decltype(x)::result_type, int>);
  REQUIRE(x() == 3);
  auto whole = delayed(std::identity())(std::string("a string that is too long to lie within the object itself"));
  static_assert(std::same_as<decltype(whole)::result_type, std::string>);
  REQUIRE(whole() == whole());
  point outside{4};
  auto referred = delayed(&point::x)(std::ref(outside));
  static_assert(std::same_as<decltype(referred)::result_type, int&>);
  REQUIRE(&referred() == &outside.x);
}

TEST_CASE("members are called with std::invoke") {
  account mine{5};
  CHECK(delayed(&account::deposit)(std::ref(mine), 2)() == 7);
  CHECK(mine.balance == 7);
  CHECK(delayed(&account::deposit)(&mine, 1)() == 8);
  CHECK(delayed(&account::twice)(mine)() == 16);
  CHECK(delayed(&account::twice)(std::make_shared<account>(account{3}))() == 6);
  CHECK(delayed(&account::twice)(std::make_unique<account>(account{4}))() == 8);
  CHECK(delayed(&account::balance)(std::cref(mine))() == 8);
  auto copied = delayed(&account::deposit)(mine, 2);
  CHECK(copied() == 10);
  CHECK(copied() == 12);
  CHECK(mine.balance == 8);
}

TEST_CASE("a const task can be called where its function can be called as const") {
  const auto task = delayed(add)(1, 2);
  CHECK(task() == 3);
  using changes = decltype(delayed([](int& i) { return ++i; })(1));
  STATIC_REQUIRE(std::is_invocable_v<changes&>);
  STATIC_REQUIRE_FALSE(std::is_invocable_v<const changes&>);
}

TEST_CASE("a task can be copied where its parts can, and moved always") {
  auto task = delayed(add)(1, 2);
  auto copy = task;
  CHECK(copy() == 3);
  auto moved = std::move(copy);
  CHECK(moved() == 3);
  using only_moved = decltype(delayed([](const std::unique_ptr<int>&) {})(std::unique_ptr<int>()));
  STATIC_REQUIRE(std::is_move_constructible_v<only_moved>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<only_moved>);
}

TEST_CASE("tasks of the same function and arguments have one type, and go into a std::function") {
  std::vector<decltype(delayed(add)(0, 0))> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(delayed(add)(i, i));
  CHECK(tasks[2]() == 4);
  const std::function<int()> any = delayed(add)(2, 3);
  CHECK(any() == 5);
}

TEST_CASE("a delayed function may be kept and make many tasks") {
  const auto later = delayed(add);
  CHECK(later(1, 2)() == 3);
  CHECK(later(3, 4)() == 7);
  auto only_moved = delayed([p = std::make_unique<int>(1)] { return *p; });
  CHECK(std::move(only_moved)()() == 1);
}

TEST_CASE("an overload for rvalues that returns something else is not taken by mistake") {
  struct two_ways {
    int operator()(int&) { return 1; }
    std::string operator()(int&&) { return "2"; }
  };
  auto task = delayed(two_ways{})(5);
  STATIC_REQUIRE(std::is_same_v<decltype(task)::result_type, int>);
  CHECK(task() == 1);
  CHECK(std::move(task)() == 1);
}

TEST_CASE("arguments that are tuples, pairs or empty classes stay what they are") {
  CHECK(delayed([](std::tuple<int, int> t) { return std::get<1>(t); })(std::tuple(1, 2))() == 2);
  CHECK(delayed([](std::tuple<int> t) { return std::get<0>(t); })(std::tuple(3))() == 3);
  CHECK(delayed([](std::pair<int, int> p) { return p.second; })(std::pair(1, 4))() == 4);
  CHECK(delayed([](std::in_place_t, std::monostate) { return 5; })(std::in_place, std::monostate())() == 5);
}

TEST_CASE("what a task throws comes out as it is") {
  CHECK_THROWS_AS(delayed([](int) { throw std::string("no"); })(1)(), std::string);
  auto task = delayed([](int i) { return i == 0 ? throw std::out_of_range("zero") : i; })(0);
  CHECK_THROWS_AS(task(), std::out_of_range);
  CHECK_THROWS_AS(std::move(task)(), std::out_of_range);
}

// --- a task for each element

TEST_CASE("a range of elements becomes a range of tasks, in order") {
  const std::vector<int> values = numbers();
  CHECK(run_all(values | delayed(square)) == std::vector{1, 4, 9});
  const std::list<std::string> words{"a", "bb"};
  CHECK(run_all(words | delayed(&std::string::size)) == std::vector<std::size_t>{1, 2});
}

TEST_CASE("an empty range has no tasks") {
  const std::vector<int> none;
  auto tasks = none | delayed(square);
  CHECK(tasks.begin() == tasks.end());
  CHECK(tasks.size() == 0);
  CHECK(run_all(std::list<int>() | delayed(square)).empty());
}

TEST_CASE("the elements of an lvalue range are referred to, never copied") {
  std::deque<never_copied> kept;
  for (int i = 0; i < 3; ++i) kept.emplace_back(i);
  std::vector<const never_copied*> seen;
  for (auto task : kept | delayed([&](const never_copied& one) { seen.push_back(&one); })) task();
  REQUIRE(seen.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(seen[i] == &kept[i]);
}

TEST_CASE("tasks may change the elements of an lvalue range") {
  std::vector<int> values = numbers();
  for (auto task : values | delayed([](int& i) { i *= 10; })) task();
  CHECK(values == std::vector{10, 20, 30});
  int array[] = {1, 2};
  for (auto task : array | delayed([](int& i) { i *= 10; })) task();
  CHECK(array[1] == 20);
}

TEST_CASE("the elements of a const range are const") {
  const std::vector<int> values = numbers();
  auto kind = [](auto& element) { return std::is_const_v<std::remove_reference_t<decltype(element)>>; };
  for (auto task : values | delayed(kind)) CHECK(task());
  std::vector<int> changing = numbers();
  for (auto task : changing | delayed(kind)) CHECK_FALSE(task());
}

TEST_CASE("a view refers to an lvalue range: what is added later is seen") {
  std::vector<int> values = numbers();
  auto tasks = values | delayed(square);
  values.push_back(4);
  CHECK(run_all(tasks) == std::vector{1, 4, 9, 16});
}

TEST_CASE("a range that is about to end is kept by the view, and its elements are not copied") {
  auto tasks = numbers() | delayed(square);
  CHECK(run_all(tasks) == std::vector{1, 4, 9});
  std::vector<counted> source;
  source.reserve(2);
  source.emplace_back(1);
  source.emplace_back(2);
  auto kept = std::move(source) | delayed([](const counted& c) { return c.copies + c.moves; });
  CHECK(run_all(kept) == std::vector{0, 0});
}

TEST_CASE("the elements of a kept range are handed over to a function that takes them in no other way") {
  std::vector<std::unique_ptr<int>> pointers;
  for (int i = 0; i < 3; ++i) pointers.push_back(std::make_unique<int>(i));
  auto view = std::move(pointers) | delayed([](std::unique_ptr<int> mine) { return *mine; });
  int expected = 0;
  for (auto task : view) REQUIRE(task() == expected++);
  REQUIRE(expected == 3);
}

TEST_CASE("views are kept, not referred to") {
  const std::vector<int> values = numbers();
  const auto spanned = [&] {
    std::span<const int> span(values);
    return span | delayed(square);
  }();
  CHECK(run_all(spanned) == std::vector{1, 4, 9});
}

TEST_CASE("elements that are proxies are kept, and read when the task runs") {
  std::vector<bool> flags{true, false, true};
  auto flip = [](bool flag) { return !flag; };
  const std::vector<bool> flipped = run_all(flags | delayed(flip));
  CHECK(flipped == std::vector<bool>{false, true, false});
  auto task = *(flags | delayed(flip)).begin();
  flags[0] = false;
  CHECK(task());
  for (auto change : flags | delayed([](auto flag) { flag = true; })) change();
  CHECK(flags == std::vector<bool>{true, true, true});
}

TEST_CASE("the elements of a map are its pairs") {
  std::map<std::string, int> ages{{"ann", 3}, {"bob", 4}};
  CHECK(run_all(ages | delayed([](const auto& entry) { return entry.second; })) == std::vector{3, 4});
  for (auto task : ages | delayed([](auto& entry) { ++entry.second; })) task();
  CHECK(ages["bob"] == 5);
}

TEST_CASE("a function that changes its own state has a copy in every task") {
  int start = 0;
  auto counter = [start](int i) mutable {
    start += i;
    return start;
  };
  const std::vector<int> values = numbers();
  auto tasks = values | delayed(counter);
  CHECK(run_all(tasks) == std::vector{1, 2, 3});
  CHECK(run_all(tasks) == std::vector{1, 2, 3});
}

TEST_CASE("a function that can only be moved is shared by the tasks of a range") {
  const std::vector<int> values = numbers();
  auto tasks = values | delayed([factor = std::make_unique<int>(10)](int i) { return *factor * i; });
  CHECK(run_all(tasks) == std::vector{10, 20, 30});
  auto moved = std::move(tasks);
  CHECK(run_all(moved) == std::vector{10, 20, 30});
}

TEST_CASE("a function with a state that it does not change is never copied after the view was made") {
  const std::vector<int> values = numbers();
  auto tasks = values | delayed([kept = counted(0)](int) { return kept.copies; });
  CHECK(run_all(tasks) == std::vector{0, 0, 0});
}

TEST_CASE("an element that is made for its task is handed over to a function that takes it") {
  struct makes {
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::unique_ptr<int>;
    using difference_type = std::ptrdiff_t;
    std::unique_ptr<int> operator*() const { return std::make_unique<int>(at); }
    makes& operator++() {
      ++at;
      return *this;
    }
    void operator++(int) { ++at; }
    bool operator==(std::default_sentinel_t) const { return at == 3; }
    int at = 0;
  };
  struct source {
    makes begin() const { return {}; }
    std::default_sentinel_t end() const { return {}; }
  };
  const source numbers_from_nowhere;
  std::vector<int> results;
  for (auto task : numbers_from_nowhere | delayed([](std::unique_ptr<int> p) { return *p; })) results.push_back(task());
  CHECK(results == std::vector{0, 1, 2});
  results.clear();
  for (auto task : numbers_from_nowhere | delayed([](const std::unique_ptr<int>& p) { return *p; })) results.push_back(task());
  CHECK(results == std::vector{0, 1, 2});
}

TEST_CASE("a task for each element tells what it returns") {
  using values = std::vector<int>&;
  using task_of_square = std::ranges::range_value_t<decltype(std::declval<values>() | delayed(square))>;
  STATIC_REQUIRE(std::is_same_v<task_of_square::result_type, int>);
  using task_of_reference = std::ranges::range_value_t<decltype(std::declval<values>() | delayed([](int& i) -> int& { return i; }))>;
  STATIC_REQUIRE(std::is_same_v<task_of_reference::result_type, int&>);
  using task_of_nothing = std::ranges::range_value_t<decltype(std::declval<values>() | delayed([](int) {}))>;
  STATIC_REQUIRE(std::is_same_v<task_of_nothing::result_type, void>);
}

TEST_CASE("the view is as strong as the range it stands on") {
  auto of = [](auto&& range) { return std::forward<decltype(range)>(range) | delayed([](const auto&) { return 1; }); };
  std::vector<int> vector;
  std::deque<int> deque;
  std::list<int> list;
  std::forward_list<int> forward;
  std::vector<bool> flags;
  STATIC_REQUIRE(std::ranges::random_access_range<decltype(of(vector))>);
  STATIC_REQUIRE(std::ranges::sized_range<decltype(of(vector))>);
  STATIC_REQUIRE(std::ranges::common_range<decltype(of(vector))>);
  STATIC_REQUIRE_FALSE(std::ranges::contiguous_range<decltype(of(vector))>);
  STATIC_REQUIRE(std::ranges::random_access_range<decltype(of(deque))>);
  STATIC_REQUIRE(std::ranges::random_access_range<decltype(of(flags))>);
  STATIC_REQUIRE(std::ranges::bidirectional_range<decltype(of(list))>);
  STATIC_REQUIRE_FALSE(std::ranges::random_access_range<decltype(of(list))>);
  STATIC_REQUIRE(std::ranges::sized_range<decltype(of(list))>);
  STATIC_REQUIRE(std::ranges::forward_range<decltype(of(forward))>);
  STATIC_REQUIRE_FALSE(std::ranges::bidirectional_range<decltype(of(forward))>);
  STATIC_REQUIRE_FALSE(std::ranges::sized_range<decltype(of(forward))>);
}

TEST_CASE("the iterators of a random access view can be counted with") {
  const std::vector<int> values{1, 2, 3, 4, 5};
  auto tasks = values | delayed(square);
  auto first = tasks.begin();
  const auto last = tasks.end();
  CHECK(last - first == 5);
  CHECK(first - last == -5);
  CHECK(first[3]() == 16);
  CHECK((*(first + 2))() == 9);
  CHECK((*(2 + first))() == 9);
  CHECK((*(last - 1))() == 25);
  CHECK(first < last);
  CHECK(last > first);
  CHECK(first <= first);
  CHECK(first >= first);
  CHECK_FALSE(first < first);
  CHECK(first != last);
  auto at = first;
  CHECK(at++ == first);
  CHECK((*at)() == 4);
  CHECK(at-- == first + 1);
  CHECK(at == first);
  CHECK((*++at)() == 4);
  CHECK((*--at)() == 1);
  at += 4;
  CHECK((*at)() == 25);
  at -= 3;
  CHECK((*at)() == 4);
  CHECK(tasks.size() == 5);
  CHECK(std::ranges::distance(tasks) == 5);
}

TEST_CASE("a range whose end is of another type ends where it says") {
  struct until_zero {
    const int* begin() const { return first; }
    struct zero {
      bool operator==(const int* at) const { return *at == 0; }
    };
    zero end() const { return {}; }
    const int* first;
  };
  const int values[] = {3, 2, 1, 0, 5};
  const until_zero range{values};
  CHECK(run_all(range | delayed(square)) == std::vector{9, 4, 1});
}

TEST_CASE("a const view gives the same tasks") {
  const auto kept = numbers() | delayed(square);
  CHECK(run_all(kept) == std::vector{1, 4, 9});
  CHECK(kept.size() == 3);
  std::vector<int> values = numbers();
  const auto referring = values | delayed([](int& i) { i = 0; });
  for (auto task : referring) task();
  CHECK(values == std::vector{0, 0, 0});
}

TEST_CASE("a delayed function may be kept and put behind many ranges") {
  const auto later = delayed(square);
  CHECK(run_all(numbers() | later) == std::vector{1, 4, 9});
  CHECK(run_all(std::list<int>{5} | later) == std::vector{25});
}

TEST_CASE("what is made by delayed is a view, whatever the function captures") {
  const std::vector<int> values = numbers();
  int factor = 2;
  auto captures = [factor](int i) { return factor * i; };
  STATIC_REQUIRE(std::ranges::view<decltype(values | delayed(square))>);
  STATIC_REQUIRE(std::ranges::view<decltype(values | delayed(captures))>);
  STATIC_REQUIRE(std::ranges::view<decltype(numbers() | delayed(captures))>);
  auto only_moved = [factor, more = std::make_unique<int>(1)](int i) { return factor * i + *more; };
  STATIC_REQUIRE(std::ranges::view<decltype(values | delayed(std::move(only_moved)))>);
}

TEST_CASE("a view whose function is assigned gives the tasks of the new one") {
  std::vector<std::string> words{"x"};
  const auto joined = [&](const std::string& with) { return words | delayed([with](const std::string& word) { return word + with; }); };
  auto tasks = joined("first and longer than any buffer inside");
  tasks = joined("second");
  CHECK(run_all(tasks) == std::vector<std::string>{"xsecond"});
  auto copy = tasks;
  copy = joined("third");
  tasks = copy;
  CHECK(run_all(tasks) == std::vector<std::string>{"xthird"});
}

#if HAS_ADAPTORS

TEST_CASE("the view of an iota is random access, and as sized as the iota") {
  using bounded = decltype(std::views::iota(0, 1) | delayed(square));
  using endless = decltype(std::views::iota(0) | delayed(square));
  STATIC_REQUIRE(std::ranges::random_access_range<bounded>);
  STATIC_REQUIRE(std::ranges::sized_range<bounded>);
  STATIC_REQUIRE(std::ranges::random_access_range<endless>);
  STATIC_REQUIRE_FALSE(std::ranges::sized_range<endless>);
  CHECK(run_all(std::views::iota(0, 4) | delayed(square)) == std::vector{0, 1, 4, 9});
  CHECK(run_all(std::views::iota(3, 3) | delayed(square)).empty());
  CHECK(run_all(std::views::iota(-2, 1L) | delayed([](auto i) { return static_cast<int>(i); })) == std::vector{-2, -1, 0});
}

TEST_CASE("a view of a view needs nothing that has ended") {
  const auto tasks = [] {
    auto some = std::views::iota(0, 3);
    return some | delayed(square);
  }();
  CHECK(run_all(tasks) == std::vector{0, 1, 4});
}

TEST_CASE("a view over a range without end can be read as far as one likes") {
  auto tasks = std::views::iota(1) | delayed(square);
  auto at = tasks.begin();
  at += 999;
  CHECK((*at)() == 1'000'000);
  CHECK(at != tasks.end());
  CHECK(tasks.begin()[2]() == 9);
}

TEST_CASE("a range that can be read only once gives its elements as they come") {
  std::istringstream text("1 2 3");
  auto tasks = std::ranges::istream_view<int>(text) | delayed(square);
  STATIC_REQUIRE(std::ranges::input_range<decltype(tasks)>);
  STATIC_REQUIRE_FALSE(std::ranges::forward_range<decltype(tasks)>);
  std::vector<std::ranges::range_value_t<decltype(tasks)>> kept;
  for (auto&& task : tasks) kept.push_back(std::forward<decltype(task)>(task));
  std::vector<int> results;
  for (auto& task : kept) results.push_back(task());
  CHECK(results == std::vector{1, 4, 9});
}

TEST_CASE("a stream's words are kept by their tasks when the stream has moved on") {
  std::istringstream text("one three");
  auto words = std::ranges::istream_view<std::string>(text);
  auto tasks = words | delayed([](const std::string& word) { return word; });
  auto at = tasks.begin();
  auto first = *at;
  ++at;
  auto second = *at;
  ++at;
  CHECK(at == tasks.end());
  CHECK(first() == "one");
  CHECK(second() == "three");
}

TEST_CASE("tasks can be made of what the standard views give") {
  const std::vector<int> values{1, 2, 3, 4};
  const auto even = [](int i) { return i % 2 == 0; };
  CHECK(run_all(values | std::views::filter(even) | delayed(square)) == std::vector{4, 16});
  CHECK(run_all(values | std::views::transform(square) | delayed(square)) == std::vector{1, 16, 81, 256});
  CHECK(run_all(values | std::views::reverse | std::views::drop(1) | delayed(square)) == std::vector{9, 4, 1});
  CHECK(run_all(std::views::iota(0) | std::views::take_while([](int i) { return i < 3; }) | delayed(square)) == std::vector{0, 1, 4});
  CHECK(run_all(std::views::iota(0) | std::views::take(3) | delayed(square)) == std::vector{0, 1, 4});
  CHECK(run_all(std::views::single(5) | delayed(square)) == std::vector{25});
  CHECK(run_all(std::views::empty<int> | delayed(square)).empty());
  auto words = std::string_view("a bc") | std::views::split(' ') | delayed([](auto word) { return std::ranges::distance(word); });
  CHECK(run_all(words) == std::vector<std::ptrdiff_t>{1, 2});
}

TEST_CASE("a range of tasks can go on through the standard views") {
  const std::vector<int> values{1, 2, 3, 4};
  int factor = 2;
  const auto times = [factor](int i) { return factor * i; };
  CHECK(run_all(values | delayed(times) | std::views::take(2)) == std::vector{2, 4});
  CHECK(run_all(values | delayed(times) | std::views::drop(2)) == std::vector{6, 8});
  CHECK(run_all(values | delayed(times) | std::views::reverse) == std::vector{8, 6, 4, 2});
  CHECK(run_all(std::views::iota(1) | delayed(times) | std::views::take(2)) == std::vector{2, 4});
  auto tasks = values | delayed(times);
  CHECK(run_all(tasks | std::views::take(1)) == std::vector{2});
}

TEST_CASE("a kept range whose elements are changed can go on through the standard views") {
  auto tasks = numbers() | delayed([](int& i) { return i *= 10; }) | std::views::take(2);
  std::vector<int> results;
  for (auto task : tasks) results.push_back(task());
  CHECK(results == std::vector{10, 20});
}

TEST_CASE("elements that are made and can only be moved reach their tasks") {
  auto made = std::views::iota(0, 3) | std::views::transform([](int i) { return std::make_unique<int>(i); });
  std::vector<int> results;
  for (auto task : made | delayed([](std::unique_ptr<int> p) { return *p; })) results.push_back(task());
  CHECK(results == std::vector{0, 1, 2});
}

TEST_CASE("an lvalue view that cannot be copied is referred to") {
  std::istringstream text("4 5");
  auto words = std::ranges::istream_view<int>(text) | std::views::transform(square);
  std::vector<int> results;
  for (auto task : words | delayed(square)) results.push_back(task());
  CHECK(results == std::vector{256, 625});
}

#endif
