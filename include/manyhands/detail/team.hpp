#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/quiet_calls.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/detail/team_call.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// What the consumer of a stream waits for.
class stream_goal {
 public:
  stream_goal() = default;
  stream_goal(const stream_goal&) = delete;
  stream_goal& operator=(const stream_goal&) = delete;

  /// Whether it need not wait any more: there is a result, or none will come. Any lock may be held.
  [[nodiscard]] virtual bool is_reached() const noexcept = 0;
  /// From now on, until `expects(false)`, a result that comes wakes.
  virtual void expects(bool any) noexcept = 0;

 protected:
  ~stream_goal() = default;
};

/// The threads of one outermost call and all calls nested in it: they never are more than its `n_jobs`. Lives in the frame of that call.
///
/// A call is served by its caller, by helpers of the crew, and by threads that wait for a nested call of their own. A thread that waits
/// helps only calls below its own: another one's long task would keep it from going on. It never waits for a thread that is not at work on
/// a task of its call, so nothing can deadlock, whatever the depth.
///
/// The `lock` that functions take is the crew's: held when they are called and when they return, and not while a task runs.
template <class>
class basic_team final : public employer {
 public:
  explicit basic_team(int helpers, outside_helpers* outside = nullptr) : employer(helpers, outside) {}

  using employer::can_rely_on_helpers;

  /// Runs all tasks of a call, and reads its input where it is not complete. Blocks.
  MANYHANDS_EACH_CALL void run(team_call& call) {
    if (call.in_parts) {
      run_in_parts(call);
    } else {
      std::unique_lock lock(crew_.mutex());
      if (call.work.complete()) {
        publish(call);
        finish(call, lock);
      } else {
        read(call, lock);
      }
    }
    if (call.streams.load(std::memory_order_relaxed) != 0) {
      std::unique_lock lock(crew_.mutex());
      close_streams_inside(call, lock);
    }
  }

  // --- a call whose results are taken while it goes on; all in one thread at a time, but not always the same

  /// Lets helpers have the tasks that are waiting.
  void open_stream(team_call& call) noexcept {
    const std::lock_guard lock(crew_.mutex());
    if (call.parent != nullptr) call.parent->streams.fetch_add(1, std::memory_order_relaxed);
    publish(call);
  }
  /// More tasks were read.
  static void feed_stream(team_call& call) noexcept {
    // Those who are in the call look for more before they leave. The fence belongs to that of who leaves.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const int most = static_cast<int>(call.seats()) - (call.caller_works ? 1 : 0);
    if (call.helpers.load(std::memory_order_relaxed) >= most) return;
    if (call.is_left_to_consumer() && crew::get().on_watch()) return;
    const std::lock_guard lock(crew::get().mutex());
    if (!call.stream->closed && !call.stream->given_up) call.squad.rouse(std::min(call.seats(), call.work.waiting()));
  }
  /// Does something that brings the goal nearer, or waits for a while.
  static void attend_stream(team_call& call, stream_goal& goal) noexcept {
    crew& all = crew::get();
    std::unique_lock lock(all.mutex());
    if (call.stream->closed || call.stream->given_up) return;
    ++call.stream->attending;
    call.squad.attend(call, goal, lock);
    --call.stream->attending;
    if (call.stream->given_up) call.squad.tell_sleepers();
  }
  /// Waits until nothing of the call runs any more, and closes it: it may be called again.
  static void close_stream(team_call& call) noexcept {
    crew& all = crew::get();
    std::unique_lock lock(all.mutex());
    while (call.stream->given_up && !call.stream->closed) {
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      lock.lock();
    }
    if (call.stream->closed) return;
    ++call.stream->attending;
    call.squad.finish(call, lock);
    call.squad.close_streams_inside(call, lock);
    --call.stream->attending;
    if (call.stream->given_up) call.squad.tell_sleepers();
    closed_stream(call);
  }

  // --- with the crew's mutex held

  /// Lets helpers find the call, and asks for as many as it can use.
  void publish(team_call& call) noexcept {
    crew_.open(*this);
    if (!call.known) {
      call.known = true;
      call.older = std::exchange(newest_, &call);
    }
    // No more than can do something at once. If that is not enough, they call others.
    rouse(call.in_parts ? std::min(call.seats() - 1, crew::processors()) : std::min(call.seats(), call.work.waiting()));
  }

  finding help(std::unique_lock<std::mutex>& lock) noexcept override {
    const team_call::chance work = find(nullptr);
    if (work.call == nullptr) return work.later ? finding::later : finding::nothing;
    serve_as_helper(*work.call, nullptr, lock);
    return finding::work;
  }
  [[nodiscard]] progress look_after_work() noexcept override {
    auto most = progress::none;
    for (team_call* call = newest_; call != nullptr; call = call->older) most = std::max(most, call->look_after_stream());
    return most;
  }
  [[nodiscard]] bool depends_on_this_thread() const noexcept override {
    for (team_call* call = newest_; call != nullptr; call = call->older) {
      if (call->is_bound_to_this_thread()) return true;
    }
    return false;
  }

  /// Lets threads that have nothing to do look around again.
  void tell_sleepers() noexcept {
    if (sleeping_ > 0) changed_->notify_all();
  }

  /// The call whose task the calling thread runs, null where it runs none.
  static team_call*& active() noexcept {
    static thread_local constinit team_call* call = nullptr;
    return call;
  }
  /// The same, but null also in a forked copy of the process, where the team's threads are not.
  [[nodiscard]] static team_call* call_around() {
    team_call* const call = active();
    return call != nullptr && &call->squad.crew_ == &crew::get() ? call : nullptr;
  }

 private:
  using clock = team_call::clock;

  // To wake somebody takes the caller longer than a call that lasts so long.
  static constexpr std::chrono::microseconds not_worth_waking{5};
  // How often the caller looks at the clock meanwhile, as far as it knows how long its tasks take.
  static constexpr std::chrono::microseconds quiet_chunk{1};
  // For so long a thread that has nothing to do waits for helpers without sleeping.
  static constexpr std::chrono::microseconds spinning_time{20};

  [[nodiscard]] static constexpr double nanoseconds(std::chrono::nanoseconds time) noexcept { return static_cast<double>(time.count()); }

  /// Makes the calling thread the worker of a seat.
  struct acting {
    acting(team_call& call, const team_call::seat& seat, bool first_time)
        // Before the initializer: calls that it makes are nested, too.
        : outer(std::exchange(active(), &call)), me(call.work, static_cast<int>(seat.number), first_time) {}
    acting(const acting&) = delete;
    acting& operator=(const acting&) = delete;
    ~acting() { active() = outer; }

    team_call* outer;
    worker_scope me;
  };

  void attend(team_call& call, stream_goal& goal, std::unique_lock<std::mutex>& lock) noexcept {
    call.stream->left_alone.store(false, std::memory_order_relaxed);
    if (goal.is_reached() || run_as_consumer(call, lock)) return;
    // What was left to this thread until its tasks turned out to take longer.
    if (call.helpers.load(std::memory_order_relaxed) == 0 && call.work.waiting() > 0) rouse(std::min(call.seats(), call.work.waiting()));
    const team_call::chance work = look_for_caller(call);
    if (work.call == &call) {
      // One batch: the result may have come meanwhile.
      serve(call, above_caller(call), lock, 1);
    } else if (work.call != nullptr) {
      serve_as_helper(*work.call, &call, lock);
    } else {
      const std::uint64_t before = crew_.news();
      lock.unlock();
      const bool comes = spin_until(work.later ? crew::polling_time : spinning_time,
                                    [&] { return goal.is_reached() || (call.caller_works && crew_.news() != before); });
      if (!comes && !work.later) {
        goal.expects(true);
        lock.lock();
        if (!goal.is_reached() && !(call.caller_works && crew_.news() != before) && !call.stream->given_up) sleep(lock);
        goal.expects(false);
        return;
      }
      lock.lock();
    }
  }
  /// Has the consumer of a stream run some of its tasks, where these are left to it.
  bool run_as_consumer(team_call& call, std::unique_lock<std::mutex>& lock) noexcept {
    if (!call.is_left_to_consumer() || call.work.waiting() == 0 || !call.has_room(nullptr)) return false;
    work_in(call, call.sit_down(nullptr), nullptr, lock, 1);
    return true;
  }
  static void closed_stream(team_call& call) noexcept {
    call.stream->closed = true;
    if (call.parent != nullptr) call.parent->streams.fetch_sub(1, std::memory_order_relaxed);
  }
  /// Ends the streams that tasks of a call have made and left behind: their team and the calls around them are about to go.
  void close_streams_inside(team_call& call, std::unique_lock<std::mutex>& lock) noexcept {
    if (call.streams.load(std::memory_order_relaxed) == 0) return;
    for (;;) {
      team_call* left = newest_;
      while (left != nullptr && left->parent != &call) left = left->older;
      if (left == nullptr) break;
      if (!left->stream->given_up) {
        left->stream->given_up = true;
        left->work.abort(std::make_exception_ptr(error("a generator that a task had made was used after that task's call had ended")));
        tell_sleepers();
      }
      if (left->stream->attending > 0) {
        sleep(lock);  // its consumer leaves, and may have closed it by then
        continue;
      }
      finish(*left, lock);
      close_streams_inside(*left, lock);
      closed_stream(*left);
    }
    // A consumer may have called helpers for it meanwhile.
    if (call.parent == nullptr) {
      crew_.open(*this);
      crew_.close(*this);
    }
  }

  /// Runs a call whose input is complete: alone at first if it seems to be short.
  MANYHANDS_EACH_CALL void run_in_parts(team_call& call) noexcept {
    const index_range tasks = call.work.take_all();
    if (!tasks) return;
    team_call::seat& mine = call.first_seat();
    std::unique_lock lock(crew_.mutex(), std::defer_lock);
    {
      const acting me(call, mine, true);
      // The initializer may have failed.
      if (call.work.stopped() || run_quietly(call, tasks)) {
        // A call inside of it may have had helpers.
        if (call.parent == nullptr && is_open()) {
          lock.lock();
          crew_.close(*this);
        }
        return;
      }
      const clock::time_point now = clock::now();
      mine.batch.rebase(now);
      lock.lock();
      static_cast<void>(call.sit_down(&call));  // to be known when it comes again
      // Whoever was told of it before has taken a seat, and tasks.
      if (!call.known) call.share_out(now);
      publish(call);
      lock.unlock();
      call.run_parts(mine, clock::now());
      lock.lock();
      call.stand_up(mine, &call);
    }
    finish(call, lock);
  }
  /// Runs a call alone as long as it is as short as it seems. False where somebody shall help with what is left, or does it already.
  MANYHANDS_EACH_CALL bool run_quietly(team_call& call, index_range tasks) noexcept {
    splittable_range& mine = call.first_seat().batch;
    task_cost* const cost = call.work.cost();
    const double expected = cost != nullptr && !call.binds ? cost->expected(tasks.size()) : std::numeric_limits<double>::infinity();
    quiet_calls* const quiet = expected < nanoseconds(not_worth_waking) ? crew_.watched_calls() : nullptr;
    if (quiet == nullptr) {
      mine.open_unseen(tasks.first, tasks.last, clock::now());
      return false;
    }
    const bool timed = expected > nanoseconds(quiet_chunk) || quiet->times_next();
    const clock::time_point begin = timed ? clock::now() : clock::time_point();
    const auto chunk = static_cast<std::size_t>(std::max(nanoseconds(quiet_chunk) / cost->expected(1), 1.0));
    mine.open_unseen(tasks.first, tasks.last, begin, timed ? tasks.first + chunk : splittable_range::no_end);
    if (quiet->open(call)) {
      clock::time_point now = begin;
      bool done = false;
      // Without anybody who looks after it, the first task might be a long one and nobody would come.
      bool goes_on = crew_.on_watch();
      while (goes_on) {
        call.work.run_splittable(mine);
        done = mine.left() == 0 || call.work.stopped();
        if (timed) now = clock::now();
        goes_on = !done && now - begin < not_worth_waking;
        if (goes_on) mine.resume(mine.at() + chunk);
      }
      const bool alone = quiet->close();
      if (done && alone) {
        if (timed && !call.work.stopped()) cost->learn(tasks.size(), now - begin);
        return true;
      }
    }
    mine.resume();
    return false;
  }

  /// Reads the call's input while helpers run its tasks.
  void read(team_call& call, std::unique_lock<std::mutex>& lock) {
    read_ahead window(call.how.read_ahead);
    call.window = &window;
    publish(call);
    // A failure ends the reading, too: what was read beyond it is never handed out, and the window would not move again.
    for (bool more = true; more && !call.work.stopped();) {
      const std::size_t batch = call.how.batch.is_automatic() ? call.batch_hint : call.how.batch.count();
      if (window.room(call.work.known(), batch) > 0) {
        lock.unlock();
        // One at a time: what was read can start even if the next one is long in coming, or only comes when this one is done.
        more = call.work.read(1);
        lock.lock();
        if (call.work.waiting() > 0) rouse(1);
      } else if (call.work.waiting() > 0 && may_work(call) && call.has_room(above_caller(call))) {
        serve(call, above_caller(call), lock, 1);
      } else {
        sleep(lock);
      }
    }
    // The last tasks may lie in a few batches, and those who have nothing to do can take of them.
    rouse(std::min(call.seats(), call.work.known()));
    finish(call, lock);
  }

  /// Takes part in the call until all its tasks are done, and closes it.
  void finish(team_call& call, std::unique_lock<std::mutex>& lock) noexcept {
    bool may_sleep = false;
    while (call.helpers.load(std::memory_order_relaxed) > 0 || call.has_tasks()) {
      const team_call::chance work = look_for_caller(call);
      if (work.call == &call) {
        serve(call, above_caller(call), lock, no_index);
      } else if (work.call != nullptr) {
        serve_as_helper(*work.call, &call, lock);
      } else if (work.later) {
        spin(call, lock, crew::polling_time);
      } else if (!may_sleep) {
        spin(call, lock, spinning_time);
        may_sleep = true;
        continue;
      } else {
        sleep(lock);
      }
      may_sleep = false;
    }
    if (call.known) {
      team_call** link = &newest_;
      while (*link != &call) link = &(*link)->older;
      *link = call.older;
    }
    if (call.binds) crew_.tell();
    if (call.parent == nullptr) crew_.close(*this);
  }

  /// Something to do for the call's own caller: in the call, or in those below it that others wait for.
  team_call::chance look_for_caller(team_call& call) noexcept {
    team_call::chance work;
    if (may_work(call) && call.has_room(above_caller(call))) work = call.look(clock::now());
    if (work.call == nullptr && call.caller_works) {
      const bool later = work.later;
      work = find(&call);
      work.later = work.later || later;
    }
    return work;
  }
  /// Something to do in any open call below `above`. Further up there is more to do at a time, and less to take from each other; of several
  /// calls there, in the one with the fewest threads.
  team_call::chance find(const team_call* above) noexcept {
    team_call* best = nullptr;
    bool later = false;
    const clock::time_point now = clock::now();
    for (team_call* call = newest_; call != nullptr; call = call->older) {
      if ((above != nullptr && !call->is_below(above)) || !call->has_room(above) || call->is_left_to_consumer()) continue;
      if (best != nullptr && !call->comes_before(*best)) continue;
      const team_call::chance work = call->look(now);
      if (work.call != nullptr) best = call;
      later = later || work.later;
    }
    return {.call = best, .later = later};
  }

  /// Works in a call in this thread, which works in `above` already, until there is nothing more to take.
  void serve(team_call& call, team_call* above, std::unique_lock<std::mutex>& lock, std::size_t most_batches) noexcept {
    const team_call::sitting seat = call.sit_down(above);
    call_others(call, seat.at);
    work_in(call, seat, above, lock, most_batches);
  }
  /// The same once it has a seat, which it leaves in the end.
  void work_in(team_call& call, const team_call::sitting& seat, team_call* above, std::unique_lock<std::mutex>& lock,
               std::size_t most_batches) noexcept {
    lock.unlock();
    {
      const acting me(call, seat.at, seat.first_time);
      call.run_tasks(seat.at, most_batches);
    }
    lock.lock();
    call.stand_up(seat.at, above);
  }
  void serve_as_helper(team_call& call, team_call* above, std::unique_lock<std::mutex>& lock) noexcept {
    call.helpers.fetch_add(1, std::memory_order_relaxed);
    serve(call, above, lock, no_index);
    const int left = call.helpers.fetch_sub(1, std::memory_order_relaxed) - 1;
    if (left == 0 || call.grows()) tell_sleepers();
    // Who feeds a stream sees that this thread has left, or it will see what was fed.
    if (call.stream != nullptr) std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  /// Asks for more helpers if one that comes leaves tasks to others: each wakes two, and they come faster than if one woke all.
  void call_others(team_call& call, const team_call::seat& mine) noexcept {
    if (call.in_parts) {
      if (call.has_tasks_besides(&mine)) rouse(2);
    } else if (const std::size_t waiting = call.work.waiting(); call.grows() && waiting > 1) {
      rouse(waiting - 1);
    }
  }
  /// Sees to it that so many further tasks find somebody.
  void rouse(std::size_t tasks) noexcept {
    crew_.want(*this, tasks);
    tell_sleepers();
  }

  /// Whether the caller may run tasks. One that only reads does it where the system has no threads for helpers.
  [[nodiscard]] bool may_work(const team_call& call) const noexcept { return call.caller_works || crew_.understaffed(); }
  /// The innermost call in which the caller counts already.
  [[nodiscard]] static team_call* above_caller(team_call& call) noexcept { return call.caller_works ? &call : nullptr; }

  /// Waits until the call's last helper has left, or there is something new, but no longer than that.
  void spin(const team_call& call, std::unique_lock<std::mutex>& lock, std::chrono::microseconds time) const noexcept {
    const std::uint64_t before = crew_.news();
    lock.unlock();
    static_cast<void>(spin_until(time, [&] { return call.helpers.load(std::memory_order_relaxed) == 0 || crew_.news() != before; }));
    lock.lock();
  }
  void sleep(std::unique_lock<std::mutex>& lock) {
    if (!changed_) changed_.emplace();
    ++sleeping_;
    changed_->wait(lock);
    --sleeping_;
  }

  crew& crew_ = crew::get();
  // All below is guarded by the crew's mutex.
  team_call* newest_ = nullptr;                     // of the calls that helpers can find
  std::optional<std::condition_variable> changed_;  // none until somebody sleeps: most calls are short
  int sleeping_ = 0;                                // threads that wait for `changed_`
};
using team = basic_team<void>;

template <class Unused>
basic_team_call<Unused>::basic_team_call(team& its_team, basic_team_call* outer, jobs& tasks, const plan& options) noexcept
    : squad(its_team),
      parent(outer),
      work(tasks),
      how(options),
      caller_works(tasks.complete() || outer != nullptr || !its_team.can_rely_on_helpers()),
      binds(tasks.facts().initializer != nullptr),
      in_parts(tasks.complete() && options.batch.is_automatic()),
      most_seats_(places(tasks, options)),
      threads_(caller_works ? 1 : 0) {}

template <class Unused>
void basic_team_call<Unused>::make_known() noexcept {
  squad.publish(*this);
}

template <class Unused>
void basic_team_call<Unused>::report(index_range finished, std::size_t next_batch) noexcept {
  const std::lock_guard lock(crew::get().mutex());
  try {
    window->finished(finished.first, finished.last);
  } catch (const std::bad_alloc&) {
    work.abort(std::current_exception());  // which ends the reading
  }
  batch_hint = next_batch;
  squad.tell_sleepers();
}

template <class Unused>
void basic_team_call<Unused>::tell_of_the_end() noexcept {
  const std::lock_guard lock(crew::get().mutex());
  squad.tell_sleepers();
}

/// Has helpers awake for a team that is about to come.
template <class>
class basic_expected_team {
 public:
  explicit basic_expected_team(int helpers) noexcept : helpers_(helpers) {
    const std::lock_guard lock(crew_.mutex());
    crew_.expect(helpers_);
  }
  basic_expected_team(const basic_expected_team&) = delete;
  basic_expected_team& operator=(const basic_expected_team&) = delete;
  ~basic_expected_team() {
    const std::lock_guard lock(crew_.mutex());
    crew_.expect_no_more(helpers_);
  }

 private:
  crew& crew_ = crew::get();
  const int helpers_;
};
using expected_team = basic_expected_team<void>;

/// Runs a call on the team of the call around it, or on one of its own with so many helpers.
template <class = void>
MANYHANDS_EACH_CALL void run_on_team(jobs& work, const plan& how, int helpers, outside_helpers* outside = nullptr) {
  if (team_call* const outer = team::call_around(); outer != nullptr) {
    team_call call(outer->squad, outer, work, how);
    outer->squad.run(call);
  } else {
    team squad(helpers, outside);
    team_call call(squad, nullptr, work, how);
    squad.run(call);
  }
}

}  // namespace manyhands::detail
