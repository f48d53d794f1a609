#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/codec_core.hpp>
#include <manyhands/detail/prefault.hpp>
#include <manyhands/detail/type_name.hpp>

// Codecs of the standard types that hold any number of values: a count, then the elements.
//
// Containers other than strings and vectors are known by their namespace and their members: so who does not use them does not pay for their
// headers, and who does includes them before or after this one.

namespace manyhands::detail {

/// An allocator that a new container can have without being told.
template <class T>
concept from_nothing = std::is_class_v<T> && std::default_initializable<T>;
/// An order or a hash that is the same in every container: another one's state would be lost, and with it the order.
template <class T>
concept stateless = from_nothing<T> && std::is_empty_v<T>;

/// A type of the standard library that has an allocator. The members of others need not mean the same.
template <class T>
concept standard_container = type_name_view<T>()
.starts_with("std::") && requires { typename T::allocator_type; };
template <class T>
concept standard_list = standard_container<T> && requires(T& values, typename T::value_type& value) {
  values.push_back(std::move(value));
  values.pop_front();
};
template <class T>
concept standard_forward_list = standard_container<T> && requires(T& values) {
  values.before_begin();
};
template <class T>
concept standard_map = standard_container<T> && requires {
  typename T::key_type;
  typename T::mapped_type;
};
template <class T>
concept standard_set = standard_container<T> && !standard_map<T> && requires {
  typename T::key_type;
};

/// Elements one after another. Where they come to fewer bytes than there are elements, as those of an empty class do, zeros fill up: so a
/// reader may refuse any count above the bytes that are left, and no count makes it loop for long.
template <class Range>
void save_elements(const Range& range, std::size_t count, writer& out) {
  out.put(static_cast<std::uint64_t>(count));
  const std::size_t begin = out.size();
  for (const auto& element : range) out.put(element);
  for (std::size_t written = out.size() - begin; written < count; ++written) out.put(std::byte{0});
}

/// Calls `add(in)` for each announced element. `reserve(count)` is asked for no more than the bytes that are left can pay for.
template <class T, class Reserve, class Add>
void load_elements(reader& in, Reserve reserve, Add add) {
  const std::size_t count = in.count(1);
  reserve(std::min(count, in.remaining() / sizeof(T) + 1));
  const std::size_t begin = in.remaining();
  for (std::size_t i = 0; i < count; ++i) add();
  const std::size_t taken = begin - in.remaining();
  if (taken < count) static_cast<void>(in.take(count - taken));
}

/// Elements that are copied bit by bit, all at once.
template <class Container, class T = typename Container::value_type>
Container load_bits(reader& in) {
  const std::size_t count = in.count(sizeof(T));
  const std::span<const std::byte> bytes = in.take(count * sizeof(T));
  if constexpr (std::is_copy_constructible_v<T>) {
    // Pointers let the container copy everything at once, and no page is touched twice as `resize` would.
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0) {
      const T* const first = reinterpret_cast<const T*>(bytes.data());
      if constexpr (std::is_copy_assignable_v<T>) {
        Container values;
        values.reserve(count);
        prefault(values.data(), bytes.size(), prefaulted::where_new);
        values.assign(first, first + count);
        return values;
      }
      return Container(first, first + count);
    }
  }
  Container values;
  values.reserve(count);
  for (reader elements(bytes); elements.remaining() != 0;) values.push_back(codec<T>::load(elements));
  return values;
}

template <class Container>
struct list_codec {
  using parts = types<typename Container::value_type>;

  static void save(const Container& values, writer& out) { save_elements(values, values.size(), out); }
  static Container load(reader& in) {
    using T = typename Container::value_type;
    Container values;
    const auto reserve = [&](std::size_t count) {
      if constexpr (requires { values.reserve(count); }) values.reserve(count);
    };
    load_elements<T>(in, reserve, [&] { values.push_back(in.get<T>()); });
    return values;
  }
};

template <class Container>
struct set_codec {
  using parts = types<typename Container::key_type>;

  static void save(const Container& values, writer& out) { save_elements(values, values.size(), out); }
  static Container load(reader& in) {
    using T = typename Container::key_type;
    Container values;
    const auto reserve = [&](std::size_t count) {
      if constexpr (requires { values.reserve(count); }) values.reserve(count);
    };
    std::size_t count = 0;
    load_elements<T>(in, reserve, [&] {
      values.emplace_hint(values.end(), in.get<T>());
      ++count;
    });
    if (values.size() != count) throw codec_error("a key comes twice");
    return values;
  }
};

template <class Container>
struct map_codec {
  using key = typename Container::key_type;
  using mapped = typename Container::mapped_type;
  using parts = types<key, mapped>;

  static void save(const Container& values, writer& out) { save_elements(values, values.size(), out); }
  static Container load(reader& in) {
    Container values;
    const auto reserve = [&](std::size_t count) {
      if constexpr (requires { values.reserve(count); }) values.reserve(count);
    };
    std::size_t count = 0;
    load_elements<typename Container::value_type>(in, reserve, [&] {
      auto name = in.get<key>();
      auto value = in.get<mapped>();
      values.emplace_hint(values.end(), std::move(name), std::move(value));
      ++count;
    });
    if (values.size() != count) throw codec_error("a key comes twice");
    return values;
  }
};

}  // namespace manyhands::detail

namespace manyhands {

template <detail::bit_copied Char, class Traits, detail::from_nothing Alloc>
struct codec<std::basic_string<Char, Traits, Alloc>> {
  using parts = detail::types<Char>;

  static void save(const std::basic_string<Char, Traits, Alloc>& text, writer& out) {
    out.put(static_cast<std::uint64_t>(text.size()));
    out.write(text.data(), text.size() * sizeof(Char));
  }
  static std::basic_string<Char, Traits, Alloc> load(reader& in) { return detail::load_bits<std::basic_string<Char, Traits, Alloc>>(in); }
};

template <class T, detail::from_nothing Alloc>
struct codec<std::vector<T, Alloc>> : detail::list_codec<std::vector<T, Alloc>> {};

template <detail::bit_copied T, detail::from_nothing Alloc>
struct codec<std::vector<T, Alloc>> {
  using parts = detail::types<T>;

  static void save(const std::vector<T, Alloc>& values, writer& out) {
    out.reserve(sizeof(std::uint64_t) + values.size() * sizeof(T));
    out.put(static_cast<std::uint64_t>(values.size()));
    out.write(values.data(), values.size() * sizeof(T));
  }
  static std::vector<T, Alloc> load(reader& in) { return detail::load_bits<std::vector<T, Alloc>>(in); }
};

template <detail::from_nothing Alloc>
struct codec<std::vector<bool, Alloc>> {
  using parts = detail::types<>;

  static void save(const std::vector<bool, Alloc>& values, writer& out) {
    out.put(static_cast<std::uint64_t>(values.size()));
    for (std::size_t first = 0; first < values.size(); first += 8) {
      unsigned byte = 0;
      const std::size_t last = std::min(values.size(), first + 8);
      for (std::size_t i = first; i < last; ++i) byte |= (values[i] ? 1U : 0U) << (i - first);
      out.put(static_cast<unsigned char>(byte));
    }
  }
  static std::vector<bool, Alloc> load(reader& in) {
    const auto announced = in.get<std::uint64_t>();
    if (announced / 8 + (announced % 8 != 0 ? 1 : 0) > in.remaining()) {
      throw codec_error(std::to_string(announced) + " bools were announced, and only " + std::to_string(in.remaining()) +
                        " bytes are left");
    }
    const auto count = static_cast<std::size_t>(announced);
    std::vector<bool, Alloc> values(count);
    for (std::size_t first = 0; first < count; first += 8) {
      const unsigned byte = in.get<unsigned char>();
      const std::size_t used = std::min<std::size_t>(count - first, 8);
      if (byte >> used != 0) throw codec_error("a vector of bool has bits beyond its end");
      for (std::size_t i = 0; i < used; ++i) values[first + i] = ((byte >> i) & 1U) != 0;
    }
    return values;
  }
};

template <class T, detail::from_nothing Alloc, template <class, class> class Container>
requires(detail::standard_list<Container<T, Alloc>>) struct codec<Container<T, Alloc>> : detail::list_codec<Container<T, Alloc>> {
};

template <class T, detail::from_nothing Alloc, template <class, class> class Container>
requires(detail::standard_forward_list<Container<T, Alloc>>) struct codec<Container<T, Alloc>> {
  using parts = detail::types<T>;

  static void save(const Container<T, Alloc>& values, writer& out) {
    std::size_t count = 0;
    for ([[maybe_unused]] const T& element : values) ++count;
    detail::save_elements(values, count, out);
  }
  static Container<T, Alloc> load(reader& in) {
    Container<T, Alloc> values;
    auto last = values.before_begin();
    const auto reserve = [](std::size_t) {};
    detail::load_elements<T>(in, reserve, [&] { last = values.emplace_after(last, in.get<T>()); });
    return values;
  }
};

template <class T, detail::stateless Less, detail::from_nothing Alloc, template <class, class, class> class Container>
requires(detail::standard_set<Container<T, Less, Alloc>>) struct codec<Container<T, Less, Alloc>>
    : detail::set_codec<Container<T, Less, Alloc>> {
};

template <class T, detail::stateless Hash, detail::stateless Equal, detail::from_nothing Alloc,
          template <class, class, class, class> class Container>
requires(detail::standard_set<Container<T, Hash, Equal, Alloc>>) struct codec<Container<T, Hash, Equal, Alloc>>
    : detail::set_codec<Container<T, Hash, Equal, Alloc>> {
};

template <class K, class V, detail::stateless Less, detail::from_nothing Alloc, template <class, class, class, class> class Container>
requires(detail::standard_map<Container<K, V, Less, Alloc>>) struct codec<Container<K, V, Less, Alloc>>
    : detail::map_codec<Container<K, V, Less, Alloc>> {
};

template <class K, class V, detail::stateless Hash, detail::stateless Equal, detail::from_nothing Alloc,
          template <class, class, class, class, class> class Container>
requires(detail::standard_map<Container<K, V, Hash, Equal, Alloc>>) struct codec<Container<K, V, Hash, Equal, Alloc>>
    : detail::map_codec<Container<K, V, Hash, Equal, Alloc>> {
};

}  // namespace manyhands
