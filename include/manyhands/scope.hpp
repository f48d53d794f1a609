#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/scope_frame.hpp>
#include <manyhands/environment.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/options.hpp>
#include <manyhands/registry.hpp>
#include <manyhands/schedule.hpp>
#include <manyhands/this_task.hpp>
#include <manyhands/topology.hpp>

namespace manyhands {

namespace detail {

/// `upper`, and where it says nothing, `lower`.
template <class = void>
[[nodiscard]] options overlaid(options upper, const options& lower) {
  const auto fill = [&](auto member) {
    if (!(upper.*member)) upper.*member = lower.*member;
  };
  if (!upper.backend.has_value()) upper.backend = lower.backend;
  fill(&options::n_jobs);
  fill(&options::prefer);
  fill(&options::require);
  fill(&options::batch_size);
  fill(&options::pre_dispatch);
  fill(&options::timeout);
  fill(&options::retries);
  fill(&options::inner_max_num_threads);
  fill(&options::max_tasks_per_worker);
  fill(&options::memory_limit);
  fill(&options::initializer);
  fill(&options::pin);
  fill(&options::stop);
  fill(&options::verbose);
  fill(&options::progress);
  fill(&options::description);
  fill(&options::trace);
  fill(&options::report);
  fill(&options::checkpoint);
  fill(&options::seed);
  fill(&options::observer);
  return upper;
}

template <class = void>
[[nodiscard]] std::shared_ptr<backend> chosen_backend(const backend_choice& choice) {
  return choice.object() != nullptr ? choice.object() : make_backend(choice.name());
}

/// Throws for what a call could not honour: `std::invalid_argument` for what is wrong, `error` for a backend that is not available yet.
template <class = void>
void check(const options& asked) {
  if (asked.n_jobs) static_cast<void>(workers_for(*asked.n_jobs, 1));
  if (asked.backend.has_value() && asked.backend.object() == nullptr) {
    if (asked.backend.name().empty()) throw std::invalid_argument("backend is empty: use a name, or a backend that is not null");
    static_cast<void>(factory_of(asked.backend.name()));
  }
  if (asked.backend.has_value() && asked.require == require::shared_memory) {
    const std::shared_ptr<backend> chosen = chosen_backend(asked.backend);
    if (!chosen->traits().shares_memory) {
      throw std::invalid_argument("require is shared_memory, and backend is \"" + std::string(chosen->name()) +
                                  "\", whose workers do not share memory: leave one of them out");
    }
  }
  if (asked.require == require::shared_memory && asked.prefer == prefer::processes) {
    throw std::invalid_argument("require is shared_memory, and prefer is processes, which do not share memory: leave one of them out");
  }
  const auto at_least = [](const char* member, const auto& value, int least, const char* cure) {
    if (!value || !std::cmp_less(*value, least)) return;
    throw std::invalid_argument(std::string(member) + " is " + std::to_string(*value) + ": use " + cure);
  };
  at_least("verbose", asked.verbose, 0, "0 for silence, or more");
  at_least("retries", asked.retries, 0, "0 to run no task again, or more");
  at_least("inner_max_num_threads", asked.inner_max_num_threads, 1, "a number of threads of at least 1");
  at_least("max_tasks_per_worker", asked.max_tasks_per_worker, 1, "a number of tasks of at least 1");
  at_least("memory_limit", asked.memory_limit, 1, "a number of bytes of at least 1");
  if (asked.timeout && asked.timeout->count() <= 0) {
    throw std::invalid_argument("timeout is " + std::to_string(asked.timeout->count()) + " ns: use a time above zero");
  }
}

/// Who runs a call, and what its tasks are to know of it.
struct selection {
  std::shared_ptr<backend> who;
  int workers = 1;
  place where = place::caller;
  int budget = 0;
  /// The one worker is the caller.
  bool in_caller = false;
};

/// The innermost scope's defaults.
template <class = void>
MANYHANDS_EACH_CALL [[nodiscard]] const options& scoped() {
  static const options& none = *new options;  // never deleted: calls may be made while static objects are destroyed
  return here.scope != nullptr ? here.scope->merged : none;
}

/// Who would run a call that is made here with these options, before nesting is considered.
template <class = void>
MANYHANDS_EACH_CALL [[nodiscard]] std::shared_ptr<backend> asked_backend(const options& own) {
  std::shared_ptr<backend> who;
  if (own.backend.has_value()) {
    who = chosen_backend(own.backend);
  } else if (scoped().backend.has_value()) {
    who = chosen_backend(scoped().backend);
  } else if (const std::optional<std::string> variable = env_backend()) {
    who = make_backend(*variable, "MANYHANDS_BACKEND");
  } else {
    const std::optional<prefer> wish = own.prefer ? own.prefer : scoped().prefer;
    who = !wish ? make_preferred_backend() : make_backend(*wish == prefer::processes ? "processes" : "threads");
  }
  const bool must_share = (own.require ? own.require : scoped().require) == require::shared_memory;
  return must_share && !who->traits().shares_memory ? make_backend("threads") : who;
}

/// Decides who runs a call that is made here and now. Throws `std::invalid_argument` for a bad value in the environment.
///
/// Inside a thread worker a call shares the outer call's workers and never forks: other threads may hold locks. A backend that cannot share
/// them gets none of its own there: the call runs in its caller. Inside a worker process a call uses threads, as many as the process has a
/// share of the processors.
template <class = void>
MANYHANDS_EACH_CALL [[nodiscard]] selection select(const options& own) {
  selection chosen;
  chosen.who = asked_backend(own);
  const place outside = here.call != nullptr ? here.call->where : place::caller;
  const int most = outside == place::caller ? std::numeric_limits<int>::max() : here.call->budget;
  if (outside != place::caller && !chosen.who->traits().shares_memory) chosen.who = make_backend("threads");

  const backend& asked_for = *chosen.who;
  const backend_traits traits = asked_for.traits();
  const auto there_are = [&] { return traits.workers != 0 ? traits.workers : cpu_count(); };
  bool one_is_asked = false;
  if (const std::optional<int> asked = own.n_jobs ? own.n_jobs : scoped().n_jobs) {
    chosen.workers = *asked > 0 ? *asked : workers_for(*asked, there_are());
    one_is_asked = *asked == 1;
  } else if (const std::optional<n_jobs_request> variable = env_n_jobs()) {
    chosen.workers = variable->automatic ? std::max(there_are() - 1, 1)
                     : variable->n > 0   ? variable->n
                                         : workers_for(variable->n, there_are());
    one_is_asked = variable->n == 1 && !variable->automatic;
  } else {
    chosen.workers = outside == place::caller ? there_are() : most;
  }
  chosen.workers = std::min(chosen.workers, most);
  if (traits.workers != 0) chosen.workers = std::min(chosen.workers, traits.workers);
  // Where there is but one worker anyway it is not the caller.
  chosen.in_caller = chosen.workers == 1 && (traits.workers == 0 || one_is_asked);

  // In this order: to compare types takes longer.
  if (!traits.nests && (outside == place::threads || typeid(asked_for) == typeid(sequential_backend))) {
    chosen.workers = 1;
    chosen.in_caller = true;
    chosen.where = outside;
    chosen.budget = outside == place::caller ? 0 : most;
  } else if (traits.shares_memory) {
    chosen.where = place::threads;
    chosen.budget = traits.nests ? chosen.workers : 1;
  } else if (!chosen.in_caller) {
    chosen.where = place::process;
    chosen.budget = std::max(cpu_count() / chosen.workers, 1);
  }
  return chosen;
}

}  // namespace detail

/// Sets the defaults of the calling thread's calls from here to the end of the scope, for library code, too. What a call or a scope further
/// in says wins, member by member. Tasks see the scope of the call that started them.
///
/// Throws `std::invalid_argument` for options that no call could honour.
class [[nodiscard]] parallel_config {
 public:
  template <class = void>
  [[nodiscard]] explicit parallel_config(options defaults) : frame_{checked(std::move(defaults))}, outer_(detail::here.scope) {
    detail::here.scope = &frame_;
  }
  parallel_config(const parallel_config&) = delete;
  parallel_config& operator=(const parallel_config&) = delete;
  ~parallel_config() { detail::here.scope = outer_; }

 private:
  template <class = void>
  static options checked(options defaults) {
    detail::check(defaults);
    return detail::overlaid(std::move(defaults), detail::scoped());
  }

  detail::scope_frame frame_;
  const detail::scope_frame* outer_;
};

/// The same, with the backend that runs the calls: `parallel_backend guard("processes", {.n_jobs = 2});`.
class [[nodiscard]] parallel_backend : public parallel_config {
 public:
  template <class = void>
  [[nodiscard]] explicit parallel_backend(backend_choice backend, options defaults = {})
      : parallel_config(with(std::move(defaults), std::move(backend))) {}

 private:
  template <class = void>
  static options with(options defaults, backend_choice backend) {
    defaults.backend = std::move(backend);
    return defaults;
  }
};

/// How many workers a call made here would use, with `n_jobs` as in `options` where it is given. Throws `std::invalid_argument` for 0.
template <class = void>
[[nodiscard]] int effective_n_jobs(std::optional<int> n_jobs = std::nullopt) {
  if (n_jobs) static_cast<void>(detail::workers_for(*n_jobs, 1));
  return detail::select({.n_jobs = n_jobs}).workers;
}

}  // namespace manyhands
