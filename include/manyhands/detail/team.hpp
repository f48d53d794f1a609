#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

class team;

/// One call that threads work on, in the frame of its caller. Everything but `work` and `how` is guarded by the crew's mutex.
struct team_call {
  /// A place for one worker: its number in the call is the seat's.
  struct seat {
    splittable_range batch;
    /// The worker takes tasks right now, or has just done it: there may soon be a batch to take from. The worker's.
    std::atomic<bool> choosing = false;
    std::thread::id last = {};  // who sat here: `{}` nobody yet
    bool taken = false;
  };

  team_call(team& a_team, team_call* a_parent, jobs& a_work, const plan& a_plan)
      : squad(a_team), parent(a_parent), work(a_work), how(a_plan), seats(places(a_work, a_plan)) {}

  [[nodiscard]] bool is_below(const team_call* other) const noexcept {
    for (const team_call* above = parent; above != nullptr; above = above->parent) {
      if (above == other) return true;
    }
    return false;
  }

  /// Tells whether one more thread may sit down.
  [[nodiscard]] bool has_seat() const noexcept { return seated < seats.size(); }

  static std::size_t places(const jobs& work, const plan& how) noexcept {
    const auto workers = static_cast<std::size_t>(how.workers);
    return work.complete() ? std::min(workers, std::max<std::size_t>(work.known(), 1)) : workers;
  }

  team& squad;
  team_call* const parent;
  jobs& work;
  const plan how;
  std::vector<seat> seats;
  std::size_t seated = 0;
  /// Threads that run tasks of this call or of calls nested in it.
  int threads = 0;
  /// Helpers inside: the call may not end before they have left.
  int helpers = 0;
  /// Tells the caller, who reads input, that the window has moved. Null for a call that has all its input.
  read_ahead* window = nullptr;
  /// What the last batch says of a good size for the next.
  std::size_t batch_hint = 1;
};

/// The threads of one outermost call and all calls nested in it: they never are more than its `n_jobs`.
///
/// A call is served by its caller, by helpers that the crew sends, and by threads that wait for a nested call of their own. A thread that
/// waits helps only calls below its own: another one's long task would keep it from going on. It never waits for a thread that is not at
/// work on a task of its call, so nothing can deadlock, whatever the depth.
class team final : public employer, public std::enable_shared_from_this<team> {
 public:
  explicit team(int helpers) noexcept : most_helpers_(helpers) {}

  /// Runs all tasks of a call whose input is complete. Blocks.
  void run(team_call& call, std::unique_lock<std::mutex>& lock) {
    enter(call);
    summon(call.seats.size() - 1);
    finish(call, lock);
  }

  /// Reads the call's input, which is not complete, while helpers run its tasks; then takes part. Blocks.
  void run_streaming(team_call& call, std::unique_lock<std::mutex>& lock) {
    read_ahead window(call.how.read_ahead);
    call.window = &window;
    enter(call);
    // A failure ends the reading, too: what was read beyond it is never handed out, and the window would not move again.
    for (bool more = true; more && !call.work.stopped();) {
      const std::size_t batch = call.how.batch.is_automatic() ? call.batch_hint : call.how.batch.count();
      // Not the whole window at once: the first tasks shall start before the last ones are read.
      const std::size_t room = std::min(window.room(call.work.known(), batch), batch);
      if (room > 0) {
        lock.unlock();
        more = call.work.read(room);
        lock.lock();
        summon(1);
        if (waiting_ > 0) changed_.notify_all();
      } else if (call.threads == 0 && !help_is_coming(call)) {
        serve_here(call, lock, 1);
      } else {
        wait(lock, false);
      }
    }
    finish(call, lock);
    call.window = nullptr;
  }

  void help(std::unique_lock<std::mutex>& lock) noexcept override {
    ++members_;
    for (;;) {
      const found work = find(nullptr);
      if (work.call != nullptr) {
        serve_as_helper(work, nullptr, lock);
      } else if (work.later) {
        wait(lock, true);
      } else {
        break;
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
  using clock = splittable_range::clock;
  // A batch is meant to last so long: then handing it out costs little, and what is left of one is soon done.
  static constexpr std::chrono::microseconds batch_time{20};
  // When a batch has lasted so long it is one that went wrong, and others may take of it.
  static constexpr std::chrono::microseconds patience{50};

  struct found {
    team_call* call = nullptr;
    index_range stolen = {};
    bool later = false;  // there will be something if a batch goes on for long
  };

  void enter(team_call& call) {
    calls_.push_back(&call);
    if (waiting_ > 0) changed_.notify_all();
  }

  /// Takes part in the call until all its tasks are done, and closes it.
  void finish(team_call& call, std::unique_lock<std::mutex>& lock) {
    for (;;) {
      if (call.work.waiting() == 0 && call.helpers == 0) break;  // the usual end of a short call
      found work = room_in(call, call.parent) ? look_at(call) : found{};
      if (work.call == nullptr) {
        const bool later = work.later;
        work = find(&call);
        work.later = work.later || later;
      }
      if (work.call == &call) {
        serve(work, call.parent, lock);
      } else if (work.call != nullptr) {
        serve_as_helper(work, &call, lock);
      } else if (call.helpers == 0) {
        break;
      } else {
        wait(lock, work.later);
      }
    }
    std::erase(calls_, &call);
  }

  /// Something to do in any open call below `above`, the newest first: callers deep down wait for it.
  found find(const team_call* above) {
    bool later = false;
    for (auto at = calls_.rbegin(); at != calls_.rend(); ++at) {
      team_call& call = **at;
      if (above != nullptr && !call.is_below(above)) continue;
      if (!room_in(call, above)) continue;
      const found work = look_at(call);
      if (work.call != nullptr) return work;
      later = later || work.later;
    }
    return {.later = later};
  }

  /// Something to do in this call.
  found look_at(team_call& call) {
    if (call.work.waiting() > 0) return {.call = &call};
    if (!call.how.batch.is_automatic()) return {};
    bool later = false;
    const clock::time_point before = clock::now() - patience;
    for (team_call::seat& seat : call.seats) {
      if (!seat.taken) continue;
      // Before the batch: the worker opens one and only then ceases to choose.
      later = later || seat.choosing.load(std::memory_order_acquire);
      index_range stolen;
      switch (seat.batch.split(before, stolen.first, stolen.last)) {
        case splittable_range::splitting::done:
          return {.call = &call, .stolen = stolen};
        case splittable_range::splitting::too_young:
          later = true;
          break;
        case splittable_range::splitting::nothing_left:
          break;
      }
    }
    return {.later = later};
  }

  /// Whether one more thread may work in the call. A thread that works in `above` already counts there and further up.
  static bool room_in(const team_call& call, const team_call* above) noexcept {
    if (!call.has_seat()) return false;
    for (const team_call* at = &call; at != above; at = at->parent) {
      if (at->threads >= at->how.workers) return false;
    }
    return true;
  }

  /// Works in the call in this thread, which works in `above` already, until no task is left to be handed out.
  void serve(const found& work, team_call* above, std::unique_lock<std::mutex>& lock, std::size_t most_batches = no_index) noexcept {
    team_call& call = *work.call;
    for (team_call* at = &call; at != above; at = at->parent) ++at->threads;
    const std::size_t number = sit_down(call);
    team_call::seat& seat = call.seats[number];
    const bool first_time = seat.last != std::this_thread::get_id();
    seat.last = std::this_thread::get_id();
    seat.choosing.store(true, std::memory_order_relaxed);
    lock.unlock();
    {
      const worker_scope me(call.work, static_cast<int>(number), first_time);
      team_call* const outer = std::exchange(active(), &call);
      run_batches(call, seat, work.stolen, most_batches);
      active() = outer;
    }
    lock.lock();
    seat.taken = false;
    --call.seated;
    for (team_call* at = &call; at != above; at = at->parent) --at->threads;
  }
  void serve_as_helper(const found& work, team_call* above, std::unique_lock<std::mutex>& lock) noexcept {
    ++work.call->helpers;
    serve(work, above, lock);
    if (--work.call->helpers == 0 || work.call->window != nullptr) changed_.notify_all();
  }
  void serve_here(team_call& call, std::unique_lock<std::mutex>& lock, std::size_t most_batches) noexcept {
    serve({.call = &call}, call.parent, lock, most_batches);
  }

  /// The number of a free seat: the thread's own of before, else one that nobody had, else any.
  static std::size_t sit_down(team_call& call) noexcept {
    const auto rank = [me = std::this_thread::get_id()](const team_call::seat& seat) {
      if (seat.taken) return 3;
      if (seat.last == me) return 0;
      return seat.last == std::thread::id{} ? 1 : 2;
    };
    const auto best =
        std::min_element(call.seats.begin(), call.seats.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    best->taken = true;
    ++call.seated;
    return static_cast<std::size_t>(best - call.seats.begin());
  }

  void run_batches(team_call& call, team_call::seat& seat, index_range stolen, std::size_t most_batches) noexcept {
    const bool automatic = call.how.batch.is_automatic();
    adaptive_batch size(batch_time);
    clock::time_point now = clock::now();
    for (; most_batches > 0; --most_batches) {
      index_range tasks = std::exchange(stolen, {});
      if (!tasks) {
        seat.choosing.store(true, std::memory_order_relaxed);
        const std::size_t share = fair_share(call.work.waiting(), call.how.workers);
        const std::size_t wanted = !automatic ? call.how.batch.count() : ranges_can_split() ? std::min(size.size(), share) : 1;
        tasks = call.work.next(wanted);
      }
      if (!tasks) break;
      std::size_t done = tasks.size();
      if (automatic && tasks.size() > 1) {
        seat.batch.open(tasks.first, tasks.last, now);
        seat.choosing.store(false, std::memory_order_release);
        call.work.run_splittable(seat.batch);
        done = seat.batch.close();
      } else {
        seat.choosing.store(false, std::memory_order_relaxed);
        call.work.run(tasks);
      }
      const clock::time_point then = std::exchange(now, clock::now());
      size.took(done, now - then);
      if (call.window != nullptr) report(call, {tasks.first, tasks.first + done}, size.size());
    }
    seat.choosing.store(false, std::memory_order_relaxed);
  }

  /// Tells the reader of input how far the call has come. What others took of a batch they report themselves.
  void report(team_call& call, index_range done, std::size_t batch) {
    const std::lock_guard lock(crew::get().mutex());
    call.window->finished(done.first, done.last);
    call.batch_hint = batch;
    changed_.notify_all();
  }

  /// Asks the crew for as many helpers as there are tasks for, within the budget.
  void summon(std::size_t tasks) {
    crew& all = crew::get();
    const int coming = members_ + all.open_requests(*this);
    const std::size_t room = static_cast<std::size_t>(std::max(most_helpers_ - coming, 0));
    all.want(shared_from_this(), static_cast<int>(std::min(tasks, room)));
  }
  [[nodiscard]] bool help_is_coming(const team_call& call) const noexcept { return call.parent == nullptr && !crew::get().understaffed(); }

  void wait(std::unique_lock<std::mutex>& lock, bool briefly) {
    ++waiting_;
    if (briefly) {
      changed_.wait_for(lock, patience);
    } else {
      changed_.wait(lock);
    }
    --waiting_;
  }

  // All below is guarded by the crew's mutex.
  std::vector<team_call*> calls_;
  std::condition_variable changed_;
  const int most_helpers_;
  int members_ = 0;  // helpers that the crew has sent and that have not gone back
  int waiting_ = 0;
};

}  // namespace manyhands::detail
