#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/backends/sequential.hpp>
#include <manyhands/detail/call_stop.hpp>
#include <manyhands/detail/journal.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/task_timer.hpp>
#include <manyhands/detail/watchers.hpp>
#include <manyhands/detail/worker_setup.hpp>
#include <manyhands/options.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// All that is decided of a call when it is made, from its own options and those of the scopes around it, and what it keeps for its
/// tasks: clocks, observers, a journal. It refers to both; what it is made in, a task may be, can end before it.
template <class>
class basic_call_setup {
 public:
  /// Throws like `select`.
  explicit basic_call_setup(const options& own)
      : own_(own),
        scope_(scoped()),
        chosen(select(own)),
        how(plan_for(own, scope_, chosen)),
        around_(here.stop != nullptr ? std::optional<std::stop_token>(*here.stop) : std::nullopt),
        stop_(own.stop      ? &*own.stop
              : scope_.stop ? &*scope_.stop
                            : nullptr,
              around_ ? &*around_ : nullptr),
        pins_(select_pinning(own)),
        timeout_(own.timeout.value_or(scope_.timeout.value_or(std::chrono::nanoseconds(0)))),
        timer_(timer_for(who().traits().shares_memory ? timeout_ : timeout_.zero(), chosen.workers, stop_.token())),
        facts{.scope = here.scope,
              .initializer = own.initializer || here.initializing ? own.initializer : scope_.initializer,
              .initializing = here.initializing,
              .seed = own.seed.value_or(scope_.seed.value_or(0)),
              .where = chosen.where,
              .budget = chosen.budget,
              .inner = select_inner_threads(own, chosen),
              .pins = pins_ ? &*pins_ : pinning_around(),
              .binds = pins_.has_value(),
              .retries = own.retries.value_or(scope_.retries.value_or(0)),
              .timeout = timeout_,
              .tasks_per_worker = static_cast<std::size_t>(own.max_tasks_per_worker.value_or(scope_.max_tasks_per_worker.value_or(0))),
              .memory_limit = own.memory_limit.value_or(scope_.memory_limit.value_or(0)),
              .watches = timer_.get(),
              .stop = stop_.token(),
              .unobserved = is_unobserved(),
              .depth = here.call != nullptr ? here.call->depth + 1 : 0} {}
  basic_call_setup(const basic_call_setup&) = delete;
  basic_call_setup& operator=(const basic_call_setup&) = delete;

  /// Who runs the call: with one worker most often the caller.
  [[nodiscard]] backend& who() noexcept { return chosen.in_caller ? static_cast<backend&>(in_caller_) : *chosen.who; }

  /// Opens the call's journal and finds its observers. Before its jobs are made. Throws like `open_journal`, and what the observers'
  /// constructors throw.
  template <class Slots>
  void attach(const Slots& slots) {
    open_journal(kept_, own_, scope_, slots, how, facts.seed);
    facts.kept = kept_ ? &*kept_ : nullptr;
    watchers_.emplace(own_, scope_, who(), how, slots.size(), facts.kept);
    facts.observed = watchers_->get();
  }
  /// Tells the observers that the call begins.
  void begin() noexcept {
    if (facts.observed != nullptr) facts.observed->begin();
  }
  /// Tells them that it has ended, once no task runs any more. Where it has not failed, throws `observer_error` if one of them has failed,
  /// or the journal.
  void end(std::exception_ptr error) {
    if (facts.observed != nullptr) facts.observed->end(error);
    if (kept_ && error == nullptr) kept_->finish();
  }

 private:
  const options& own_;
  const options& scope_;

 public:
  const selection chosen;
  const plan how;

 private:
  static plan plan_for(const options& own, const options& scope, const selection& chosen) {
    const std::optional<std::string>& description = own.description ? own.description : scope.description;
    const auto& ahead = own.pre_dispatch ? own.pre_dispatch : scope.pre_dispatch;
    return {.workers = chosen.workers,
            .batch = own.batch_size.value_or(scope.batch_size.value_or(automatic)),
            .read_ahead = ahead ? ahead->batches(chosen.workers) : 2 * static_cast<std::size_t>(chosen.workers),
            .description = description ? std::string_view(*description) : std::string_view()};
  }

  sequential_backend in_caller_;
  const std::optional<std::stop_token> around_;
  const call_stop stop_;
  const std::optional<pinning> pins_;
  const std::chrono::nanoseconds timeout_;
  const std::unique_ptr<task_timer> timer_;
  std::optional<journal> kept_;
  std::optional<watchers> watchers_;

 public:
  call_facts facts;
};
using call_setup = basic_call_setup<void>;

}  // namespace manyhands::detail
