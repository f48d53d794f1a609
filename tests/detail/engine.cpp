#include <manyhands/detail/engine.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

#ifndef MANYHANDS_SEPARATE_COMPILATION
#error "this is the test of what is compiled separately"
#endif

using manyhands::delayed;
using manyhands::Parallel;

TEST_CASE("calls work whose machinery another source has compiled") {
  for (const char* backend : {"sequential", "threads", "processes"}) {
    CAPTURE(backend);
    const std::vector<int> numbers{1, 2, 3, 4};
    const Parallel parallel({.n_jobs = 2, .backend = backend});
    REQUIRE(parallel(numbers | delayed([](int i) { return i * i; })) == std::vector<int>{1, 4, 9, 16});
    std::string text;
    for (const auto& each : parallel.outcomes(numbers | delayed([](int i) { return i == 3 ? throw std::runtime_error("three") : i; }))) {
      text += each.has_value() ? "." : "x";
    }
    REQUIRE(text == "..x.");
    int sum = 0;
    for (const int result : parallel.generator(numbers | delayed([](int i) { return 10 * i; }))) sum += result;
    REQUIRE(sum == 100);
  }
}
