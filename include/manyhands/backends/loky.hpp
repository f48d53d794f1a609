#pragma once

#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/errors.hpp>
#if MANYHANDS_HAS_FORK
#include <manyhands/detail/forked_call.hpp>
#include <manyhands/detail/worker_pool.hpp>
#endif

namespace manyhands {

/// Worker processes that outlive the call and serve the next one: for many short calls, and for programs that are costly to fork. A crash
/// costs one task, and never the program.
///
/// Tasks travel as bytes. Their function is a function pointer or a callable without captures, of the program or of a shared library of
/// it; what it works on are arguments, `delayed(fn)(args...)` or the elements of `range | delayed(fn)`, which are copied by their codecs.
/// Anything else is refused with `not_transportable` before a task runs. Programs and libraries need a build-id, which compilers on Linux
/// give them by default; without one it is an `error`.
///
/// A worker is a copy of the program as it was when the worker was started, and keeps what its tasks change: globals, the environment, the
/// working directory. It is started when a call finds too few that wait, and ended after 10 s without work, with the program, when
/// `options::max_tasks_per_worker` is reached, and when the program has since loaded or unloaded a library, or registered an exception or a
/// backend. Calls of several threads at a time never share one: each takes as many as it wants. `options::initializer` must be a function
/// pointer, and runs once in a worker's life; calls with another one, or with another `memory_limit`, have workers of their own.
///
/// The first start of a worker takes as long as on the backend "processes", which also says what works in a worker. Workers are forked by a
/// thread that the first call starts, and that sleeps between the calls.
template <class>
class basic_loky_backend : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "loky"; }
  [[nodiscard]] backend_traits traits() const noexcept override { return {.shares_memory = false, .packs_tasks = true}; }

  /// Throws `not_transportable` where tasks, results or the initializer cannot travel, and `std::system_error` where not one worker can be
  /// started; no task has run then.
  void run(jobs& work, const plan& how) override {
    const result_transport transport = detail::checked_transport(work, traits());
    if (work.known() == 0) return;
#if MANYHANDS_HAS_FORK
    detail::forked_call(work, how, transport.fixed_size, detail::worker_pool::here_and_now()).run();
#else
    static_cast<void>(how), static_cast<void>(transport);
    throw error("worker processes are not available on this system: use the backend \"threads\"");
#endif
  }

  /// Ends the workers that wait for work, now and not after 10 s, and returns when they are gone.
  static void end_idle_workers() {
#if MANYHANDS_HAS_FORK
    detail::worker_pool::here_and_now().end_idle();
#endif
  }
};
using loky_backend = basic_loky_backend<void>;

}  // namespace manyhands
