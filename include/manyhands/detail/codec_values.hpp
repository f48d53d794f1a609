#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/codec_core.hpp>

// Codecs of the standard types that hold a fixed number of values.

namespace manyhands::detail {

/// An object of a derived class behind a pointer would lose its derived part: for such a base the user says how.
template <class T>
consteval bool is_owned_alone() {
  if constexpr (std::is_array_v<T> || !complete<T>) {
    return false;
  } else {
    return !std::is_polymorphic_v<T> || std::is_final_v<T>;
  }
}
template <class T>
concept owned_alone = is_owned_alone<T>();

}  // namespace manyhands::detail

namespace manyhands {

template <>
struct codec<std::monostate> {
  using parts = detail::types<>;

  static void save(std::monostate, writer&) {}
  static std::monostate load(reader&) { return {}; }
};

template <class A, class B>
struct codec<std::pair<A, B>> {
  using parts = detail::types<A, B>;

  static void save(const std::pair<A, B>& value, writer& out) {
    out.put(value.first);
    out.put(value.second);
  }
  static std::pair<A, B> load(reader& in) {
    auto first = in.get<A>();
    auto second = in.get<B>();
    return {std::move(first), std::move(second)};
  }
};

template <class... Ts>
struct codec<std::tuple<Ts...>> {
  using parts = detail::types<Ts...>;

  static void save(const std::tuple<Ts...>& value, writer& out) {
    std::apply([&](const auto&... values) { (out.put(values), ...); }, value);
  }
  static std::tuple<Ts...> load(reader& in) { return std::tuple<Ts...>{in.get<Ts>()...}; }
};

template <>
struct codec<std::tuple<>> {
  using parts = detail::types<>;

  static void save(const std::tuple<>&, writer&) {}
  static std::tuple<> load(reader&) { return {}; }
};

template <class T, std::size_t N>
struct codec<std::array<T, N>> {
  using parts = detail::types<T>;
  static constexpr bool bits = N > 0 && detail::bit_copied<T>;

  static void save(const std::array<T, N>& value, writer& out) {
    if constexpr (bits) {
      out.write(std::addressof(value), sizeof value);
    } else {
      for (const T& element : value) out.put(element);
    }
  }
  static std::array<T, N> load(reader& in) {
    if constexpr (bits) {
      std::array<std::byte, sizeof(std::array<T, N>)> bytes;
      in.read(bytes.data(), bytes.size());
      return std::bit_cast<std::array<T, N>>(bytes);
    } else if constexpr (std::default_initializable<T> && std::is_move_assignable_v<T>) {
      std::array<T, N> value{};
      for (T& element : value) element = in.get<T>();
      return value;
    } else {
      return one_by_one(in, std::make_index_sequence<N>());
    }
  }

 private:
  template <std::size_t... I>
  static std::array<T, N> one_by_one(reader& in, std::index_sequence<I...>) {
    return {{(static_cast<void>(I), in.get<T>())...}};
  }
};

template <class T>
struct codec<std::optional<T>> {
  using parts = detail::types<T>;

  static void save(const std::optional<T>& value, writer& out) {
    out.put(value.has_value());
    if (value) out.put(*value);
  }
  static std::optional<T> load(reader& in) {
    if (!in.get<bool>()) return std::nullopt;
    return std::optional<T>(std::in_place, in.get<T>());
  }
};

template <class... Ts>
struct codec<std::variant<Ts...>> {
  using parts = detail::types<Ts...>;

  /// Throws `codec_error` for a variant that lost its value to an exception.
  static void save(const std::variant<Ts...>& value, writer& out) {
    if (value.valueless_by_exception()) throw codec_error("a variant has no value");
    out.put(static_cast<std::uint32_t>(value.index()));
    std::visit([&](const auto& alternative) { out.put(alternative); }, value);
  }
  static std::variant<Ts...> load(reader& in) {
    const auto index = in.get<std::uint32_t>();
    if (index >= sizeof...(Ts)) {
      throw codec_error("alternative " + std::to_string(index) + " of a variant that has " + std::to_string(sizeof...(Ts)));
    }
    return alternative<0>(index, in);
  }

 private:
  template <std::size_t I>
  static std::variant<Ts...> alternative(std::size_t index, reader& in) {
    if constexpr (I + 1 < sizeof...(Ts)) {
      if (index != I) return alternative<I + 1>(index, in);
    }
    return std::variant<Ts...>(std::in_place_index<I>, in.get<std::variant_alternative_t<I, std::variant<Ts...>>>());
  }
};

template <detail::owned_alone T>
struct codec<std::unique_ptr<T>> {
  using parts = detail::types<T>;

  static void save(const std::unique_ptr<T>& value, writer& out) {
    out.put(value != nullptr);
    if (value) out.put(*value);
  }
  static std::unique_ptr<T> load(reader& in) {
    if (!in.get<bool>()) return nullptr;
    return std::unique_ptr<T>(new T(in.get<T>()));
  }
};

}  // namespace manyhands
