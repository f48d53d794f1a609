#pragma once

#include <cxxabi.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <type_traits>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/input.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/exception_codec.hpp>

namespace manyhands::detail {

/// The errors of a call, and the one that its caller gets.
class call_errors {
 public:
  /// Keeps the error of the lowest index. Returns whether it is this one.
  bool note(std::size_t index, std::exception_ptr error) noexcept {
    const std::lock_guard lock(mutex_);
    if (error_ != nullptr && index >= index_) return false;
    index_ = index;
    error_ = std::move(error);
    any_.store(true, std::memory_order_release);
    return true;
  }
  /// Keeps the error that ends the whole call; the first of several.
  void note_abort(std::exception_ptr cause) noexcept {
    const std::lock_guard lock(mutex_);
    if (abort_ == nullptr) abort_ = std::move(cause);
    any_.store(true, std::memory_order_release);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept {
    const std::lock_guard lock(mutex_);
    return abort_;
  }
  /// Throws what the caller shall get, if anything.
  void rethrow() const {
    if (!any_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    if (abort_ != nullptr) std::rethrow_exception(abort_);
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> any_ = false;
  mutable std::mutex mutex_;
  // All below is guarded by mutex_.
  std::size_t index_ = 0;
  std::exception_ptr error_;
  std::exception_ptr abort_;
};

/// One call's jobs: tasks and results in a `Slots`, which says how one task runs, and here everything that is the same for all calls.
///
/// `Slots` has: `ready()`, `complete()`, `read(most)`, `make_room(n)`, `run(i)`, `execute(i, bytes)`, `load(i, bytes)`, `transport()`,
/// `keeps_errors` and, where that is true, `keep_error(i, error)`. For tasks that are run again: `lasts(i)`, and where that is true
/// `run<true>(i)` and `execute(i, bytes, true)`; `discard(i)` takes a result away, `release(i)` the task.
template <class Slots>
class slot_jobs final : public jobs {
 public:
  /// `shares_memory` as in `backend_traits`: results come to their places by `run`, not by `load`.
  slot_jobs(const call_facts& facts, Slots& slots, bool shares_memory) : jobs(facts, &remembered_), slots_(slots), roomy_(shares_memory) {
    if (roomy_) slots_.make_room(slots_.ready());
    publish(slots_.ready(), slots_.complete());
  }

  void run(index_range tasks) noexcept override {
    std::size_t index = tasks.first;
    if (is_watched_) {
      for (; index != tasks.last && index < limit(); ++index) run_watched(index);
    } else {
      for (; index != tasks.last && index < limit(); ++index) run_one(index);
    }
  }
  void run_splittable(splittable_range& tasks) noexcept override {
    std::size_t index = tasks.at();
    if (is_watched_) {
      for (; tasks.claim(index) && index < limit(); ++index) run_watched(index);
      return;
    }
    // Where earlier calls have shown it, a look is enough.
    std::size_t trial = remembered_.expected(1) < static_cast<double>(next_to_nothing.count()) ? next_trial : first_trial;
    while (run_singly(tasks, index, trial)) {
      run_in_strips(tasks, index);
      trial = next_trial;
    }
  }
  void fail(std::size_t index, std::exception_ptr cause) noexcept override {
    if constexpr (Slots::keeps_errors) {
      try {
        make_room_late();
        slots_.keep_error(index, std::move(cause));
      } catch (...) {  // no memory for it
        abort(std::current_exception());
      }
    } else if (errors_.note(index, std::move(cause))) {
      stop_at(index);
    }
  }
  void load(std::size_t index, reader& bytes) override {
    make_room_late();
    slots_.load(index, bytes);
  }
  void load_error(std::size_t index, reader& bytes) noexcept override { fail(index, load_exception(bytes)); }
  task_result execute(std::size_t index, writer& bytes) noexcept override {
    here.task = index;
    const auto once = [&](bool keep) -> std::exception_ptr {
      bytes.clear();
      try {
        slots_.execute(index, bytes, keep);
        return nullptr;
      } catch (...) {
        // No C++ exception but pthread_exit(): there is no way on, and who swallows it aborts.
        if (abi::__cxa_current_exception_type() == nullptr) std::_Exit(0);
        return std::current_exception();
      }
    };
    const std::exception_ptr error = is_watched_ ? run_attempts(index, once, [] {}) : once(false);
    if (error == nullptr) return task_result::value;
    bytes.clear();
    save_exception(error, bytes);
    if constexpr (!Slots::keeps_errors) stop_at(index);
    return task_result::error;
  }
  [[nodiscard]] result_transport transport() const override { return slots_.transport(); }

  void abort(std::exception_ptr cause) noexcept override {
    errors_.note_abort(std::move(cause));
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return errors_.aborted(); }

  bool read(std::size_t most) noexcept override {
    if (stopped()) return false;
    bool more = false;
    try {
      more = slots_.read(most);
    } catch (...) {
      // What was read before it may still run and fail: a plain loop would meet that first.
      errors_.note(slots_.ready(), std::current_exception());
      stop_at(slots_.ready());
    }
    try {
      if (roomy_) slots_.make_room(slots_.ready());
    } catch (...) {
      abort(std::current_exception());
      return false;
    }
    publish(slots_.ready(), !more);
    return more;
  }

  /// Throws the call's error, if it has one. To be called when no task runs any more.
  void rethrow() const { errors_.rethrow(); }

 private:
  // To claim a task takes about a nanosecond, and keeps the compiler from making vector instructions of several. Where so many in a row
  // have taken next to nothing, each of them claimed, the following ones are claimed a strip at a time: should one of those be long after
  // all, the rest of its strip waits for it, and then they are claimed singly again.
  static constexpr std::size_t first_trial = 16384;
  static constexpr std::size_t next_trial = 1024;
  static constexpr std::size_t strip = 32;
  // So many tasks are timed together then. Not too strictly: now and then the system wants the processor for a moment.
  static constexpr std::size_t stretch = 128 * strip;
  static constexpr std::chrono::nanoseconds next_to_nothing{2};
  static constexpr std::chrono::nanoseconds more_than_expected{16};

  /// Runs tasks from `index` on. True after so many in which they took next to nothing, false when no more are to be run here.
  bool run_singly(splittable_range& tasks, std::size_t& index, std::size_t trial) noexcept {
    for (;;) {
      const bool timed = tasks.left() > trial;
      const auto begin = timed ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
      for (const std::size_t end = index + trial; index != end; ++index) {
        if (!tasks.claim(index) || index >= limit()) return false;
        run_one(index);
      }
      if (timed && std::chrono::steady_clock::now() - begin < trial * next_to_nothing) return true;
    }
  }
  /// Runs tasks in strips for as long as they take next to nothing, nobody takes of them, and none fails.
  void run_in_strips(splittable_range& tasks, std::size_t& index) noexcept {
    for (auto begin = std::chrono::steady_clock::now();;) {
      for (const std::size_t end = index + stretch; index != end;) {
        if (index + strip > limit() || !tasks.claim(index, index + (strip - 1)) || !run_strip(index)) return;
      }
      const auto then = std::exchange(begin, std::chrono::steady_clock::now());
      if (begin - then > stretch * more_than_expected) return;
    }
  }
  /// False after a failure: where it does not end the call, what is left of the strip is claimed again.
  bool run_strip(std::size_t& first) noexcept {
    std::size_t index = first;
    const std::size_t end = first + strip;
    try {
      for (; index != end; ++index) {
        here.task = index;
        slots_.run(index);
      }
      first = end;
      return true;
    } catch (...) {
      fail(index, std::current_exception());
      first = index + 1;
      return false;
    }
  }

  void run_one(std::size_t index) noexcept {
    here.task = index;
    try {
      slots_.run(index);
    } catch (...) {
      fail(index, std::current_exception());
    }
  }
  /// The same where the call has a timeout or retries.
  void run_watched(std::size_t index) noexcept {
    here.task = index;
    const auto once = [&](bool keep) -> std::exception_ptr {
      try {
        keep ? slots_.template run<true>(index) : slots_.run(index);
        return nullptr;
      } catch (...) {
        return std::current_exception();
      }
    };
    if (std::exception_ptr error = run_attempts(index, once, [&] { slots_.discard(index); })) fail(index, std::move(error));
  }
  /// Calls `once(keep)`, which is one attempt, until it has no error or no further attempt is left; returns the last error. `keep` says
  /// that the task must last. `discard()` takes away the result of a task that was late.
  template <class Once, class Discard>
  std::exception_ptr run_attempts(std::size_t index, Once&& once, Discard&& discard) noexcept {
    attempt_watch* const watch = here.watch;
    const int first = here.attempt;  // not 0 after attempts in workers that died
    const bool lasts = slots_.lasts(index);
    std::exception_ptr error;
    for (bool keep = true; keep; ++here.attempt) {
      keep = lasts && here.attempt < facts().retries;
      if (watch != nullptr) watch->begin(here.attempt);
      error = once(keep);
      if (watch != nullptr && watch->end()) {
        if (error == nullptr) discard();
        error = late(index);
      }
      if (error == nullptr || index >= limit()) break;
    }
    here.attempt = first;
    slots_.release(index);
    return error;
  }
  [[nodiscard]] std::exception_ptr late(std::size_t index) const noexcept {
    try {
      return std::make_exception_ptr(task_timeout(index, facts().timeout));
    } catch (...) {  // no memory for its text
      return std::current_exception();
    }
  }
  /// Results that are loaded get their room when the first one comes: pages that were touched before a fork are copied when they are
  /// written after it.
  void make_room_late() {
    if (roomy_) return;
    slots_.make_room(known());
    roomy_ = true;
  }

  inline static constinit task_cost remembered_{};

  Slots& slots_;
  call_errors errors_;
  bool roomy_;
  const bool is_watched_ = facts().is_watched();
};

/// The tasks of a range, beside their results.
template <class Input, class Results>
class range_slots {
  using result = typename Input::result_type;

 public:
  static constexpr bool keeps_errors = Results::keeps_errors;
  static constexpr bool reads_ahead = Input::reads_ahead;
  /// What room is made for in the memory, for each task.
  static constexpr std::size_t result_size = Results::place_size;

  template <class Range>
  explicit range_slots(Range& range) : input_(range) {}

  [[nodiscard]] std::size_t ready() const noexcept { return input_.ready(); }
  [[nodiscard]] bool complete() const noexcept { return input_.complete(); }
  bool read(std::size_t most) { return input_.read(most); }
  void make_room(std::size_t size) { results_.make_room(size); }
  template <bool keep = false>
  void run(std::size_t index) {
    results_.emplace(index, [&]() -> decltype(auto) { return kept<keep>(index); });
  }
  void execute(std::size_t index, writer& bytes, bool keep = false) {
    save_result<result>([&]() -> result { return keep ? input_.template invoke<true>(index) : input_.invoke(index); }, bytes);
  }
  [[nodiscard]] static constexpr bool lasts(std::size_t) noexcept { return Input::lasts; }
  void release(std::size_t index) noexcept { input_.release(index); }
  void discard(std::size_t index) noexcept { results_.discard(index); }
  void load(std::size_t index, reader& bytes) {
    load_result<result>(bytes, [&]<class... Value>(Value&&... value) {
      results_.emplace(index, [&]() -> decltype(auto) {
        if constexpr (sizeof...(Value) == 1) return (std::move(value), ...);
      });
    });
  }
  void keep_error(std::size_t index, std::exception_ptr error) { results_.emplace_error(index, std::move(error)); }
  [[nodiscard]] result_transport transport() const { return transport_of<result>(); }

  auto take() { return results_.take(ready()); }

 private:
  template <bool keep>
  decltype(auto) kept(std::size_t index) {
    if constexpr (std::is_lvalue_reference_v<result>) {
      return std::ref(input_.template invoke<keep>(index));
    } else {
      return input_.template invoke<keep>(index);
    }
  }

  Input input_;
  Results results_;
};

}  // namespace manyhands::detail
