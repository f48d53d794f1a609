#include <manyhands/detail/stream_slots.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using manyhands::delayed;
using manyhands::detail::stream_slots;

namespace {

/// Takes the next result, which must be there.
template <class Slots>
auto taken(Slots& slots) {
  const auto [first, last] = slots.next(1);
  REQUIRE(last == first + 1);
  auto value = std::move(*first);
  std::destroy_at(first);
  slots.consume(1);
  return value;
}

}  // namespace

TEST_CASE("results are there in input order, however they came") {
  auto tasks = std::views::iota(0, 5) | delayed([](int i) { return std::make_shared<int>(i); });
  stream_slots<decltype(tasks), true> slots(tasks);
  REQUIRE(slots.read(4));
  REQUIRE(slots.ready() == 4);
  slots.run(1);
  REQUIRE_FALSE(slots.has_next());
  slots.run(0);
  REQUIRE(*taken(slots) == 0);
  REQUIRE(*taken(slots) == 1);
  REQUIRE_FALSE(slots.has_next());
  REQUIRE_FALSE(slots.read(100));
  REQUIRE(slots.ready() == 5);
}

TEST_CASE("results are there in the order in which they came") {
  auto tasks = std::views::iota(0, 5) | delayed([](int i) { return i * 10; });
  stream_slots<decltype(tasks), false> slots(tasks);
  static_cast<void>(slots.read(5));
  for (const std::size_t index : {3U, 0U, 4U}) slots.run(index);
  for (const std::size_t index : {3U, 0U, 4U}) {
    const auto one = taken(slots);
    REQUIRE(one.index == index);
    REQUIRE(one.value == static_cast<int>(index) * 10);
  }
  REQUIRE_FALSE(slots.has_next());
}

TEST_CASE("a run of results is no longer than was asked for, and ends where one is missing") {
  auto tasks = std::views::iota(0) | delayed([](int i) { return i; });
  stream_slots<decltype(tasks), true> slots(tasks);
  static_cast<void>(slots.read(20));
  for (const std::size_t index : {0U, 1U, 2U, 3U, 5U}) slots.run(index);
  auto [first, last] = slots.next(3);
  REQUIRE(last - first == 3);
  slots.consume(3);
  std::tie(first, last) = slots.next(3);
  REQUIRE(last - first == 1);
}

TEST_CASE("a run that came at once may be taken in pieces, and what is left of it comes next") {
  const auto go = []<bool ordered>() {
    auto tasks = std::views::iota(std::size_t{0}) | delayed([](std::size_t i) { return i; });
    stream_slots<decltype(tasks), ordered> slots(tasks);
    static_cast<void>(slots.read(100));
    slots.run(64);
    std::size_t index = 0;
    slots.run_strip(index, 64);
    std::vector<std::size_t> order;
    while (slots.has_next()) {
      const auto [first, last] = slots.next(10);
      REQUIRE(last - first <= 10);
      for (auto* each = first; each != last; ++each) {
        if constexpr (ordered) {
          order.push_back(*each);
        } else {
          order.push_back(each->value);
        }
      }
      slots.consume(static_cast<std::size_t>(last - first));
    }
    std::vector<std::size_t> expected;
    if (!ordered) expected.push_back(64);
    for (std::size_t i = 0; i < 64; ++i) expected.push_back(i);
    if (ordered) expected.push_back(64);
    REQUIRE(order == expected);
  };
  go.operator()<true>();
  go.operator()<false>();
}

TEST_CASE("memory for an endless stream is what is there at a time, however results came") {
  const auto go = []<bool ordered>() {
    auto tasks = std::views::iota(std::size_t{0}) | delayed([](std::size_t i) { return i; });
    stream_slots<decltype(tasks), ordered> slots(tasks);
    for (std::size_t begin = 0; begin != 1'000'000; begin += 1000) {
      static_cast<void>(slots.read(1000));
      std::size_t index = begin;
      for (; index != begin + 100; ++index) slots.run(index);
      while (index != begin + 1000) slots.run_strip(index, index + 30);
      std::size_t taken = 0;
      while (slots.has_next()) {
        const auto [first, last] = slots.next(7000);
        if constexpr (ordered) REQUIRE(*first == begin + taken);
        taken += static_cast<std::size_t>(last - first);
        slots.consume(static_cast<std::size_t>(last - first));
      }
      REQUIRE(taken == 1000);
    }
    REQUIRE(slots.places() < 10'000);
  };
  go.operator()<true>();
  go.operator()<false>();
}

TEST_CASE("a strip of tasks leaves what it has done before one that throws") {
  auto tasks = std::views::iota(0, 5000) | delayed([](int i) {
                 if (i == 1500) throw std::runtime_error("no");
                 return i;
               });
  stream_slots<decltype(tasks), true> slots(tasks);
  static_cast<void>(slots.read(5000));
  std::size_t index = 0;
  REQUIRE_THROWS_AS(slots.run_strip(index, 2000), std::runtime_error);
  REQUIRE(index == 1500);
  for (int i = 0; i < 1500; ++i) REQUIRE(taken(slots) == i);
  REQUIRE_FALSE(slots.has_next());
}

TEST_CASE("a result that is withheld can be written down or taken away, and is there once it was announced") {
  const auto token = std::make_shared<int>(0);
  auto tasks = std::views::iota(0, 5) | std::views::filter([](int) { return true; }) | std::views::transform([&](int i) {
                 return delayed([](std::shared_ptr<int> t, int n) { return std::pair(t, n); })(token, i);
               });
  stream_slots<decltype(tasks), true> slots(tasks);
  static_cast<void>(slots.read(2));
  REQUIRE(slots.lasts(0));
  const long before = token.use_count();
  slots.withhold<true>(0);
  REQUIRE_FALSE(slots.has_next());
  REQUIRE(token.use_count() == before + 1);
  slots.discard(0);
  REQUIRE(token.use_count() == before);
  // Its task has lasted.
  slots.withhold<false>(0);
  REQUIRE(token.use_count() == before);
  slots.announce(0);
  REQUIRE(taken(slots).first == token);
}

TEST_CASE("a withheld result is written as it is read, in order and out of order") {
  const auto go = []<bool ordered>() {
    auto tasks = std::views::iota(0, 5) | delayed([](int i) { return std::to_string(i * 1000); });
    stream_slots<decltype(tasks), ordered> slots(tasks);
    REQUIRE(slots.size() == 5);
    static_cast<void>(slots.read(5));
    slots.template withhold<false>(0);
    manyhands::writer bytes;
    slots.save(0, bytes);
    slots.announce(0);
    static_cast<void>(taken(slots));
    slots.template withhold<false>(1);
    slots.save(1, bytes = {});
    manyhands::reader from(bytes.bytes());
    slots.load(2, from);
    slots.announce(1);
    slots.announce(2);
    static_cast<void>(taken(slots));
    if constexpr (ordered) {
      REQUIRE(taken(slots) == "1000");
    } else {
      REQUIRE(taken(slots).value == "1000");
    }
  };
  go.operator()<true>();
  go.operator()<false>();
}

TEST_CASE("results and tasks that nobody took end with the slots, each once") {
  const auto token = std::make_shared<int>(0);
  for (const bool ordered : {true, false}) {
    const auto go = [&]<class Range>(Range tasks) {
      const auto use = [&](auto& slots) {
        static_cast<void>(slots.read(3000));
        std::size_t index = 0;
        for (; index < 1000; ++index) slots.run(index);
        slots.run_strip(index, 2000);
        for (int i = 0; i < 1100; ++i) static_cast<void>(taken(slots));
      };
      if (ordered) {
        stream_slots<Range, true> slots(tasks);
        use(slots);
      } else {
        stream_slots<Range, false> slots(tasks);
        use(slots);
      }
    };
    std::vector<std::function<std::shared_ptr<int>()>> functions(3000, [token] { return token; });
    go(std::views::all(functions));
    // Tasks that are kept: one for each element that was read.
    go(std::views::iota(0) | std::views::filter([](int) { return true; }) |
       std::views::transform([&](int) { return delayed([](const std::shared_ptr<int>& t) { return t; })(token); }));
  }
  REQUIRE(token.use_count() == 1);
}
