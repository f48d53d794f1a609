#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <manyhands/errors.hpp>

namespace manyhands {

/// How values of a type become bytes and come back. Specialise it for a type of your own:
///
///   template <> struct manyhands::codec<money> {
///     static void save(const money& value, writer& out) { out.put(value.cents()); }
///     static money load(reader& in) { return money(in.get<std::int64_t>()); }
///   };
///
/// `save` may throw anything: the task fails with it. `load` throws `codec_error` for bytes that are no value of the type.
template <class T>
struct codec;

namespace detail {

/// How deep values may stand inside each other. Only a type that holds itself can get there; further down the stack would be at risk.
inline constexpr int deepest_value = 1000;

/// One step down into a value.
class nesting {
 public:
  explicit nesting(int& depth) : depth_(depth) {
    if (depth_ >= deepest_value) refuse();
    ++depth_;
  }
  nesting(const nesting&) = delete;
  nesting& operator=(const nesting&) = delete;
  ~nesting() { --depth_; }

 private:
  // Apart, as all that throws here: with the text in it, nothing of this would be inlined.
  [[noreturn]] static void refuse() { throw codec_error("the value is nested deeper than " + std::to_string(deepest_value) + " levels"); }

  int& depth_;
};

}  // namespace detail

/// Appends values to a buffer that grows.
class writer {
 public:
  writer() = default;
  writer(writer&& other) noexcept
      : buffer_(std::move(other.buffer_)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
  writer& operator=(writer&& other) noexcept {
    buffer_ = std::move(other.buffer_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  /// Appends `size` bytes as they are.
  void write(const void* from, std::size_t size) {
    if (size == 0) return;  // `from` may be null then
    if (capacity_ - size_ < size) grow(size);
    std::memcpy(buffer_.get() + size_, from, size);
    size_ += size;
  }
  /// Appends a value with its codec. Throws `codec_error` where values stand inside each other too deeply.
  template <class T>
  void put(const T& value) {
    const detail::nesting step(depth_);
    codec<T>::save(value, *this);
  }
  /// Makes room for `size` further bytes.
  void reserve(std::size_t size) {
    if (capacity_ - size_ < size) grow(size);
  }

  /// Puts these bytes in the place of those at `at`, all of which were written before.
  void overwrite(std::size_t at, const void* from, std::size_t size) noexcept { std::memcpy(buffer_.get() + at, from, size); }
  /// Takes back everything after the first `size` bytes, and keeps the capacity. `size` is at most `size()`.
  void truncate(std::size_t size) noexcept { size_ = size; }
  void clear() noexcept { size_ = 0; }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {buffer_.get(), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  // Apart, so that `write` is inlined.
  [[gnu::noinline]] void grow(std::size_t size) {
    constexpr std::size_t least = 64;
    std::size_t capacity = capacity_ < least ? least : capacity_ * 2;
    if (capacity - size_ < size) capacity = size_ + size;
    // Not make_unique: its zeros would touch every page once more.
    std::unique_ptr<std::byte[]> larger(new std::byte[capacity]);
    if (size_ != 0) std::memcpy(larger.get(), buffer_.get(), size_);
    buffer_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<std::byte[]> buffer_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  int depth_ = 0;
};

/// Takes values from bytes that it does not trust: whatever they are, it reads no further than their end, and what is no value throws
/// `codec_error`. Does not own the bytes.
class reader {
 public:
  explicit reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;

  /// Takes `size` bytes as they are.
  void read(void* to, std::size_t size) {
    const std::span<const std::byte> from = take(size);
    if (size != 0) std::memcpy(to, from.data(), size);
  }
  /// Takes `size` bytes and refers to them where they are.
  [[nodiscard]] std::span<const std::byte> take(std::size_t size) {
    if (size > rest_.size()) miss(size);
    const std::span<const std::byte> taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  /// Takes a value with its codec.
  template <class T>
  [[nodiscard]] std::remove_cv_t<T> get() {
    const detail::nesting step(depth_);
    return codec<std::remove_cv_t<T>>::load(*this);
  }
  /// Takes the announced count of elements that follow, each of them `least_bytes_each` bytes or more (0 counts as 1). A count that cannot
  /// be true is refused here, before anything is allocated for it.
  [[nodiscard]] std::size_t count(std::size_t least_bytes_each) {
    std::uint64_t announced = 0;
    read(&announced, sizeof announced);
    if (announced > rest_.size() / (least_bytes_each == 0 ? 1 : least_bytes_each)) doubt(announced);
    return static_cast<std::size_t>(announced);
  }

  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }
  /// Throws where bytes are left over.
  void finish() const {
    if (!rest_.empty()) object();
  }

 private:
  [[noreturn]] void miss(std::size_t size) const {
    throw codec_error("the bytes end too early: " + std::to_string(size) + " wanted, " + std::to_string(rest_.size()) + " left");
  }
  [[noreturn]] void doubt(std::uint64_t announced) const {
    throw codec_error(std::to_string(announced) + " elements were announced, and only " + std::to_string(rest_.size()) + " bytes are left");
  }
  [[noreturn]] void object() const { throw codec_error(std::to_string(rest_.size()) + " bytes are left after the value"); }

  std::span<const std::byte> rest_;
  int depth_ = 0;
};

}  // namespace manyhands
