#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <manyhands/backend.hpp>

namespace manyhands::detail {

/// How a worker was found dead.
struct last_sign {
  enum class kind : std::uint8_t {
    idle,     ///< it ran no task
    running,  ///< it said that it ran `task`
    late,     ///< it ran `task` for too long, and was ended for it
    corrupt,  ///< it had overwritten what it shares with its caller, and was ended for it
    ended     ///< its caller ended it, for a task that nobody wanted
  };

  kind what = kind::idle;
  std::size_t task = 0;
  /// For `running` and `late`: which attempt at the task it says it was.
  int attempt = 0;
};

/// The ranges that one worker was given, and how far it is with them.
///
/// A worker runs its ranges in order, a range's tasks in order, and leaves each result before the next task: so the first task without a
/// result is the one that it runs. `limit` is always the call's: tasks at or above it nobody wants, and the worker skips those it has not
/// begun.
template <class>
class basic_assignment {
 public:
  struct range {
    std::uint32_t number = 0;
    std::size_t first = 0;
    std::size_t done = 0;  // the tasks below it have their results
    std::size_t last = 0;
  };

  // --- events

  /// Returns the number of the range.
  std::uint32_t add(index_range tasks) {
    ranges_.push_back({added_, tasks.first, tasks.first, tasks.last});
    return added_++;
  }
  /// The next `count` tasks that were expected have their results.
  void complete(std::size_t count, std::size_t limit) noexcept {
    const auto oldest =
        std::find_if(ranges_.begin(), ranges_.end(), [limit](const range& each) { return each.done < std::min(each.last, limit); });
    if (oldest == ranges_.end() || count == 0) return;
    oldest->done += count;
    last_done_ = oldest->done - 1;
  }
  /// Forgets the oldest range. Nothing where there is none, or where results of it are missing.
  [[nodiscard]] std::optional<range> finish_oldest(std::size_t limit) {
    if (ranges_.empty()) return std::nullopt;
    const range oldest = ranges_.front();
    if (oldest.done < std::min(oldest.last, limit)) return std::nullopt;
    ranges_.erase(ranges_.begin());  // there are two at most
    return oldest;
  }
  /// Range `number` ends at `last` from now on.
  void shorten(std::uint32_t number, std::size_t last) noexcept {
    for (range& each : ranges_) {
      if (each.number == number) each.last = last;
    }
  }
  /// Forgets the newest range; returns what is left to do of it.
  [[nodiscard]] index_range drop_newest(std::size_t limit) {
    const range newest = ranges_.back();
    ranges_.pop_back();
    return {newest.done, std::max(newest.done, std::min(newest.last, limit))};
  }

  // --- queries

  /// The range whose results come next, cut off at the limit. Empty where none come.
  [[nodiscard]] range current(std::size_t limit) const noexcept {
    for (range each : ranges_) {
      each.last = std::min(each.last, limit);
      if (each.done < each.last) return each;
    }
    return {};
  }
  /// The tasks whose results come next, in this order.
  [[nodiscard]] index_range expected(std::size_t limit) const noexcept {
    const range next = current(limit);
    return {next.done, next.last};
  }
  /// The task that died with the worker, if any.
  [[nodiscard]] std::optional<std::size_t> culprit(last_sign sign, std::size_t limit) const noexcept {
    const index_range next = expected(limit);
    if (next.empty() || sign.what == last_sign::kind::ended || sign.what == last_sign::kind::idle) return std::nullopt;
    if (sign.what == last_sign::kind::running || sign.what == last_sign::kind::late) {
      // It had left the result and could not say so any more, or it was in a task that nobody wants.
      if (sign.task == last_done_ || (sign.task >= limit && has_unwanted(limit))) return std::nullopt;
    }
    // Whatever a corrupt worker says: to charge the first task without a result makes sure that the call comes to an end.
    return next.first;
  }
  /// True where the worker may run a task above the limit before it comes to one below.
  [[nodiscard]] bool has_unwanted(std::size_t limit) const noexcept {
    for (const range& each : ranges_) {
      if (each.done < std::min(each.last, limit)) return false;
      if (each.done < each.last) return true;
    }
    return false;
  }
  /// Tasks without a result, the one that runs among them.
  [[nodiscard]] std::size_t unfinished() const noexcept {
    std::size_t count = 0;
    for (const range& each : ranges_) count += each.last - each.done;
    return count;
  }
  /// The oldest first.
  [[nodiscard]] const std::vector<range>& ranges() const noexcept { return ranges_; }

 private:
  std::vector<range> ranges_;
  std::uint32_t added_ = 0;
  std::size_t last_done_ = no_index;
};
using assignment = basic_assignment<void>;

}  // namespace manyhands::detail
