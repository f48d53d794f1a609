#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <map>
#include <stdexcept>

// What is decided about a call without a thread, a clock or a descriptor: time comes in as a parameter.

namespace manyhands::detail {

/// How many workers `n_jobs` stands for on so many processors. Throws `std::invalid_argument` for 0.
[[nodiscard]] inline int workers_for(int n_jobs, int processors) {
  if (n_jobs == 0) throw std::invalid_argument("n_jobs is 0: use a number of workers, or -1 for one per processor");
  if (n_jobs > 0) return n_jobs;
  // Not processors + 1 + n_jobs: n_jobs may be the smallest int.
  return n_jobs > -processors ? processors + (n_jobs + 1) : 1;
}

/// How many tasks a worker takes at a time, so that a batch lasts about as long as it is meant to.
///
/// Starts with one task, or what is known better, and grows eightfold at most: the first tasks of a call tell little about the next.
template <class>
class basic_adaptive_batch {
 public:
  explicit basic_adaptive_batch(std::chrono::nanoseconds target, std::size_t size = 1) noexcept : target_(target), size_(size) {}

  /// Learns that a batch of `tasks` lasted `elapsed`.
  void took(std::size_t tasks, std::chrono::nanoseconds elapsed) noexcept {
    const auto lasted = static_cast<double>(std::max<std::chrono::nanoseconds::rep>(elapsed.count(), 1));
    const double fits = static_cast<double>(tasks) * static_cast<double>(target_.count()) / lasted;
    const double most = static_cast<double>(size_) * 8;
    size_ = static_cast<std::size_t>(std::clamp(fits, 1.0, std::min(most, 1e9)));
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::chrono::nanoseconds target_;
  std::size_t size_;
};
using adaptive_batch = basic_adaptive_batch<void>;

/// What a task of one kind takes, as far as earlier calls tell. Any thread may ask and tell at any time.
class task_cost {
 public:
  /// How long so many tasks will take, in nanoseconds; no less than any limit before the first call.
  [[nodiscard]] double expected(std::size_t tasks) const noexcept {
    return static_cast<double>(nanoseconds_.load(std::memory_order_relaxed)) * static_cast<double>(tasks);
  }
  /// Learns that `tasks` took `elapsed` in one thread. Believes at once that tasks are cheap, but only by and by that they are not: most
  /// often the thread was only kept waiting by other programs.
  void learn(std::size_t tasks, std::chrono::nanoseconds elapsed) noexcept {
    if (tasks == 0) return;
    const float before = nanoseconds_.load(std::memory_order_relaxed);
    const float now = std::max(static_cast<float>(elapsed.count()) / static_cast<float>(tasks), 0.1F);
    nanoseconds_.store(now < before ? now : before + (std::min(now, 8 * before) - before) / 4, std::memory_order_relaxed);
  }

 private:
  std::atomic<float> nanoseconds_{std::numeric_limits<float>::max()};
};

/// The most of `waiting` tasks that one of `workers` may take at a time and leave enough for the others to end together.
[[nodiscard]] inline std::size_t fair_share(std::size_t waiting, int workers) noexcept {
  return std::max<std::size_t>(waiting / (2 * static_cast<std::size_t>(workers)), 1);
}

/// How far input may be read: at most so many tasks beyond the oldest one that is not finished.
template <class>
class basic_read_ahead {
 public:
  /// `batches` may be the largest `std::size_t`: no limit.
  explicit basic_read_ahead(std::size_t batches) noexcept : batches_(batches) {}

  /// Learns that the tasks from `first` up to `last` have finished. Every task is told once, in any order.
  void finished(std::size_t first, std::size_t last) {
    if (first == last) return;
    if (first != oldest_) {
      ahead_.emplace(first, last);
      return;
    }
    oldest_ = last;
    for (auto next = ahead_.begin(); next != ahead_.end() && next->first == oldest_; next = ahead_.erase(next)) oldest_ = next->second;
  }

  /// How many more tasks may be read after `known` of them, where a batch is of `batch` tasks.
  [[nodiscard]] std::size_t room(std::size_t known, std::size_t batch) const noexcept {
    constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
    if (batches_ > unlimited / std::max<std::size_t>(batch, 1)) return unlimited;
    const std::size_t most = batches_ * batch;
    const std::size_t unfinished = known - oldest_;
    return unfinished < most ? most - unfinished : 0;
  }
  [[nodiscard]] std::size_t oldest_unfinished() const noexcept { return oldest_; }

 private:
  std::size_t batches_;
  std::size_t oldest_ = 0;
  std::map<std::size_t, std::size_t> ahead_;  // finished ranges beyond the oldest unfinished task
};
using read_ahead = basic_read_ahead<void>;

}  // namespace manyhands::detail
