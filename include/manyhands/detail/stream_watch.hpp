#pragma once

#include <atomic>
#include <cstddef>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/barrier.hpp>

namespace manyhands::detail {

/// Wakes the thread that waits for results.
class stream_waker {
 public:
  stream_waker() = default;
  stream_waker(const stream_waker&) = delete;
  stream_waker& operator=(const stream_waker&) = delete;

  virtual void wake() noexcept = 0;

 protected:
  ~stream_waker() = default;
};

/// What a thread that sleeps waits for: one result, or any.
///
/// To say that a result is there costs the worker one look where nobody waits: who goes to sleep pays for it with a barrier in all threads.
template <class>
class alignas(cache_line) basic_stream_watch {
 public:
  static constexpr std::size_t nothing = no_index;
  static constexpr std::size_t anything = no_index - 1;

  // --- a worker

  /// The results of the tasks from `first` up to but not including `last` were put in their places.
  void arrived(std::size_t first, std::size_t last) noexcept {
    if (asymmetric_) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    const std::size_t awaited = awaited_.load(std::memory_order_relaxed);
    if (awaited != nothing && ((awaited >= first && awaited < last) || (awaited == anything && first != last))) waker_->wake();
  }

  // --- anybody, once there is a waker

  /// Wakes whoever waits, because something else has happened.
  void interrupt() noexcept {
    if (waker_ != nullptr) waker_->wake();
  }

  // --- the one that waits

  void woken_by(stream_waker& waker) noexcept { waker_ = &waker; }
  /// A result that arrives from now on wakes; one that was there before can be seen now.
  void expect(std::size_t index) noexcept {
    awaited_.store(index, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asymmetric_) static_cast<void>(barrier_in_all_threads());
  }
  void expect_nothing() noexcept { awaited_.store(nothing, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> awaited_{nothing};
  const bool asymmetric_ = has_barrier_in_all_threads();
  stream_waker* waker_ = nullptr;  // set before the first worker comes
};
using stream_watch = basic_stream_watch<void>;

}  // namespace manyhands::detail
