#include <manyhands/observers/verbose.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::observed_call;
using manyhands::observed_task;
using manyhands::verbose_observer;
using manyhands::detail::short_time;
using manyhands::detail::verbose_schedule;

using places = std::vector<std::size_t>;

places early(int verbose, std::size_t last) {
  const verbose_schedule schedule(verbose, 4);
  places printed;
  for (std::size_t index = 0; index <= last; ++index)
    if (schedule.prints_early(index)) printed.push_back(index);
  return printed;
}

places late(std::size_t tasks, int verbose, std::optional<std::size_t> ahead) {
  const verbose_schedule schedule(verbose, ahead);
  places printed;
  for (std::size_t done = 0; done <= tasks; ++done)
    if (schedule.prints_late(done, tasks)) printed.push_back(done);
  return printed;
}

/// What a call of so many tasks prints, each of which takes half a second.
std::vector<std::string> lines(int verbose, observed_call call, std::size_t tasks, bool fails = false) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    using namespace std::chrono_literals;
    verbose_observer watch(verbose, file);
    watch.call_begun(call);
    if (call.tasks) watch.input_ended(call, *call.tasks);
    for (std::size_t index = 0; index < tasks; ++index) {
      if (!call.tasks && index + 2 == tasks) watch.input_ended(call, tasks);
      const auto end = call.begin + 500ms * static_cast<long>(index + 1);
      watch.task_finished(call, observed_task{.index = index, .begin = call.begin, .end = end});
    }
    watch.call_ended(call, fails ? std::make_exception_ptr(1) : nullptr);
  }
  std::rewind(file);
  std::vector<std::string> printed(1);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    if (c == '\n') {
      printed.emplace_back();
    } else {
      printed.back() += static_cast<char>(c);
    }
  }
  std::fclose(file);
  CHECK(printed.back().empty());
  printed.pop_back();
  return printed;
}

TEST_CASE("times are spelt as in joblib") {
  CHECK(short_time(0) == "   0.0s");
  CHECK(short_time(60) == "  60.0s");
  CHECK(short_time(60.01) == " 1.0min");
  CHECK(short_time(86400) == "1440.0min");
}

TEST_CASE("while there is more to hand out, lines come ever more seldom") {
  CHECK(early(2, 200) == places{0, 40, 161});
  CHECK(early(5, 200) == places{0, 17, 71, 161});
  CHECK(early(8, 200) == places{0, 4, 17, 40, 71, 112, 161});
  CHECK(early(11, 5) == places{0, 1, 2, 3, 4, 5});
}

TEST_CASE("when all is handed out, lines come as often as the verbosity says") {
  CHECK(late(10, 5, 4) == places{0, 1, 4, 7});
  CHECK(late(20, 10, 4) == places{0, 2, 5, 8, 11, 14, 17});
  CHECK(late(100, 5, 0) == places{0, 17, 38, 59, 80});
  CHECK(late(100, 5, std::nullopt) == places{0, 17, 38, 59, 80});
}

TEST_CASE("one worker prints no first line, and the lines of a loop") {
  const auto begin = observed_call::clock::now();
  const auto printed = lines(10, {.n_jobs = 1, .workers = 1, .tasks = 12, .begin = begin}, 12);
  REQUIRE(printed.size() == 5);
  CHECK(printed[0] == "[Parallel(n_jobs=1)]: Done  1 out of 12 | elapsed:    0.5s");
  CHECK(printed[1] == "[Parallel(n_jobs=1)]: Done  4 out of 12 | elapsed:    2.0s");
  CHECK(printed[2] == "[Parallel(n_jobs=1)]: Done  7 out of 12 | elapsed:    3.5s");
  CHECK(printed[3] == "[Parallel(n_jobs=1)]: Done 12 out of 12 | elapsed:    6.0s");
  CHECK(printed[4] == "[Parallel(n_jobs=1)]: Done 12 out of 12 | elapsed:    0.0s finished");
}

TEST_CASE("several workers: first line, early lines, late lines with the time that remains, last line") {
  const auto begin = observed_call::clock::now();
  const auto printed =
      lines(30, {.backend_class = "threads_backend", .n_jobs = -1, .workers = 2, .tasks = 20, .pre_dispatch = 4, .begin = begin}, 20);
  REQUIRE(printed.size() > 3);
  CHECK(printed.front() == "[Parallel(n_jobs=-1)]: Using backend threads_backend with 2 concurrent workers.");
  CHECK(printed[1] == "[Parallel(n_jobs=-1)]: Done  1 out of 20 | elapsed:    0.5s");
  CHECK(printed.back() == "[Parallel(n_jobs=-1)]: Done 20 out of 20 | elapsed:    0.0s finished");
  // 18 is the first of which joblib knows that nothing is left to hand out.
  CHECK(std::count_if(printed.begin(), printed.end(), [](const std::string& line) { return line.find("remaining") != line.npos; }) == 1);
}

TEST_CASE("with everything handed out at once, all lines tell what remains") {
  const auto begin = observed_call::clock::now();
  const auto printed = lines(5, {.backend_class = "threads_backend", .n_jobs = 2, .workers = 2, .tasks = 100, .begin = begin}, 100);
  REQUIRE(printed.size() == 6);
  CHECK(printed[1] == "[Parallel(n_jobs=2)]: Done  17 out of 100 | elapsed:    8.5s remaining:   41.5s");
  CHECK(printed[4] == "[Parallel(n_jobs=2)]: Done  80 out of 100 | elapsed:   40.0s remaining:   10.0s");
}

TEST_CASE("without a number of tasks, lines only count") {
  const auto begin = observed_call::clock::now();
  const auto printed = lines(11, {.backend_class = "b", .n_jobs = 2, .workers = 2, .pre_dispatch = 4, .begin = begin}, 6);
  REQUIRE(printed.size() >= 3);
  CHECK(printed[1] == "[Parallel(n_jobs=2)]: Done   1 tasks      | elapsed:    0.5s");
  CHECK(printed.back() == "[Parallel(n_jobs=2)]: Done   6 out of   6 | elapsed:    0.0s finished");
}

TEST_CASE("no tasks: the first line and the last") {
  const auto printed = lines(1, {.backend_class = "b", .n_jobs = 2, .workers = 2, .tasks = 0, .begin = observed_call::clock::now()}, 0);
  REQUIRE(printed.size() == 2);
  CHECK(printed[1] == "[Parallel(n_jobs=2)]: Done   0 out of   0 | elapsed:    0.0s finished");
}

TEST_CASE("a call that fails has no last line") {
  const auto printed = lines(1, {.n_jobs = 1, .workers = 1, .tasks = 1, .begin = observed_call::clock::now()}, 0, true);
  CHECK(printed.empty());
}

}  // namespace
