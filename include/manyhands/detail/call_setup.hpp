#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <manyhands/backend.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/worker_setup.hpp>
#include <manyhands/options.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// All that is decided of a call when it is made, from its own options and those of the scopes around it. It refers to both.
struct call_setup {
  explicit call_setup(const options& own)
      : scope(scoped()),
        chosen(select(own)),
        pins(select_pinning(own)),
        facts{.scope = here.scope,
              .initializer = own.initializer || here.initializing ? own.initializer : scope.initializer,
              .initializing = here.initializing,
              .seed = own.seed.value_or(scope.seed.value_or(0)),
              .where = chosen.where,
              .budget = chosen.budget,
              .inner = select_inner_threads(own, chosen),
              .pins = pins ? &*pins : pinning_around(),
              .binds = pins.has_value()},
        how(plan_for(own)) {}
  call_setup(const call_setup&) = delete;
  call_setup& operator=(const call_setup&) = delete;

  const options& scope;
  const selection chosen;
  const std::optional<pinning> pins;
  call_facts facts;
  plan how;

 private:
  [[nodiscard]] plan plan_for(const options& own) const {
    const std::optional<std::string>& description = own.description ? own.description : scope.description;
    const auto& ahead = own.pre_dispatch ? own.pre_dispatch : scope.pre_dispatch;
    return {.workers = chosen.workers,
            .batch = own.batch_size.value_or(scope.batch_size.value_or(automatic)),
            .read_ahead = ahead ? ahead->batches(chosen.workers) : 2 * static_cast<std::size_t>(chosen.workers),
            .description = description ? std::string_view(*description) : std::string_view()};
  }
};

}  // namespace manyhands::detail
