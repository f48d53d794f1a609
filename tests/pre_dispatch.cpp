#include <manyhands/pre_dispatch.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <support/catch.hpp>

namespace {

using manyhands::pre_dispatch;

constexpr int most_workers = std::numeric_limits<int>::max();
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

std::size_t batches(const std::string& expression, int n_jobs = 4) { return pre_dispatch(expression).batches(n_jobs); }

/// What is said of an expression, when it is given or when it is used.
std::string refusal(const std::string& expression, int n_jobs = 4) {
  try {
    return "not refused: " + std::to_string(batches(expression, n_jobs));
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
}

template <class Count>
std::string refusal_of_count(Count count) {
  try {
    static_cast<void>(pre_dispatch(count));
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "not refused";
}

bool is_refused_at_once(const std::string& expression) {
  try {
    static_cast<void>(pre_dispatch(expression));
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a count of batches is taken as it is, whatever the number of workers") {
  CHECK(pre_dispatch(1).batches(1) == 1);
  CHECK(pre_dispatch(1).batches(most_workers) == 1);
  CHECK(pre_dispatch(7).batches(4) == 7);
  CHECK(pre_dispatch(std::size_t{7}).batches(4) == 7);
  CHECK(pre_dispatch(std::int8_t{7}).batches(4) == 7);
  CHECK(pre_dispatch(std::numeric_limits<int>::max()).batches(1) == 2147483647U);
}

TEST_CASE("a count as large as can be is as good as no limit") {
  CHECK(pre_dispatch(no_limit).batches(1) >= 1'000'000'000'000U);
  CHECK(pre_dispatch(std::numeric_limits<std::int64_t>::max()).batches(1) >= 1'000'000'000'000U);
}

TEST_CASE("a count below 1 is refused at once, with the value and the cure") {
  for (const int count : {0, -1, std::numeric_limits<int>::min()}) {
    const std::string text = refusal_of_count(count);
    CHECK(mentions(text, "pre_dispatch"));
    CHECK(mentions(text, std::to_string(count)));
    CHECK(mentions(text, "at least 1"));
    CHECK(mentions(text, "2*n_jobs"));
    CHECK(mentions(text, "\"all\""));
  }
  CHECK(mentions(refusal_of_count(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808"));
  CHECK(mentions(refusal_of_count(std::size_t{0}), "\"0\""));
}

TEST_CASE("an expression counts in n_jobs") {
  CHECK(batches("n_jobs", 1) == 1);
  CHECK(batches("n_jobs", 5) == 5);
  CHECK(batches("2*n_jobs", 4) == 8);
  CHECK(batches("n_jobs*2", 4) == 8);
  CHECK(batches("3", 4) == 3);
  CHECK(batches("2*n_jobs", most_workers) == 4294967294U);
}

TEST_CASE("products bind tighter than sums, and both go from left to right") {
  CHECK(batches("1+2*3") == 7);
  CHECK(batches("2*3+1") == 7);
  CHECK(batches("10-2-3") == 5);
  CHECK(batches("10-2+3") == 11);
  CHECK(batches("16/4/2") == 2);
  CHECK(batches("16/4*2") == 8);
  CHECK(batches("n_jobs+n_jobs*n_jobs-1", 3) == 11);
}

TEST_CASE("whole division, remainder and power are those of joblib's Python") {
  CHECK(batches("7//2") == 3);
  CHECK(batches("10-7//2*2") == 4);
  CHECK(batches("5+-7//2") == 1);  // rounds down, not to zero
  CHECK(batches("7%4") == 3);
  CHECK(batches("-7%4") == 1);
  CHECK(batches("2**3") == 8);
  CHECK(batches("2**3**2") == 512);
  CHECK(batches("20+-2**2") == 16);
  CHECK(batches("4*2**-1") == 2);
  CHECK(batches("n_jobs//2", 5) == 2);
  CHECK(mentions(refusal("1//0"), "divides by zero"));
  CHECK(mentions(refusal("1%0"), "divides by zero"));
}

TEST_CASE("parentheses come first") {
  CHECK(batches("(1+2)*3") == 9);
  CHECK(batches("2*(n_jobs+1)", 4) == 10);
  CHECK(batches("16/(4/2)") == 8);
  CHECK(batches("((n_jobs))", 4) == 4);
  CHECK(batches("(10-(2-3))") == 11);
}

TEST_CASE("a minus before a number, a name or parentheses turns its sign") {
  CHECK(batches("-1+2") == 1);
  CHECK(batches("2--1") == 3);
  CHECK(batches("2*-3+10") == 4);
  CHECK(batches("-(1-n_jobs)", 4) == 3);
  CHECK(batches("--n_jobs", 4) == 4);
}

TEST_CASE("decimals count, and what is left of a batch is cut off") {
  CHECK(batches("1.5*n_jobs", 4) == 6);
  CHECK(batches("1.5*n_jobs", 3) == 4);
  CHECK(batches("0.5*n_jobs", 4) == 2);
  CHECK(batches(".5*n_jobs", 4) == 2);
  CHECK(batches("2.*n_jobs", 4) == 8);
  CHECK(batches("n_jobs/2", 5) == 2);
  CHECK(batches("1.999") == 1);
}

TEST_CASE("blanks may stand between everything, before and after") {
  CHECK(batches(" 2 * n_jobs ") == 8);
  CHECK(batches("  ( 1 + 2 )  *  3  ") == 9);
  CHECK(batches(" - 1 + 2 ") == 1);
}

TEST_CASE("all is no limit") {
  CHECK(batches("all", 1) == no_limit);
  CHECK(batches("all", most_workers) == no_limit);
}

TEST_CASE("text that is no expression is refused at once, with the text, what is wrong and the cure") {
  for (const char* expression : {"",          " ",
                                 "x",         "n",
                                 "n_job",     "n_jobss",
                                 "njobs",     "n_jobs n_jobs",
                                 "2 n_jobs",  "2n_jobs",
                                 "n_jobs2",   "1 2",
                                 "1.2.3",     ".",
                                 "..5",       "+",
                                 "-",         "*",
                                 "*2",        "2*",
                                 "2+",        "2***3",
                                 "2///3",     "+2",
                                 "(",         ")",
                                 "()",        "(2",
                                 "2)",        "((2)",
                                 "(2))",      "2(3)",
                                 "(2)(3)",    "1,5",
                                 "1e3",       "0x10",
                                 "all*2",     "2*all",
                                 "ALL",       "All",
                                 "auto",      "N_JOBS",
                                 "2*n_jobs;", "\t2",
                                 "2\n",       "n_jobs\xc3\xa4",
                                 "inf",       "nan",
                                 "%",         "2%"}) {
    INFO(expression);
    CHECK(is_refused_at_once(expression));
    const std::string text = refusal(expression);
    CHECK(mentions(text, "pre_dispatch is \"" + std::string(expression) + "\""));
    CHECK(mentions(text, "such as \"2*n_jobs\", or \"all\""));
  }
  CHECK(mentions(refusal("2*x"), "'x'"));
  CHECK(mentions(refusal("(2"), "')' is missing"));
  CHECK(mentions(refusal("2*"), "a number is missing"));
  CHECK(mentions(refusal("2 3"), "'3' is not understood"));
}

TEST_CASE("an embedded zero does not hide what follows it") {
  CHECK(is_refused_at_once(std::string("2\0x", 3)));
  CHECK(is_refused_at_once(std::string("all\0", 4)));
}

TEST_CASE("an expression that comes to less than 1 is refused, with the number of workers") {
  for (const char* expression : {"0", "0.5", "0.999", "n_jobs-4", "n_jobs-5", "-1", "-n_jobs", "n_jobs/5", "0*n_jobs"}) {
    INFO(expression);
    const std::string text = refusal(expression, 4);
    CHECK(mentions(text, "pre_dispatch is \"" + std::string(expression) + "\""));
    CHECK(mentions(text, "at least 1"));
    // What no number of workers can cure is refused at once.
    const bool depends = mentions(expression, "n_jobs");
    CHECK(mentions(text, "n_jobs is 4") == depends);
    CHECK(is_refused_at_once(expression) != depends);
  }
}

TEST_CASE("an expression may need more workers than one: that is judged when the workers are known") {
  CHECK(batches("n_jobs-1", 2) == 1);
  CHECK(batches("8/(n_jobs-1)", 5) == 2);
  CHECK(mentions(refusal("n_jobs-1", 1), "n_jobs is 1"));
}

TEST_CASE("a division by zero is refused") {
  for (const char* expression : {"1/0", "n_jobs/0", "-1/0", "0/0", "1/(n_jobs-4)", "2/(0.0)", "n_jobs/0*0", "1/0-1/0"}) {
    INFO(expression);
    const std::string text = refusal(expression, 4);
    CHECK(mentions(text, "pre_dispatch is \"" + std::string(expression) + "\": it divides by zero"));
    CHECK(mentions(text, ", and n_jobs is 4") == mentions(expression, "n_jobs"));
  }
}

TEST_CASE("an enormous number is as good as no limit, and no undefined behaviour") {
  CHECK(batches("99999999999999999999999999") >= 1'000'000'000'000U);
  CHECK(batches("1000000000*1000000000*1000000000") >= 1'000'000'000'000U);
  CHECK(batches("1000000000*n_jobs*n_jobs", most_workers) >= 1'000'000'000'000U);
  CHECK(batches("1" + std::string(400, '0') + "-" + "0") >= 1);
}

TEST_CASE("a fraction may be as long as it likes") {
  CHECK(batches("1." + std::string(1000, '0') + "1") == 1);
  CHECK(batches("2." + std::string(1000, '9')) >= 2);
}

TEST_CASE("deep nesting is refused before it can hurt the stack") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '(') + "n_jobs" + std::string(depth, ')'); };
  CHECK(batches(nested(20)) == 4);
  CHECK(mentions(refusal(nested(1000)), "nested too deeply"));
  CHECK(mentions(refusal(nested(1'000'000)), "nested too deeply"));
  CHECK(mentions(refusal(std::string(1'000'000, '-') + "1"), "nested too deeply"));
  CHECK(mentions(refusal(std::string(1'000'000, '(')), "nested too deeply"));
}

TEST_CASE("a long flat expression is not nested") {
  std::string sum = "1";
  for (int i = 1; i < 1000; ++i) sum += i % 2 != 0 ? "+(1)" : "*1";
  CHECK(batches(sum) == 501);
}

TEST_CASE("text of every kind will do, truth values and fractions will not") {
  const char* const pointer = "2*n_jobs";
  CHECK(pre_dispatch(pointer).batches(2) == 4);
  CHECK(std::optional<pre_dispatch>("all")->batches(2) == no_limit);
  STATIC_REQUIRE(std::is_convertible_v<int, pre_dispatch>);
  STATIC_REQUIRE(std::is_convertible_v<std::string, pre_dispatch>);
  STATIC_REQUIRE(std::is_convertible_v<const char*, pre_dispatch>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<bool, pre_dispatch>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<pre_dispatch, bool>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<double, pre_dispatch>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<pre_dispatch>);
}
