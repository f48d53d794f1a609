#pragma once

#include <cxxabi.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include <manyhands/codec.hpp>
#include <manyhands/detail/exception_forms.hpp>
#include <manyhands/detail/exception_table.hpp>
#include <manyhands/errors.hpp>

namespace manyhands {

/// Makes exceptions of exactly type `E` come back from other processes as themselves, and not as `remote_error`. The standard exceptions
/// and the library's own do so anyway.
///
/// `E` travels by its codec if it has one; else it is made anew from its `what()`, so its constructor must take that text as it is. May be
/// called by several threads, at any time before the call whose tasks throw, and as often as you like.
template <class E>
void register_exception() {
  static_assert(std::same_as<E, std::decay_t<E>>, "manyhands::register_exception<E>: E must be the plain type that is thrown");
  static_assert(detail::has_exception_form<E>,
                "manyhands::register_exception<E>: E has no codec and cannot be made from its what(): specialise manyhands::codec<E>, or "
                "derive E from std::exception and give it a constructor that takes a std::string");
  if constexpr (std::same_as<E, std::decay_t<E>> && detail::has_exception_form<E>) {
    detail::list_exception(detail::registered_exception_of<E>);
  }
}

namespace detail {

/// How many exceptions inside each other travel; those further in are left out.
inline constexpr int deepest_nested_exception = 32;

/// The type of the exception that is being handled, as a C++ programmer writes it.
template <class = void>
std::string current_exception_name() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "an exception of another language";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 ? readable.get() : type->name();
  // What throw_with_nested makes of a type, in libstdc++ and in libc++: the user threw the type inside.
  for (const std::string_view wrapper : {"std::_Nested_exception<", "std::__1::__nested<"}) {
    if (!name.starts_with(wrapper) || !name.ends_with('>')) continue;
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    while (name.ends_with(' ')) name.pop_back();
  }
  return name;
}

/// What the exception that is being handled says.
template <class = void>
std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& value) {
    const char* const text = value.what();
    return text != nullptr ? text : "";
  } catch (const std::string& value) {
    return value;
  } catch (std::string_view value) {
    return std::string(value);
  } catch (const char* value) {
    return value != nullptr ? value : "";
  } catch (bool value) {
    return value ? "true" : "false";
  } catch (char value) {
    return std::string(1, value);
  } catch (int value) {
    return std::to_string(value);
  } catch (unsigned value) {
    return std::to_string(value);
  } catch (long value) {
    return std::to_string(value);
  } catch (unsigned long value) {
    return std::to_string(value);
  } catch (long long value) {
    return std::to_string(value);
  } catch (unsigned long long value) {
    return std::to_string(value);
  } catch (float value) {
    return std::to_string(value);
  } catch (double value) {
    return std::to_string(value);
  } catch (const std::error_code& value) {
    return value.message();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

/// The exception that was being handled when the current one was thrown with it inside.
template <class = void>
std::exception_ptr current_exception_inside() {
  try {
    throw;
  } catch (const std::nested_exception& value) {
    return value.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

template <class = void>
const exception_entry* current_exception_entry(bool nests) {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return nullptr;
  if (const exception_entry* const entry = find_exception_type(*type)) return entry;
  return nests ? find_exception([&](const exception_entry& entry) { return entry.nests(*type); }) : nullptr;
}

/// Tells types of one name apart, as two sources may have them, where the other process is a copy of this one; 0 for none.
template <class = void>
std::uint64_t mark_of(const exception_entry* entry) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(entry));
}

/// The entry of that name; of several, the one with that mark, if any.
template <class = void>
const exception_entry* find_exception_named(std::string_view name, std::uint64_t mark) {
  const exception_entry* const marked =
      find_exception([&](const exception_entry& known) { return mark_of(&known) == mark && known.name == name; });
  return marked != nullptr ? marked : find_exception([&](const exception_entry& known) { return known.name == name; });
}

// A record: name, text, the entry's mark if it can be rebuilt, the bytes to rebuild it from, "holds another", that one's record.
template <class = void>
void save_exception_record(std::string_view name, std::string_view text, const exception_entry* entry, std::span<const std::byte> bytes,
                           bool nests, writer& out) {
  out.put(std::string(name));
  out.put(std::string(text));
  out.put(mark_of(entry));
  out.put(static_cast<std::uint64_t>(bytes.size()));
  out.write(bytes.data(), bytes.size());
  out.put(nests);
}

template <class = void>
void save_exception_chain(const std::exception_ptr& error, int depth, writer& out) {
  std::exception_ptr inside;
  try {
    std::rethrow_exception(error);
  } catch (...) {
    if (depth < deepest_nested_exception) inside = current_exception_inside();
    const exception_entry* entry = current_exception_entry(inside != nullptr);
    writer bytes;
    if (entry != nullptr) {
      try {
        entry->save(bytes);
      } catch (...) {  // its text can still travel
        entry = nullptr;
        bytes.clear();
      }
    }
    const std::string name = entry != nullptr ? std::string(entry->name) : current_exception_name();
    save_exception_record(name, current_exception_text(), entry, bytes.bytes(), inside != nullptr, out);
  }
  if (inside) save_exception_chain(inside, depth + 1, out);
}

/// Appends any exception. Where there is not even memory for that, it appends nothing.
template <class = void>
void save_exception(const std::exception_ptr& error, writer& out) noexcept {
  const std::size_t begin = out.size();
  try {
    if (error) {
      save_exception_chain(error, 1, out);
    } else {
      save_exception_record("std::exception_ptr", "no exception", nullptr, {}, false, out);
    }
  } catch (...) {
    out.truncate(begin);
    try {
      save_exception_record("an exception", "it could not be sent: " + current_exception_text(), nullptr, {}, false, out);
    } catch (...) {
      out.truncate(begin);
    }
  }
}

template <class = void>
std::exception_ptr load_exception_chain(reader& in, int depth) {
  const auto name = in.get<std::string>();
  const auto text = in.get<std::string>();
  const auto mark = in.get<std::uint64_t>();
  const std::span<const std::byte> bytes = in.take(in.count(1));
  std::exception_ptr inside;
  if (in.get<bool>()) {
    if (depth >= deepest_nested_exception) throw codec_error("too many exceptions inside each other");
    inside = load_exception_chain(in, depth + 1);
  }
  const exception_entry* const entry = mark != 0 ? find_exception_named(name, mark) : nullptr;
  if (entry == nullptr) return thrown(remote_error(name, text), inside);
  try {
    reader payload(bytes);
    return entry->load(payload, text, inside);
  } catch (...) {
    return thrown(remote_error(name, text + " (it could not be rebuilt: " + current_exception_text() + ")"), inside);
  }
}

/// Takes what `save_exception` appended, and never returns null: bytes that are no exception become a `codec_error` that says so.
template <class = void>
std::exception_ptr load_exception(reader& in) noexcept {
  try {
    if (in.remaining() == 0) return std::make_exception_ptr(std::bad_alloc());  // nothing else leaves no bytes
    return load_exception_chain(in, 1);
  } catch (...) {
    try {
      return std::make_exception_ptr(codec_error("a task's exception came back as bytes that are none: " + current_exception_text()));
    } catch (...) {
      return std::current_exception();
    }
  }
}

}  // namespace detail
}  // namespace manyhands
