#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <manyhands/detail/prefault.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_board.hpp>

namespace manyhands::detail {

/// Places for results that all have the same size, in memory that a worker shares with its caller: one for each task of the ranges that the
/// worker was given last. The worker writes into them, its caller reads them where they are.
///
/// They are used again and again, range after range and call after call: with a place for every task of a call, all of them would be in
/// pages that are new. What does not fit, the last tasks of a range that has many, has no place.
template <class>
class basic_direct_results {
  using tag = std::atomic<std::uint64_t>;

  // So many tags, then as many results: those of a short call are in one page.
  static constexpr std::size_t group = 32;
  [[nodiscard]] static constexpr std::size_t group_size(std::size_t size) noexcept { return group * (sizeof(tag) + size); }

 public:
  /// Larger results are no cheaper here than as frames.
  static constexpr std::size_t largest = 1024;
  /// How much memory they are in, aligned for words of 8 bytes.
  static constexpr std::size_t memory_size = worker_board::places * (std::size_t{256} << 10);

  /// How many tasks of a range have places.
  [[nodiscard]] static constexpr std::size_t capacity_for(std::size_t size) noexcept {
    return size != 0 && size <= largest ? memory_size / worker_board::places / group_size(size) * group : 0;
  }

  /// The places of one range.
  class row {
   public:
    row(std::byte* memory, std::size_t size, std::size_t capacity, std::uint32_t mark) noexcept
        : memory_(memory), size_(size), capacity_(capacity), mark_(mark) {}

    /// How many tasks have places. Tasks are counted from the first one of the range.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // --- the worker

    /// The results of so many tasks are to come.
    void expect(std::size_t tasks) const noexcept {
      prefault(memory_, (std::min(tasks, capacity_) + group - 1) / group * group_size(size_), prefaulted::where_new);
    }
    /// Puts a task's result in its place. It counts from the moment that this ends: a worker that dies before leaves none.
    void put(std::size_t task, std::span<const std::byte> result) const noexcept {
      std::memcpy(bytes_of(task), result.data(), size_);
      tags_of(task)[0].store(tag_of(result), std::memory_order_release);
    }

    // --- the caller

    /// Copies results to `to`, side by side, from that of `task` on: some of those that are there, have room in it, and come before that of
    /// task `end`. Gives their number, 0 where there are none.
    [[nodiscard]] std::size_t take(std::size_t task, std::size_t end, std::span<std::byte> to) const noexcept {
      const std::size_t most = std::min({end - task, group - task % group, to.size() / size_});
      const tag* const tags = tags_of(task);
      std::size_t marked = 0;
      while (marked != most && static_cast<std::uint32_t>(tags[marked].load(std::memory_order_acquire)) == mark_) ++marked;
      std::memcpy(to.data(), bytes_of(task), marked * size_);
      // Of the copies: a task may write over the others at any time.
      std::size_t taken = 0;
      while (taken != marked && tags[taken].load(std::memory_order_relaxed) == tag_of(to.subspan(taken * size_, size_))) ++taken;
      return taken;
    }

   private:
    /// Of another range than those that were here before, and of these bytes: a result over which a later task has written by mistake is
    /// none any more.
    [[nodiscard]] std::uint64_t tag_of(std::span<const std::byte> result) const noexcept {
      return (digest_of(result) & ~std::uint64_t{0xffffffff}) | mark_;
    }

    [[nodiscard]] std::byte* group_of(std::size_t task) const noexcept { return memory_ + task / group * group_size(size_); }
    [[nodiscard]] tag* tags_of(std::size_t task) const noexcept { return reinterpret_cast<tag*>(group_of(task)) + task % group; }
    [[nodiscard]] std::byte* bytes_of(std::size_t task) const noexcept {
      return group_of(task) + group * sizeof(tag) + task % group * size_;
    }

    std::byte* memory_;
    std::size_t size_;
    std::size_t capacity_;
    std::uint32_t mark_;
  };

  /// No places.
  basic_direct_results() = default;
  /// For results of that size, in memory that was zeroed or used for so many ranges before. No places where the size is 0 or above the
  /// largest.
  basic_direct_results(std::span<std::byte> memory, std::size_t size, std::uint32_t ranges_before = 0) noexcept
      : memory_(memory.data()), size_(capacity_for(size) != 0 ? size : 0), ranges_before_(ranges_before) {}

  /// The places of range `number`, in place of those of range `number - worker_board::places`.
  [[nodiscard]] row of_range(std::uint32_t number) const noexcept {
    if (size_ == 0) return {nullptr, 0, 0, 0};
    std::byte* const begin = memory_ + number % worker_board::places * (memory_size / worker_board::places);
    return {begin, size_, capacity_for(size_), ranges_before_ + number + 1};
  }

  /// The size of every result, 0 where there are no places.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t ranges_before_ = 0;
};
using direct_results = basic_direct_results<void>;

}  // namespace manyhands::detail
