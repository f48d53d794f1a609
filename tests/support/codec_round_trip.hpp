#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <manyhands/codec.hpp>

namespace manyhands_test {

template <class T>
std::vector<std::byte> encoded(const T& value) {
  manyhands::writer out;
  out.put(value);
  return {out.bytes().begin(), out.bytes().end()};
}

/// The value that all of these bytes are. Throws `codec_error` where they are none.
template <class T>
T decoded(std::span<const std::byte> bytes) {
  manyhands::reader in(bytes);
  T value = in.get<T>();
  in.finish();
  return value;
}

template <class T>
T round_trip(const T& value) {
  return decoded<T>(encoded(value));
}

/// Whether every strict prefix of the encoded value, and the value with one byte more, is refused with `codec_error`.
template <class T>
bool refuses_every_cut(const T& value) {
  std::vector<std::byte> bytes = encoded(value);
  for (std::size_t size = 0; size <= bytes.size() + 1; ++size) {
    if (size == bytes.size()) continue;
    // On a heap block of its own, so that a sanitizer sees a read past the end.
    std::vector<std::byte> cut(size);
    for (std::size_t i = 0; i < size && i < bytes.size(); ++i) cut[i] = bytes[i];
    try {
      static_cast<void>(decoded<T>(cut));
      return false;
    } catch (const manyhands::codec_error&) {
    }
  }
  return true;
}

}  // namespace manyhands_test
