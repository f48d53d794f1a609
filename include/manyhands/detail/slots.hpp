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
/// `Slots` may have `run_strip(index, end)`, which runs tasks and counts `index` up to the one that throws. It has: `ready()`,
/// `complete()`, `read(most)`, `make_room(n)`, `run(i)`, `execute(i, bytes)`, `load(i, bytes)`, `transport()`, `keeps_errors` and, where
/// that is true, `keep_error(i, error)`.
template <class Slots>
class slot_jobs final : public jobs {
 public:
  /// `shares_memory` as in `backend_traits`: results come to their places by `run`, not by `load`.
  slot_jobs(const call_facts& facts, Slots& slots, bool shares_memory) : jobs(facts, &remembered_), slots_(slots), roomy_(shares_memory) {
    if (roomy_) slots_.make_room(slots_.ready());
    publish(slots_.ready(), slots_.complete());
  }

  void run(index_range tasks) noexcept override {
    for (std::size_t index = tasks.first; index != tasks.last && index < limit(); ++index) run_one(index);
  }
  void run_splittable(splittable_range& tasks) noexcept override {
    std::size_t index = tasks.at();
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
    bytes.clear();
    try {
      slots_.execute(index, bytes);
      return task_result::value;
    } catch (...) {
      // No C++ exception but pthread_exit(): there is no way on, and who swallows it aborts.
      if (abi::__cxa_current_exception_type() == nullptr) std::_Exit(0);
      bytes.clear();
      save_exception(std::current_exception(), bytes);
      if constexpr (!Slots::keeps_errors) stop_at(index);
      return task_result::error;
    }
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

  /// Lets no task start any more. Not an error: the caller wants no more results.
  void cancel() noexcept { stop_at(0); }
  /// Throws the call's error, if it has one. To be called when no task runs any more.
  void rethrow() const { errors_.rethrow(); }

 private:
  // To claim a task takes about a nanosecond, and keeps the compiler from making vector instructions of several. Where so many in a row
  // have taken next to nothing, each of them claimed, the following ones are claimed a strip at a time: should one of those be long after
  // all, the rest of its strip waits for it, and then they are claimed singly again.
  static constexpr bool has_strips = requires(Slots & slots, std::size_t& index) { slots.run_strip(index, index); };
  // Where to leave a result by itself takes longer than an empty task, fewer tell, and need not be quite so short.
  static constexpr std::size_t first_trial = has_strips ? 1024 : 16384;
  static constexpr std::size_t next_trial = 1024;
  static constexpr std::size_t strip = 32;
  // So many tasks are timed together then. Not too strictly: now and then the system wants the processor for a moment.
  static constexpr std::size_t stretch = 128 * strip;
  static constexpr std::chrono::nanoseconds next_to_nothing{has_strips ? 8 : 2};
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
      if constexpr (requires { slots_.run_strip(index, end); }) {
        slots_.run_strip(index, end);
      } else {
        for (; index != end; ++index) {
          here.task = index;
          slots_.run(index);
        }
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
  void run(std::size_t index) {
    results_.emplace(index, [&]() -> decltype(auto) { return kept(index); });
  }
  void execute(std::size_t index, writer& bytes) {
    save_result<result>([&]() -> result { return input_.invoke(index); }, bytes);
  }
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
  decltype(auto) kept(std::size_t index) {
    if constexpr (std::is_lvalue_reference_v<result>) {
      return std::ref(input_.invoke(index));
    } else {
      return input_.invoke(index);
    }
  }

  Input input_;
  Results results_;
};

}  // namespace manyhands::detail
