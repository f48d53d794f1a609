#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>

#include <manyhands/detail/aggregate.hpp>
#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/fields.hpp>

// A built-in codec tells two things about itself: `parts`, the types that must be transportable for it, and `bits`, true where it copies
// the object's bytes as they are. It is chosen by the shape of its type alone: whether the parts can travel is asked later, so that a type
// may hold itself.

namespace manyhands::detail {

/// Types that refer to somebody else's memory, or to something of this process alone.
template <class T>
inline constexpr bool is_reference_like = false;
template <class Char, class Traits>
inline constexpr bool is_reference_like<std::basic_string_view<Char, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool is_reference_like<std::span<T, N>> = true;
template <class T>
inline constexpr bool is_reference_like<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool is_reference_like<std::initializer_list<T>> = true;
template <class Promise>
inline constexpr bool is_reference_like<std::coroutine_handle<Promise>> = true;
template <>
inline constexpr bool is_reference_like<std::type_index> = true;

template <class T>
concept dereferenceable = requires(const T& value) {
  *value;
};

/// A class that hides its fields and still shows that it points somewhere: an iterator or a view.
template <class T>
concept points_elsewhere = !std::is_empty_v<T> && (std::ranges::enable_view<T> || dereferenceable<T>);

template <class T>
concept complete = std::is_object_v<T> && requires {
  sizeof(T);
};

template <class T>
concept has_codec = complete<T> && requires {
  sizeof(codec<T>);
};

/// The codec of `T` copies its bytes as they are.
template <class T>
consteval bool is_bit_copied() {
  if constexpr (has_codec<T>) {
    if constexpr (requires { codec<T>::bits; }) return codec<T>::bits;
  }
  return false;
}

template <class T>
concept bit_copied = is_bit_copied<T>();

/// The size of such a `T`, else 0.
template <class T>
consteval std::size_t bit_copied_size() {
  if constexpr (bit_copied<T>) {
    return sizeof(T);
  } else {
    return 0;
  }
}

template <class... Fields>
consteval bool all_bit_copied(types<Fields...>) {
  return (bit_copied<std::remove_all_extents_t<Fields>> && ...);
}

template <class T>
consteval bool is_bit_shaped() {
  if constexpr (std::is_enum_v<T>) {
    return !std::is_same_v<std::underlying_type_t<T>, bool>;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return true;
  } else if constexpr (!std::is_class_v<T> && !std::is_union_v<T>) {
    return false;
  } else if constexpr (!std::is_trivially_copyable_v<T> || !std::is_move_constructible_v<T> || is_reference_like<T>) {
    return false;
  } else if constexpr (constexpr layout kind = anatomy_of<T>.kind; kind == layout::plain) {
    return all_bit_copied(fields_of<T>());
  } else {
    return kind == layout::opaque && !points_elsewhere<T>;
  }
}

template <class E>
concept bool_enum = std::is_enum_v<E> && std::same_as<bool, std::underlying_type_t<E>>;

template <class T>
concept bit_shaped = std::same_as<T, std::remove_cv_t<T>> && is_bit_shaped<T>();

template <class T>
concept field_shaped =
    std::is_class_v<T> && std::same_as<T, std::remove_cv_t<T>> && !is_bit_shaped<T>() && anatomy_of<T>.kind == layout::plain;

template <class T, class... Seen>
consteval bool can_travel();

template <class... Seen, class... Parts>
consteval bool all_can_travel(types<Seen...>, types<Parts...>) {
  return (can_travel<Parts, Seen...>() && ...);
}

/// Whether values of `T` can become bytes and come back. A type that is asked about already, further out, is taken to: it stands inside
/// itself.
template <class T, class... Seen>
consteval bool can_travel() {
  using U = std::remove_cv_t<T>;
  if constexpr (!std::is_object_v<U> || std::is_array_v<U>) {
    return false;
  } else if constexpr ((std::is_same_v<U, Seen> || ...)) {
    return true;
  } else if constexpr (!has_codec<U>) {
    return false;
  } else if constexpr (!std::is_move_constructible_v<U>) {
    return false;
  } else if constexpr (requires { typename codec<U>::parts; }) {
    return all_can_travel(types<U, Seen...>(), typename codec<U>::parts());
  } else {
    return requires(const U& value, writer& out, reader& in) {
      codec<U>::save(value, out);
      { codec<U>::load(in) } -> std::same_as<U>;
    };
  }
}

}  // namespace manyhands::detail

namespace manyhands {

/// Values of the type can become bytes and come back: it has a codec, built in or the user's, and so has everything in it.
///
/// Built in are numbers, enums, strings, the standard containers, pair, tuple, array, optional, variant, unique_ptr, bitset, complex,
/// chrono's durations and time points, filesystem::path, error_code, aggregates of up to 32 fields, and other trivially copyable classes,
/// which are copied byte by byte. Pointers, and what holds them openly, never are. Whether an enum has that value, or a class with private
/// members that state, cannot be checked.
template <class T>
concept transportable = detail::can_travel<T>();

/// The size of every encoded `T` where its codec copies the object's bytes as they are, else 0.
template <class T>
inline constexpr std::size_t fixed_codec_size = detail::bit_copied_size<std::remove_cv_t<T>>();

template <detail::bit_shaped T>
struct codec<T> {
  using parts = detail::types<>;
  static constexpr bool bits = true;

  static void save(const T& value, writer& out) { out.write(std::addressof(value), sizeof value); }
  static T load(reader& in) {
    std::array<std::byte, sizeof(T)> bytes;
    in.read(bytes.data(), bytes.size());
    return std::bit_cast<T>(bytes);
  }
};

template <>
struct codec<bool> {
  using parts = detail::types<>;

  static void save(bool value, writer& out) { out.put(static_cast<unsigned char>(value ? 1 : 0)); }
  static bool load(reader& in) {
    const auto value = in.get<unsigned char>();
    if (value > 1) throw codec_error("a bool is neither 0 nor 1 but " + std::to_string(value));
    return value == 1;
  }
};

template <detail::bool_enum E>
struct codec<E> {
  using parts = detail::types<>;

  static void save(E value, writer& out) { out.put(static_cast<bool>(value)); }
  static E load(reader& in) { return static_cast<E>(in.get<bool>()); }
};

namespace detail {

template <class... Fields>
consteval auto without_extents(types<Fields...>) {
  return types<std::remove_all_extents_t<Fields>...>();
}

template <class T>
void save_field(const T& value, writer& out) {
  if constexpr (std::is_array_v<T>) {
    for (const auto& element : value) save_field(element, out);
  } else {
    out.put(value);
  }
}

struct save_fields {
  writer& out;
  template <class... Fields>
  void operator()(const std::remove_cv_t<Fields>&... values) const {
    (save_field(values, out), ...);
  }
};

// The braces around an array's elements may be left out, so that one flat list makes any aggregate: every field gives its type, an array
// one for each element.
template <class T, std::size_t... I>
consteval auto repeat(std::index_sequence<I...>) {
  return types<std::conditional_t<(I >= 0), T, void>...>();
}
template <class... Left, class... Right>
consteval auto operator+(types<Left...>, types<Right...>) {
  return types<Left..., Right...>();
}
template <class Field, class Element = std::remove_all_extents_t<Field>>
using slots_of = decltype(repeat<Element>(std::make_index_sequence<sizeof(Field) / sizeof(Element)>()));
template <class... Fields>
consteval auto flat(types<Fields...>) {
  return (types<>() + ... + slots_of<Fields>());
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-braces"
#pragma GCC diagnostic ignored "-Wconversion"  // a bit-field's type is wider than itself
template <class T, class... Slots>
T load_fields(reader& in, types<Slots...>) {
  return T{in.get<Slots>()...};  // in braces they are read from left to right
}
#pragma GCC diagnostic pop

}  // namespace detail

template <detail::field_shaped T>
struct codec<T> {
  using parts = decltype(detail::without_extents(detail::fields_of<T>()));

  static void save(const T& value, writer& out) { detail::with_fields(value, detail::save_fields{out}); }
  static T load(reader& in) { return detail::load_fields<T>(in, detail::flat(detail::fields_of<T>())); }
};

}  // namespace manyhands
