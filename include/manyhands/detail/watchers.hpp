#pragma once

#include <cxxabi.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/journal.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/observer.hpp>
#include <manyhands/observers/progress.hpp>
#include <manyhands/observers/report.hpp>
#include <manyhands/observers/trace.hpp>
#include <manyhands/observers/verbose.hpp>
#include <manyhands/options.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// The name of an object's class, without namespaces.
template <class Object>
[[nodiscard]] std::string class_name(const Object& object) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(abi::__cxa_demangle(typeid(object).name(), nullptr, nullptr, &status),
                                                             &std::free);
  std::string name = status == 0 ? readable.get() : typeid(object).name();
  name.erase(std::min(name.find('<'), name.size()));
  if (const std::size_t colon = name.rfind(':'); colon != std::string::npos) name.erase(0, colon + 1);
  // Templates only for the compiler's sake.
  if (name.starts_with("basic_")) name.erase(0, 6);
  return name;
}

/// Whether nobody may be told of a call that is made here.
template <class = void>
[[nodiscard]] bool is_unobserved() noexcept {
  return observation::is_telling() || (here.call != nullptr && (here.call->unobserved || here.call->where == place::process));
}

/// A file that a call made here uses: a scope's is for the calls in it, not for those in their tasks.
template <class = void>
[[nodiscard]] const std::optional<file_name>& path_for(const std::optional<file_name>& own,
                                                       const std::optional<file_name>& scope) noexcept {
  return own || here.call != nullptr ? own : scope;
}

/// The journal of a call made here, if it wants one. Throws `checkpoint_error`, and `not_transportable` where the results cannot be
/// written down.
template <class Slots>
void open_journal(std::optional<journal>& made, const options& own, const options& scope, const Slots& slots, const plan& how,
                  std::uint64_t seed) {
  const auto& path = path_for(own.checkpoint, scope.checkpoint);
  if (!path) return;
  if (const result_transport home = slots.transport(); !home.possible()) {
    throw not_transportable(home.type_name, std::string("which a checkpoint needs: ") + home.obstacle);
  }
  made.emplace(path->string(), journal_facts{.tasks = slots.size() ? *slots.size() : journal_facts::unknown,
                                             .seed = seed,
                                             .result_type = Slots::result_name(),
                                             .description = std::string(how.description)});
}

/// Those that watch a call, and what they know of it from the beginning. Lives as long as the call.
template <class>
class basic_watchers {
 public:
  /// Throws what the observers' constructors throw.
  basic_watchers(const options& own, const options& scope, const backend& who, const plan& how, std::optional<std::size_t> tasks,
                 const journal* kept) {
    std::vector<std::shared_ptr<observer>> observers;
    if (is_unobserved()) return;
    const int verbose = own.verbose.value_or(scope.verbose.value_or(0));
    if (verbose > 0) observers.push_back(std::make_shared<verbose_observer>(verbose));
    if (own.progress.value_or(scope.progress.value_or(false))) observers.push_back(std::make_shared<progress_observer>());
    if (const auto& path = path_for(own.trace, scope.trace)) observers.push_back(std::make_shared<trace_observer>(path->string()));
    if (const auto& path = path_for(own.report, scope.report)) observers.push_back(std::make_shared<report_observer>(path->string()));
    if (const auto& users = own.observer != nullptr ? own.observer : scope.observer) observers.push_back(users);
    if (observers.empty()) return;

    static std::atomic<std::uint64_t> calls{0};
    backend_ = who.name();
    backend_class_ = class_name(who);
    observed_.emplace(observed_call{.number = calls.fetch_add(1, std::memory_order_relaxed),
                                    .description = how.description,
                                    .backend = backend_,
                                    .backend_class = backend_class_,
                                    .n_jobs = own.n_jobs.value_or(scope.n_jobs.value_or(-1)),
                                    .workers = how.workers,
                                    .tasks = tasks,
                                    .pre_dispatch = how.read_ahead == no_index ? std::nullopt : std::optional<std::size_t>(how.read_ahead),
                                    .depth = here.call != nullptr ? here.call->depth + 1 : 0,
                                    .restored = kept != nullptr ? kept->restored() : 0,
                                    .broken_bytes = kept != nullptr ? kept->broken() : 0,
                                    .begin = std::chrono::steady_clock::now()},
                      std::move(observers));
  }

  /// Null where nobody watches.
  [[nodiscard]] observation* get() noexcept { return observed_ ? &*observed_ : nullptr; }

 private:
  std::string backend_;
  std::string backend_class_;
  std::optional<observation> observed_;
};
using watchers = basic_watchers<void>;

}  // namespace manyhands::detail
