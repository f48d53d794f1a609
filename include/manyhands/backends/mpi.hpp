#pragma once

#include <memory>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/backends/mpi_options.hpp>
#include <manyhands/backends/threads.hpp>
#include <manyhands/detail/mpi_world.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/registry.hpp>
#include <manyhands/scope.hpp>

namespace manyhands {

namespace detail {

inline constexpr const char* no_mpi_session =
    "backend \"mpi\" needs a session, and there is none: write `manyhands::mpi_session session;` as the first statement of main";

}  // namespace detail

/// The ranks of an MPI job: `mpirun -n 65 program` gives 64 workers. The backend "mpi", which an `mpi_session` registers.
///
/// Rank 0 makes the calls and runs no task: the thread that waits in a call sends out tasks and takes results, and a task in its place
/// would keep the others waiting. Worker 0 is the first of the call's ranks. `n_jobs` counts ranks, -1 is all but rank 0, and more than
/// there are come to these; `n_jobs = 1` runs in the caller. Calls that are made at the same time share the ranks.
///
/// Tasks travel as bytes, as with "loky": functions must be pointers or callables without state, arguments and results transportable, of
/// the program or of a library that every rank has loaded. Automatic batches last 1 ms, or sixteen times as long as the network takes to
/// answer; what a rank has not begun goes to another that has nothing to do.
///
/// A task that ends by an exception costs nobody anything. One that kills its rank ends the run, unless the session says otherwise:
/// see `mpi_options`. A task that is late, or whose call was stopped, is asked to stop by its `stop_token()`, and waited for. Ranks are
/// not the library's to limit or to replace: `memory_limit`, `max_tasks_per_worker` and `pin` have no effect. Calls inside tasks use
/// threads, as many as the rank has processors for itself.
///
/// While a call waits, no other thread may call MPI, unless the program has initialised it with `MPI_THREAD_MULTIPLE`.
template <class>
class basic_mpi_backend final : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "mpi"; }
  [[nodiscard]] backend_traits traits() const noexcept override {
    const detail::mpi_world* const current = detail::mpi_world::current();
    return {.shares_memory = false, .streams = true, .packs_tasks = true, .workers = current != nullptr ? current->workers() : 1};
  }

  [[nodiscard]] detail::stream_host streams() noexcept override {
    return {.how = detail::stream_host::kind::elsewhere, .made = [](jobs& work, const plan& how) { return world().stream(work, how); }};
  }

  /// Throws `not_transportable` where tasks or results cannot travel, and `error` after the end of the session; no task has run then.
  void run(jobs& work, const plan& how) override {
    const result_transport transport = work.transport();
    if (!transport.possible()) throw not_transportable(transport.type_name, transport.obstacle);
    world().run(work, how);
  }

 private:
  [[nodiscard]] static detail::mpi_world& world() {
    if (detail::mpi_world* const current = detail::mpi_world::current()) return *current;
    throw error(detail::no_mpi_session);
  }
};
using mpi_backend = basic_mpi_backend<void>;

namespace detail {

/// What "mpi" stands for: threads, where this rank is alone.
template <class = void>
[[nodiscard]] std::shared_ptr<backend> mpi_or_threads() {
  const mpi_world* const world = mpi_world::current();
  if (world != nullptr && world->workers() == 0) return shared_backend<threads_backend>();
  return shared_backend<mpi_backend>();
}

/// So that who asks for "mpi" without a session is told what is missing.
inline const bool mpi_is_included = (why_no_mpi().store(no_mpi_session, std::memory_order_release), true);

}  // namespace detail

/// Makes this process a rank of the backend "mpi". The first statement of main:
///
///   int main() {
///     manyhands::mpi_session session;
///     manyhands::parallel_backend guard("mpi");
///
/// Rank 0 goes on. All others run tasks in here until the program ends on rank 0, and then end: they never get past it, and what stands
/// before it runs on every rank. A rank that is alone, in a program started without mpirun, uses threads.
///
/// Every rank keeps up to 64 MiB of the memory that results have left, for the next ones, unless the program has tuned the C library for
/// itself (`GLIBC_TUNABLES`, `MALLOC_...`), or does it later.
///
/// Initialises MPI, and ends it with the program, in whatever way that ends; a program that has initialised it itself, with
/// `MPI_THREAD_SERIALIZED` or more, may also call `MPI_Finalize` itself.
///
/// Throws `error` on rank 0 where the ranks do not all run the same build of the program, where there is a session already, or where the
/// launcher belongs to another MPI; `std::invalid_argument` for options out of range.
class [[nodiscard]] mpi_session {
 public:
  template <class = void>
  explicit mpi_session(const mpi_options& options = {}) {
    register_parallel_backend("mpi", detail::mpi_or_threads<>);  // before: other ranks do not come back
    world_ = &detail::mpi_world::begin(options);
  }
  mpi_session(const mpi_session&) = delete;
  mpi_session& operator=(const mpi_session&) = delete;

  /// How many ranks run tasks: 0 where this one is alone.
  [[nodiscard]] int workers() const noexcept { return world_->workers(); }

 private:
  const detail::mpi_world* world_ = nullptr;
};

}  // namespace manyhands
