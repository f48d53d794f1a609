#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/backends/loky.hpp>
#include <manyhands/backends/processes.hpp>
#include <manyhands/backends/sequential.hpp>
#include <manyhands/backends/threads.hpp>
#include <manyhands/config.hpp>
#include <manyhands/errors.hpp>

namespace manyhands {

/// Makes a backend: called for each call that uses it. To keep state between calls, return the same object each time.
using backend_factory = std::function<std::shared_ptr<backend>()>;

namespace detail {

/// The one object of a backend that keeps no state.
template <class Backend>
std::shared_ptr<backend> shared_backend() {
  // Never deleted, as the table below: calls may be made while static objects are destroyed. So nobody need count who uses it.
  static Backend& one = *new Backend;
  return std::shared_ptr<backend>(std::shared_ptr<backend>(), &one);
}

/// The registered backends. A table is never changed once it is published, so that a worker forked at any moment can read it.
template <class Any>
struct basic_backend_table {
  std::map<std::string, backend_factory, std::less<>> factories = {
      {"sequential", shared_backend<basic_sequential_backend<Any>>},
      {"threads", shared_backend<basic_threads_backend<Any>>},
#if MANYHANDS_HAS_FORK
      {"processes", shared_backend<basic_processes_backend<Any>>},
      {"loky", shared_backend<basic_loky_backend<Any>>},
#endif
  };
  /// Of `factories`: who makes the backend that is used where nobody chose.
  const backend_factory* preferred = &factories.find("threads")->second;
  /// What that gives each time, where this is known. Null: it must be asked.
  std::shared_ptr<backend> lasting = shared_backend<basic_threads_backend<Any>>();
  const basic_backend_table* older = nullptr;  // never deleted: somebody may still read it
};
using backend_table = basic_backend_table<void>;

template <class Any = void>
std::atomic<const backend_table*>& current_table() {
  static std::atomic<const backend_table*> current{new basic_backend_table<Any>};
  return current;
}

template <class = void>
[[nodiscard]] std::string_view without_alias(std::string_view name) noexcept {
  if (name == "threading") return "threads";
  if (name == "multiprocessing") return "processes";
  return name;
}

/// What who asks for "mpi" is told where it is not registered. Null: its header is not included.
template <class = void>
[[nodiscard]] std::atomic<const char*>& why_no_mpi() noexcept {
  static constinit std::atomic<const char*> reason{nullptr};
  return reason;
}

/// Who makes the backend of that name. Throws `std::invalid_argument`, which lists the known names, for any other.
template <class = void>
[[nodiscard]] const backend_factory& factory_of(std::string_view name, const char* asked_by = "backend") {
  const backend_table& table = *current_table().load(std::memory_order_acquire);
  auto found = table.factories.find(name);
  if (found == table.factories.end()) found = table.factories.find(without_alias(name));
  if (found != table.factories.end()) return found->second;
  if (name == "mpi") {
    const char* const reason = why_no_mpi().load(std::memory_order_acquire);
    throw error(reason != nullptr ? reason
                                  : "backend \"mpi\" is not available yet: include <manyhands/backends/mpi.hpp>, and make an mpi_session");
  }
  std::string known;
  for (const auto& [one, factory] : table.factories) known += (known.empty() ? "" : ", ") + one;
  throw std::invalid_argument(std::string(asked_by) + " is \"" + std::string(name) + "\": use one of " + known +
                              ", or register it with register_parallel_backend");
}

/// The backend of that name; throws as `factory_of` does.
template <class = void>
[[nodiscard]] std::shared_ptr<backend> make_backend(std::string_view name, const char* asked_by = "backend") {
  if (std::shared_ptr<backend> made = factory_of(name, asked_by)()) return made;
  throw error("the factory of backend \"" + std::string(name) + "\" gave no backend");
}
/// The backend that is used where nobody chose.
template <class = void>
MANYHANDS_EACH_CALL [[nodiscard]] std::shared_ptr<backend> make_preferred_backend() {
  const backend_table& table = *current_table().load(std::memory_order_acquire);
  if (table.lasting != nullptr) return table.lasting;
  if (std::shared_ptr<backend> made = (*table.preferred)()) return made;
  throw error("the factory of the default backend gave no backend");
}

}  // namespace detail

/// Makes a backend known by a name, in the place of any that had it. `make_default` makes it the one that is used where nobody chose.
///
/// Throws `std::invalid_argument` for an empty name or factory. May be called at any time, from any thread; calls that run keep what they
/// have.
template <class = void>
void register_parallel_backend(std::string name, backend_factory factory, bool make_default = false) {
  if (name.empty()) throw std::invalid_argument("register_parallel_backend: the name is empty");
  if (factory == nullptr) throw std::invalid_argument("register_parallel_backend: the factory of \"" + name + "\" is empty");
  std::atomic<const detail::backend_table*>& current = detail::current_table();
  auto next = std::make_unique<detail::backend_table>();
  const detail::backend_table* seen = current.load(std::memory_order_acquire);
  do {
    next->older = seen;
    next->factories = seen->factories;
    next->factories.insert_or_assign(name, factory);
    const auto is_preferred = [&](const auto& one) { return &one.second == seen->preferred; };
    const std::string& preferred = make_default ? name : std::find_if(seen->factories.begin(), seen->factories.end(), is_preferred)->first;
    next->preferred = &next->factories.find(preferred)->second;
    next->lasting = preferred == name ? nullptr : seen->lasting;
  } while (!current.compare_exchange_weak(seen, next.get(), std::memory_order_acq_rel));
  static_cast<void>(next.release());
  detail::registered_backend_changes.fetch_add(1, std::memory_order_release);
}

/// The names of all backends that can be asked for, sorted.
template <class = void>
[[nodiscard]] std::vector<std::string> registered_backends() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : detail::current_table().load(std::memory_order_acquire)->factories) names.push_back(name);
  return names;
}

}  // namespace manyhands
