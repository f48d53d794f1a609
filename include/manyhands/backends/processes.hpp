#pragma once

#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/errors.hpp>
#if MANYHANDS_HAS_FORK
#include <manyhands/detail/forked_call.hpp>
#endif

namespace manyhands {

/// Worker processes that are forked for the call: a crash costs one task, and never the program.
///
/// Any closure works, because workers inherit the tasks; results come back through shared memory. What a task changes in memory stays in
/// its worker. Worker 0 is the first to be forked; the caller runs no task.
///
/// A worker is a copy of the calling thread: malloc, streams, exceptions and new threads work in it, but a lock that another thread of the
/// program held at that moment stays locked there for ever. It has the program's descriptors, an empty standard input, and default signal
/// handlers: a library that needs its own installs it in `options::initializer`. No other thread of the program may be inside OpenBLAS
/// when a call begins: its own handler of forks would wait for ever. It, OpenMP and TBB may have been used before.
///
/// Forking takes about 0.1 ms, and 14 ms for every gigabyte that the program has touched; a twentieth of that where the memory is in huge
/// pages (`madvise(MADV_HUGEPAGE)`), next to nothing where it is shared or kept from workers (`madvise(MADV_DONTFORK)`). Each worker looks
/// up the library functions that its tasks call and its program has not called yet, which takes about 0.05 ms, and nothing in a program
/// that is linked with `-Wl,-z,now`, as some systems do by themselves.
///
/// A worker ends as soon as there is nothing more for it to do; with `retries` or an `initializer` all of them stay until the call ends.
template <class>
class basic_processes_backend : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "processes"; }
  [[nodiscard]] backend_traits traits() const noexcept override { return {.shares_memory = false}; }

  [[nodiscard]] detail::stream_host streams() noexcept override { return {.how = detail::stream_host::kind::in_processes}; }

  /// Throws `not_transportable` where results cannot travel, and `std::system_error` where not one worker can be started; no task has run
  /// then. Leaves no process and no descriptor behind, however it ends.
  void run(jobs& work, const plan& how) override {
    const result_transport transport = work.transport();
    if (!transport.possible()) throw not_transportable(transport.type_name, transport.obstacle);
    if (work.known() == 0) return;
#if MANYHANDS_HAS_FORK
    detail::forked_call(work, how, transport.fixed_size).run();
#else
    static_cast<void>(how);
    throw error("worker processes are not available on this system: use the backend \"threads\"");
#endif
  }
};
using processes_backend = basic_processes_backend<void>;

}  // namespace manyhands
