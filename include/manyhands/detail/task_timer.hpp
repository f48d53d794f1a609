#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <system_error>
#include <thread>
#include <vector>

#include <manyhands/config.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// The clocks of a call's workers in this process, and a thread that asks late tasks to stop. Lives as long as the call.
template <class>
class basic_task_timer final : public attempt_watches {
 public:
  using clock = std::chrono::steady_clock;

  /// `outer` stops the call, or is null. Where the system has no thread to spare nobody is asked to stop,
  /// and late tasks fail all the same.
  basic_task_timer(std::chrono::nanoseconds limit, int workers, const std::stop_token* outer)
      : limit_(limit), clocks_(static_cast<std::size_t>(workers)) {
    try {
      const worker_unpin for_the_new_thread;
      thread_ = std::thread([this] { watch(); });
    } catch (const std::system_error&) {
      return;
    }
    if (outer != nullptr) outer_.emplace(*outer, [this] { note(outer_asked_); });
  }
  ~basic_task_timer() {
    if (!thread_.joinable()) return;
    note(ending_);
    thread_.join();
  }

  [[nodiscard]] attempt_watch* of(int worker) noexcept override {
    return static_cast<std::size_t>(worker) < clocks_.size() ? &clocks_[static_cast<std::size_t>(worker)] : nullptr;
  }

 private:
  // The thread looks so often at most, and once in so long at least.
  static constexpr std::chrono::nanoseconds shortest_sleep = std::chrono::microseconds(200);
  static constexpr std::chrono::nanoseconds longest_sleep = std::chrono::hours(1);

  /// One worker's. A task that begins wakes nobody: who looks at the clocks every now and then comes in time.
  class alignas(cache_line) worker_clock final : public attempt_watch {
   public:
    void begin(int) noexcept override {
      const std::stop_token* const outer = here.call->stop;
      {
        const std::lock_guard lock(mutex_);
        if (!source_.stop_possible() || source_.stop_requested()) renew();
        started_ = clock::now();
        runs_ = true;
      }
      // Whoever is asked to stop from now on is asked by the timer's thread.
      if (outer != nullptr && outer->stop_requested()) source_.request_stop();
      here.stop = &token_;
    }
    bool end() noexcept override {
      here.stop = here.call->stop;
      const std::lock_guard lock(mutex_);
      runs_ = false;
      return clock::now() - started_ >= here.call->timeout;
    }

    /// Asks the task to stop if it has run for too long, or if all tasks are asked. Returns how long it may run on.
    std::chrono::nanoseconds look(std::chrono::nanoseconds limit, bool all) {
      std::stop_source late(std::nostopstate);
      std::chrono::nanoseconds left = limit;
      {
        const std::lock_guard lock(mutex_);
        if (!runs_ || source_.stop_requested()) return limit;
        left -= clock::now() - started_;
        if (left.count() <= 0 || all) late = source_;
      }
      // Not with the mutex held: this calls what the task has registered.
      if (late.stop_possible()) late.request_stop();
      return left.count() > 0 ? left : limit;
    }

   private:
    void renew() noexcept {
      try {
        source_ = std::stop_source();
      } catch (const std::bad_alloc&) {  // then this attempt is not asked
        source_ = std::stop_source(std::nostopstate);
      }
      token_ = source_.get_token();
    }

    std::mutex mutex_;
    // All below is guarded by mutex_ where the worker writes it, and by nothing where the worker reads it.
    std::stop_source source_{std::nostopstate};
    std::stop_token token_;
    clock::time_point started_;
    bool runs_ = false;
  };

  void watch() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      const bool all = outer_asked_;
      lock.unlock();
      // A task that begins behind our back has all its time before it.
      std::chrono::nanoseconds left = limit_;
      for (worker_clock& each : clocks_) left = std::min(left, each.look(limit_, all));
      lock.lock();
      changed_.wait_for(lock, std::clamp(left, shortest_sleep, longest_sleep), [&] { return ending_ || outer_asked_ != all; });
    }
  }
  void note(bool& what) {
    const std::lock_guard lock(mutex_);
    what = true;
    changed_.notify_one();
  }

  const std::chrono::nanoseconds limit_;
  std::vector<worker_clock> clocks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool ending_ = false;
  bool outer_asked_ = false;
  std::thread thread_;
  std::optional<std::stop_callback<std::function<void()>>> outer_;  // last: it ends before what it notes
};
using task_timer = basic_task_timer<void>;

/// The timer of a call that `stop` stops, null where it has no timeout.
template <class = void>
[[nodiscard]] std::unique_ptr<task_timer> timer_for(std::chrono::nanoseconds limit, int workers, const std::stop_token* stop) {
  return limit.count() != 0 ? std::make_unique<task_timer>(limit, workers, stop) : nullptr;
}

}  // namespace manyhands::detail
