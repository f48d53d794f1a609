#pragma once

#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/detail/team.hpp>
#include <manyhands/detail/team_call.hpp>

namespace manyhands {

/// Runs tasks on threads of this process: the caller and up to `n_jobs - 1` helpers, which Asio hosts and which sleep between calls.
///
/// A call made inside a task shares the workers of the outermost call. Input without random access is read by the caller, who then leaves
/// the tasks to `n_jobs` helpers until all is read. Where the system gives no more threads, the call makes do with those it has.
class threads_backend final : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "threads"; }
  [[nodiscard]] backend_traits traits() const noexcept override { return {.shares_memory = true, .streams = true, .nests = true}; }

  void run(jobs& work, const plan& how) override {
    if (detail::team_call* const outer = detail::team::active(); outer != nullptr) {
      detail::team_call call(outer->squad, outer, work, how);
      outer->squad.run(call);
      return;
    }
    detail::team squad(how.workers - (work.complete() ? 1 : 0));
    detail::team_call call(squad, nullptr, work, how);
    squad.run(call);
  }
};

}  // namespace manyhands
