#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/call_setup.hpp>
#include <manyhands/detail/input.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/detail/slots.hpp>
#include <manyhands/detail/tuple_slots.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/generator.hpp>
#include <manyhands/options.hpp>
#include <manyhands/outcome.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/task.hpp>

namespace manyhands {

namespace detail {

/// Incomplete without `#include <manyhands/async.hpp>`.
template <class Range>
struct async_start;

}  // namespace detail

/// Runs tasks on workers and returns their results in the order of the tasks.
///
/// A call blocks until every task has ended; when it returns or throws, no task of it runs or will run. Of several errors it throws the one
/// that a plain loop would have met first, and starts no task beyond it. One object may be used by many threads at a time. Options that are
/// not set are looked up at each call: in the innermost scope, in the environment, else the default.
class Parallel {
  enum class no_options {};

 public:
  /// Throws `std::invalid_argument` for options that no call could honour, `error` for a backend that is not available yet.
  template <class = void>
  Parallel(options asked = {}) : options_(std::move(asked)), is_plain_(detail::is_plain(options_)) {
    detail::check(options_);
  }
  /// For `Parallel({})`, which would be ambiguous without it.
  template <class = void>
  Parallel(no_options) : Parallel(options()) {}
  /// The same with so many workers.
  template <std::integral Count>
  requires(!std::same_as<Count, bool>) Parallel(Count n_jobs) : Parallel(options{.n_jobs = checked(n_jobs)}) {}

  /// The results of a range of tasks: `std::vector<R>`, or nothing where tasks return `void`.
  ///
  /// Any `std::ranges::input_range` of nullary callables will do. It is read in the calling thread only. One without random access is read
  /// while tasks run, `options::pre_dispatch` batches ahead; what is read is run even if the range throws, whose exception comes then.
  template <class Range>
  requires(std::ranges::range<Range>) auto operator()(Range&& range) const {
    if constexpr (check_range<Range>()) {
      using input = detail::input_for<std::remove_reference_t<Range>>;
      detail::range_slots<input, detail::value_results<typename input::result_type, !input::reads_ahead>> slots(range);
      run(slots);
      return slots.take();
    }
  }

  /// The results of tasks of different types, as a `std::tuple`: `std::monostate` where one returns `void`.
  template <class... Tasks>
  requires(!(sizeof...(Tasks) == 1 && (std::ranges::range<Tasks> && ...))) auto operator()(Tasks&&... tasks) const {
    if constexpr (check_tasks<Tasks...>()) {
      detail::tuple_slots<Tasks...> slots(std::forward<Tasks>(tasks)...);
      run(slots);
      return slots.take();
    }
  }

  /// What became of every task of a range, in order: its value or its error. One bad task costs nobody else's result.
  ///
  /// Throws only what concerns the call as a whole: bad options, a broken input range, an initializer that failed.
  template <class Range>
  auto outcomes(Range&& range) const {
    if constexpr (check_range<Range>()) {
      using input = detail::input_for<std::remove_reference_t<Range>>;
      detail::range_slots<input, detail::outcome_results<typename input::result_type>> slots(range);
      run(slots);
      return slots.take();
    }
  }

  /// The results of a range of tasks in input order, while the rest still runs: a move-only input range, see `manyhands::generator`.
  ///
  /// The range may be endless and single-pass. One that is given as an rvalue, or is a view, is kept; another is referred to, and must live
  /// as long as what this returns. Throws what concerns the call as a whole; what a task throws comes when its turn has come.
  template <class Range>
  requires(std::ranges::range<Range>) [[nodiscard]] auto generator(Range&& range) const { return stream<true>(std::forward<Range>(range)); }
  /// The same in the order of completion: elements are `indexed<R>`.
  template <class Range>
  requires(std::ranges::range<Range>) [[nodiscard]] auto generator_unordered(Range&& range) const {
    return stream<false>(std::forward<Range>(range));
  }

  /// With `#include <manyhands/async.hpp>`: an Asio operation that makes the call `(*this)(range)` in a thread of its own, and does not
  /// block. `token` is any completion token: a callback, `use_future`, `use_awaitable`, `deferred`. Its signature is
  /// `void(std::exception_ptr, std::vector<R>)`, without the vector where tasks return `void`; it completes on the handler's executor,
  /// whose context must live until then. All errors come through it, those of bad options, too.
  ///
  /// The scope is the one around this line, also where the token starts the operation later. The range is kept or referred to as by
  /// `generator`, and read in the operation's thread. Where the handler has a cancellation slot (Boost 1.77 or later), any cancellation
  /// stops the call, which ends with `cancelled`; `options::stop` does so everywhere. Made in a task, it is no part of that task's call: it
  /// has as many workers as a nested call would have, beside those of the outer one. Let it complete before `main` returns.
  template <class Range, class Token>
  requires(std::ranges::range<Range>) auto async(Range&& range, Token&& token) const {
    if constexpr (check_range<Range>()) {
      using base = detail::base_of<Range>;
      return detail::async_start<base>::call(options_, base(std::forward<Range>(range)), std::forward<Token>(token));
    }
  }

 private:
  template <bool ordered, class Range>
  auto stream(Range&& range) const {
    if constexpr (check_range<Range>()) {
      using base = detail::base_of<Range>;
      using call = detail::stream_call<base, ordered>;
      return manyhands::generator<typename call::element>(std::make_unique<call>(options_, base(std::forward<Range>(range))));
    }
  }
  template <class Range>
  static consteval bool check_range() {
    if constexpr (!std::ranges::input_range<Range>) {
      static_assert(std::ranges::input_range<Range>,
                    "manyhands: Parallel takes a range of tasks, and this is not a range that can be read");
      return false;
    } else {
      constexpr bool callable = std::is_invocable_v<detail::element_of<Range>>;
      static_assert(callable,
                    "manyhands: Parallel takes a range of tasks, callables without parameters: make them with `range | delayed(fn)` or "
                    "delayed(fn)(args...)");
      if constexpr (callable) {
        return check_result<std::invoke_result_t<detail::element_of<Range>>>();
      } else {
        return false;
      }
    }
  }
  template <class... Tasks>
  static consteval bool check_tasks() {
    constexpr bool made = (!detail::is_delayed_function<std::remove_cvref_t<Tasks>> && ...);
    static_assert(made, "manyhands: delayed(fn) is no task yet: write delayed(fn)(args...), and delayed(fn)() where fn takes no arguments");
    if constexpr (made) {
      constexpr bool callable = (std::is_invocable_v<Tasks> && ...);
      static_assert(
          callable,
          "manyhands: Parallel takes a range of tasks, or tasks: callables without parameters, as delayed(fn)(args...) makes them");
      if constexpr (callable) return (check_result<std::invoke_result_t<Tasks>>() && ...);
    }
    return false;
  }
  template <class Result>
  static consteval bool check_result() {
    constexpr bool keepable =
        std::is_void_v<Result> || std::is_lvalue_reference_v<Result> || std::is_move_constructible_v<kept_result<Result>>;
    static_assert(keepable, "manyhands: a task's result must be movable: return a std::unique_ptr to it, or its data");
    return keepable;
  }
  template <class Count>
  static int checked(Count n_jobs) {
    if (std::in_range<int>(n_jobs)) return static_cast<int>(n_jobs);
    throw std::invalid_argument("n_jobs is " + std::to_string(n_jobs) + ": use a number of workers, or -1 for one per processor");
  }

  template <class Slots>
  MANYHANDS_EACH_CALL void run(Slots& slots) const {
    detail::call_setup call(options_, is_plain_);
    call.attach(slots);
    call.begin();
    try {
      run_on(call.who(), slots, call.facts, call.how);
    } catch (...) {
      call.end(std::current_exception());
      throw;
    }
    call.end(nullptr);
  }
  template <class Slots>
  MANYHANDS_EACH_CALL static void run_on(backend& who, Slots& slots, const detail::call_facts& facts, const plan& how) {
    const backend_traits traits = who.traits();
    // Not for less: who is woken takes about as long to come as a processor to touch so much memory.
    constexpr std::size_t many_bytes = std::size_t{1} << 18U;
    std::shared_ptr<void> prepared;
    if (slots.complete() && slots.ready() * Slots::result_size >= many_bytes && how.workers > 1) {
      prepared = who.prepare(how, slots.ready());
    }
    detail::slot_jobs<Slots> work(facts, slots, traits.shares_memory);
    prepared.reset();
    std::optional<std::stop_callback<std::function<void()>>> stops;
    if (facts.stop != nullptr) stops.emplace(*facts.stop, [&work] { work.cancel(); });
    if (!traits.shares_memory || traits.packs_tasks) static_cast<void>(detail::checked_transport(work, traits));
    if (!work.complete() && !(traits.streams && (Slots::reads_ahead || how.workers == 1))) {
      while (work.read(no_index)) {
      }
    }
    // The first task is read here: a call without any starts no worker. A range that breaks later has its tasks run, of which one may fail.
    const bool any = (work.complete() || work.read(1)) && work.known() > 0;
    if (any) who.run(work, how);
    stops.reset();
    if (work.settle_cancelled()) return;
    work.rethrow();
    if (any && (work.waiting() > 0 || !work.complete())) {
      throw error("backend \"" + std::string(who.name()) + "\" returned before all tasks were run: " + std::to_string(work.waiting()) +
                  " are left");
    }
  }

  options options_;
  bool is_plain_;
};

}  // namespace manyhands
