#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <manyhands/detail/wire.hpp>

// What a caller sends to a worker that lives on: a stream of parcels in a ring of bytes, the call first and then its tasks. Neither end
// waits in here: the caller must never, since the worker may wait for it, and the worker knows what else it waits for.

namespace manyhands::detail {

/// What stands before the bytes of a parcel.
struct parcel_header {
  std::uint64_t number = 0;  // the task's; or that of a call, counted down from the largest
  std::uint64_t length = 0;

  [[nodiscard]] static constexpr std::uint64_t of_call(std::uint32_t call) noexcept { return ~std::uint64_t{call}; }
};

/// The caller's end. Believes the worker only where it says how far it has read, and that within limits.
template <class>
class basic_parcel_sender {
 public:
  basic_parcel_sender() = default;
  /// `bytes` is the ring; its size is a power of two.
  basic_parcel_sender(ring_positions& positions, std::span<std::byte> bytes) noexcept : positions_(&positions), ring_(bytes) {}

  /// Appends as many of these bytes as there is room for, and returns their number.
  [[nodiscard]] std::size_t append(std::span<const std::byte> bytes) noexcept {
    std::size_t taken = 0;
    while (taken != bytes.size()) {
      std::size_t room = left();
      if (room == 0 && (head_ = positions_->head.load(std::memory_order_acquire), (room = left()) == 0)) break;
      const std::size_t at = tail_ & (ring_.size() - 1);
      const std::size_t size = std::min({room, bytes.size() - taken, ring_.size() - at});
      std::memcpy(ring_.data() + at, bytes.data() + taken, size);
      tail_ += size;
      taken += size;
    }
    return taken;
  }
  /// What was appended counts from now on.
  void publish() noexcept { positions_->tail.store(tail_, std::memory_order_release); }

  [[nodiscard]] bool has_room() noexcept {
    head_ = positions_->head.load(std::memory_order_acquire);
    return left() != 0;
  }
  /// Whether the worker has left alone what only this end writes, and has read no further than there is something.
  [[nodiscard]] bool is_intact() const noexcept {
    return tail_ - positions_->head.load(std::memory_order_acquire) <= ring_.size() &&
           positions_->tail.load(std::memory_order_relaxed) <= tail_;
  }

 private:
  /// No more than there is where the worker's word is rubbish.
  [[nodiscard]] std::size_t left() const noexcept {
    const std::uint64_t waiting = tail_ - head_;
    return waiting <= ring_.size() ? ring_.size() - static_cast<std::size_t>(waiting) : 0;
  }

  ring_positions* positions_ = nullptr;
  std::span<std::byte> ring_;
  std::uint64_t head_ = 0;  // as seen last
  std::uint64_t tail_ = 0;
};
using parcel_sender = basic_parcel_sender<void>;

/// The worker's end.
template <class>
class basic_parcel_receiver {
 public:
  basic_parcel_receiver(ring_positions& positions, std::span<const std::byte> bytes) noexcept : positions_(positions), ring_(bytes) {}

  /// Reads on to the parcel of that number, over all others. `wait()` returns when there may be more, and whether to go on; `made_room()`
  /// is called when there is much room again. False where `wait` said no: then the rest comes with the next call of this.
  template <class Wait, class Made>
  [[nodiscard]] bool find(std::uint64_t number, Wait&& wait, Made&& made_room) {
    release(std::exchange(staying_, 0), made_room);
    // Most parcels are small, come in turn, and are there.
    if (missing_ == 0 && header_size_ == 0) {
      if (const std::span<const std::byte> piece = next(ring_.size()); piece.size() >= sizeof header_) {
        std::memcpy(&header_, piece.data(), sizeof header_);
        if (header_.number == number && header_.length <= std::min(piece.size() - sizeof header_, ring_.size() / in_place)) {
          found_ = piece.subspan(sizeof header_, static_cast<std::size_t>(header_.length));
          staying_ = sizeof header_ + found_.size();
          return true;
        }
      }
    }
    for (;;) {
      if (missing_ == 0) {
        if (header_size_ == sizeof header_) {
          header_size_ = 0;
          if (header_.number == number) {
            found_ = bytes_;
            return true;
          }
        }
        while (header_size_ != sizeof header_) {
          const std::span<const std::byte> piece = next(sizeof header_ - header_size_);
          if (piece.empty() && !wait()) return false;
          std::copy(piece.begin(), piece.end(), raw_.begin() + static_cast<std::ptrdiff_t>(header_size_));
          header_size_ += piece.size();
          release(piece.size(), made_room);
        }
        std::memcpy(&header_, raw_.data(), sizeof header_);
        missing_ = header_.length;
        if (bytes_.capacity() > most_kept) bytes_ = {};
        bytes_.clear();
        if (missing_ == 0) continue;
      }
      const std::span<const std::byte> piece = next(missing_);
      if (piece.empty() && !wait()) return false;
      if (header_.number == number) bytes_.insert(bytes_.end(), piece.begin(), piece.end());
      missing_ -= piece.size();
      release(piece.size(), made_room);
    }
  }
  /// Of the parcel that was found. Valid until the next call of `find`.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return found_; }
  [[nodiscard]] bool has_news() const noexcept { return positions_.tail.load(std::memory_order_acquire) != head_ + staying_; }

 private:
  static constexpr std::size_t most_kept = std::size_t{4} << 20;
  // A parcel that stays in the ring until its task has run keeps room from those that follow: up to this part of all.
  static constexpr std::size_t in_place = 64;

  /// What is there, side by side, of the next `most` bytes.
  [[nodiscard]] std::span<const std::byte> next(std::uint64_t most) noexcept {
    if (head_ == seen_) seen_ = positions_.tail.load(std::memory_order_acquire);
    const auto at = static_cast<std::size_t>(head_ & (ring_.size() - 1));
    return ring_.subspan(at, static_cast<std::size_t>(std::min<std::uint64_t>({most, ring_.size() - at, seen_ - head_})));
  }
  template <class Made>
  void release(std::size_t size, Made&& made_room) noexcept {
    if (size == 0) return;
    head_ += size;
    positions_.head.store(head_, std::memory_order_release);
    if (head_ - told_ < ring_.size() / 2) return;
    told_ = head_;
    made_room();
  }

  ring_positions& positions_;
  std::span<const std::byte> ring_;
  std::uint64_t head_ = 0;
  std::uint64_t seen_ = 0;  // the caller's position, as seen last
  std::uint64_t told_ = 0;
  std::array<std::byte, sizeof(parcel_header)> raw_{};
  parcel_header header_;
  std::size_t header_size_ = 0;  // of it, what was read
  std::uint64_t missing_ = 0;    // of the bytes behind it
  std::vector<std::byte> bytes_;
  std::span<const std::byte> found_;
  std::size_t staying_ = 0;  // of the ring's bytes, those of the parcel that was found, where they stay in it
};
using parcel_receiver = basic_parcel_receiver<void>;

}  // namespace manyhands::detail
