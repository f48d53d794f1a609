#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>

#include <manyhands/backend.hpp>
#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/this_task.hpp>

// What a task's worker and its caller, in two processes, say to each other beside the task and its result.

namespace manyhands::detail {

/// What stands before a task that was packed.
struct packed_header {
  enum class content : std::uint8_t {
    task,   ///< to be run
    value,  ///< its value, known from an earlier run
    error   ///< why it could not be packed, as `save_exception` writes it
  };

  /// By which the user knows the task.
  std::size_t index = 0;
  content what = content::task;
};
template <class = void>
void save_packed_header(packed_header header, writer& out) {
  const std::uint64_t word = static_cast<std::uint64_t>(header.index) << 2 | static_cast<std::uint64_t>(header.what);
  out.write(&word, sizeof word);
}
template <class = void>
[[nodiscard]] packed_header load_packed_header(reader& in) {
  std::uint64_t word = 0;
  in.read(&word, sizeof word);
  if ((word & 3) > 2) throw codec_error("what stands before a packed task is rubbish");
  return {static_cast<std::size_t>(word >> 2), static_cast<packed_header::content>(word & 3)};
}

/// What an observer shall know of a run in another process; comes home behind the result.
struct far_run {
  std::int64_t begin;  // of the steady clock, which is the same for all processes of a machine
  std::int64_t end;
  std::int32_t worker;
  std::int32_t first_attempt;
  std::int32_t attempt;  // the last
  std::int32_t unused;   // no byte shall be left to chance
};
template <class = void>
void save_far_run(const observed_task& task, int first_attempt, writer& out) {
  const far_run run{.begin = task.begin.time_since_epoch().count(),
                    .end = task.end.time_since_epoch().count(),
                    .worker = task.worker,
                    .first_attempt = first_attempt,
                    .attempt = task.attempt,
                    .unused = 0};
  out.write(&run, sizeof run);
}
template <class = void>
[[nodiscard]] far_run load_far_run(reader& in, int retries) {
  far_run run{};
  in.read(&run, sizeof run);
  if (run.worker < 0 || run.first_attempt < 0 || run.attempt < run.first_attempt || run.attempt > retries || run.end < run.begin)
    throw codec_error("the record of a task's run is no such record");
  return run;
}

/// The error of a task that has run for longer than its call allows.
template <class = void>
[[nodiscard]] std::exception_ptr late_error(std::size_t index, const call_facts& facts) noexcept {
  try {
    return std::make_exception_ptr(task_timeout(index, facts.timeout));
  } catch (...) {  // no memory for its text
    return std::current_exception();
  }
}

/// Calls `once(keep)`, which is one attempt at a task of `work` and returns its error, until it has none or no further attempt is left;
/// returns the last error. `keep` says that the task must last; only tasks that `last` are run again. `discard()` takes away the result of
/// a task that was late. `seen_last` is what an observer shall know of the last attempt; it is told of those before right away if it is
/// `near`.
template <class Once, class Discard>
std::exception_ptr run_attempts(const jobs& work, std::size_t index, bool lasts, Once&& once, Discard&& discard, observed_task& seen_last,
                                bool near) noexcept {
  const call_facts& facts = work.facts();
  observation* const seen = facts.observed;
  const bool is_told = seen != nullptr || facts.tells_runs;
  attempt_watch* const watch = here.watch;
  const int first = here.attempt;  // not 0 after attempts in workers that died
  std::exception_ptr error;
  for (bool keep = true; keep; ++here.attempt) {
    keep = lasts && here.attempt < facts.retries;
    if (is_told) {
      seen_last = {.index = here.task, .worker = here.worker, .attempt = here.attempt, .begin = observed_call::clock::now()};
      seen_last.end = seen_last.begin;
      if (near) seen->report({.what = occurrence::kind::started, .task = seen_last});
    }
    if (watch != nullptr) watch->begin(here.attempt);
    error = once(keep);
    if (is_told) seen_last.end = observed_call::clock::now();
    if (watch != nullptr && watch->end()) {
      if (error == nullptr) discard();
      error = late_error(here.task, facts);
    }
    if (error == nullptr || index >= work.limit()) break;
    if (is_told && keep && near) {
      seen_last.error = error;
      seen->report({.what = occurrence::kind::retried, .task = seen_last});
    }
  }
  here.attempt = first;
  return error;
}

}  // namespace manyhands::detail
