#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <manyhands/config.hpp>

namespace manyhands::detail {

/// A call that its caller runs alone, since it seems to be too short to wake anybody for.
class quiet_call {
 public:
  quiet_call() = default;
  quiet_call(const quiet_call&) = delete;
  quiet_call& operator=(const quiet_call&) = delete;

  /// Lets others take part. With the crew's mutex held, by any thread.
  virtual void make_known() noexcept = 0;

 protected:
  ~quiet_call() = default;
};

/// The quiet calls of one thread, each made inside the one before. Somebody else looks at them now and then: one that turns out to be long
/// is made known, even if its caller is stuck in the first task.
class quiet_calls {
 public:
  // --- the thread whose calls they are

  /// Adds a call. False where there are too many already.
  bool open(quiet_call& call) noexcept {
    if (depth_ == entries_.size()) return false;
    entry& mine = entries_[depth_++];
    mine.opened.store(mine.opened.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // Release: who makes it known sees it as a whole.
    mine.call.store(&call, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool empty() const noexcept { return depth_ == 0; }
  /// Whether the next call shall be timed: one in eight. To look at the clock takes as long as many a call.
  [[nodiscard]] bool times_next() noexcept { return ++untimed_ % 8 == 0; }
  /// Takes away the one that was added last. False if it was made known meanwhile.
  bool close() noexcept { return entries_[--depth_].call.exchange(nullptr, std::memory_order_acq_rel) != nullptr; }

  // --- anybody, with the crew's mutex held

  enum class activity : std::uint8_t {
    none,       ///< no call since the last look
    over,       ///< one call, which has ended
    going_on,   ///< more of them, or one that has not ended
    made_known  ///< a call was made known
  };
  /// Makes known what has been there since the last look; with `all`, everything.
  activity look(bool all) noexcept {
    activity found = activity::none;
    for (std::size_t depth = 0; depth < most; ++depth) {
      entry& each = entries_[depth];
      const std::uint32_t opened = each.opened.load(std::memory_order_relaxed);
      const std::uint32_t since = opened - std::exchange(seen_[depth], opened);
      const bool same = since == 0;
      quiet_call* call = each.call.load(std::memory_order_relaxed);
      if (!same) found = std::max(found, since == 1 && call == nullptr ? activity::over : activity::going_on);
      if (call == nullptr || !(same || all)) continue;
      // The same address may be another call by now: just as good.
      if (!each.call.compare_exchange_strong(call, nullptr, std::memory_order_acq_rel)) continue;
      call->make_known();
      found = activity::made_known;
    }
    return found;
  }

 private:
  struct entry {
    std::atomic<quiet_call*> call{nullptr};  // null: none, or known
    std::atomic<std::uint32_t> opened{0};
  };
  static constexpr std::size_t most = 4;

  // Nothing that others write: it would be far away when the next call comes.
  alignas(cache_line) std::array<entry, most> entries_{};
  std::size_t depth_ = 0;                                       // the owner's
  unsigned untimed_ = 0;                                        // the owner's
  alignas(cache_line) std::array<std::uint32_t, most> seen_{};  // guarded by the crew's mutex
};

}  // namespace manyhands::detail
