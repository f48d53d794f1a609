#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/backends/sequential.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/call_extras.hpp>
#include <manyhands/detail/journal.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/detail/scope_frame.hpp>
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
  explicit basic_call_setup(const options& own) : basic_call_setup(own, is_plain(own)) {}
  /// For who knows whether its options are plain.
  MANYHANDS_EACH_CALL basic_call_setup(const options& own, bool own_is_plain)
      : own_(own),
        scope_(scoped()),
        chosen(select(own)),
        how(plan_for(own, scope_, chosen)),
        facts{.scope = here.scope,
              .initializing = here.initializing,
              .where = chosen.where,
              .budget = chosen.budget,
              .inner = select_inner_threads(own, chosen),
              .pins = pinning_around(),
              .unobserved = is_unobserved(),
              .depth = here.call != nullptr ? here.call->depth + 1 : 0} {
    if (call_extras::are_wanted(own_is_plain)) extras_.emplace(own_, scope_, chosen, who(), facts);
  }
  basic_call_setup(const basic_call_setup&) = delete;
  basic_call_setup& operator=(const basic_call_setup&) = delete;

  /// Who runs the call: with one worker most often the caller.
  [[nodiscard]] backend& who() noexcept { return chosen.in_caller ? static_cast<backend&>(in_caller_) : *chosen.who; }

  /// Opens the call's journal and finds its observers. Before its jobs are made. Throws like `open_journal`, and what the observers'
  /// constructors throw.
  template <class Slots>
  void attach(const Slots& slots) {
    if (extras_) extras_->attach(slots, who(), how, facts);
  }
  /// Tells the observers that the call begins.
  void begin() noexcept {
    if (facts.observed != nullptr) facts.observed->begin();
  }
  /// Tells them that it has ended, once no task runs any more. Where it has not failed, throws `observer_error` if one of them has failed,
  /// or the journal.
  void end(std::exception_ptr error) {
    if (facts.observed != nullptr) facts.observed->end(error);
    if (facts.kept != nullptr && error == nullptr) facts.kept->finish();
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
  std::optional<call_extras> extras_;

 public:
  call_facts facts;
};
using call_setup = basic_call_setup<void>;

}  // namespace manyhands::detail
