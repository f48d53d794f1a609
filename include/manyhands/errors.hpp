#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace manyhands {

namespace detail {

[[nodiscard]] inline std::string hexadecimal(std::uintptr_t value) {
  std::string digits;
  do digits.insert(digits.begin(), "0123456789abcdef"[value % 16]);
  while ((value /= 16) != 0);
  return "0x" + digits;
}

}  // namespace detail

/// The root of every error that the library throws on its own behalf. Bad input is `std::invalid_argument`, a task's own exception is
/// thrown as it is.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where a worker process crashed, as far as it could tell.
struct crash_site {
  /// The address that could not be accessed (SIGSEGV, SIGBUS), or of the instruction that could not be run (SIGILL, SIGFPE). Nothing for
  /// signals that somebody sent, and for addresses that the processor does not tell.
  std::optional<std::uintptr_t> address = {};
  /// Readable lines, the innermost function first, as "function(int)+0x1f (program)".
  std::vector<std::string> frames = {};
};

/// A worker process died while it ran one task: that task has no result, all others are unharmed.
class worker_lost : public error {
 public:
  /// `signal` is 0 where the worker exited, `exit_code` -1 where a signal ended it. Both so: the host program collected its status first.
  worker_lost(std::size_t index, int worker, int signal, int exit_code, crash_site where = {})
      : error(describe(index, worker, signal, exit_code, where)),
        index_(index),
        worker_(worker),
        signal_(signal),
        exit_code_(exit_code),
        where_(std::make_shared<const crash_site>(std::move(where))) {}
  /// Where nobody knows how it ended: `reason` is the rest of the sentence.
  worker_lost(std::size_t index, int worker, const std::string& reason)
      : error("worker " + std::to_string(worker) + " was lost while it ran task " + std::to_string(index) + ": " + reason),
        index_(index),
        worker_(worker),
        signal_(0),
        exit_code_(-1),
        where_(std::make_shared<const crash_site>()) {}

  /// The index of the task that the worker was running.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// The signal that ended the worker, 0 if none did.
  [[nodiscard]] int signal() const noexcept { return signal_; }
  /// The worker's exit code, -1 if a signal ended it.
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
  /// The number of the worker, as `this_worker::index()` told it.
  [[nodiscard]] int worker() const noexcept { return worker_; }
  /// The address at fault, as in `crash_site`.
  [[nodiscard]] std::optional<std::uintptr_t> fault_address() const noexcept { return where_->address; }
  /// The functions that the crash was in, as in `crash_site`. Empty where nothing crashed, or a sanitizer looks after crashes itself. A
  /// function of a library that only the worker has loaded is a number. Valid as long as this error or a copy of it.
  [[nodiscard]] const std::vector<std::string>& backtrace() const noexcept { return where_->frames; }

 private:
  static std::string describe(std::size_t index, int worker, int signal, int exit_code, const crash_site& where) {
    std::string text = "worker " + std::to_string(worker) + " was lost while it ran task " + std::to_string(index) + ": ";
    if (signal != 0) {
      text += "killed by signal " + std::to_string(signal) + signal_hint(signal);
      if (where.address) text += " at address " + detail::hexadecimal(*where.address);
      if (!where.frames.empty()) text += ", in " + where.frames.front();
      return text;
    }
    if (exit_code >= 0) return text + "it exited with code " + std::to_string(exit_code) + " in the middle of the task";
    return text + "its status is unknown (the host program collects its children)";
  }
  static const char* signal_hint(int signal) noexcept {
    switch (signal) {  // the numbers that POSIX systems agree on
      case 4:
        return " (SIGILL)";
      case 6:
        return " (SIGABRT)";
      case 8:
        return " (SIGFPE)";
      case 9:
        return " (SIGKILL; out of memory?)";
      case 11:
        return " (SIGSEGV)";
      case 15:
        return " (SIGTERM)";
      default:
        return "";
    }
  }

  std::size_t index_;
  int worker_;
  int signal_;
  int exit_code_;
  std::shared_ptr<const crash_site> where_;  // shared: to copy an error must not fail
};

/// A task's exception of a type that cannot be rebuilt in the caller's process. `register_exception<E>()` makes it travel as itself.
class remote_error : public error {
 public:
  remote_error(std::string type_name, const std::string& message) : error(type_name + ": " + message), type_name_(std::move(type_name)) {}

  /// The name of the exception's type, as the compiler spells it.
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }

 private:
  std::string type_name_;
};

/// Workers died again and again without one task completed, or outside of any task.
class pool_broken : public error {
 public:
  using error::error;
};

/// A result or an argument has no way to another process: thrown before any task runs.
class not_transportable : public error {
 public:
  /// `reason` is the rest of the sentence: why, and the cure.
  not_transportable(std::string_view type_name, std::string_view reason)
      : error("a value of type '" + std::string(type_name) + "' cannot travel between processes: " + std::string(reason)) {}
  /// Rebuilds one from its `what()`.
  explicit not_transportable(const std::string& what) : error(what) {}
};

/// Bytes from another process that are no value of the type they should be: cut short, too long, or out of range.
class codec_error : public error {
 public:
  using error::error;
};

/// A task ran longer than `options::timeout`.
class task_timeout : public error {
 public:
  task_timeout(std::size_t index, std::chrono::nanoseconds limit)
      : error("task " + std::to_string(index) + " ran longer than its timeout of " + describe(limit)), index_(index), limit_(limit) {}

  /// The index of the task.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// The timeout that it had.
  [[nodiscard]] std::chrono::nanoseconds limit() const noexcept { return limit_; }

 private:
  /// In the largest unit that leaves no fraction.
  static std::string describe(std::chrono::nanoseconds limit) {
    const auto count = limit.count();
    if (count % 1'000'000'000 == 0) return std::to_string(count / 1'000'000'000) + " s";
    if (count % 1'000'000 == 0) return std::to_string(count / 1'000'000) + " ms";
    if (count % 1'000 == 0) return std::to_string(count / 1'000) + " us";
    return std::to_string(count) + " ns";
  }

  std::size_t index_;
  std::chrono::nanoseconds limit_;
};

/// The call was stopped by its `options::stop`.
class cancelled : public error {
 public:
  using error::error;
};

/// An observer failed after the results were complete.
class observer_error : public error {
 public:
  using error::error;
};

/// A journal cannot be used for this call.
class checkpoint_error : public error {
 public:
  using error::error;
};

}  // namespace manyhands
