#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <manyhands/errors.hpp>
#include <manyhands/observer.hpp>

namespace manyhands::detail {

/// Something that happened in a call.
struct occurrence {
  enum class kind : std::uint8_t {
    dispatched,  ///< to `task.worker`, from `task.index` up to `last`
    started,
    finished,
    failed,
    retried,
    lost,      ///< `task.worker` alone counts
    replaced,  ///< `task.worker` alone counts
    joined,    ///< `task.worker` is rank `last` on `host`
    all_read   ///< `last` is the number of tasks
  };

  kind what = kind::started;
  observed_task task = {};
  std::size_t last = 0;
  const std::string* host = nullptr;  // lives as long as the program
};

/// Tells a call's observers what happens in it, one thing at a time.
///
/// Whoever reports something while nobody else tells tells it, and what others report meanwhile: so a slow observer keeps one worker busy,
/// and the others go on.
template <class>
class basic_observation {
 public:
  /// They are told in this order.
  basic_observation(const observed_call& call, std::vector<std::shared_ptr<observer>> observers) : call_(call) {
    for (auto& each : observers) watchers_.push_back({std::move(each)});
  }
  basic_observation(const basic_observation&) = delete;
  basic_observation& operator=(const basic_observation&) = delete;

  [[nodiscard]] const observed_call& call() const noexcept { return call_; }

  /// By the calling thread, before anything else.
  void begin() noexcept {
    tell([&](observer& who) { who.call_begun(call_); });
    if (call_.tasks) tell([&](observer& who) { who.input_ended(call_, *call_.tasks); });
  }
  /// By any thread, at any time. What there is no memory for is left out.
  void report(occurrence what) noexcept {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return reported_.size() < most_waiting || !telling_; });
    try {
      reported_.push_back(std::move(what));
    } catch (const std::bad_alloc&) {
      return;
    }
    if (!telling_) tell_all(lock);
  }
  /// By the calling thread, once no task runs any more. Throws the first `observer_error` that an observer has thrown, unless the call
  /// itself has failed.
  void end(std::exception_ptr error) {
    {
      std::unique_lock lock(mutex_);
      // Where all are told by another thread that is just about to return from the call.
      told_.wait(lock, [&] { return !telling_; });
      tell_all(lock);
    }
    tell([&](observer& who) { who.call_ended(call_, error); });
    if (error == nullptr && failure_ != nullptr) std::rethrow_exception(failure_);
  }

  /// Whether the calling thread tells an observer something: then what it does is not watched.
  static bool& is_telling() noexcept {
    static thread_local constinit bool telling = false;
    return telling;
  }

 private:
  static constexpr std::size_t most_waiting = 65'536;

  struct watcher {
    std::shared_ptr<observer> who;
    bool failed = false;
  };

  void tell_all(std::unique_lock<std::mutex>& lock) noexcept {
    telling_ = true;
    while (!reported_.empty()) {
      std::swap(reported_, told_now_);
      room_.notify_all();
      lock.unlock();
      for (const occurrence& each : told_now_) {
        tell([&](observer& who) { tell_one(who, each); });
      }
      told_now_.clear();
      lock.lock();
    }
    telling_ = false;
    told_.notify_all();
  }
  void tell_one(observer& who, const occurrence& what) {
    const observed_task& task = what.task;
    switch (what.what) {
      case occurrence::kind::dispatched:
        return who.batch_dispatched(call_, task.index, what.last, task.worker);
      case occurrence::kind::started:
        return who.task_started(call_, task);
      case occurrence::kind::finished:
        return who.task_finished(call_, task);
      case occurrence::kind::failed:
        return who.task_failed(call_, task);
      case occurrence::kind::retried:
        return who.task_retried(call_, task);
      case occurrence::kind::lost:
        return who.worker_lost(call_, task.worker);
      case occurrence::kind::replaced:
        return who.worker_replaced(call_, task.worker);
      case occurrence::kind::joined:
        return who.worker_joined(call_, task.worker, *what.host, static_cast<int>(what.last));
      case occurrence::kind::all_read:
        return who.input_ended(call_, what.last);
    }
  }
  template <class Tell>
  void tell(Tell tell_it) noexcept {
    const bool outer = std::exchange(is_telling(), true);
    for (watcher& each : watchers_) {
      if (each.failed) continue;
      try {
        const std::lock_guard lock(each.who->mutex_);
        tell_it(*each.who);
      } catch (const observer_error&) {
        each.failed = true;
        if (failure_ == nullptr) failure_ = std::current_exception();
      } catch (...) {
        each.failed = true;
      }
    }
    is_telling() = outer;
  }

  const observed_call call_;

  std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable told_;
  // Guarded by mutex_.
  std::vector<occurrence> reported_;
  bool telling_ = false;
  // Of the thread that tells.
  std::vector<occurrence> told_now_;
  std::vector<watcher> watchers_;
  std::exception_ptr failure_;
};
using observation = basic_observation<void>;

}  // namespace manyhands::detail
