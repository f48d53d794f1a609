#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace manyhands::detail {

/// Room for values by index that grows and never moves what it holds.
///
/// One thread grows it; others may use places below what they were told, at the same time, one thread a place.
template <class Value>
class segmented {
 public:
  segmented() = default;
  segmented(const segmented&) = delete;
  segmented& operator=(const segmented&) = delete;

  /// Makes room for indices below `size`.
  void grow(std::size_t size) {
    while (room_ < size) {
      const std::size_t length = first_length << count_;
      segments_[count_] = std::make_unique<place[]>(length);
      ++count_;
      room_ += length;
    }
  }

  /// Constructs the value at `index` from what `make()` returns, in place. The place must be empty.
  template <class Make>
  void emplace(std::size_t index, Make&& make) {
    place& at = find(index);
    ::new (static_cast<void*>(at.storage)) Value(std::forward<Make>(make)());
    at.full = true;
  }
  /// Ends the value at `index`, if there is one.
  void reset(std::size_t index) noexcept {
    place& at = find(index);
    if (!at.full) return;
    at.full = false;
    at.value().~Value();
  }
  [[nodiscard]] bool holds(std::size_t index) noexcept { return find(index).full; }
  [[nodiscard]] Value& operator[](std::size_t index) noexcept { return find(index).value(); }

 private:
  static constexpr std::size_t first_length = 16;  // segment k is of 16 * 2^k places

  struct place {
    place() noexcept {}
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() {
      if (full) value().~Value();
    }
    Value& value() noexcept { return *std::launder(reinterpret_cast<Value*>(storage)); }

    alignas(Value) std::byte storage[sizeof(Value)];
    bool full = false;
  };

  place& find(std::size_t index) noexcept {
    const std::size_t shifted = index / first_length + 1;
    const auto segment = static_cast<std::size_t>(std::bit_width(shifted)) - 1;
    const std::size_t begin = first_length * ((std::size_t{1} << segment) - 1);
    return segments_[segment][index - begin];
  }

  std::array<std::unique_ptr<place[]>, 60> segments_{};
  std::size_t count_ = 0;
  std::size_t room_ = 0;
};

}  // namespace manyhands::detail
