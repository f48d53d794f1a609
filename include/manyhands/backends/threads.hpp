#pragma once

#include <memory>
#include <mutex>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/team.hpp>

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
    detail::crew& all = detail::crew::get();
    std::unique_lock lock(all.mutex());
    if (detail::team_call* const outer = detail::team::active(); outer != nullptr) {
      run_in(outer->squad, outer, work, how, lock);
      return;
    }
    const int helpers = how.workers - (work.complete() ? 1 : 0);
    const opened squad(all, helpers);
    run_in(*squad.team, nullptr, work, how, lock);
  }

 private:
  /// The team of an outermost call, which may employ helpers for as long as it lives. The crew's mutex is held at both ends.
  struct opened {
    opened(detail::crew& the_crew, int most) : crew(the_crew), team(std::make_shared<detail::team>(most)), helpers(most) {
      crew.open(helpers);
    }
    opened(const opened&) = delete;
    opened& operator=(const opened&) = delete;
    ~opened() { crew.close(team, helpers); }

    detail::crew& crew;
    std::shared_ptr<detail::team> team;
    int helpers;
  };

  static void run_in(detail::team& squad, detail::team_call* outer, jobs& work, const plan& how, std::unique_lock<std::mutex>& lock) {
    detail::team_call call(squad, outer, work, how);
    if (work.complete()) {
      squad.run(call, lock);
    } else {
      squad.run_streaming(call, lock);
    }
  }
};

}  // namespace manyhands
