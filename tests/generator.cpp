#include <manyhands/generator.hpp>

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/parallel.hpp>
#include <support/catch.hpp>

using manyhands::delayed;
using manyhands::generator;
using manyhands::indexed;
using manyhands::Parallel;

TEST_CASE("what a generator is, and what it gives") {
  static_assert(std::ranges::input_range<generator<int>>);
  static_assert(!std::ranges::forward_range<generator<int>>);
  static_assert(std::movable<generator<int>> && !std::copyable<generator<int>>);
  static_assert(std::same_as<std::ranges::range_value_t<generator<std::string>>, std::string>);
  static_assert(std::same_as<std::ranges::range_reference_t<generator<std::string>>, std::string&&>);

  const Parallel par(2);
  const auto tasks = std::views::iota(0, 3) | delayed([](int i) { return std::to_string(i); });
  static_assert(std::same_as<decltype(par.generator(tasks)), generator<std::string>>);
  static_assert(std::same_as<decltype(par.generator_unordered(tasks)), generator<indexed<std::string>>>);
  const auto nothing = std::views::iota(0, 3) | delayed([](int) {});
  static_assert(std::same_as<decltype(par.generator(nothing)), generator<std::size_t>>);
  static_assert(std::same_as<decltype(par.generator_unordered(nothing)), generator<indexed<void>>>);
  std::vector<int> values(3);
  const auto references = values | delayed([](int& v) -> int& { return v; });
  static_assert(std::same_as<decltype(par.generator(references)), generator<std::reference_wrapper<int>>>);
}

TEST_CASE("results are looked at where they are, or moved out") {
  const Parallel par({.n_jobs = 2, .backend = "threads"});
  auto results = par.generator(std::views::iota(0, 4) | delayed([](int i) { return std::make_unique<int>(i); }));
  auto at = results.begin();
  REQUIRE(**at == 0);
  REQUIRE(**at == 0);
  const std::unique_ptr<int> out = *at;
  REQUIRE(*out == 0);
  REQUIRE(*at == nullptr);
  ++at;
  REQUIRE(**at == 1);
  // Asked for again, it stands where it stands.
  REQUIRE(**results.begin() == 1);
  at++;
  at++;
  REQUIRE(**at == 3);
  ++at;
  REQUIRE(at == results.end());
}

TEST_CASE("each result is ended once, those that nobody looked at, too") {
  const auto token = std::make_shared<int>(0);
  const Parallel par({.n_jobs = 2, .backend = "threads"});
  for (const int taken : {0, 1, 700, 5000}) {
    int count = 0;
    auto results = par.generator(std::views::iota(0, 5000) | delayed([&](int) { return token; }));
    for (auto at = results.begin(); at != results.end() && count != taken; ++at) ++count;
  }
  for (const int taken : {1, 700}) {
    int count = 0;
    for (const auto& one : par.generator_unordered(std::views::iota(0, 5000) | delayed([&](int) { return token; }))) {
      static_cast<void>(one);
      if (++count == taken) break;
    }
  }
  REQUIRE(token.use_count() == 1);
}

TEST_CASE("results go through algorithms") {
  const Parallel par({.n_jobs = 2, .backend = "threads"});
  std::vector<std::string> all;
  std::ranges::copy(par.generator(std::views::iota(0, 3) | delayed([](int i) { return std::to_string(i); })), std::back_inserter(all));
  REQUIRE(all == std::vector<std::string>{"0", "1", "2"});
}
