#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include <manyhands/backend.hpp>
#include <manyhands/detail/far_run.hpp>
#include <manyhands/detail/inner_pools.hpp>
#include <manyhands/detail/mpi_worker.hpp>
#include <manyhands/detail/packed_call.hpp>
#include <manyhands/detail/task_timer.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// What a rank has for itself.
struct mpi_share {
  /// The processors that it may use beside the other ranks of its machine.
  int processors = 1;
  /// By how much rank 0's steady clock is ahead of this machine's.
  std::chrono::nanoseconds clock_ahead{0};
};

/// A call's packed tasks on a rank: they see the call's scope, and share the rank's processors.
template <class>
class basic_mpi_far_tasks final : public mpi_far_call {
 public:
  /// Throws like `packed_call`.
  basic_mpi_far_tasks(int number, reader& facts, const std::stop_token& stop, mpi_share mine)
      : number_(number), stop_(stop), mine_(mine), call_(facts) {
    facts.finish();
    call_facts& changed = call_.facts_to_change();
    changed.budget = mine.processors;
    changed.stop = &stop_;
    // Late tasks cannot be killed without the rank. So they are asked to stop, and waited for.
    if (changed.timeout.count() != 0) timer_ = std::make_unique<task_timer>(changed.timeout, 1, &stop_);
    if (changed.inner.exactly) return;
    inner_pools::refresh();
    changed.inner = inner_pools::empty() ? inner_threads{} : inner_threads{.most = mine.processors};
  }

  void enter() override {
    scope_.emplace(call_, number_, !was_here_);
    was_here_ = true;
    if (timer_ != nullptr) here.watch = timer_->of(0);
  }
  void leave() noexcept override { scope_.reset(); }
  [[nodiscard]] std::exception_ptr broken() const noexcept override { return call_.aborted(); }
  task_result run(std::size_t index, std::span<const std::byte> task, writer& result) noexcept override {
    const task_result what = call_.execute(index, task, result);
    if (call_.facts_to_change().tells_runs && mine_.clock_ahead.count() != 0) translate_times(result);
    return what;
  }
  [[nodiscard]] std::size_t limit() const noexcept override { return call_.limit(); }

 private:
  /// The record of the run stands at the end, in this machine's time.
  void translate_times(writer& result) const noexcept {
    far_run run{};
    if (result.size() < sizeof run) return;
    const std::size_t at = result.size() - sizeof run;
    std::memcpy(&run, result.bytes().data() + at, sizeof run);
    run.begin += mine_.clock_ahead.count();
    run.end += mine_.clock_ahead.count();
    result.overwrite(at, &run, sizeof run);
  }

  const int number_;
  const std::stop_token stop_;
  const mpi_share mine_;
  packed_call call_;
  std::unique_ptr<task_timer> timer_;
  bool was_here_ = false;
  std::optional<worker_scope> scope_;
};
using mpi_far_tasks = basic_mpi_far_tasks<void>;

}  // namespace manyhands::detail
