#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <limits>
#include <optional>
#include <string>

#include <manyhands/observer.hpp>

namespace manyhands {

namespace detail {

/// joblib's spelling of a time: `   1.5s`, above a minute ` 2.5min`.
template <class = void>
[[nodiscard]] std::string short_time(double seconds) {
  char text[64];
  if (seconds > 60) {
    std::snprintf(text, sizeof text, "%4.1fmin", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, " %5.1fs", seconds);
  }
  return text;
}

/// When joblib prints a line, and which. A task is a batch here, as in joblib's batches of one.
class verbose_schedule {
 public:
  /// `ahead` is the number of tasks that joblib would hand out before the first one is done, none where that is all of them.
  verbose_schedule(int verbose, std::optional<std::size_t> ahead) noexcept : verbose_(verbose), ahead_(ahead) {}

  /// Whether the line of task `index`, counted in the order of being handed out, is printed while there is more to hand out.
  [[nodiscard]] bool prints_early(std::size_t index) const noexcept {
    if (verbose_ > 10 || index == 0) return true;
    const double scale = 0.5 * (11 - verbose_) * (11 - verbose_);
    const auto steps = [scale](std::size_t at) { return std::floor(std::sqrt(static_cast<double>(at) / scale)); };
    return steps(index + 1) != steps(index);
  }
  /// Whether a line is printed after `done` of `tasks` when all are handed out. The end has a line of its own.
  [[nodiscard]] bool prints_late(std::size_t done, std::size_t tasks) const noexcept {
    if (done == 0) return true;
    // Signed: joblib's rest of a negative number is zero for the same numbers.
    const auto cursor = static_cast<long long>(tasks) - static_cast<long long>(done) + 1 - static_cast<long long>(ahead_.value_or(0));
    const auto frequency = static_cast<long long>(tasks / static_cast<std::size_t>(verbose_)) + 1;
    return cursor % frequency == 0 && done + 1 < tasks;
  }
  /// Whether joblib had nothing more to hand out when `done` tasks were done: it learns that one task later.
  [[nodiscard]] bool is_late(std::size_t done, std::optional<std::size_t> tasks) const noexcept {
    if (!ahead_) return true;
    return tasks && done >= 2 && *ahead_ + done >= *tasks + 2;
  }
  /// How many tasks joblib would have handed out by then.
  [[nodiscard]] std::size_t handed_out(std::size_t done, std::optional<std::size_t> tasks) const noexcept {
    const std::size_t most = tasks.value_or(std::numeric_limits<std::size_t>::max());
    if (!ahead_) return most;
    const std::size_t before = done > 0 ? done - 1 : 0;
    return *ahead_ < most - std::min(before, most) ? *ahead_ + before : most;
  }

 private:
  int verbose_;
  std::optional<std::size_t> ahead_;
};

}  // namespace detail

/// joblib's progress lines, for one call at a time: the same words by the same schedule, to stderr, from a verbosity of 50 on to stdout.
template <class>
class basic_verbose_observer final : public observer {
 public:
  /// `out` in the place of these two, for who wants the lines elsewhere.
  explicit basic_verbose_observer(int verbose, std::FILE* out = nullptr) : verbose_(verbose), out_(out) {}

  void call_begun(const observed_call& call) override {
    begin_ = call.begin;
    n_jobs_ = call.n_jobs;
    sized_ = call.tasks.has_value();
    tasks_ = call.tasks;
    done_ = 0;
    one_by_one_ = call.workers == 1;
    // joblib hands out single tasks there, and only when the one before is done.
    const std::optional<std::size_t> ahead = one_by_one_ ? std::optional<std::size_t>(1) : call.pre_dispatch;
    schedule_ = detail::verbose_schedule(verbose_, ahead);
    if (!one_by_one_) {
      print("Using backend " + std::string(call.backend_class) + " with " + std::to_string(call.workers) + " concurrent workers.");
    }
  }
  void input_ended(const observed_call&, std::size_t tasks) override { tasks_ = tasks; }
  void task_finished(const observed_call&, const observed_task& task) override { one_more(task); }
  void task_failed(const observed_call&, const observed_task& task) override { one_more(task); }
  void call_ended(const observed_call&, std::exception_ptr error) override {
    if (error != nullptr) return;
    const std::string count = number(done_);
    print("Done " + count + " out of " + count + " | elapsed: " + detail::short_time(since(observed_call::clock::now())) + " finished");
  }

 private:
  void one_more(const observed_task& task) {
    ++done_;
    const double elapsed = since(task.end);
    if (one_by_one_ || !schedule_.is_late(done_, tasks_)) {
      const std::size_t index = one_by_one_ ? done_ : schedule_.handed_out(done_, tasks_);
      if (!schedule_.prints_early(index)) return;
      const std::string total = sized_ ? "out of " + number(*tasks_) + " " : "tasks " + std::string(width() + 2, ' ');
      print("Done " + number(done_) + " " + total + "| elapsed: " + detail::short_time(elapsed));
    } else if (schedule_.prints_late(done_, *tasks_)) {
      const double rest = elapsed / static_cast<double>(done_) * static_cast<double>(*tasks_ - std::min(done_, *tasks_));
      print("Done " + number(done_) + " out of " + number(*tasks_) + " | elapsed: " + detail::short_time(elapsed) +
            " remaining: " + detail::short_time(rest));
    }
  }
  [[nodiscard]] double since(observed_call::clock::time_point then) const { return std::chrono::duration<double>(then - begin_).count(); }
  [[nodiscard]] std::size_t width() const { return sized_ && *tasks_ > 0 ? std::to_string(*tasks_).size() : 3; }
  [[nodiscard]] std::string number(std::size_t value) const {
    std::string digits = std::to_string(value);
    if (digits.size() < width()) digits.insert(0, width() - digits.size(), ' ');
    return digits;
  }
  void print(const std::string& message) {
    const std::string line = "[Parallel(n_jobs=" + std::to_string(n_jobs_) + ")]: " + message + "\n";
    std::FILE* const out = out_ != nullptr ? out_ : verbose_ < 50 ? stderr : stdout;
    std::fwrite(line.data(), 1, line.size(), out);
    std::fflush(out);
  }

  const int verbose_;
  std::FILE* const out_;
  detail::verbose_schedule schedule_{0, {}};
  observed_call::clock::time_point begin_ = {};
  int n_jobs_ = -1;
  bool sized_ = false;       // the number of tasks was known from the beginning
  bool one_by_one_ = false;  // joblib has a loop of its own for one worker
  std::optional<std::size_t> tasks_;
  std::size_t done_ = 0;
};
using verbose_observer = basic_verbose_observer<void>;

}  // namespace manyhands
