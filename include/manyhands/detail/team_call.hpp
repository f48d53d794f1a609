#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

class team;

/// One call that threads work on, in the frame of its caller.
///
/// `mutex` is the crew's. It guards everything but what is constant, and the batch and the choosing of a seat, which are its worker's.
class team_call {
 public:
  /// A place for one worker: its number in the call is the seat's.
  struct seat {
    explicit seat(std::size_t its_number) noexcept : number(its_number) {}

    const std::size_t number;
    splittable_range batch;
    /// The worker takes tasks right now, or has just done it: there may soon be a batch to take from.
    std::atomic<bool> choosing = false;
    std::thread::id owner = {};  // who sits here, or sat here last: `{}` nobody yet
    bool taken = false;
  };

  /// Something that a thread can do.
  struct chance {
    team_call* call = nullptr;  // null: nothing
    index_range stolen = {};    // tasks of another worker's batch, to be run first
    bool later = false;         // there will be something if a batch goes on for long
  };

  team_call(team& its_team, team_call* outer, jobs& tasks, const plan& options)
      : squad(its_team),
        parent(outer),
        work(tasks),
        how(options),
        caller_works(tasks.complete() || outer != nullptr),
        binds(tasks.facts().initializer != nullptr),
        most_seats_(places(tasks, options)),
        threads_(caller_works ? 1 : 0) {
    seats_.emplace_back(0);  // whatever else may fail, one worker there is
  }

  team& squad;
  team_call* const parent;
  jobs& work;
  const plan how;
  /// Whether the caller is one of the workers, all the time. Else it reads input for as many helpers: only an outermost call can count on
  /// them.
  const bool caller_works;
  /// Whether a thread that has worked here keeps its seat until the end: each runs the call's initializer once, and no more do than the
  /// call has workers.
  const bool binds;

  // --- with the mutex held

  [[nodiscard]] bool is_below(const team_call* other) const noexcept {
    for (const team_call* above = parent; above != nullptr; above = above->parent) {
      if (above == other) return true;
    }
    return false;
  }

  /// How many workers can be used at all.
  [[nodiscard]] std::size_t seats() const noexcept { return most_seats_; }
  /// Whether the calling thread may work here. One that works in `above` already counts there and further up.
  [[nodiscard]] bool has_room(const team_call* above) noexcept {
    for (const team_call* at = this; at != above; at = at->parent) {
      if (at->threads_ >= at->how.workers) return false;
    }
    return free_seat(above == this) != nullptr;
  }

  /// Something to do here for a thread for which there is room.
  [[nodiscard]] chance look() {
    if (work.waiting() > 0) return {.call = this};
    if (!how.batch.is_automatic()) return {};
    bool later = false;
    const clock::time_point before = clock::now() - patience;
    for (seat& one : seats_) {
      if (!one.taken) continue;
      // Before the batch: the worker opens one and only then ceases to choose.
      later = later || one.choosing.load(std::memory_order_acquire);
      index_range stolen;
      const auto splitting = one.batch.split(before, stolen.first, stolen.last);
      if (splitting == splittable_range::splitting::done) return {.call = this, .stolen = stolen};
      later = later || splitting == splittable_range::splitting::too_young;
    }
    return {.later = later};
  }

  /// A seat that was taken.
  struct sitting {
    seat& at;
    bool first_time;  // the thread was not here before
  };
  /// Takes a seat for the calling thread, for which there is room.
  sitting sit_down(const team_call* above) noexcept {
    seat& mine = *free_seat(above == this);
    const auto me = std::this_thread::get_id();
    const bool first_time = std::exchange(mine.owner, me) != me;
    for (team_call* at = this; at != above; at = at->parent) ++at->threads_;
    mine.taken = true;
    // Nobody shall wait for one that is busy with the initializer and has no task yet.
    mine.choosing.store(!(binds && first_time), std::memory_order_relaxed);
    return {mine, first_time};
  }
  void stand_up(seat& mine, const team_call* above) noexcept {
    mine.taken = false;
    for (team_call* at = this; at != above; at = at->parent) --at->threads_;
  }

  // --- without the mutex, by the worker on that seat

  /// Runs tasks until none is left to be handed out, those of `stolen` first. `moved` is told when the window of a reader has moved.
  void run_batches(seat& mine, index_range stolen, std::size_t most_batches, std::condition_variable& moved) noexcept {
    adaptive_batch size(window == nullptr ? batch_time : read_batch_time);
    clock::time_point now = clock::now();
    for (; most_batches > 0; --most_batches) {
      index_range tasks = std::exchange(stolen, {});
      if (!tasks) {
        mine.choosing.store(true, std::memory_order_relaxed);
        tasks = work.next(batch_after(size));
      }
      if (!tasks) break;
      std::size_t done = tasks.size();
      if (how.batch.is_automatic() && tasks.size() > 1) {
        mine.batch.open(tasks.first, tasks.last, now);
        mine.choosing.store(false, std::memory_order_release);
        work.run_splittable(mine.batch);
        done = mine.batch.close();
      } else {
        mine.choosing.store(false, std::memory_order_relaxed);
        work.run(tasks);
      }
      const clock::time_point then = std::exchange(now, clock::now());
      size.took(done, now - then);
      if (window != nullptr) {
        // What others took of the batch they report themselves.
        const std::lock_guard lock(crew::get().mutex());
        window->finished(tasks.first, tasks.first + done);
        batch_hint = size.size();
        moved.notify_all();
      }
    }
    mine.choosing.store(false, std::memory_order_relaxed);
  }

  /// Helpers inside: the call may not end before they have left.
  int helpers = 0;
  /// How far the caller may read. Null for a call that has all its input; set before the first worker comes, and constant.
  read_ahead* window = nullptr;
  /// There will be tasks that nobody knows of yet.
  bool is_read = false;
  /// What the last batch says of a good size for the next.
  std::size_t batch_hint = 1;

 private:
  using clock = splittable_range::clock;
  // A batch is meant to last so long: then handing it out costs little, and what is left of one is soon done.
  static constexpr std::chrono::microseconds batch_time{20};
  // Longer where the next ones have to be read first: a reader that was waited for and woken has taken as long.
  static constexpr std::chrono::microseconds read_batch_time{200};

 public:
  /// A batch that lasts longer than this has gone wrong, and others may take of it.
  static constexpr std::chrono::microseconds patience{50};

 private:
  static std::size_t places(const jobs& tasks, const plan& options) noexcept {
    const auto workers = static_cast<std::size_t>(options.workers);
    return tasks.complete() ? std::min(workers, std::max<std::size_t>(tasks.known(), 1)) : workers;
  }
  [[nodiscard]] std::size_t batch_after(const adaptive_batch& size) const noexcept {
    if (!how.batch.is_automatic()) return how.batch.count();
    // Where a batch cannot be split, one of several tasks might make some of them wait for a long one.
    return ranges_can_split() ? std::min(size.size(), fair_share(work.waiting(), how.workers)) : 1;
  }

  /// The seat that the calling thread may take: its own of before, else one that nobody had, else any that is free. Null where there is
  /// none. The first one is the caller's where it works.
  [[nodiscard]] seat* free_seat(bool for_caller) noexcept {
    if (for_caller && caller_works) return &seats_.front();
    const auto me = std::this_thread::get_id();
    seat* unused = nullptr;
    seat* of_another = nullptr;
    for (seat& one : seats_) {
      if (one.taken || (caller_works && one.number == 0)) continue;
      if (one.owner == me) return &one;
      (one.owner == std::thread::id{} ? unused : of_another) = &one;
    }
    if (unused == nullptr && seats_.size() < most_seats_) {
      try {
        unused = &seats_.emplace_back(seats_.size());
      } catch (const std::bad_alloc&) {  // fewer will do
      }
    }
    return unused != nullptr || binds ? unused : of_another;
  }

  const std::size_t most_seats_;
  std::deque<seat> seats_;  // grows as workers come, and never moves what it holds
  int threads_;             // that work in this call or in calls nested in it
};

}  // namespace manyhands::detail
