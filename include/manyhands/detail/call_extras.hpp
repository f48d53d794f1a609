#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>

#include <manyhands/backend.hpp>
#include <manyhands/detail/call_stop.hpp>
#include <manyhands/detail/journal.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/task_timer.hpp>
#include <manyhands/detail/watchers.hpp>
#include <manyhands/detail/worker_setup.hpp>
#include <manyhands/options.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// What most calls do without, and their tasks need not be told of: limits, a clock, what stops the call, who watches it, a journal.
template <class>
class basic_call_extras {
 public:
  /// Whether a call that is made here has any.
  [[nodiscard]] static bool are_wanted(bool own_is_plain) noexcept {
    return !own_is_plain || (here.scope != nullptr && !here.scope->is_plain) || here.stop != nullptr;
  }

  /// Adds them to the facts. Refers to all that it is given, and throws what observers' constructors throw.
  basic_call_extras(const options& own, const options& scope, const selection& chosen, const backend& who, call_facts& facts)
      : own_(own),
        scope_(scope),
        around_(here.stop != nullptr ? std::optional<std::stop_token>(*here.stop) : std::nullopt),
        stop_(own.stop     ? &*own.stop
              : scope.stop ? &*scope.stop
                           : nullptr,
              around_ ? &*around_ : nullptr),
        pins_(select_pinning(own)) {
    facts.initializer = own.initializer || here.initializing ? own.initializer : scope.initializer;
    facts.seed = own.seed.value_or(scope.seed.value_or(0));
    facts.retries = own.retries.value_or(scope.retries.value_or(0));
    facts.timeout = own.timeout.value_or(scope.timeout.value_or(std::chrono::nanoseconds(0)));
    facts.tasks_per_worker = static_cast<std::size_t>(own.max_tasks_per_worker.value_or(scope.max_tasks_per_worker.value_or(0)));
    facts.memory_limit = own.memory_limit.value_or(scope.memory_limit.value_or(0));
    facts.stop = stop_.token();
    if (pins_) facts.pins = &*pins_;
    facts.binds = pins_.has_value();
    timer_ = timer_for(who.traits().shares_memory ? facts.timeout : facts.timeout.zero(), chosen.workers, facts.stop);
    facts.watches = timer_.get();
  }
  basic_call_extras(const basic_call_extras&) = delete;
  basic_call_extras& operator=(const basic_call_extras&) = delete;

  /// Opens the journal and finds the observers. Throws like `open_journal`, and what the observers' constructors throw.
  template <class Slots>
  void attach(const Slots& slots, const backend& who, const plan& how, call_facts& facts) {
    open_journal(kept_, own_, scope_, slots, how, facts.seed);
    facts.kept = kept_ ? &*kept_ : nullptr;
    watchers_.emplace(own_, scope_, who, how, slots.size(), facts.kept);
    facts.observed = watchers_->get();
  }

 private:
  const options& own_;
  const options& scope_;
  const std::optional<std::stop_token> around_;
  const call_stop stop_;
  const std::optional<pinning> pins_;
  std::unique_ptr<task_timer> timer_;
  std::optional<journal> kept_;
  std::optional<watchers> watchers_;
};
using call_extras = basic_call_extras<void>;

}  // namespace manyhands::detail
