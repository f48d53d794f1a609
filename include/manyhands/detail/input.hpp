#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/detail/packed_task.hpp>
#include <manyhands/detail/repeatable.hpp>
#include <manyhands/detail/segmented.hpp>
#include <manyhands/task.hpp>

// A call's tasks by index, out of whatever range they were given in. Both kinds have `ready`, `complete` (whether that is all from the
// start), `size`, `read` (in the calling thread only) and `invoke(i)` (any thread, each index once). Where `lasts` is true,
// `invoke<true>(i)` may come before it as often as you like, and `release(i)` in its place. `pack(i, out)` writes a task down and leaves it
// as it is; it is called as a `task_type`.

namespace manyhands::detail {

/// Pointers, and iterators of the standard library that are as good.
template <class Iterator, class Value = std::iter_value_t<Iterator>>
inline constexpr bool plain_iterator =
    std::is_pointer_v<Iterator> || std::same_as<Iterator, typename std::vector<Value>::iterator> ||
    std::same_as<Iterator, typename std::vector<Value>::const_iterator> ||
    std::same_as<Iterator, typename std::span<std::remove_reference_t<std::iter_reference_t<Iterator>>>::iterator>;
template <class Iterator>
inline constexpr bool plain_iterator<Iterator, bool> = std::is_pointer_v<Iterator>;

/// True for ranges whose elements are found without running any code of the user's: workers may look them up themselves.
template <class Range>
inline constexpr bool indexable = false;
template <class Range>
requires(std::ranges::contiguous_range<Range>&& std::ranges::sized_range<Range> && !std::is_const_v<Range>)  //
    inline constexpr bool indexable<Range> = plain_iterator<std::ranges::iterator_t<Range>>;
template <class Integer, class Bound>
inline constexpr bool indexable<std::ranges::iota_view<Integer, Bound>> = std::integral<Integer>&& std::same_as<Integer, Bound>;
template <class Range>
inline constexpr bool indexable<borrowed<Range>> = indexable<Range>;
template <class Base, class Fn>
inline constexpr bool indexable<delayed_view<Base, Fn>> = indexable<Base>;
template <class Range>
inline constexpr bool indexable<const Range> = indexable<Range>;

/// What is kept of a task's result. Not an rvalue reference: it may refer into the task, which ends when it has run.
template <class Task>
using result_of = std::conditional_t<std::is_rvalue_reference_v<std::invoke_result_t<Task>>,
                                     std::remove_cvref_t<std::invoke_result_t<Task>>, std::invoke_result_t<Task>>;

/// Tasks that workers look up in the range itself.
template <class Range>
class indexed_input {
  using reference = std::ranges::range_reference_t<Range>;

 public:
  using task_type = reference;
  using result_type = result_of<reference>;
  static constexpr bool reads_ahead = false;
  static constexpr bool lasts = std::is_lvalue_reference_v<reference> ? lasting_call<reference>::possible : made_anew<reference>;

  explicit indexed_input(Range& range) : first_(std::ranges::begin(range)), size_(static_cast<std::size_t>(std::ranges::size(range))) {}

  [[nodiscard]] std::size_t ready() const noexcept { return size_; }
  [[nodiscard]] bool complete() const noexcept { return true; }
  [[nodiscard]] std::optional<std::size_t> size() const noexcept { return size_; }
  bool read(std::size_t) noexcept { return false; }
  template <bool = false>
  result_type invoke(std::size_t index) const {
    return std::invoke(first_[static_cast<std::ranges::range_difference_t<Range>>(index)]);
  }
  void release(std::size_t) noexcept {}
  void pack(std::size_t index, writer& out) const {
    save_task<reference>(first_[static_cast<std::ranges::range_difference_t<Range>>(index)], out);
  }

 private:
  std::ranges::iterator_t<Range> first_;
  std::size_t size_;
};

/// Tasks that the calling thread reads one at a time and keeps until they run.
///
/// A task that stays where it is in the range is referred to, others are taken and end as soon as they have run.
template <class Range>
class stored_input {
  using reference = std::ranges::range_reference_t<Range>;
  using element = element_of<Range>;
  static constexpr bool refers = std::is_lvalue_reference_v<element>;
  using stored = std::conditional_t<refers, std::remove_reference_t<element>*, std::remove_reference_t<element>>;

 public:
  using task_type = element;
  using result_type = result_of<element>;
  static constexpr bool reads_ahead = !std::ranges::random_access_range<Range>;
  static constexpr bool lasts = lasting_call<element>::possible;

  explicit stored_input(Range& range) : size_(size_of(range)), at_(std::ranges::begin(range)), end_(std::ranges::end(range)) {}

  [[nodiscard]] std::size_t ready() const noexcept { return ready_; }
  [[nodiscard]] bool complete() const noexcept { return false; }
  /// How many tasks there are, where the range knows.
  [[nodiscard]] std::optional<std::size_t> size() const noexcept { return size_; }
  /// Reads up to `most` further tasks; false once the range has ended. Throws what the range throws: what was read before counts.
  bool read(std::size_t most) {
    for (; most > 0; --most) {
      if (stale_) {
        // Not right after the last element was taken: a single-pass range may block in ++ until there is another one.
        ++at_;
        stale_ = false;
      }
      if (at_ == end_) return false;
      tasks_.grow(ready_ + 1);
      if constexpr (refers) {
        tasks_.emplace(ready_, [this] { return std::addressof(*at_); });
      } else {
        tasks_.emplace(ready_, [this]() -> stored { return static_cast<stored>(element_at<Range>(at_)); });
      }
      stale_ = true;
      ++ready_;
    }
    return true;
  }
  template <bool keep = false>
  result_type invoke(std::size_t index) {
    if constexpr (refers) {
      return std::invoke(*tasks_[index]);
    } else if constexpr (keep && lasts) {
      return lasting_call<element>::call(tasks_[index]);
    } else {
      const finally last{*this, index};
      return std::invoke(std::move(tasks_[index]));
    }
  }
  /// Ends a task that was kept.
  void release(std::size_t index) noexcept {
    if constexpr (!refers) tasks_.reset(index);
  }
  void pack(std::size_t index, writer& out) {
    if constexpr (refers) {
      save_task<element>(*tasks_[index], out);
    } else {
      save_task<element>(tasks_[index], out);
    }
  }

 private:
  struct finally {
    stored_input& owner;
    std::size_t index;
    ~finally() { owner.tasks_.reset(index); }
  };

  static std::optional<std::size_t> size_of(Range& range) {
    if constexpr (std::ranges::sized_range<Range>) {
      return static_cast<std::size_t>(std::ranges::size(range));
    } else {
      return std::nullopt;
    }
  }

  std::optional<std::size_t> size_;
  std::ranges::iterator_t<Range> at_;
  [[no_unique_address]] std::ranges::sentinel_t<Range> end_;
  segmented<stored> tasks_;
  std::size_t ready_ = 0;
  bool stale_ = false;
};

template <class Range>
using input_for = std::conditional_t<indexable<std::remove_cv_t<Range>>, indexed_input<Range>, stored_input<Range>>;

}  // namespace manyhands::detail
