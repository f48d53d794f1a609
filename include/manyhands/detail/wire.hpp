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

#include <manyhands/config.hpp>

// Frames in a ring of bytes that one process writes and another reads: the ring is small and used again and again, so frames may be of any
// size, and what a writer has published outlives it. Nothing here waits, wakes or knows a descriptor.

namespace manyhands::detail {

/// What a frame holds.
enum class frame_kind : std::uint32_t {
  value = 1,      ///< what `jobs::execute` wrote for a task that returned
  error = 2,      ///< what it wrote for one that threw
  no_worker = 3,  ///< the error of the call's initializer
};

/// What stands before the bytes of a frame.
struct frame_header {
  std::uint64_t index = 0;
  frame_kind kind = frame_kind::value;
  std::uint32_t check = 0;
  std::uint64_t length = 0;
  std::uint64_t digest = 0;

  /// Tells a header from bytes that somebody wrote over it.
  [[nodiscard]] std::uint32_t expected_check() const noexcept {
    const std::uint64_t mixed_all = index * 0x9e3779b97f4a7c15u ^ length * 0xc2b2ae3d27d4eb4fu ^ digest * 0x165667b19e3779f9u;
    return static_cast<std::uint32_t>(mixed_all >> 32) ^ static_cast<std::uint32_t>(kind) ^ 0x6d680001u;
  }
};

/// Tells the bytes of a frame from those that a later task of the worker has put in their place by mistake. Only of frames that are small
/// enough to lie in the ring for long: large ones are read as they come, and that would take noticeably longer.
template <class = void>
[[nodiscard]] std::uint64_t digest_of(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t largest = std::size_t{64} << 10;
  if (bytes.size() > largest) return 0;
  std::uint64_t digest = 0x9e3779b97f4a7c15u;
  std::uint64_t word = 0;
  const auto mix = [&] {
    digest = (digest ^ word) * 0xc2b2ae3d27d4eb4fu;
    digest ^= digest >> 32;
  };
  for (; bytes.size() >= sizeof word; bytes = bytes.subspan(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    mix();
  }
  if (!bytes.empty()) {
    word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    mix();
  }
  return digest;
}

/// Where writer and reader stand in a ring, in memory that both share. Counted in bytes from the beginning of time.
struct ring_positions {
  alignas(cache_line) std::atomic<std::uint64_t> head{0};  // the reader's
  std::atomic<std::uint32_t> room_made{0};                 // counts up when a writer that waits should look again
  alignas(cache_line) std::atomic<std::uint64_t> tail{0};  // the writer's
};

/// The writing end of a ring. What it wrote counts once the last byte of the frame is published: a writer that dies before leaves no frame.
template <class>
class basic_frame_writer {
 public:
  /// `bytes` is the ring; its size is a power of two.
  basic_frame_writer(ring_positions& positions, std::span<std::byte> bytes) noexcept
      : positions_(positions), ring_(bytes), head_(look_at_head()), tail_(positions.tail.load(std::memory_order_relaxed)) {}

  /// Writes one frame. Calls `wait_for_room(word, seen)` while the ring is full: it shall return soon after `word` is no longer `seen`.
  template <class Wait>
  void write(std::uint64_t index, frame_kind kind, std::span<const std::byte> payload, Wait&& wait_for_room) {
    frame_header header{index, kind, 0, payload.size(), digest_of(payload)};
    header.check = header.expected_check();
    std::array<std::byte, sizeof header> raw;
    std::memcpy(raw.data(), &header, sizeof header);
    append(raw, wait_for_room);
    append(payload, wait_for_room);
    publish();
  }

  /// True where the reader should come soon.
  [[nodiscard]] bool is_half_full() noexcept { return tail_ - head_ >= ring_.size() / 2 && tail_ - look_at_head() >= ring_.size() / 2; }

 private:
  template <class Wait>
  void append(std::span<const std::byte> bytes, Wait&& wait_for_room) {
    while (!bytes.empty()) {
      std::size_t room = ring_.size() - static_cast<std::size_t>(tail_ - head_);
      if (room == 0) {
        publish();
        const std::uint32_t seen = positions_.room_made.load(std::memory_order_acquire);
        if (look_at_head() == tail_ - ring_.size()) wait_for_room(positions_.room_made, seen);
        continue;
      }
      const std::size_t at = tail_ & (ring_.size() - 1);
      room = std::min({room, bytes.size(), ring_.size() - at, most_at_once()});
      std::memcpy(ring_.data() + at, bytes.data(), room);
      tail_ += room;
      bytes = bytes.subspan(room);
      // In pieces, so that the reader works on the first ones meanwhile.
      if (!bytes.empty() && room == most_at_once()) publish();
    }
  }
  std::uint64_t look_at_head() noexcept { return head_ = positions_.head.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t most_at_once() const noexcept { return ring_.size() / 4; }
  void publish() noexcept { positions_.tail.store(tail_, std::memory_order_release); }

  ring_positions& positions_;
  std::span<std::byte> ring_;
  std::uint64_t head_ = 0;  // as seen last: the reader's line is looked at only where the ring seems to fill
  std::uint64_t tail_ = 0;
};
using frame_writer = basic_frame_writer<void>;

/// The reading end of a ring, whose writer is not trusted: it may have overwritten anything, the positions, too.
template <class>
class basic_frame_reader {
 public:
  enum class state : std::uint8_t {
    empty,   ///< nothing more for now
    frame,   ///< `header` and `payload` are those of the next frame
    corrupt  ///< the writer lost its mind: nothing more can be read
  };

  basic_frame_reader() = default;
  basic_frame_reader(ring_positions& positions, std::span<const std::byte> bytes) noexcept : positions_(&positions), ring_(bytes) {}

  /// Reads on to the end of the next frame. `accept(header)` is asked once its header is there, before anything of its bytes is kept.
  /// `wake` is called when there is room again.
  template <class Accept, class Wake>
  [[nodiscard]] state next(Accept&& accept, Wake&& wake) {
    // A frame that has no end shall not keep the caller from its other workers: there is news then, and it comes back.
    const std::uint64_t enough = head_ + ring_.size() * 4;
    for (;;) {
      const std::uint64_t ready = positions_->tail.load(std::memory_order_acquire) - head_;
      if (ready > ring_.size()) return state::corrupt;
      if (!has_header_) {
        if (ready < sizeof(frame_header)) return rest(wake);
        copy_header();
        if (header_.check != header_.expected_check() || !accept(std::as_const(header_))) return state::corrupt;
        has_header_ = true;
        begin_payload();
        continue;
      }
      if (missing_ == 0) {
        if (!lost_ && header_.digest != digest_of(payload_)) return state::corrupt;
        has_header_ = false;
        return state::frame;
      }
      if (ready == 0 || head_ >= enough) return rest(wake);
      take_payload(static_cast<std::size_t>(ready));
      if (head_ - released_ >= ring_.size() / 4) release(wake);
    }
  }

  [[nodiscard]] const frame_header& header() const noexcept { return header_; }
  /// Valid until the next call of `next`.
  [[nodiscard]] std::span<const std::byte> payload() const noexcept { return payload_; }
  /// True where there was no memory for the frame's bytes, which were thrown away.
  [[nodiscard]] bool is_lost() const noexcept { return lost_; }
  /// Whether the reader's position is still what it has written. With another one the writer may wait for room that is there.
  [[nodiscard]] bool is_intact() const noexcept { return positions_->head.load(std::memory_order_relaxed) == released_; }
  /// How many bytes were read so far.
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return head_; }
  /// True in the middle of a frame.
  [[nodiscard]] bool is_amid() const noexcept { return has_header_; }
  /// True while the writer has published what was not read.
  [[nodiscard]] bool has_news() const noexcept { return positions_->tail.load(std::memory_order_acquire) != head_; }

 private:
  // What a header may reserve: memory that is not touched costs next to nothing, and a header that lies gets no more.
  static constexpr std::size_t most_reserved = std::size_t{64} << 20;
  static constexpr std::size_t most_kept = std::size_t{4} << 20;

  void copy_header() noexcept {
    std::array<std::byte, sizeof(frame_header)> raw;
    for (std::size_t copied = 0; copied < raw.size();) {
      const std::span<const std::byte> piece = contiguous(raw.size() - copied);
      std::memcpy(raw.data() + copied, piece.data(), piece.size());
      copied += piece.size();
      head_ += piece.size();
    }
    std::memcpy(&header_, raw.data(), raw.size());
  }
  void begin_payload() noexcept {
    missing_ = header_.length;
    lost_ = false;
    if (payload_.capacity() > most_kept) payload_ = {};
    payload_.clear();
    try {
      payload_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(missing_, most_reserved)));
    } catch (...) {  // perhaps less will do
    }
  }
  void take_payload(std::size_t ready) noexcept {
    const std::span<const std::byte> piece = contiguous(static_cast<std::size_t>(std::min<std::uint64_t>(ready, missing_)));
    if (!lost_) {
      try {
        payload_.insert(payload_.end(), piece.begin(), piece.end());
      } catch (...) {
        lost_ = true;
        payload_ = {};
      }
    }
    head_ += piece.size();
    missing_ -= piece.size();
  }
  [[nodiscard]] std::span<const std::byte> contiguous(std::size_t most) const noexcept {
    const auto at = static_cast<std::size_t>(head_ & (ring_.size() - 1));
    return ring_.subspan(at, std::min({most, ring_.size() - at, ring_.size() / 4}));
  }
  template <class Wake>
  state rest(Wake&& wake) {
    if (head_ != released_) release(wake);
    return state::empty;
  }
  template <class Wake>
  void release(Wake&& wake) {
    // A writer that waits needs no more than it can see; waking it for every small frame would cost more than the frame.
    const bool was_half_full = positions_->tail.load(std::memory_order_relaxed) - released_ >= ring_.size() / 2;
    released_ = head_;
    positions_->head.store(head_, std::memory_order_release);
    if (!was_half_full) return;
    positions_->room_made.fetch_add(1, std::memory_order_release);
    wake(positions_->room_made);
  }

  ring_positions* positions_ = nullptr;
  std::span<const std::byte> ring_;
  std::uint64_t head_ = 0;      // read so far
  std::uint64_t released_ = 0;  // what the writer knows of it
  bool has_header_ = false;
  bool lost_ = false;
  std::uint64_t missing_ = 0;
  frame_header header_;
  std::vector<std::byte> payload_;
};
using frame_reader = basic_frame_reader<void>;

}  // namespace manyhands::detail
