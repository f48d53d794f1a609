#pragma once

#include <any>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include <manyhands/codec.hpp>
#include <manyhands/detail/standard_forward.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

template <class E, class... Es>
inline constexpr bool is_one_of = (std::is_same_v<E, Es> || ...);

template <class E>
concept made_of_text = !transportable<E> && std::derived_from<E, std::exception> &&
                       (std::is_constructible_v<E, const std::string&> || std::is_constructible_v<E, const char*>);

template <class E>
concept always_the_same =
    is_one_of<E, std::exception, std::bad_exception, std::bad_alloc, std::bad_array_new_length, std::bad_cast, std::bad_typeid,
              std::bad_any_cast, std::bad_function_call, std::bad_weak_ptr, std::bad_optional_access, std::bad_variant_access>;

/// A copy of the text that is never freed, one for each text: for exceptions that keep a pointer and expect a literal.
template <class = void>
const char* everlasting(const std::string& text) {
  struct node {
    std::string text;
    const node* next;
  };
  static std::atomic<const node*> all{nullptr};  // no mutex: a process is forked at any moment
  const node* first = all.load(std::memory_order_acquire);
  for (const node* each = first; each != nullptr; each = each->next) {
    if (each->text == text) return each->text.c_str();
  }
  node* const made = new node{text, first};
  while (!all.compare_exchange_weak(made->next, made, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return made->text.c_str();
}

/// How an exception of exactly this type becomes bytes and comes back. Its `what()` travels beside them and is given to `load`.
template <class E>
struct exception_form;

template <class E>
concept has_exception_form = requires {
  sizeof(exception_form<E>);
};

/// By its codec.
template <transportable E>
struct exception_form<E> {
  static void save(const E& value, writer& out) { out.put(value); }
  static E load(reader& in, const std::string&) { return in.get<E>(); }
};

/// By its text alone.
template <made_of_text E>
struct exception_form<E> {
  static void save(const E&, writer&) {}
  static E load(reader&, const std::string& what) {
    if constexpr (std::is_constructible_v<E, const std::string&>) {
      return E(what);
    } else {
      E value(what.c_str());
      const char* const text = std::as_const(value).what();
      return text == what.c_str() ? E(everlasting(what)) : value;
    }
  }
};

/// By its type alone: nobody can give it a text.
template <always_the_same E>
struct exception_form<E> {
  static void save(const E&, writer&) {}
  static E load(reader&, const std::string&) { return E(); }
};

/// What a `system_error` was made of.
struct coded_text {
  std::error_code code;
  std::optional<std::string> text;
};

/// The constructor appends the code's message to the text: this takes it off again.
template <class = void>
[[nodiscard]] coded_text taken_apart(const std::error_code& code, std::string what) {
  const std::string message = code.message();
  if (what == message) return {code, std::nullopt};
  const std::string tail = ": " + message;
  if (what.ends_with(tail)) what.resize(what.size() - tail.size());
  return {code, std::move(what)};
}

template <>
struct exception_form<std::system_error> {
  static void save(const std::system_error& value, writer& out) { out.put(taken_apart(value.code(), value.what())); }
  static std::system_error load(reader& in, const std::string&) {
    const auto parts = in.get<coded_text>();
    return parts.text ? std::system_error(parts.code, *parts.text) : std::system_error(parts.code);
  }
};

template <>
struct exception_form<std::ios_base::failure> {
  static void save(const std::ios_base::failure& value, writer& out) { out.put(taken_apart(value.code(), value.what())); }
  static std::ios_base::failure load(reader& in, const std::string&) {
    const auto parts = in.get<coded_text>();
    return std::ios_base::failure(parts.text.value_or(std::string()), parts.code);
  }
};

template <std::same_as<std::filesystem::filesystem_error> type>
struct exception_form<type> {
  using path = std::remove_cvref_t<decltype(std::declval<const type&>().path1())>;

  static void save(const type& value, writer& out) {
    // The class adds the paths to its own what(); its base has the text without them.
    out.put(taken_apart(value.code(), value.std::system_error::what()));
    out.put(value.path1());
    out.put(value.path2());
  }
  static type load(reader& in, const std::string&) {
    const auto parts = in.get<coded_text>();
    const auto first = in.get<path>();
    const auto second = in.get<path>();
    const std::string text = parts.text.value_or(std::string());
    if (!second.empty()) return type(text, first, second, parts.code);
    return first.empty() ? type(text, parts.code) : type(text, first, parts.code);
  }
};

template <std::same_as<std::future_error> type>
struct exception_form<type> {
  static void save(const type& value, writer& out) { out.put(value.code().value()); }
  static type load(reader& in, const std::string&) { return type(static_cast<std::future_errc>(in.get<int>())); }
};

template <>
struct exception_form<worker_lost> {
  static void save(const worker_lost& value, writer& out) {
    out.put(value.index());
    out.put(value.worker());
    out.put(value.signal());
    out.put(value.exit_code());
    out.put(value.fault_address());
    out.put(value.backtrace());
  }
  static worker_lost load(reader& in, const std::string&) {
    const auto index = in.get<std::size_t>();
    const int worker = in.get<int>();
    const int signal = in.get<int>();
    const int exit_code = in.get<int>();
    auto address = in.get<std::optional<std::uintptr_t>>();
    auto frames = in.get<std::vector<std::string>>();
    return worker_lost(index, worker, signal, exit_code, {address, std::move(frames)});
  }
};

template <>
struct exception_form<task_timeout> {
  static void save(const task_timeout& value, writer& out) {
    out.put(value.index());
    out.put(static_cast<std::int64_t>(value.limit().count()));
  }
  static task_timeout load(reader& in, const std::string&) {
    const auto index = in.get<std::size_t>();
    return task_timeout(index, std::chrono::nanoseconds(in.get<std::int64_t>()));
  }
};

template <>
struct exception_form<remote_error> {
  static void save(const remote_error& value, writer& out) { out.put(value.type_name()); }
  static remote_error load(reader& in, const std::string& what) {
    const auto name = in.get<std::string>();
    const std::string head = name + ": ";
    return remote_error(name, what.starts_with(head) ? what.substr(head.size()) : what);
  }
};

}  // namespace manyhands::detail
