#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/team.hpp>

namespace manyhands {

/// Runs tasks on threads of this process: the caller and up to `n_jobs - 1` helpers, which Asio hosts and which sleep between calls.
///
/// A call made inside a task shares the workers of the outermost call. Input without random access is read by the caller, who then leaves
/// the tasks to `n_jobs` helpers until all is read. Where the system gives no more threads, the call makes do with those it has.
template <class>
class basic_threads_backend final : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "threads"; }
  MANYHANDS_EACH_CALL [[nodiscard]] backend_traits traits() const noexcept override {
    return {.shares_memory = true, .streams = true, .nests = true};
  }

  [[nodiscard]] std::shared_ptr<void> prepare(const plan& how, std::size_t tasks) override {
    if (detail::team::call_around() != nullptr) return nullptr;
    const std::size_t workers = std::min({static_cast<std::size_t>(how.workers), tasks, detail::crew::processors()});
    return workers > 1 ? std::make_shared<detail::expected_team>(static_cast<int>(workers) - 1) : nullptr;
  }
  [[nodiscard]] detail::stream_host streams() noexcept override { return {.how = detail::stream_host::kind::on_team}; }
  MANYHANDS_EACH_CALL void run(jobs& work, const plan& how) override {
    detail::run_on_team(work, how, how.workers - (work.complete() ? 1 : 0));
  }
};
using threads_backend = basic_threads_backend<void>;

}  // namespace manyhands
