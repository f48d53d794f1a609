#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/team_call.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// The threads of one outermost call and all calls nested in it: they never are more than its `n_jobs`.
///
/// A call is served by its caller, by helpers that the crew sends, and by threads that wait for a nested call of their own. A thread that
/// waits helps only calls below its own: another one's long task would keep it from going on. It never waits for a thread that is not at
/// work on a task of its call, so nothing can deadlock, whatever the depth.
///
/// The `lock` that functions take is the crew's: held when they are called and when they return, and not while a task runs.
class team final : public employer, public std::enable_shared_from_this<team> {
 public:
  explicit team(int helpers) noexcept : most_helpers_(helpers) {}

  /// Runs all tasks of a call whose input is complete. Blocks.
  void run(team_call& call, std::unique_lock<std::mutex>& lock) {
    enter(call);
    summon(call.seats() - 1);
    finish(call, lock);
  }

  /// Reads the call's input, which is not complete, while helpers run its tasks. Blocks until all of them are done.
  void run_streaming(team_call& call, std::unique_lock<std::mutex>& lock) {
    read_ahead window(call.how.read_ahead);
    call.window = &window;
    call.is_read = true;
    enter(call);
    rouse(call, call.work.waiting());
    // A failure ends the reading, too: what was read beyond it is never handed out, and the window would not move again.
    for (bool more = true; more && !call.work.stopped();) {
      const std::size_t batch = call.how.batch.is_automatic() ? call.batch_hint : call.how.batch.count();
      if (window.room(call.work.known(), batch) > 0) {
        lock.unlock();
        // One at a time: what was read can start even if the next one is long in coming, or only comes when this one is done.
        more = call.work.read(1);
        lock.lock();
        if (call.work.waiting() > 0) rouse(call, 1);
      } else if (call.work.waiting() > 0 && may_work(call) && call.has_room(above_caller(call))) {
        serve({.call = &call}, above_caller(call), lock, 1);
      } else {
        wait(lock, false);
      }
    }
    call.is_read = false;
    // The last tasks may lie in a few batches, and those who have nothing to do can take of them.
    rouse(call, std::min(call.seats(), call.work.known()));
    finish(call, lock);
  }

  void help(std::unique_lock<std::mutex>& lock) noexcept override {
    ++members_;
    for (;;) {
      const team_call::chance work = find(nullptr);
      if (work.call != nullptr) {
        serve_as_helper(work, nullptr, lock);
      } else if (work.later) {
        wait(lock, true);
      } else if (!is_needed_later()) {
        break;
      } else if (!linger(lock)) {
        ++resting_;
        roused_.wait(lock);
        --resting_;
      }
    }
    --members_;
  }

  /// The call whose task the calling thread runs, null where it runs none.
  static team_call*& active() noexcept {
    static thread_local constinit team_call* call = nullptr;
    return call;
  }

 private:
  void enter(team_call& call) {
    calls_.push_back(&call);
    if (waiting_ > 0) changed_.notify_all();
    tell_helpers();
  }

  /// Lets helpers that have nothing to do look around again.
  void tell_helpers() noexcept {
    news_.fetch_add(1, std::memory_order_relaxed);
    roused_.notify_all();
  }
  /// Whether helpers shall stay: the next task is about to be read, or has to be run by who has run the initializer.
  [[nodiscard]] bool is_needed_later() const noexcept {
    return std::any_of(calls_.begin(), calls_.end(), [](const team_call* call) { return call->is_read || call->binds; });
  }
  /// Waits a moment for news, without sleeping: to wake somebody costs the reader more than many a task takes. False where there was none.
  [[nodiscard]] bool linger(std::unique_lock<std::mutex>& lock) noexcept {
    const std::uint64_t before = news_.load(std::memory_order_relaxed);
    ++lingering_;
    lock.unlock();
    const auto end = std::chrono::steady_clock::now() + team_call::patience;
    while (news_.load(std::memory_order_relaxed) == before && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    lock.lock();
    --lingering_;
    return news_.load(std::memory_order_relaxed) != before;
  }
  /// Sees to it that so many further tasks of a call find somebody: those who look for some, then those who sleep, then those who do not
  /// help yet.
  void rouse(const team_call& call, std::size_t tasks) {
    if (call.binds) {  // not everybody may run them
      tell_helpers();
    } else {
      news_.fetch_add(1, std::memory_order_relaxed);
      tasks -= std::min(tasks, lingering_);
      for (std::size_t asleep = std::min(tasks, resting_); asleep > 0; --asleep) roused_.notify_one();
      tasks -= std::min(tasks, resting_);
    }
    if (tasks == 0) return;
    if (waiting_ > 0) changed_.notify_all();
    summon(tasks);
  }

  /// Takes part in the call until all its tasks are done, and closes it.
  void finish(team_call& call, std::unique_lock<std::mutex>& lock) {
    while (call.work.waiting() > 0 || call.helpers > 0) {
      team_call::chance work;
      if (may_work(call) && call.has_room(above_caller(call))) work = call.look();
      if (work.call == nullptr && call.caller_works) {
        const bool later = work.later;
        work = find(&call);
        work.later = work.later || later;
      }
      if (work.call == &call) {
        serve(work, above_caller(call), lock, no_index);
      } else if (work.call != nullptr) {
        serve_as_helper(work, &call, lock);
      } else {
        wait(lock, work.later);
      }
    }
    std::erase(calls_, &call);
    tell_helpers();
  }

  /// Something to do in any open call below `above`, the newest first: callers deep down wait for it.
  team_call::chance find(const team_call* above) {
    bool later = false;
    for (auto at = calls_.rbegin(); at != calls_.rend(); ++at) {
      team_call& call = **at;
      if ((above != nullptr && !call.is_below(above)) || !call.has_room(above)) continue;
      const team_call::chance work = call.look();
      if (work.call != nullptr) return work;
      later = later || work.later;
    }
    return {.later = later};
  }

  /// Works in a call in this thread, which works in `above` already, until no task is left to be handed out.
  void serve(const team_call::chance& work, team_call* above, std::unique_lock<std::mutex>& lock, std::size_t most_batches) noexcept {
    team_call& call = *work.call;
    const team_call::sitting seat = call.sit_down(above);
    lock.unlock();
    team_call* const outer = std::exchange(active(), &call);  // before the initializer: calls that it makes are nested, too
    {
      const worker_scope me(call.work, static_cast<int>(seat.at.number), seat.first_time);
      call.run_batches(seat.at, work.stolen, most_batches, changed_);
    }
    active() = outer;
    lock.lock();
    call.stand_up(seat.at, above);
  }
  void serve_as_helper(const team_call::chance& work, team_call* above, std::unique_lock<std::mutex>& lock) noexcept {
    ++work.call->helpers;
    // While this one was looking, no other was woken.
    if (const std::size_t waiting = work.call->work.waiting(); work.call->window != nullptr && waiting > 1) rouse(*work.call, waiting - 1);
    serve(work, above, lock, no_index);
    if (--work.call->helpers == 0 || work.call->window != nullptr) changed_.notify_all();
  }

  /// Asks the crew for as many helpers as there are tasks for, within the budget.
  void summon(std::size_t tasks) {
    crew& all = crew::get();
    const int coming = members_ + all.open_requests(*this);
    const std::size_t room = static_cast<std::size_t>(std::max(most_helpers_ - coming, 0));
    all.want(shared_from_this(), static_cast<int>(std::min(tasks, room)));
  }
  /// Whether the caller may run tasks. One that only reads does it where the system has no threads for helpers.
  [[nodiscard]] static bool may_work(const team_call& call) noexcept { return call.caller_works || crew::get().understaffed(); }
  /// The innermost call in which the caller counts already.
  [[nodiscard]] static team_call* above_caller(team_call& call) noexcept { return call.caller_works ? &call : nullptr; }

  void wait(std::unique_lock<std::mutex>& lock, bool briefly) {
    ++waiting_;
    if (briefly) {
      changed_.wait_for(lock, team_call::patience);
    } else {
      changed_.wait(lock);
    }
    --waiting_;
  }

  // All below is guarded by the crew's mutex.
  std::vector<team_call*> calls_;
  std::condition_variable changed_;
  std::condition_variable roused_;
  const int most_helpers_;
  int members_ = 0;            // helpers that the crew has sent and that have not gone back
  int waiting_ = 0;            // threads that wait for `changed_`
  std::size_t resting_ = 0;    // helpers that wait for `roused_`
  std::size_t lingering_ = 0;  // helpers that look for work and do not sleep
  // Counts up when helpers shall look again. Read without the mutex, too.
  std::atomic<std::uint64_t> news_ = 0;
};

}  // namespace manyhands::detail
