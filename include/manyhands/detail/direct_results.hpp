#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include <manyhands/detail/prefault.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// A place for every task's result, where all results have the same size: workers write into them, their caller reads them where they are.
///
/// Memory that all workers of a call can write: a wild write in one may change what another has put here. Results in rings are safe from
/// that.
template <class>
class basic_direct_results {
 public:
  /// Larger results are no cheaper here: their pages are new each time, those of a ring are not.
  static constexpr std::size_t largest = 4096;

  basic_direct_results() = default;
  /// Throws `std::system_error` where there is not so much memory.
  basic_direct_results(std::size_t tasks, std::size_t size) : size_(size) {
    // The tags come first: they are the part that needs alignment.
    const std::size_t tags = tasks * sizeof(tag);
    if (tasks > std::numeric_limits<std::size_t>::max() / 2 / (size + sizeof(tag)))
      throw_system_error(ENOMEM, "manyhands: memory for results");
    memory_ = shared_memory(tags + tasks * size);
    tags_ = reinterpret_cast<tag*>(memory_.data());
    bytes_ = memory_.data() + tags;
  }

  // --- a worker

  /// The results of these tasks will be put one after another.
  void expect(std::size_t first, std::size_t last) const noexcept {
    if ((last - first) * size_ < worth_prefaulting) return;
    prefault(tags_ + first, (last - first) * sizeof(tag));
    prefault(bytes_ + first * size_, (last - first) * size_);
  }
  /// Puts a task's result in its place. It counts from the moment that this ends: a worker that dies before leaves none.
  void put(std::size_t index, std::span<const std::byte> result) const noexcept {
    std::memcpy(bytes_ + index * size_, result.data(), size_);
    tags_[index].store(tag_of(index), std::memory_order_release);
  }

  // --- the caller

  [[nodiscard]] bool has(std::size_t index) const noexcept { return tags_[index].load(std::memory_order_acquire) == tag_of(index); }
  [[nodiscard]] std::span<const std::byte> get(std::size_t index) const noexcept { return {bytes_ + index * size_, size_}; }

  /// The size of every result, 0 where there are no places.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const shared_memory& memory() const noexcept { return memory_; }

 private:
  using tag = std::atomic<std::uint32_t>;

  /// Differs from place to place, and from zeroed memory, so that what was written by mistake seldom looks like a result.
  static constexpr std::uint32_t tag_of(std::size_t index) noexcept {
    return static_cast<std::uint32_t>((static_cast<std::uint64_t>(index) * 0x9e3779b97f4a7c15u) >> 32) | 1;
  }

  shared_memory memory_;
  std::size_t size_ = 0;
  tag* tags_ = nullptr;
  std::byte* bytes_ = nullptr;
};
using direct_results = basic_direct_results<void>;

}  // namespace manyhands::detail
