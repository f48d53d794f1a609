#include <manyhands/observers/progress.hpp>

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <support/catch.hpp>

namespace {

using namespace std::chrono_literals;
using manyhands::observed_call;
using manyhands::observed_task;
using manyhands::progress_observer;
using manyhands::detail::clock_time;
using manyhands::detail::progress_line;
using manyhands::detail::rate_text;

class variable {
 public:
  variable(const char* name, const char* value) : name_(name) {
    if (const char* const old = std::getenv(name)) old_ = old;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;
  ~variable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// Both ends of a pipe or of a terminal; what is written to `in` comes out of `text()`.
class channel {
 public:
  static channel pipe() {
    channel made;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    made.out_ = ends[0];
    made.in = ends[1];
    return made;
  }
  static channel terminal(unsigned short columns) {
    channel made;
    winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::openpty(&made.out_, &made.in, nullptr, nullptr, &size) == 0);
    return made;
  }
  channel(channel&& other) noexcept : in(other.in), out_(other.out_) { other.in = other.out_ = -1; }
  ~channel() {
    if (in >= 0) ::close(in);
    if (out_ >= 0) ::close(out_);
  }
  std::string text() const {
    ::fcntl(out_, F_SETFL, O_NONBLOCK);
    std::string all;
    char some[4096];
    for (ssize_t size = ::read(out_, some, sizeof some); size > 0; size = ::read(out_, some, sizeof some))
      all.append(some, static_cast<std::size_t>(size));
    return all;
  }
  int in = -1;

 private:
  channel() = default;
  int out_ = -1;
};

/// A call whose tasks take so long each.
void watch_call(progress_observer& watch, std::size_t tasks, std::chrono::milliseconds each, bool sized = true, std::size_t failures = 0) {
  observed_call call{.description = "resizing", .begin = observed_call::clock::now()};
  if (sized) call.tasks = tasks;
  watch.call_begun(call);
  for (std::size_t i = 0; i < tasks; ++i) {
    const observed_task task{
        .index = i, .begin = call.begin + each * static_cast<long>(i), .end = call.begin + each * static_cast<long>(i + 1)};
    i < failures ? watch.task_failed(call, task) : watch.task_finished(call, task);
  }
  if (!sized) watch.input_ended(call, tasks);
  watch.call_ended(call, nullptr);
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("times and rates are short") {
  CHECK(clock_time(0) == "00:00");
  CHECK(clock_time(67.9) == "01:07");
  CHECK(clock_time(3723) == "1:02:03");
  CHECK(clock_time(1e300) == "99999:59:59");
  CHECK(clock_time(-1) == "00:00");
  CHECK(rate_text(0, 5) == "?/s");
  CHECK(rate_text(1, 4) == "4.00 s each");
  CHECK(rate_text(30, 4) == "7.5/s");
  CHECK(rate_text(4000, 4) == "1000/s");
  CHECK(rate_text(4e6, 4) == "1000k/s");
  CHECK(rate_text(4e8, 4) == "100M/s");
}

TEST_CASE("a line says what is done, what is left, and how fast") {
  CHECK(progress_line({.description = "resizing", .tasks = 200, .done = 100, .elapsed = 10}, 70, false) ==
        "resizing:  50% |###########............| 100/200 [00:10<00:10, 10.0/s]");
  CHECK(progress_line({.tasks = 200, .done = 0, .elapsed = 0}, 60, false) ==
        "  0% |................................| 0/200 [00:00<?, ?/s]");
  CHECK(progress_line({.tasks = 2, .done = 2, .failed = 1, .elapsed = 4}, 60, false) ==
        "100% |###################| 2/2 [00:04, 2.00 s each] 1 failed");
  CHECK(progress_line({.description = "reading", .done = 7, .elapsed = 1}, 60, false) == "reading: 7 [00:01, 7.0/s]");
  CHECK(progress_line({.tasks = 0, .done = 0, .elapsed = 0}, 40, false).find("100%") == 0);
}

TEST_CASE("a bar of characters has eighths") {
  CHECK(progress_line({.tasks = 16, .done = 9, .elapsed = 9}, 44, true).find("██████▏") != std::string::npos);
}

TEST_CASE("a line is never wider than the terminal, and says the number of tasks as long as that fits") {
  for (std::size_t columns = 0; columns < 130; ++columns) {
    for (const auto tasks : {std::optional<std::size_t>(12345), std::optional<std::size_t>()}) {
      const std::string line = progress_line(
          {.description = "a long description of the call", .tasks = tasks, .done = 678, .failed = 3, .elapsed = 4000}, columns, false);
      CAPTURE(columns, line);
      CHECK(line.size() <= columns);
      if (columns >= 20) CHECK(line.find("678") != std::string::npos);
    }
  }
}

TEST_CASE("on a terminal the bar stays on its line, and ends it") {
  const variable term("TERM", "xterm");
  const variable colour("NO_COLOR", nullptr);
  const channel screen = channel::terminal(80);
  progress_observer watch(screen.in);
  watch_call(watch, 100, 50ms);
  const std::string text = screen.text();
  CHECK(count(text, "\n") == 1);
  CHECK(text.ends_with("\r\n"));  // the terminal makes two of one
  CHECK(count(text, "\r") > 10);
  CHECK(count(text, "\r") < 70);  // not a picture a task
  CHECK(text.find("resizing:   0%") != std::string::npos);
  CHECK(text.find("resizing: 100%") != std::string::npos);
  CHECK(text.find("\x1b[32m") != std::string::npos);
}

TEST_CASE("NO_COLOR leaves the bar without colours") {
  const variable term("TERM", "xterm");
  const variable colour("NO_COLOR", "1");
  const channel screen = channel::terminal(80);
  progress_observer watch(screen.in);
  watch_call(watch, 10, 200ms, true, 1);
  const std::string text = screen.text();
  CHECK(text.find("\x1b[3") == std::string::npos);
  CHECK(text.find("1 failed") != std::string::npos);
}

TEST_CASE("terminals of 20 columns and of none") {
  const variable locale("LC_ALL", "C");  // a byte is a character
  const variable term("TERM", "xterm");
  const variable colour("NO_COLOR", "1");
  for (const unsigned short columns : {std::uint16_t{20}, std::uint16_t{0}}) {
    const channel screen = channel::terminal(columns);
    progress_observer watch(screen.in);
    watch_call(watch, 100, 50ms);
    const std::string text = screen.text();
    CAPTURE(columns, text);
    std::size_t widest = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find_first_of("\r\n\x1b", at), text.size());
      widest = std::max(widest, end - at);
      at = end + 1;
    }
    CHECK(widest <= (columns == 0 ? 80U : columns));
    CHECK(text.find("100/100") != std::string::npos);
  }
}

TEST_CASE("elsewhere, and on a dumb terminal, it says plain lines, and not many") {
  const variable term("TERM", "dumb");
  for (const bool dumb : {false, true}) {
    const channel out = dumb ? channel::terminal(80) : channel::pipe();
    progress_observer watch(out.in);
    watch_call(watch, 1000, 20ms);
    const std::string text = out.text();
    CAPTURE(text);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(count(text, "\n") >= 5);
    CHECK(count(text, "\n") <= 12);
    CHECK(text.find("resizing: 1000/1000 tasks") != std::string::npos);
  }
}

TEST_CASE("a call that is over at once says one line") {
  const channel out = channel::pipe();
  progress_observer watch(out.in);
  watch_call(watch, 50, 0ms);
  CHECK(count(out.text(), "\n") == 1);
}

TEST_CASE("without a number of tasks it counts") {
  const channel out = channel::pipe();
  progress_observer watch(out.in);
  watch_call(watch, 1000, 100ms, false);
  const std::string text = out.text();
  CAPTURE(text);
  CHECK(count(text, "\n") >= 3);
  CHECK(count(text, "\n") <= 10);
}

TEST_CASE("while one bar is live, others of short calls say nothing") {
  const variable term("TERM", "xterm");
  const channel screen = channel::terminal(80);
  progress_observer outer(screen.in);
  const observed_call call{.tasks = 10, .begin = observed_call::clock::now()};
  outer.call_begun(call);
  static_cast<void>(screen.text());
  {
    progress_observer inner(screen.in);
    watch_call(inner, 10, 0ms);
  }
  CHECK(screen.text().empty());
  outer.call_ended(call, nullptr);
  CHECK(count(screen.text(), "\n") == 1);
  // And the next call has the line again.
  progress_observer next(screen.in);
  watch_call(next, 10, 0ms);
  CHECK_FALSE(screen.text().empty());
}

TEST_CASE("a description cannot break the line") {
  const channel out = channel::pipe();
  progress_observer watch(out.in);
  const observed_call call{.description = "two\nlines\x1b[2J", .tasks = 0, .begin = observed_call::clock::now()};
  watch.call_begun(call);
  watch.call_ended(call, nullptr);
  const std::string text = out.text();
  CHECK(count(text, "\n") == 1);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("a stream that nobody reads loses nothing but the bar") {
  progress_observer watch(-1);
  watch_call(watch, 10, 300ms);
}
