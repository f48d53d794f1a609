#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// Which rank has which tasks of a call, and who is to get more, or to give some back.
///
/// Told of events, it says what to do. It sends nothing, waits for nothing, and knows no clock but the times that it is told. Workers are
/// numbered from 0, and have two batches at most: the next one is there when one is done.
template <class>
class basic_mpi_ledger {
 public:
  using clock = std::chrono::steady_clock;

  /// A batch lasts no less than this, and no more.
  static constexpr std::chrono::nanoseconds shortest_batch = std::chrono::milliseconds(1);
  static constexpr std::chrono::nanoseconds longest_batch = std::chrono::milliseconds(100);
  /// And so many times as long as it takes to get an answer.
  static constexpr int latencies_per_batch = 16;

  /// `max_losses` is how often a task is begun again whose rank was lost.
  basic_mpi_ledger(int workers, batch_size size, int max_losses = 0)
      : workers_(static_cast<std::size_t>(workers)), batch_(size), max_losses_(max_losses) {}

  // --- events

  /// No task at or above `index` is wanted any more.
  void limited(std::size_t index) noexcept { limit_ = std::min(limit_, index); }
  /// The worker was sent these tasks. Returns the number of the batch.
  std::uint32_t gave(int worker, index_range tasks, clock::time_point now) {
    entry& to = at(worker);
    const bool waited = to.batches.empty();
    to.batches.push_back({to.added, tasks.first, tasks.first, tasks.last, now, now, waited});
    unfinished_ += tasks.size();
    return to.added++;
  }
  /// Tasks that nobody has after all; they come next.
  void put_back(index_range tasks) {
    if (!tasks.empty()) todo_.push_front(tasks);
  }
  /// The next `count` tasks of the worker's oldest batch have their results; it has taken `elapsed` for them. With `finished` it is through
  /// with the batch. False where that cannot be.
  [[nodiscard]] bool answered(int worker, std::uint32_t number, std::size_t count, bool finished, std::chrono::nanoseconds elapsed,
                              clock::time_point now) {
    entry& who = at(worker);
    if (who.batches.empty()) return false;
    batch& oldest = who.batches.front();
    if (oldest.number != number || count > oldest.last - oldest.done) return false;
    if (!finished && oldest.done + count == oldest.last && oldest.done < limit_ && count == 0) return false;
    if (oldest.done == oldest.first && oldest.waited && finished) learn_latency(now - oldest.given - elapsed);
    oldest.done += count;
    unfinished_ -= count;
    who.tried = false;
    if (count != 0) pace_.took(count, scaled(elapsed));
    oldest.since = now;
    if (!finished) return true;
    if (oldest.done < std::min(oldest.last, limit_)) return false;
    unfinished_ -= oldest.last - oldest.done;
    who.batches.pop_front();
    if (!who.batches.empty()) who.batches.front().since = now;
    return true;
  }
  /// The worker has given back the tasks of a batch from `first` on; nothing of it where `first` is `no_index`. False where that cannot be.
  [[nodiscard]] bool gave_back(int worker, std::uint32_t number, std::size_t first) {
    entry& who = at(worker);
    who.asked = false;
    if (first == no_index) {
      who.tried = true;
      return true;
    }
    for (batch& each : who.batches) {
      if (each.number != number) continue;
      if (first < each.done || first >= each.last) return false;
      unfinished_ -= each.last - first;
      put_back({first, each.last});
      each.last = first;
      return true;
    }
    return false;
  }
  /// The worker is gone. Its tasks come next; but the one that it ran, where that was lost too often, is given to the caller to be failed.
  [[nodiscard]] std::optional<std::size_t> lost(int worker) {
    entry& who = at(worker);
    who.is_lost = true;
    std::optional<std::size_t> culprit;
    for (const batch& each : who.batches) unfinished_ -= each.last - each.done;
    if (!who.batches.empty()) {
      batch& oldest = who.batches.front();
      if (oldest.done < std::min(oldest.last, limit_) && ++losses_[oldest.done] > max_losses_) culprit = oldest.done++;
    }
    for (auto each = who.batches.rbegin(); each != who.batches.rend(); ++each) put_back({each->done, each->last});
    who.batches.clear();
    return culprit;
  }

  // --- what to do

  /// The worker that should be given tasks next, -1 where each has enough: first those that have nothing.
  [[nodiscard]] int hungry() const noexcept {
    int found = -1;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      const entry& each = workers_[number];
      if (each.is_lost || each.batches.size() >= 2) continue;
      if (each.batches.empty()) return static_cast<int>(number);
      if (found < 0) found = static_cast<int>(number);
    }
    return found;
  }
  /// How many tasks a batch is to have where `waiting` ones are nobody's.
  [[nodiscard]] std::size_t batch_now(std::size_t waiting) const noexcept {
    if (!batch_.is_automatic()) return batch_.count();
    return std::min(pace_.size(), fair_share(waiting, static_cast<int>(workers_.size())));
  }
  /// Takes at most so many tasks of those that were put back; none where there are none.
  [[nodiscard]] index_range take(std::size_t most) {
    while (!todo_.empty()) {
      index_range& front = todo_.front();
      front.last = std::max(front.first, std::min(front.last, limit_));
      if (front.empty()) {
        todo_.pop_front();
        continue;
      }
      const index_range tasks{front.first, front.first + std::min(front.size(), most)};
      front.first = tasks.last;
      if (front.empty()) todo_.pop_front();
      return tasks;
    }
    return {};
  }
  /// The worker that should be asked to give something back, -1 where nobody should: there is one that has nothing, nothing is left for
  /// it, and another has been at a batch for longer than it should.
  [[nodiscard]] int rich(clock::time_point now) const noexcept {
    bool any_idle = false;
    int found = -1;
    std::size_t most = 1;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      const entry& each = workers_[number];
      if (each.is_lost) continue;
      any_idle = any_idle || each.batches.empty();
      if (each.tried || each.asked || each.batches.empty() || now - each.batches.front().since < patience()) continue;
      std::size_t owed = 0;
      for (const batch& one : each.batches) owed += std::min(one.last, limit_) - std::min(one.done, limit_);
      if (owed <= most) continue;
      most = owed;
      found = static_cast<int>(number);
    }
    return any_idle ? found : -1;
  }
  /// It was asked.
  void asked(int worker) noexcept { at(worker).asked = true; }

  // --- queries

  /// True where only whole batches may change hands.
  [[nodiscard]] bool keeps_batches() const noexcept { return !batch_.is_automatic(); }
  /// True while the worker has tasks, also such as nobody wants any more.
  [[nodiscard]] bool owes(int worker) const noexcept { return !workers_[static_cast<std::size_t>(worker)].batches.empty(); }
  [[nodiscard]] bool anybody_owes() const noexcept {
    return std::any_of(workers_.begin(), workers_.end(), [](const entry& each) { return !each.batches.empty(); });
  }
  [[nodiscard]] bool anybody_left() const noexcept {
    return std::any_of(workers_.begin(), workers_.end(), [](const entry& each) { return !each.is_lost; });
  }
  /// How many tasks are nobody's that were somebody's before.
  [[nodiscard]] std::size_t to_do() const noexcept {
    std::size_t count = 0;
    for (const index_range& each : todo_) count += std::min(each.last, limit_) - std::min(each.first, limit_);
    return count;
  }
  /// How many tasks workers have.
  [[nodiscard]] std::size_t unfinished() const noexcept { return unfinished_; }
  /// The tasks that the worker's answer must be of: of its oldest batch.
  [[nodiscard]] index_range expected(int worker) const noexcept {
    const entry& who = workers_[static_cast<std::size_t>(worker)];
    return who.batches.empty() ? index_range{} : index_range{who.batches.front().done, who.batches.front().last};
  }
  /// How often a task was begun by ranks that are lost.
  [[nodiscard]] int losses(std::size_t index) const noexcept {
    const auto found = losses_.find(index);
    return found != losses_.end() ? found->second : 0;
  }
  [[nodiscard]] std::size_t pace() const noexcept { return pace_.size(); }
  /// What an answer takes beyond the tasks themselves, 0 as long as that is not known.
  [[nodiscard]] std::chrono::nanoseconds latency() const noexcept { return latency_; }

 private:
  struct batch {
    std::uint32_t number = 0;
    std::size_t first = 0;
    std::size_t done = 0;  // the tasks below it have their results
    std::size_t last = 0;
    clock::time_point given = {};
    clock::time_point since = {};  // when the worker came to it, or was last heard of it
    bool waited = false;           // the worker had nothing else
  };
  struct entry {
    std::deque<batch> batches;  // the oldest first
    std::uint32_t added = 0;
    bool is_lost = false;
    bool asked = false;  // to give back, and has not answered yet
    bool tried = false;  // had nothing to give back, and has not got any further since
  };

  [[nodiscard]] entry& at(int worker) noexcept { return workers_[static_cast<std::size_t>(worker)]; }

  void learn_latency(std::chrono::nanoseconds seen) noexcept {
    seen = std::max(seen, std::chrono::nanoseconds(0));
    latency_ = latency_.count() == 0 || seen < latency_ ? seen : latency_ + (seen - latency_) / 8;
  }
  [[nodiscard]] std::chrono::nanoseconds target() const noexcept {
    return std::clamp(latency_ * latencies_per_batch, shortest_batch, longest_batch);
  }
  /// What a batch would have taken if it were to last `shortest_batch`.
  [[nodiscard]] std::chrono::nanoseconds scaled(std::chrono::nanoseconds elapsed) const noexcept {
    const double share = static_cast<double>(shortest_batch.count()) / static_cast<double>(target().count());
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(static_cast<double>(elapsed.count()) * share));
  }
  [[nodiscard]] std::chrono::nanoseconds patience() const noexcept { return 2 * target(); }

  std::vector<entry> workers_;
  batch_size batch_;
  int max_losses_;
  std::map<std::size_t, int> losses_;
  adaptive_batch pace_{shortest_batch};
  std::chrono::nanoseconds latency_{0};
  std::deque<index_range> todo_;  // was somebody's, and is nobody's
  std::size_t unfinished_ = 0;
  std::size_t limit_ = no_index;
};
using mpi_ledger = basic_mpi_ledger<void>;

}  // namespace manyhands::detail
