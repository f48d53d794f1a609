#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <manyhands/observer.hpp>

namespace manyhands {

namespace detail {

/// How far a call is.
struct progress_state {
  std::string_view description = {};
  std::optional<std::size_t> tasks = {};  // where it is known
  std::size_t done = 0;                   // failed ones, too
  std::size_t failed = 0;
  double elapsed = 0;  // seconds
};

/// 7 s is `00:07`, more than an hour `1:02:03`.
template <class = void>
[[nodiscard]] std::string clock_time(double seconds) {
  constexpr double most = 359'999'999;  // so that it stays a number
  const auto whole = static_cast<long long>(std::clamp(seconds, 0.0, most));
  char text[64];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%02lld:%02lld", whole / 60, whole % 60);
  }
  return text;
}

/// Tasks a second, or where it is less than one, seconds a task.
template <class = void>
[[nodiscard]] std::string rate_text(double done, double elapsed) {
  if (done <= 0 || elapsed <= 0) return "?/s";
  const double rate = done / elapsed;
  char text[64];
  if (rate < 1) {
    std::snprintf(text, sizeof text, "%.2f s each", 1 / rate);
  } else if (rate < 100) {
    std::snprintf(text, sizeof text, "%.1f/s", rate);
  } else if (rate < 1e4) {
    std::snprintf(text, sizeof text, "%.0f/s", rate);
  } else if (rate < 1e7) {
    std::snprintf(text, sizeof text, "%.0fk/s", rate / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0fM/s", rate / 1e6);
  }
  return text;
}

/// A line that says how far the call is: at most `columns` characters wide, of which the bar takes what the words leave.
template <class = void>
[[nodiscard]] std::string progress_line(const progress_state& now, std::size_t columns, bool unicode) {
  std::string head = now.description.empty() ? "" : std::string(now.description) + ": ";
  std::string count;
  std::string tail;
  double share = 0;
  if (now.tasks) {
    share = *now.tasks == 0 ? 1 : std::min(static_cast<double>(now.done) / static_cast<double>(*now.tasks), 1.0);
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(share * 100));
    head += percent;
    count = std::to_string(now.done) + "/" + std::to_string(*now.tasks);
    const bool ends = now.done >= *now.tasks;
    const double left =
        now.done > 0 ? now.elapsed / static_cast<double>(now.done) * static_cast<double>(*now.tasks - std::min(now.done, *now.tasks)) : 0;
    tail = " [" + clock_time(now.elapsed) + (ends ? "" : now.done > 0 ? "<" + clock_time(left) : "<?");
  } else {
    count = std::to_string(now.done);
    tail = " [" + clock_time(now.elapsed);
  }
  tail += ", " + rate_text(static_cast<double>(now.done), now.elapsed) + "]";
  if (now.failed > 0) tail += " " + std::to_string(now.failed) + " failed";

  // What does not fit is left out, the least important first.
  constexpr std::size_t least_bar = 5;
  const auto cut = [columns](std::string text) {
    if (text.size() > columns) text.resize(columns);
    return text;
  };
  if (!now.tasks) {
    const std::string all = head + count + tail;
    if (all.size() <= columns) return all;
    return cut(count + (now.failed > 0 ? " " + std::to_string(now.failed) + " failed" : ""));
  }
  const std::size_t words = head.size() + 4 + count.size() + tail.size();
  if (words + least_bar > columns) {
    const std::string shorter = head + " " + count + tail;
    if (shorter.size() <= columns) return shorter;
    const std::string numbers = count + (now.failed > 0 ? " " + std::to_string(now.failed) + " failed" : "");
    if (head.size() + 1 + numbers.size() <= columns) return head + " " + numbers;
    return cut(numbers);
  }
  constexpr std::size_t longest_bar = 40;
  const std::size_t width = std::min(columns - words, longest_bar);
  std::string bar;
  if (unicode) {
    static constexpr std::string_view eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width * 8));
    for (std::size_t i = 0; i < filled / 8; ++i) bar += "█";
    std::size_t cells = filled / 8;
    if (filled % 8 != 0) {
      bar += eighths[filled % 8];
      ++cells;
    }
    bar.append(width - cells, ' ');
  } else {
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    bar.append(filled, '#');
    bar.append(width - filled, '.');
  }
  return head + " |" + bar + "| " + count + tail;
}

/// What a stream can show.
struct terminal {
  bool live = false;  ///< lines can be written over
  bool colour = false;
  bool unicode = false;

  static terminal of(int fd) {
    const auto variable = [](const char* name) {
      const char* const value = std::getenv(name);
      return std::string_view(value != nullptr ? value : "");
    };
    terminal found;
    found.live = ::isatty(fd) == 1 && variable("TERM") != "dumb";
    found.colour = found.live && variable("NO_COLOR").empty();
    std::string_view locale = variable("LC_ALL");
    if (locale.empty()) locale = variable("LC_CTYPE");
    if (locale.empty()) locale = variable("LANG");
    for (const std::string_view name : {"UTF-8", "utf-8", "UTF8", "utf8"})
      found.unicode = found.unicode || locale.find(name) != locale.npos;
    return found;
  }
  /// 80 where the system does not know. Asked each time: windows change.
  static std::size_t columns(int fd) noexcept {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }
};

}  // namespace detail

/// A bar that shows how far a call is, on stderr: live on a terminal, elsewhere a line every now and then. For one call at a time.
///
/// Of several bars at the same time, such as those of nested calls, the first is live; the others say one line when their call ends, if
/// that took a second or more.
template <class>
class basic_progress_observer final : public observer {
 public:
  /// `fd` in the place of stderr, for who wants the bar elsewhere.
  explicit basic_progress_observer(int fd = STDERR_FILENO) : fd_(fd) {}
  ~basic_progress_observer() override { give_up_line(); }

  void call_begun(const observed_call& call) override {
    begin_ = call.begin;
    description_ = call.description;
    // Control characters would break the line.
    for (char& c : description_) {
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
    }
    now_ = {.tasks = call.tasks};
    terminal_ = detail::terminal::of(fd_);
    shown_ = {};
    said_ = 0;
    has_line_ = !line_taken().exchange(true, std::memory_order_relaxed);
    if (has_line_ && terminal_.live) show();
  }
  void input_ended(const observed_call&, std::size_t tasks) override { now_.tasks = tasks; }
  void task_finished(const observed_call&, const observed_task& task) override { one_more(task, false); }
  void task_failed(const observed_call&, const observed_task& task) override { one_more(task, true); }
  void call_ended(const observed_call&, std::exception_ptr) override {
    now_.elapsed = since(observed_call::clock::now());
    if (has_line_ && terminal_.live) {
      show();
      write("\n");
    } else if (has_line_ || now_.elapsed >= 1) {
      say();
    }
    give_up_line();
  }

 private:
  // A person sees no more, and a terminal takes a while.
  static constexpr std::chrono::milliseconds between_pictures{100};
  // Elsewhere lines come at each tenth of the tasks, but not faster than this, and where their number is not known after ever longer times.
  static constexpr double least_seconds_between_lines = 1;

  static std::atomic<bool>& line_taken() noexcept {
    static constinit std::atomic<bool> taken{false};
    return taken;
  }
  void give_up_line() noexcept {
    if (has_line_) line_taken().store(false, std::memory_order_relaxed);
    has_line_ = false;
  }

  void one_more(const observed_task& task, bool failed) {
    ++now_.done;
    now_.failed += failed ? 1 : 0;
    if (!has_line_) return;
    if (terminal_.live) {
      if (task.end - shown_ < between_pictures) return;
      shown_ = task.end;
      now_.elapsed = since(task.end);
      show();
      return;
    }
    now_.elapsed = since(task.end);
    const bool due = now_.tasks
                         ? now_.done * 10 / std::max<std::size_t>(*now_.tasks, 1) > said_done_ * 10 / std::max<std::size_t>(*now_.tasks, 1)
                         : now_.elapsed >= 2 * said_;
    if (!due || now_.elapsed < said_ + least_seconds_between_lines || (now_.tasks && now_.done >= *now_.tasks)) return;
    say();
  }
  void show() {
    now_.description = description_;
    const std::string line = detail::progress_line(now_, detail::terminal::columns(fd_) - 1, terminal_.unicode);
    const char* const colour = !terminal_.colour ? "" : now_.failed > 0 ? "\x1b[31m" : "\x1b[32m";
    write("\r" + std::string(colour) + line + (terminal_.colour ? "\x1b[0m" : "") + "\x1b[K");
  }
  void say() {
    said_ = now_.elapsed;
    said_done_ = now_.done;
    now_.description = description_;
    std::string line = description_.empty() ? "" : description_ + ": ";
    line += std::to_string(now_.done);
    if (now_.tasks) line += "/" + std::to_string(*now_.tasks);
    line += " tasks, " + detail::clock_time(now_.elapsed) + ", " + detail::rate_text(static_cast<double>(now_.done), now_.elapsed);
    if (now_.failed > 0) line += ", " + std::to_string(now_.failed) + " failed";
    // Another bar may stand there, which will be drawn again.
    write((terminal_.live ? "\r\x1b[K" : "") + line + "\n");
  }
  [[nodiscard]] double since(observed_call::clock::time_point then) const { return std::chrono::duration<double>(then - begin_).count(); }
  /// A terminal that is gone is no reason to lose anything.
  void write(const std::string& text) const noexcept {
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  const int fd_;
  detail::terminal terminal_;
  detail::progress_state now_;
  std::string description_;
  observed_call::clock::time_point begin_ = {};
  observed_call::clock::time_point shown_ = {};
  double said_ = 0;
  std::size_t said_done_ = 0;
  bool has_line_ = false;
};
using progress_observer = basic_progress_observer<void>;

}  // namespace manyhands
