#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>

#include <manyhands/detail/codec_core.hpp>
#include <manyhands/detail/type_name.hpp>

namespace manyhands::detail {

template <class T>
inline constexpr bool is_shared_pointer = false;
template <class T>
inline constexpr bool is_shared_pointer<std::shared_ptr<T>> = true;
template <class T>
inline constexpr bool is_shared_pointer<std::weak_ptr<T>> = true;

template <class T>
inline constexpr bool is_unique_pointer = false;
template <class T, class Delete>
inline constexpr bool is_unique_pointer<std::unique_ptr<T, Delete>> = true;

template <class T, class... Seen>
std::string obstacle_in();

/// The first of the parts that cannot travel, and why.
template <class... Seen, class... Parts>
std::string obstacle_in_parts(bool fields, types<Seen...>, types<Parts...>) {
  std::string text;
  std::size_t number = 0;
  const auto look = [&]<class Part>(types<Part>) {
    ++number;
    if constexpr (!can_travel<Part, Seen...>()) {
      if (!text.empty()) return;
      text = fields ? "its field " + std::to_string(number) : std::string("a part of it");
      text += " is of type '" + type_name<Part>() + "': " + obstacle_in<Part, Seen...>();
    }
  };
  (look(types<Parts>()), ...);
  return text;
}

template <class T, class... Seen>
std::string obstacle_in() {
  using U = std::remove_cv_t<T>;
  if constexpr (can_travel<T, Seen...>()) {
    return {};
  } else if constexpr (std::is_reference_v<T>) {
    return "it is a reference to an object of one process; return a copy of the data instead";
  } else if constexpr (std::is_void_v<T>) {
    return "it is void";
  } else if constexpr (std::is_pointer_v<U> || std::is_member_pointer_v<U> || std::is_null_pointer_v<U>) {
    return "it is a pointer, which means nothing in another process; return a copy of the data instead of a pointer";
  } else if constexpr (std::is_array_v<U>) {
    return "it is an array; return a std::array or a std::vector instead";
  } else if constexpr (std::is_function_v<U>) {
    return "it is a function";
  } else if constexpr (is_reference_like<U>) {
    return "it only refers to data that it does not own; return a copy of the data instead, such as a std::string or a std::vector";
  } else if constexpr (is_shared_pointer<U>) {
    return "its object would no longer be shared; return the object itself or a std::unique_ptr";
  } else if constexpr (!complete<U>) {
    return "its definition is not seen here";
  } else if constexpr (!std::is_move_constructible_v<U>) {
    return "it can neither be moved nor copied; return a std::unique_ptr to it, or its data";
  } else if constexpr (requires { typename codec<U>::parts; }) {
    return obstacle_in_parts(field_shaped<U>, types<U, Seen...>(), typename codec<U>::parts());
  } else if constexpr (has_codec<U>) {
    return "its codec lacks 'static void save(const T&, writer&)' or 'static T load(reader&)'";
  } else if constexpr (is_unique_pointer<U>) {
    return "it owns an array, has a deleter of its own, or may own an object of a derived class; specialise manyhands::codec for it, or "
           "return a std::vector or the object itself";
  } else if constexpr (std::is_class_v<U> && anatomy_of<U>.kind == layout::closed) {
    return "it has a reference member, or members that only their own type can make; specialise manyhands::codec for it, or return a copy "
           "of the data";
  } else if constexpr (std::is_trivially_copyable_v<U>) {
    return "it looks like an iterator or a view of data that it does not own; return a copy of the data instead";
  } else if constexpr (std::is_aggregate_v<U>) {
    return "it has more than 32 fields, an array of more than 256 elements, a base class, or a union beside what cannot be copied byte by "
           "byte; specialise manyhands::codec for it, or split it up";
  } else {
    return "it has no codec; specialise manyhands::codec for it, or return its data as a plain struct or a standard container";
  }
}

/// Why `T` is not transportable, and the cure: the rest of `not_transportable`'s sentence. Empty where it is transportable.
template <class T>
[[nodiscard]] std::string obstacle_of() {
  return obstacle_in<T>();
}

}  // namespace manyhands::detail
