#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
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

/// One call that threads work on, in the frame of its caller.
///
/// `mutex` is the crew's. It guards everything but what is constant, and the batch and the choosing of a seat, which are its worker's.
class team_call {
 public:
  /// A place for one worker: its number in the call is the seat's.
  struct seat {
    splittable_range batch;
    /// The worker takes tasks right now, or has just done it: there may soon be a batch to take from.
    std::atomic<bool> choosing = false;
    std::thread::id last = {};  // who sat here: `{}` nobody yet
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
        seats_(places(tasks, options)),
        threads_(caller_works ? 1 : 0) {}

  team& squad;
  team_call* const parent;
  jobs& work;
  const plan how;
  /// Whether the caller is one of the workers, all the time. Else it reads input for as many helpers: only an outermost call can count on
  /// them.
  const bool caller_works;

  // --- with the mutex held

  [[nodiscard]] bool is_below(const team_call* other) const noexcept {
    for (const team_call* above = parent; above != nullptr; above = above->parent) {
      if (above == other) return true;
    }
    return false;
  }

  /// How many workers can be used at all.
  [[nodiscard]] std::size_t seats() const noexcept { return seats_.size(); }
  /// Whether one more thread may work here. A thread that works in `above` already counts there and further up.
  [[nodiscard]] bool has_room(const team_call* above) const noexcept {
    if (taken_ == seats_.size()) return false;
    for (const team_call* at = this; at != above; at = at->parent) {
      if (at->threads_ >= at->how.workers) return false;
    }
    return true;
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

  /// Takes a seat for the calling thread, for which there is room: its own of before, else one that nobody had, else any.
  std::size_t sit_down(const team_call* above) noexcept {
    for (team_call* at = this; at != above; at = at->parent) ++at->threads_;
    const auto rank = [me = std::this_thread::get_id()](const seat& one) {
      if (one.taken) return 3;
      if (one.last == me) return 0;
      return one.last == std::thread::id{} ? 1 : 2;
    };
    const auto best = std::min_element(seats_.begin(), seats_.end(), [&](const seat& a, const seat& b) { return rank(a) < rank(b); });
    best->taken = true;
    best->choosing.store(true, std::memory_order_relaxed);
    ++taken_;
    return static_cast<std::size_t>(best - seats_.begin());
  }
  void stand_up(std::size_t number, const team_call* above) noexcept {
    seats_[number].taken = false;
    seats_[number].last = std::this_thread::get_id();
    --taken_;
    for (team_call* at = this; at != above; at = at->parent) --at->threads_;
  }
  /// Whether the calling thread had this seat before.
  [[nodiscard]] bool knows(std::size_t number) const noexcept { return seats_[number].last == std::this_thread::get_id(); }

  // --- without the mutex, by the worker on that seat

  /// Runs tasks until none is left to be handed out, those of `stolen` first. `moved` is told when the window of a reader has moved.
  void run_batches(std::size_t number, index_range stolen, std::size_t most_batches, std::condition_variable& moved) noexcept {
    seat& mine = seats_[number];
    adaptive_batch size(batch_time);
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
  /// What the last batch says of a good size for the next.
  std::size_t batch_hint = 1;

 private:
  using clock = splittable_range::clock;
  // A batch is meant to last so long: then handing it out costs little, and what is left of one is soon done.
  static constexpr std::chrono::microseconds batch_time{20};

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

  std::vector<seat> seats_;
  std::size_t taken_ = 0;
  int threads_;  // that work in this call or in calls nested in it
};

}  // namespace manyhands::detail
