#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <ios>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/codec_core.hpp>
#include <manyhands/detail/codec_sequences.hpp>
#include <manyhands/detail/standard_forward.hpp>
#include <manyhands/detail/type_name.hpp>

// Codecs of the standard types that are one value each: times, complex numbers, bits, paths, error codes.

namespace manyhands::detail {

// By their names: their headers cost more than all codecs together, and are there where somebody has such a value.
template <class T>
consteval bool is_standard_complex() {
  return type_name_view<T>().starts_with("std::complex<");
}
template <class T>
consteval bool is_standard_bitset() {
  return type_name_view<T>().starts_with("std::bitset<");
}
template <class T>
concept standard_path = std::is_same_v<T, std::filesystem::path>;

}  // namespace manyhands::detail

namespace manyhands {

template <class Rep, class Period>
struct codec<std::chrono::duration<Rep, Period>> {
  using parts = detail::types<Rep>;
  static constexpr bool bits = detail::bit_copied<Rep> && sizeof(std::chrono::duration<Rep, Period>) == sizeof(Rep);

  static void save(const std::chrono::duration<Rep, Period>& value, writer& out) { out.put(value.count()); }
  static std::chrono::duration<Rep, Period> load(reader& in) { return std::chrono::duration<Rep, Period>(in.get<Rep>()); }
};

template <class Clock, class Duration>
struct codec<std::chrono::time_point<Clock, Duration>> {
  using parts = detail::types<Duration>;
  static constexpr bool bits = detail::bit_copied<Duration> && sizeof(std::chrono::time_point<Clock, Duration>) == sizeof(Duration);

  static void save(const std::chrono::time_point<Clock, Duration>& value, writer& out) { out.put(value.time_since_epoch()); }
  static std::chrono::time_point<Clock, Duration> load(reader& in) { return std::chrono::time_point<Clock, Duration>(in.get<Duration>()); }
};

template <template <class> class Complex, class T>
requires(detail::is_standard_complex<Complex<T>>()) struct codec<Complex<T>> {
  using parts = detail::types<T>;
  static constexpr bool bits = detail::bit_copied<T> && sizeof(Complex<T>) == 2 * sizeof(T);

  static void save(const Complex<T>& value, writer& out) {
    out.put(value.real());
    out.put(value.imag());
  }
  static Complex<T> load(reader& in) {
    auto real = in.get<T>();
    auto imag = in.get<T>();
    return {std::move(real), std::move(imag)};
  }
};

template <template <std::size_t> class Bits, std::size_t N>
requires(detail::is_standard_bitset<Bits<N>>()) struct codec<Bits<N>> {
  using parts = detail::types<>;

  static void save(const Bits<N>& value, writer& out) {
    for (std::size_t first = 0; first < N; first += 8) {
      unsigned byte = 0;
      for (std::size_t i = first; i < N && i < first + 8; ++i) byte |= static_cast<unsigned>(value[i]) << (i - first);
      out.put(static_cast<unsigned char>(byte));
    }
  }
  static Bits<N> load(reader& in) {
    Bits<N> value;
    for (std::size_t first = 0; first < N; first += 8) {
      const unsigned byte = in.get<unsigned char>();
      const std::size_t used = N - first < 8 ? N - first : 8;
      if (byte >> used != 0) throw codec_error("a bitset has bits beyond its end");
      for (std::size_t i = 0; i < used; ++i) value[first + i] = ((byte >> i) & 1U) != 0;
    }
    return value;
  }
};

template <detail::standard_path Path>
struct codec<Path> {
  using parts = detail::types<>;

  static void save(const Path& value, writer& out) { out.put(value.native()); }
  static Path load(reader& in) { return Path(in.get<typename Path::string_type>()); }
};

/// Codes of the four standard categories; another one's `save` throws `codec_error`, as its category is an object of this process.
template <>
struct codec<std::error_code> {
  using parts = detail::types<>;

  static void save(const std::error_code& value, writer& out) {
    const std::array known = categories();
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (*known[i] != value.category()) continue;
      out.put(static_cast<unsigned char>(i));
      out.put(value.value());
      return;
    }
    throw codec_error("an error_code of the category '" + std::string(value.category().name()) + "' cannot travel");
  }
  static std::error_code load(reader& in) {
    const std::array known = categories();
    const auto index = in.get<unsigned char>();
    if (index >= known.size()) throw codec_error("an error_code has no known category");
    const auto value = in.get<int>();
    return {value, *known[index]};
  }

 private:
  static std::array<const std::error_category*, 4> categories() noexcept {
    return {&std::generic_category(), &std::system_category(), &std::iostream_category(), &std::future_category()};
  }
};

}  // namespace manyhands
