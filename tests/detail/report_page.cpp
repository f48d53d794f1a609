#include <manyhands/detail/report_page.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>
#include <support/files.hpp>

namespace {

using namespace std::chrono_literals;
using namespace manyhands::detail;
using manyhands::observed_call;
using manyhands::observed_task;
using manyhands_test::count_of;

const observed_call::clock::time_point start(1000h);

/// A page without its style.
std::string body_of(const report_tally& tally) {
  std::string page = report_page(tally.data()).text();
  const std::size_t begin = page.find("<style>") + 7;
  return page.erase(begin, page.find("</style>") - begin);
}
bool has(const std::string& page, const std::string& text) { return page.find(text) != std::string::npos; }
/// Every element that is opened is closed, in the right order.
bool is_well_formed(const std::string& page) {
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const std::size_t end = page.find('>', at);
    if (end == std::string::npos) return false;
    const bool closes = page[at + 1] == '/';
    const std::size_t from = at + (closes ? 2 : 1);
    const std::string name = page.substr(from, page.find_first_of(" >/", from) - from);
    if (name == "!DOCTYPE" || name == "meta" || page[end - 1] == '/') continue;
    if (!closes) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return false;
    } else {
      open.pop_back();
    }
  }
  return open.empty();
}

TEST_CASE("an axis has a few ticks at round places") {
  for (double length = 1; length < 1e15; length *= 1.37) {
    const axis_ticks ticks(std::chrono::nanoseconds(static_cast<std::int64_t>(length)));
    CAPTURE(length);
    REQUIRE(ticks.count >= 3);
    REQUIRE(ticks.count <= 10);
  }
  CHECK(axis_ticks(62ms).label(2) == "20 ms");
  CHECK(axis_ticks(62ms).label(0) == "0");
  CHECK(axis_ticks(10min).label(1) == "2 min");
}

TEST_CASE("three tasks are three bars, with their workers and times") {
  report_tally tally({.description = "three", .backend = "threads", .n_jobs = -1, .workers = 8, .tasks = 3, .begin = start});
  for (std::size_t i = 0; i < 3; ++i)
    tally.add({.index = i, .worker = static_cast<int>(i), .begin = start, .end = start + 10ms * (i + 1)}, fate::finished);
  tally.end(start + 40ms, nullptr);
  const std::string page = body_of(tally);
  CHECK(is_well_formed(page));
  CHECK(has(page, "<h1>three</h1>"));
  CHECK(has(page, "threads"));
  CHECK(has(page, "8 workers (n_jobs = -1)"));
  CHECK(has(page, ">completed<"));
  CHECK(count_of(page, "<rect") == 3);
  CHECK(count_of(page, "<svg") == 3);  // no more workers than tasks
  CHECK(has(page, "task 2: 30.0 ms, from 0 s"));
  CHECK(has(page, "1.5 of 3 busy on average"));
  CHECK(has(page, "<strong>50 %</strong>"));
  CHECK_FALSE(has(page, "Failed tasks"));
  CHECK_FALSE(has(page, "How long tasks took"));
}

TEST_CASE("texts of the user are escaped wherever they stand") {
  const std::string evil = "</title><script>alert('x')</script>\"'&";
  report_tally tally({.description = evil, .backend = evil, .workers = 1, .tasks = 1, .begin = start});
  const auto error = std::make_exception_ptr(std::runtime_error(evil));
  tally.add({.index = 0, .begin = start, .end = start + 1ms, .error = error}, fate::retried);
  tally.add({.index = 0, .attempt = 1, .begin = start + 1ms, .end = start + 2ms, .error = error}, fate::failed);
  tally.end(start + 3ms, error);
  const std::string page = body_of(tally);
  CHECK(is_well_formed(page));
  CHECK_FALSE(has(page, "<script"));
  CHECK(count_of(page, "&lt;script&gt;alert(&#39;x&#39;)") == 6);  // title, heading, backend, call, and both attempts
  CHECK(has(page, "call failed"));
  CHECK(has(page, "Failed tasks"));
  CHECK(has(page, "Attempts run again"));
}

TEST_CASE("a page needs nothing but itself") {
  report_tally tally({.workers = 1, .begin = start});
  tally.end(start + 1ms, nullptr);
  const std::string page = report_page(tally.data()).text();
  CHECK(is_well_formed(page));
  for (const char* const outside : {"http:", "https:", "src=", "href=", "url(", "@import", "<link"}) {
    CAPTURE(outside);
    CHECK_FALSE(has(page, outside));
  }
  CHECK(has(page, "prefers-color-scheme:dark"));
}

TEST_CASE("lost workers, restored results and the rest of a stopped call are told") {
  report_tally tally({.workers = 2, .tasks = 10, .restored = 4, .broken_bytes = 7, .begin = start});
  tally.add({.index = 0, .worker = 1, .begin = start, .end = start + 1ms}, fate::finished);
  tally.lost(1, start + 2ms);
  tally.replaced(1, start + 2ms);
  tally.end(start + 4ms, nullptr);
  const std::string page = body_of(tally);
  CHECK(is_well_formed(page));
  CHECK(has(page, "worker lost at 2.00 ms"));
  CHECK(has(page, "1 replaced"));
  CHECK(has(page, "of 10, the rest did not run"));
  CHECK(has(page, "4 results came from the checkpoint"));
  CHECK(has(page, "7 bytes of the checkpoint"));
}

TEST_CASE("what worker processes do not tell of attempts is said, and no table of nothing is shown") {
  report_tally tally({.backend = "processes", .workers = 1, .begin = start});
  tally.add({.index = 0, .begin = start, .end = start}, fate::retried);
  tally.add({.index = 0, .attempt = 1, .begin = start, .end = start + 1ms}, fate::finished);
  tally.end(start + 2ms, nullptr);
  const std::string page = body_of(tally);
  CHECK_FALSE(has(page, "Attempts run again"));
  CHECK(has(page, "1 attempt failed and was run again: of what, worker processes do not tell."));
}

TEST_CASE("a million tasks on any number of workers make a page below 2 MB, the worst that there are") {
  for (const int workers : {1, 7, 32, 256, 5000}) {
    CAPTURE(workers);
    report_tally tally({.description = "many", .workers = workers, .begin = start});
    const std::string text(5000, '&');
    constexpr std::size_t tasks = 1'000'000;
    const auto error = std::make_exception_ptr(std::runtime_error(text));
    for (std::size_t i = 0; i < tasks; ++i) {
      const std::size_t turn = i / static_cast<std::size_t>(workers);
      const auto begin = start + 10us * turn;
      const bool is_bad = turn * 10 / 3 % 2 == 0;
      tally.add({.index = i,
                 .worker = static_cast<int>(i % static_cast<std::size_t>(workers)),
                 .begin = begin,
                 .end = begin + std::chrono::nanoseconds(100 + i * 7919 % 9800),
                 .error = is_bad ? error : nullptr},
                is_bad ? (turn % 3 == 0 ? fate::retried : fate::failed) : fate::finished);
    }
    tally.end(start + 10us * (tasks / static_cast<std::size_t>(workers) + 1), error);
    const std::string page = body_of(tally);
    CHECK(is_well_formed(page));
    CHECK(page.size() < 2'000'000);
    CHECK(count_of(page, "<rect") == 0);
    CHECK(has(page, "How long tasks took"));
    CHECK(has(page, "the first 100 of"));
  }
}

}  // namespace
