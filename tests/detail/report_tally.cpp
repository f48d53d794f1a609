#include <manyhands/detail/report_tally.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>

#include <support/catch.hpp>

namespace {

using namespace std::chrono_literals;
using namespace manyhands::detail;
using manyhands::observed_call;
using manyhands::observed_task;

const observed_call::clock::time_point start(1000h);

observed_task task(std::size_t index, int worker, std::chrono::nanoseconds begin, std::chrono::nanoseconds end) {
  return {.index = index, .worker = worker, .begin = start + begin, .end = start + end};
}
double sum_of_cells(const report_data::worker& who) {
  return std::accumulate(who.cells.begin(), who.cells.end(), 0.0, [](double sum, const auto& cell) { return sum + cell.working; });
}

TEST_CASE("steps of durations are in order, without gaps, and within a sixteenth") {
  for (std::size_t step = 1; step < duration_counts::steps; ++step) {
    REQUIRE(duration_counts::step_of(duration_counts::least(step)) == step);
    REQUIRE(duration_counts::step_of(duration_counts::least(step) - 1ns) == step - 1);
  }
  CHECK(duration_counts::step_of(-5ns) == 0);
  CHECK(duration_counts::step_of(std::chrono::nanoseconds::max()) < duration_counts::steps);
}

TEST_CASE("a worker's time is where it worked, however long the call becomes") {
  report_tally tally({.workers = 2, .begin = start});
  std::size_t index = 0;
  for (std::chrono::nanoseconds at = 0s; at < 20s; at += 10ms) tally.add(task(index++, 0, at, at + 5ms), fate::finished);
  tally.add(task(index++, 1, 4s, 12s), fate::failed);
  tally.end(start + 20s, nullptr);
  const report_data& data = tally.data();

  CHECK(data.each[0].working == 10s);
  CHECK(sum_of_cells(data.each[0]) == Approx(10e9));
  CHECK(sum_of_cells(data.each[1]) == Approx(8e9));
  CHECK(data.cell_width * static_cast<long>(data.cells) >= 20s);
  CHECK(data.cell_width * static_cast<long>(data.cells) / 2 <= 20s);
  const auto cell = [&](std::chrono::nanoseconds at) { return static_cast<std::size_t>(at / data.cell_width); };
  CHECK(data.each[1].cells[cell(3900ms)].working == 0);
  CHECK(data.each[1].cells[cell(8s)].working == Approx(data.cell_width.count()));
  CHECK(data.each[1].cells[cell(12s)].has_failed);
  CHECK(data.each[1].cells[cell(12100ms)].working == 0);
  CHECK(data.each[0].first_begin == 0s);
  CHECK(data.each[0].last_end == 19'995ms);
}

TEST_CASE("of a million tasks the slowest are kept, the first failures, and nothing else of each") {
  report_tally tally({.workers = 4, .begin = start});
  constexpr std::size_t tasks = 1'000'000;
  for (std::size_t i = 0; i < tasks; ++i) {
    const auto begin = 10us * (i / 4);
    observed_task one = task(i, static_cast<int>(i % 4), begin, begin + std::chrono::nanoseconds(1 + (i * 7919) % tasks % 9000));
    if (i % 1000 == 3) one.end = one.begin + 9000ns + std::chrono::nanoseconds(i / 1000);
    if (i % 5000 == 0) one.error = std::make_exception_ptr(std::runtime_error("no " + std::to_string(i)));
    tally.add(one, one.error != nullptr ? fate::failed : fate::finished);
  }
  tally.end(start + 3s, nullptr);
  const report_data& data = tally.data();
  CHECK(data.all.finished + data.all.failed == tasks);
  CHECK(data.all.failed == 200);
  REQUIRE(data.failures.size() == report_data::most_failures);
  CHECK(data.failures[0].error == "std::runtime_error: no 0");
  CHECK(data.failures[99].index == 99 * 5000);
  CHECK_FALSE(data.has_all_attempts);
  CHECK(data.attempts.capacity() == 0);
  REQUIRE(data.slowest.size() == report_data::most_slowest);
  for (std::size_t i = 0; i < data.slowest.size(); ++i) CHECK(data.slowest[i].index == (999 - i) * 1000 + 3);
}

TEST_CASE("of few tasks each is known") {
  report_tally tally({.workers = 4, .tasks = 3, .begin = start});
  for (std::size_t i = 0; i < 3; ++i) tally.add(task(i, static_cast<int>(i), 0s, 1ms * (i + 1)), fate::finished);
  tally.end(start + 3ms, nullptr);
  CHECK(tally.data().has_all_attempts);
  CHECK(tally.data().attempts.size() == 3);
  CHECK(tally.data().shortest == 1ms);
  CHECK(tally.data().all.longest == 3ms);
  CHECK(tally.data().peak_memory > 100'000);
}

TEST_CASE("what took no time is counted and not timed, and a worker that nobody knows has no row") {
  report_tally tally({.workers = 1, .restored = 1, .begin = start});
  tally.add(task(0, 0, 1ms, 1ms), fate::finished);
  tally.add(task(1, -1, 1ms, 1ms), fate::failed);
  tally.add(task(2, 100'000, 1ms, 2ms), fate::finished);
  tally.lost(-1, start + 1ms);
  tally.replaced(100'000, start + 1ms);
  tally.lost(0, start + 2ms);
  tally.end(start + 3ms, std::make_exception_ptr(std::runtime_error("bad")));
  const report_data& data = tally.data();
  CHECK(data.timed == 1);
  CHECK(data.all.attempts() == 3);
  CHECK(data.each.size() == 1);
  CHECK(data.all.lost == 2);
  CHECK(data.each[0].lost == 1);
  CHECK(data.all.replaced == 1);
  CHECK(data.error == "std::runtime_error: bad");
}

TEST_CASE("texts without end are cut") {
  const std::string endless(100'000, 'x');
  report_tally tally({.description = endless, .begin = start});
  observed_task one = task(0, 0, 0s, 1s);
  one.error = std::make_exception_ptr(std::runtime_error(endless));
  tally.add(one, fate::failed);
  tally.end(start + 1s, one.error);
  CHECK(tally.data().description.size() < 400);
  CHECK(tally.data().failures[0].error.size() < 1100);
  CHECK(tally.data().error.size() < 1100);
}

}  // namespace
