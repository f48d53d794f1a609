#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <manyhands/config.hpp>
#include <manyhands/detail/affinity.hpp>
#include <manyhands/detail/inner_pools.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/placement.hpp>
#include <manyhands/options.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/this_task.hpp>
#include <manyhands/topology.hpp>

// What a call decides for each of its workers, beside the number of them.

namespace manyhands::detail {

/// Decides what OpenMP and its like may use inside the tasks of a call that is made here.
///
/// Where nobody says it, the workers of an outermost call share the processors, and nested calls go by what the call around them decided:
/// on threads they use the same workers, and in a worker process they share what the process has. A call that runs in its caller alone
/// changes nothing.
template <class = void>
MANYHANDS_EACH_CALL [[nodiscard]] inner_threads select_inner_threads(const options& own, const selection& chosen) {
  const std::optional<int> asked = own.inner_max_num_threads ? own.inner_max_num_threads : scoped().inner_max_num_threads;
  const inner_threads outside = here.call != nullptr ? here.call->inner : inner_threads{};
  if (!asked && outside.most == 0 && chosen.workers == 1) return {};
  inner_pools::refresh();
  if (asked) return {.most = *asked, .exactly = true};
  if (outside.most != 0) {
    const bool shares = here.call->where == place::process && !outside.exactly;
    return shares ? inner_threads{.most = std::max(outside.most / chosen.workers, 1)} : outside;
  }
  if (inner_pools::empty()) return {};  // before the processors are counted, which is slow
  const int workers = std::max(chosen.workers, here.call != nullptr ? here.call->budget : 0);  // those of the call around it work on, too
  return {.most = std::max(cpu_count() / workers, 1)};
}

/// Where the workers of the call around this one are bound; null where they are not, or it is the process that is.
template <class = void>
[[nodiscard]] const pinning* pinning_around() noexcept {
  return here.call != nullptr && here.call->where != place::process ? here.call->pins : nullptr;
}

/// Decides where the workers of a call that is made here are bound: to cores or nodes that the calling thread may use now. Empty where
/// they are not. A scope's wish holds for outermost calls alone, whose workers are the nested calls', too.
template <class = void>
[[nodiscard]] std::optional<pinning> select_pinning(const options& own) {
  const std::optional<pin> wish = own.pin || here.call != nullptr ? own.pin : scoped().pin;
  if (wish.value_or(pin::none) == pin::none) return std::nullopt;
  std::optional<pinning> made(std::in_place);
  made->around = pinning_around();
  for (const std::vector<int>& processors : places_on(locate(made->callers.processors()), *wish)) {
    made->places.push_back(affinity_mask::of(processors));
  }
  return made->places.empty() ? std::nullopt : std::move(made);
}

}  // namespace manyhands::detail
