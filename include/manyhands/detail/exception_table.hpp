#pragma once

#include <cxxabi.h>

#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <manyhands/detail/exception_forms.hpp>
#include <manyhands/detail/type_name.hpp>

// The exception types that come back as themselves. No lock and no allocation anywhere: a process is forked at any moment, and whatever
// another thread held then stays locked in the child.

namespace manyhands::detail {

/// One type. The functions without a value look at the exception that is being handled.
struct exception_entry {
  const std::type_info* type;
  std::string_view name;
  void (*save)(writer& out);
  /// Never null: the exception, which holds `inner` where that is not null.
  std::exception_ptr (*load)(reader& in, const std::string& what, const std::exception_ptr& inner);
  /// It is one of this type that `std::throw_with_nested` threw, whose type is `thrown`.
  bool (*nests)(const std::type_info& thrown);
};

template <class E>
inline constexpr bool can_nest = std::is_class_v<E> && !std::is_final_v<E> && std::is_copy_constructible_v<E>;

/// The exception as if it had been thrown where `inner`, if any, was being handled.
template <class E>
std::exception_ptr thrown(E value, const std::exception_ptr& inner) noexcept {
  try {
    if constexpr (can_nest<E>) {
      if (inner) {
        try {
          std::rethrow_exception(inner);
        } catch (...) {
          std::throw_with_nested(std::move(value));
        }
      }
    }
    throw std::move(value);
  } catch (...) {
    return std::current_exception();
  }
}

template <class E>
void save_current(writer& out) {
  try {
    throw;
  } catch (const E& value) {
    exception_form<E>::save(value, out);
  }
}

template <class E>
std::exception_ptr load_as(reader& in, const std::string& what, const std::exception_ptr& inner) {
  E value = exception_form<E>::load(in, what);
  in.finish();
  return thrown(std::move(value), inner);
}

// The type that throw_with_nested throws has no name that a program may use: so one is thrown, to compare.
template <class E>
bool current_nests(const std::type_info& outer) {
  if constexpr (can_nest<E>) {
    try {
      throw;
    } catch (const E& value) {
      try {
        std::throw_with_nested(E(value));
      } catch (...) {
        const std::type_info* const sample = abi::__cxa_current_exception_type();
        return sample != nullptr && *sample == outer;
      }
    } catch (...) {
    }
  }
  return false;
}

template <class E>
inline constexpr exception_entry exception_entry_of = {&typeid(E), type_name_view<E>(), save_current<E>, load_as<E>, current_nests<E>};

template <class = void>
inline constexpr std::array builtin_exceptions = {
    exception_entry_of<std::exception>,
    exception_entry_of<std::bad_exception>,
    exception_entry_of<std::bad_alloc>,
    exception_entry_of<std::bad_array_new_length>,
    exception_entry_of<std::bad_cast>,
    exception_entry_of<std::bad_typeid>,
    exception_entry_of<std::bad_any_cast>,
    exception_entry_of<std::bad_function_call>,
    exception_entry_of<std::bad_weak_ptr>,
    exception_entry_of<std::bad_optional_access>,
    exception_entry_of<std::bad_variant_access>,
    exception_entry_of<std::logic_error>,
    exception_entry_of<std::invalid_argument>,
    exception_entry_of<std::domain_error>,
    exception_entry_of<std::length_error>,
    exception_entry_of<std::out_of_range>,
    exception_entry_of<std::runtime_error>,
    exception_entry_of<std::range_error>,
    exception_entry_of<std::overflow_error>,
    exception_entry_of<std::underflow_error>,
    exception_entry_of<std::system_error>,
    exception_entry_of<std::ios_base::failure>,
    exception_entry_of<error>,
    exception_entry_of<worker_lost>,
    exception_entry_of<remote_error>,
    exception_entry_of<pool_broken>,
    exception_entry_of<not_transportable>,
    exception_entry_of<codec_error>,
    exception_entry_of<task_timeout>,
    exception_entry_of<cancelled>,
    exception_entry_of<observer_error>,
    exception_entry_of<checkpoint_error>,
};

/// A type that the user named. Lives as long as the program.
struct registered_exception {
  const exception_entry& entry;
  const registered_exception* next = nullptr;
  std::atomic<bool> listed = false;
};

template <class E>
inline constinit registered_exception registered_exception_of{exception_entry_of<E>};

/// The youngest of them.
inline constinit std::atomic<const registered_exception*> registered_exceptions{nullptr};

inline void list_exception(registered_exception& node) noexcept {
  if (node.listed.exchange(true)) return;
  node.next = registered_exceptions.load(std::memory_order_relaxed);
  while (!registered_exceptions.compare_exchange_weak(node.next, &node, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

template <class E>
bool list_where_complete() noexcept {
  if constexpr (requires { sizeof(E); }) list_exception(registered_exception_of<E>);
  return true;
}

// In every source that includes <filesystem> or <future>, before this header or after it: the function is compiled at the source's end.
[[maybe_unused]] static const bool are_standard_exceptions_listed =
    list_where_complete<std::filesystem::filesystem_error>() && list_where_complete<std::future_error>();

/// The first entry for which `matches(entry)` holds, null if there is none.
template <class Matches>
const exception_entry* find_exception(Matches matches) {
  for (const exception_entry& entry : builtin_exceptions<>) {
    if (matches(entry)) return &entry;
  }
  for (auto* node = registered_exceptions.load(std::memory_order_acquire); node != nullptr; node = node->next) {
    if (matches(node->entry)) return &node->entry;
  }
  return nullptr;
}

/// The entry of exactly this type.
template <class = void>
const exception_entry* find_exception_type(const std::type_info& type) {
  // libstdc++ throws its stream errors as a class of its own, derived from the one that users know.
  if (std::strcmp(type.name(), "St13__ios_failure") == 0) return &exception_entry_of<std::ios_base::failure>;
  return find_exception([&](const exception_entry& entry) { return *entry.type == type; });
}

}  // namespace manyhands::detail
