#pragma once

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/far_run.hpp>
#include <manyhands/detail/input.hpp>
#include <manyhands/detail/journal.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/detail/packed_task.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/detail/type_name.hpp>
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
  /// What the caller shall get, null where that is nothing.
  [[nodiscard]] std::exception_ptr first() const noexcept {
    if (!any_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(mutex_);
    return abort_ != nullptr ? abort_ : error_;
  }
  void rethrow() const {
    if (std::exception_ptr error = first()) std::rethrow_exception(std::move(error));
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
/// `keeps_errors` and, where that is true, `keep_error(i, error)` and `holds(i)`. For tasks that are run again: `lasts(i)`, and where that
/// is true `run<true>(i)` and `execute(i, bytes, true)`; `discard(i)` takes a result away, `release(i)` the task. For workers that did not
/// inherit the tasks: `packing()` and `pack(i, bytes)`.
///
/// It may have `make_room_late(n)`, which stands for the other where the room is made only when the first result has come, and
/// `run_strip(index, end)`, which runs tasks and counts `index` up to the one that throws; and `next_to_nothing`, which is what a task may
/// take to be run so, together with what it costs to leave its result by itself. Where results are taken while the
/// call goes on, it has `announce(i)`, after which the result of `load(i, bytes)` or `withhold<keep>(i)` may be gone at any time; the
/// latter is `run<keep>(i)` without that.
template <class Slots>
class slot_jobs final : public jobs {
 public:
  /// `shares_memory` as in `backend_traits`: results come to their places by `run`, not by `load`.
  slot_jobs(const call_facts& facts, Slots& slots, bool shares_memory) : jobs(facts, &remembered_), slots_(slots), roomy_(shares_memory) {
    if (roomy_) slots_.make_room(slots_.ready());
    publish(slots_.ready(), slots_.complete());
  }

  void run(index_range tasks) noexcept override {
    own_range own(tasks);
    run_range(own, next_trial);
  }
  MANYHANDS_EACH_CALL void run_splittable(splittable_range& tasks) noexcept override {
    // Where earlier calls have shown it, a look is enough.
    run_range(tasks, remembered_.expected(1) < static_cast<double>(next_to_nothing.count()) ? next_trial : first_trial);
  }
  void fail(std::size_t index, std::exception_ptr cause) noexcept override {
    if (facts().observed != nullptr) {
      const auto now = observed_call::clock::now();
      facts().observed->report({.what = occurrence::kind::failed,
                                .task = {.index = index, .worker = worker_of(cause), .begin = now, .end = now, .error = cause}});
    }
    settle_failed(index, std::move(cause));
  }
  void load(std::size_t index, reader& bytes) override {
    if (!is_watched_) return load_unwatched(index, bytes);
    make_room_late();
    const bool is_observed = facts().observed != nullptr;
    const std::span<const std::byte> result =
        bytes.take(bytes.remaining() - (is_observed ? std::min(bytes.remaining(), sizeof(far_run)) : 0));
    far_run run{};
    if (is_observed) run = load_far_run(bytes, facts().retries);
    reader value(result);
    slots_.load(index, value);
    value.finish();
    if (facts().kept != nullptr && !facts().kept->holds(index)) facts().kept->append(index, result);
    if (is_observed) tell_far_run(index, run, nullptr);
    announce(index);
  }
  void load_all(index_range tasks, std::span<const std::byte> bytes) noexcept override {
    if (is_watched_) return jobs::load_all(tasks, bytes);
    load_each(tasks, bytes, [this](std::size_t index, reader& one) { load_unwatched(index, one); });
  }
  void load_error(std::size_t index, reader& bytes) noexcept override {
    if (facts().observed == nullptr) {
      settle_failed(index, load_exception(bytes));
      return;
    }
    std::exception_ptr error;
    try {
      const std::size_t size = bytes.remaining() - std::min(bytes.remaining(), sizeof(far_run));
      reader form(bytes.take(size));
      error = load_exception(form);
      tell_far_run(index, load_far_run(bytes, facts().retries), error);
    } catch (...) {  // no record of the run
      if (error == nullptr) error = std::current_exception();
    }
    settle_failed(index, std::move(error));
  }
  task_result execute(std::size_t index, writer& bytes) noexcept override {
    here.task = index;
    if (facts().kept != nullptr) {
      if (const auto kept = facts().kept->find(index)) {
        bytes.clear();
        bytes.write(kept->data(), kept->size());
        const auto now = observed_call::clock::now();
        if (facts().observed != nullptr) save_far_run({.index = index, .worker = here.worker, .begin = now, .end = now}, 0, bytes);
        return task_result::value;
      }
    }
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
    observed_task last;
    std::exception_ptr error;
    if (is_watched_) {
      error = run_attempts(
          *this, index, slots_.lasts(index), once, [] {}, last, false);
      slots_.release(index);
    } else {
      error = once(false);
    }
    if (error != nullptr) {
      bytes.clear();
      save_exception(error, bytes);
      if constexpr (!Slots::keeps_errors) stop_at(index);
    }
    if (facts().observed != nullptr) save_far_run(last, here.attempt, bytes);
    return error != nullptr ? task_result::error : task_result::value;
  }
  [[nodiscard]] result_transport transport() const override {
    result_transport home = slots_.transport();
    if (facts().observed != nullptr && home.fixed_size != 0) home.fixed_size += sizeof(far_run);
    return home;
  }

  [[nodiscard]] task_packing packing() const override {
    task_packing all = slots_.packing();
    all.keeps_errors = Slots::keeps_errors;
    return all;
  }
  void pack(std::size_t index, writer& bytes) override {
    if (facts().kept != nullptr) {
      if (const auto kept = facts().kept->find(index)) {
        save_packed_header({.index = index, .what = packed_header::content::value}, bytes);
        bytes.write(kept->data(), kept->size());
        return;
      }
    }
    const std::size_t begin = bytes.size();
    try {
      save_packed_header({.index = index}, bytes);
      slots_.pack(index, bytes);
    } catch (...) {
      bytes.truncate(begin);
      save_packed_header({.index = index, .what = packed_header::content::error}, bytes);
      save_exception(std::current_exception(), bytes);
    }
  }

  void abort(std::exception_ptr cause) noexcept override {
    errors_.note_abort(std::move(cause));
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return errors_.aborted(); }

  /// Gives the call up because somebody has asked for it. May be called at any time, by any thread.
  void cancel() noexcept {
    try {
      abort(std::make_exception_ptr(cancelled("the call was stopped")));
    } catch (...) {  // no memory for it
      abort(std::current_exception());
    }
    is_cancelled_.store(true, std::memory_order_release);
  }
  /// Where the call was cancelled and keeps errors: settles the tasks that have not run. False otherwise. To be called when no task runs
  /// any more.
  [[nodiscard]] bool settle_cancelled() {
    if constexpr (Slots::keeps_errors) {
      if (!is_cancelled_.load(std::memory_order_acquire)) return false;
      make_room_late();
      const std::exception_ptr cause = errors_.aborted();
      for (std::size_t index = 0; index < slots_.ready(); ++index) {
        if (!slots_.holds(index)) slots_.keep_error(index, cause);
      }
      return true;
    } else {
      return false;
    }
  }

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
    if (!more && facts().observed != nullptr && !facts().observed->call().tasks)
      facts().observed->report({.what = occurrence::kind::all_read, .last = slots_.ready()});
    return more;
  }

  /// Lets no task start any more. Not an error: the caller wants no more results.
  void want_no_more() noexcept { stop_at(0); }
  /// Throws the call's error, if it has one. To be called when no task runs any more.
  void rethrow() const { errors_.rethrow(); }
  /// The same error, null where there is none.
  [[nodiscard]] std::exception_ptr error() const noexcept { return errors_.first(); }

 private:
  static constexpr bool is_taken_meanwhile = requires(Slots & slots) { slots.announce(std::size_t()); };

  // To claim a task takes about a nanosecond, and keeps the compiler from making vector instructions of several. Where so many in a row
  // have taken next to nothing, each of them claimed, the following ones are claimed a strip at a time: should one of those be long after
  // all, the rest of its strip waits for it, and then they are claimed singly again.
  static constexpr bool has_strips = requires(Slots & slots, std::size_t& index) { slots.run_strip(index, index); };
  // Where to leave a result by itself takes longer than an empty task, fewer tell, and need not be quite so short.
  static constexpr std::size_t first_trial = has_strips ? 1024 : 16384;
  static constexpr std::size_t next_trial = has_strips ? 512 : 1024;
  static constexpr std::size_t strip = 32;
  // So many tasks are timed together then. Not too strictly: now and then the system wants the processor for a moment.
  static constexpr std::size_t stretch = 128 * strip;
  static constexpr std::chrono::nanoseconds next_to_nothing = [] {
    if constexpr (requires { Slots::next_to_nothing; }) return Slots::next_to_nothing;
    return std::chrono::nanoseconds(5);  // three times what it takes to claim one on a slow processor
  }();
  static constexpr std::chrono::nanoseconds more_than_expected{16};

  /// Tasks that nobody can take, to be run as those of a `splittable_range`.
  class own_range {
   public:
    explicit own_range(index_range tasks) noexcept : at_(tasks.first), last_(tasks.last) {}

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    [[nodiscard]] std::size_t left() const noexcept { return last_ - at_; }
    [[nodiscard]] bool claim(std::size_t index) noexcept { return claim(index, index); }
    [[nodiscard]] bool claim(std::size_t index, std::size_t last) noexcept {
      at_ = index;
      return last < last_;
    }

   private:
    std::size_t at_;
    const std::size_t last_;
  };

  template <class Range>
  void run_range(Range& tasks, std::size_t trial) noexcept {
    std::size_t index = tasks.at();
    if (is_watched_) {
      tell_dispatched(index, index + tasks.left());
      for (; tasks.claim(index) && index < limit(); ++index) run_watched(index);
      return;
    }
    while (run_singly(tasks, index, trial)) {
      run_in_strips(tasks, index);
      trial = next_trial;
    }
  }
  /// Runs tasks from `index` on. True after so many in which they took next to nothing, false when no more are to be run here.
  template <class Range>
  bool run_singly(Range& tasks, std::size_t& index, std::size_t trial) noexcept {
    for (;;) {
      // Where the call can be stopped, no task shall begin after that, not even in a strip that has begun.
      const bool timed = facts().stop == nullptr && tasks.left() > trial;
      const auto begin = timed ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
      for (const std::size_t end = index + trial; index != end; ++index) {
        if (!tasks.claim(index) || index >= limit()) return false;
        run_one(index);
      }
      if (timed && std::chrono::steady_clock::now() - begin < trial * next_to_nothing) return true;
    }
  }
  /// Runs tasks in strips for as long as they take next to nothing, nobody takes of them, and none fails.
  template <class Range>
  void run_in_strips(Range& tasks, std::size_t& index) noexcept {
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
#pragma GCC unroll 8
        for (; index != end; ++index) {
          here.task = index;
          slots_.run(index);
        }
      }
      first = end;
      return true;
    } catch (...) {
      settle_failed(index, std::current_exception());
      first = index + 1;
      return false;
    }
  }

  void load_unwatched(std::size_t index, reader& bytes) {
    make_room_late();
    slots_.load(index, bytes);
    announce(index);
  }
  void run_one(std::size_t index) noexcept {
    here.task = index;
    try {
      slots_.run(index);
    } catch (...) {
      settle_failed(index, std::current_exception());
    }
  }
  void settle_failed(std::size_t index, std::exception_ptr cause) noexcept {
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

  /// The same where there is more to a task than to run it once.
  void run_watched(std::size_t index) noexcept {
    here.task = index;
    if (facts().kept != nullptr && restore(index)) return;
    const auto once = [&](bool keep) -> std::exception_ptr {
      try {
        keep ? attempt<true>(index) : attempt<false>(index);
        return nullptr;
      } catch (...) {
        return std::current_exception();
      }
    };
    observed_task last;
    std::exception_ptr error = run_attempts(
        *this, index, slots_.lasts(index), once, [&] { slots_.discard(index); }, last, facts().observed != nullptr);
    slots_.release(index);
    if (observation* const seen = facts().observed) {
      last.error = error;
      seen->report({.what = error != nullptr ? occurrence::kind::failed : occurrence::kind::finished, .task = last});
    }
    if (error == nullptr && facts().kept != nullptr) keep(index);
    if (error != nullptr) {
      settle_failed(index, std::move(error));
    } else {
      announce(index);
    }
  }
  template <bool keep>
  void attempt(std::size_t index) {
    if constexpr (is_taken_meanwhile) {
      slots_.template withhold<keep>(index);
    } else {
      slots_.template run<keep>(index);
    }
  }
  /// Lets a result be taken, after all else that is done with it.
  void announce(std::size_t index) noexcept {
    if constexpr (is_taken_meanwhile) slots_.announce(index);
  }
  /// Takes the result of an earlier run. False where there is none.
  bool restore(std::size_t index) noexcept {
    const auto kept = facts().kept->find(index);
    if (!kept) return false;
    try {
      reader bytes(*kept);
      slots_.load(index, bytes);
      bytes.finish();
    } catch (...) {  // another version of the program wrote it: the task runs again
      return false;
    }
    slots_.release(index);
    if (observation* const seen = facts().observed) {
      const auto now = observed_call::clock::now();
      seen->report({.what = occurrence::kind::finished, .task = {.index = index, .worker = here.worker, .begin = now, .end = now}});
    }
    announce(index);
    return true;
  }
  /// Adds a result to the call's journal.
  void keep(std::size_t index) noexcept {
    static thread_local writer bytes;
    bytes.clear();
    try {
      slots_.save(index, bytes);
    } catch (...) {
      return facts().kept->fail("the result of a task cannot be written down");
    }
    facts().kept->append(index, bytes.bytes());
  }
  void tell_dispatched(std::size_t first, std::size_t last) noexcept {
    if (facts().observed == nullptr || first == last) return;
    facts().observed->report({.what = occurrence::kind::dispatched, .task = {.index = first, .worker = here.worker}, .last = last});
  }

  void tell_far_run(std::size_t index, const far_run& run, const std::exception_ptr& error) noexcept {
    using clock = observed_call::clock;
    observed_task task{.index = index,
                       .worker = run.worker,
                       .attempt = run.attempt,
                       .begin = clock::time_point(clock::duration(run.begin)),
                       .end = clock::time_point(clock::duration(run.end)),
                       .error = error};
    observed_task start = task;
    start.end = start.begin;
    start.error = nullptr;
    // When an earlier attempt began, and of what it failed, was not sent.
    for (start.attempt = run.first_attempt; start.attempt < task.attempt; ++start.attempt) {
      facts().observed->report({.what = occurrence::kind::started, .task = start});
      facts().observed->report({.what = occurrence::kind::retried, .task = start});
    }
    facts().observed->report({.what = occurrence::kind::started, .task = start});
    facts().observed->report({.what = error != nullptr ? occurrence::kind::failed : occurrence::kind::finished, .task = task});
  }
  /// The worker that a task was lost with, -1 where nobody knows.
  static int worker_of(const std::exception_ptr& cause) noexcept {
    try {
      std::rethrow_exception(cause);
    } catch (const worker_lost& lost) {
      return lost.worker();
    } catch (...) {
      return -1;
    }
  }

  /// Results that are loaded get their room when the first one comes: pages that were touched before a fork are copied when they are
  /// written after it.
  void make_room_late() {
    if (!roomy_) make_room_now();
  }
  // Apart, so that the question is inlined: it is asked for each result.
  [[gnu::noinline]] void make_room_now() {
    if constexpr (requires { slots_.make_room_late(known()); }) {
      slots_.make_room_late(known());
    } else {
      slots_.make_room(known());
    }
    roomy_ = true;
  }

  inline static constinit task_cost remembered_{};

  Slots& slots_;
  call_errors errors_;
  std::atomic<bool> is_cancelled_{false};
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
  [[nodiscard]] std::optional<std::size_t> size() const noexcept { return input_.size(); }
  bool read(std::size_t most) { return input_.read(most); }
  void make_room(std::size_t size) { results_.make_room(size); }
  void make_room_late(std::size_t size) { results_.make_room_late(size); }
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
  [[nodiscard]] bool holds(std::size_t index) noexcept { return results_.holds(index); }
  /// Writes down the result of a task that has one, as `execute` does.
  void save(std::size_t index, writer& bytes) {
    save_result<result>([&]() -> decltype(auto) { return results_.value(index); }, bytes);
  }
  void load(std::size_t index, reader& bytes) {
    load_result<result>(bytes, [&]<class... Value>(Value&&... value) {
      results_.emplace(index, [&]() -> decltype(auto) {
        if constexpr (sizeof...(Value) == 1) return (std::move(value), ...);
      });
    });
  }
  /// The type of the results, as the compiler spells it.
  [[nodiscard]] static std::string result_name() { return type_name<result>(); }
  void keep_error(std::size_t index, std::exception_ptr error) { results_.emplace_error(index, std::move(error)); }
  [[nodiscard]] result_transport transport() const { return transport_of<result>(); }
  [[nodiscard]] static task_packing packing() { return packing_of<typename Input::task_type, result>(); }
  void pack(std::size_t index, writer& bytes) { input_.pack(index, bytes); }

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
