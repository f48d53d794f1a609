#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <manyhands/detail/mpi_letter.hpp>
#include <manyhands/detail/mpi_post.hpp>

namespace manyhands::detail {

/// Rank 0's end of the post: what calls send goes out here, and what comes is sorted by call. Any thread, several at a time: whoever waits
/// moves the letters of all.
template <class>
class basic_mpi_desk {
 public:
  using clock = std::chrono::steady_clock;
  using letter = mpi_post::letter;

  /// A rank that owes something is asked for a sign of life after so much silence, and again.
  static constexpr std::chrono::milliseconds ping_interval{500};

  /// A rank that owes something and says nothing for as long as `silence` is lost: `lost(rank)` is called, by whatever thread finds it out,
  /// with no mutex held.
  basic_mpi_desk(mpi_post& post, int ranks, std::chrono::nanoseconds silence, std::function<void(int rank)> lost)
      : post_(post), silence_(silence), lost_(std::move(lost)), ranks_(static_cast<std::size_t>(ranks)) {}
  basic_mpi_desk(const basic_mpi_desk&) = delete;
  basic_mpi_desk& operator=(const basic_mpi_desk&) = delete;

  /// A number for a call, whose letters are kept from now on.
  [[nodiscard]] std::uint32_t open() {
    const std::lock_guard lock(mutex_);
    calls_.try_emplace(++calls_made_);
    return calls_made_;
  }
  void close(std::uint32_t call) {
    const std::lock_guard lock(mutex_);
    calls_.erase(call);
  }
  /// The ranks that have least to do with calls now, the first of them first. They are the call's until `release`.
  [[nodiscard]] std::vector<int> reserve(std::size_t most) {
    const std::lock_guard lock(mutex_);
    std::vector<int> found;
    for (std::size_t rank = 1; rank < ranks_.size(); ++rank) {
      if (!ranks_[rank].is_lost) found.push_back(static_cast<int>(rank));
    }
    std::stable_sort(found.begin(), found.end(), [this](int a, int b) { return at(a).calls < at(b).calls; });
    found.resize(std::min(found.size(), most));
    std::sort(found.begin(), found.end());
    for (const int rank : found) ++at(rank).calls;
    return found;
  }
  void release(const std::vector<int>& ranks) {
    const std::lock_guard lock(mutex_);
    for (const int rank : ranks) --at(rank).calls;
  }

  /// Sends a letter on its way.
  void send(int rank, writer&& bytes) {
    const std::lock_guard lock(mutex_);
    if (!at(rank).is_lost) post_.send(rank, std::move(bytes));
  }
  /// The rank owes a call something from now on, or does so no more.
  void expect(int rank, int change) {
    const std::lock_guard lock(mutex_);
    if (at(rank).owes == 0) at(rank).heard = clock::now();
    at(rank).owes += change;
  }
  /// Moves letters, and gives the call those that are for it. True if any have come, for whatever call.
  bool collect(std::uint32_t call, std::vector<letter>& mine) {
    mine.clear();
    std::vector<int> silent;
    bool any = false;
    {
      const std::lock_guard lock(mutex_);
      const clock::time_point now = clock::now();
      forgive(now);
      static_cast<void>(post_.is_sending());
      for (letter next; post_.receive(next); any = true) sort(std::move(next), now);
      if (const auto found = calls_.find(call); found != calls_.end()) std::swap(mine, found->second);
      if (now - checked_ > ping_interval / 4) {
        checked_ = now;
        look_for_silence(now, silent);
      }
    }
    for (const int rank : silent) lost_(rank);
    return any || !mine.empty();
  }
  /// Moves letters. True while some are on their way out.
  bool is_sending() {
    const std::lock_guard lock(mutex_);
    return post_.is_sending();
  }
  [[nodiscard]] bool is_lost(int rank) {
    const std::lock_guard lock(mutex_);
    return at(rank).is_lost;
  }
  /// How many ranks were lost so far.
  [[nodiscard]] std::uint64_t losses() const noexcept { return losses_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t living() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(ranks_.begin() + 1, ranks_.end(), [](const rank_state& each) { return !each.is_lost; }));
  }
  /// Sends the same to all ranks but this one.
  void send_all(const mpi_letter_head& head) {
    const std::lock_guard lock(mutex_);
    for (std::size_t rank = 1; rank < ranks_.size(); ++rank) {
      if (!ranks_[rank].is_lost) post_.send(static_cast<int>(rank), mpi_short_letter(head));
    }
  }

 private:
  struct rank_state {
    int calls = 0;  // that may send it something
    int owes = 0;   // calls that wait for it
    bool is_lost = false;
    clock::time_point heard = {};
    clock::time_point pinged = {};
  };

  [[nodiscard]] rank_state& at(int rank) noexcept { return ranks_[static_cast<std::size_t>(rank)]; }

  /// Nobody can be heard while nobody listens.
  void forgive(clock::time_point now) noexcept {
    const clock::duration deaf = now - listened_;
    listened_ = now;
    if (deaf < ping_interval / 4) return;
    for (rank_state& each : ranks_) each.heard = std::min(each.heard + deaf, now);
  }
  void sort(letter&& next, clock::time_point now) {
    rank_state& from = at(next.from);
    if (from.is_lost) return;  // given up, and alive after all: others have its tasks by now
    from.heard = now;
    reader bytes(next.content.bytes());
    const mpi_letter_head head = mpi_take_head(bytes);
    if (head.kind == mpi_letter_kind::pong) return;
    if (const auto found = calls_.find(head.call); found != calls_.end()) found->second.push_back(std::move(next));
  }
  void look_for_silence(clock::time_point now, std::vector<int>& silent) {
    for (std::size_t rank = 1; rank < ranks_.size(); ++rank) {
      rank_state& each = ranks_[rank];
      if (each.is_lost || each.owes == 0 || now - each.heard < ping_interval) continue;
      if (now - each.heard > silence_) {
        each.is_lost = true;
        losses_.fetch_add(1, std::memory_order_release);
        post_.forget(static_cast<int>(rank));
        silent.push_back(static_cast<int>(rank));
      } else if (now - each.pinged >= ping_interval) {
        each.pinged = now;
        post_.send(static_cast<int>(rank), mpi_short_letter({.kind = mpi_letter_kind::ping}));
      }
    }
  }

  std::atomic<std::uint64_t> losses_{0};
  std::mutex mutex_;
  // Guarded by mutex_.
  mpi_post& post_;
  const std::chrono::nanoseconds silence_;
  const std::function<void(int)> lost_;
  std::vector<rank_state> ranks_;
  std::map<std::uint32_t, std::vector<letter>> calls_;
  std::uint32_t calls_made_ = 0;
  clock::time_point listened_ = clock::now();
  clock::time_point checked_ = {};
};
using mpi_desk = basic_mpi_desk<void>;

}  // namespace manyhands::detail
