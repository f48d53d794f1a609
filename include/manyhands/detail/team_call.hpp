#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/barrier.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/quiet_calls.hpp>
#include <manyhands/detail/segmented.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

template <class>
class basic_team;
using team = basic_team<void>;

/// One call that threads work on, in the frame of its caller.
///
/// Where all tasks are known, each worker gets a part of them far from the others', and takes of the others' when it has done its own. Else
/// they take batches in order. `mutex` is the crew's. It guards everything but what is constant, the ranges, and the choosing of a seat.
template <class>
class basic_team_call final : public quiet_call {
 public:
  using clock = splittable_range::clock;

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
    basic_team_call* call = nullptr;  // null: nothing
    bool later = false;               // there will be something if a batch goes on for long
  };

  /// `options` lives as long as the call.
  inline basic_team_call(team& its_team, basic_team_call* outer, jobs& tasks, const plan& options) noexcept;

  team& squad;
  basic_team_call* const parent;
  jobs& work;
  const plan& how;
  /// Whether the caller is one of the workers, all the time. Else it reads input for as many helpers: only an outermost call of the crew's
  /// can count on them.
  const bool caller_works;
  /// Whether a thread that has worked here keeps its seat until the end: each runs the call's initializer once, and no more do than the
  /// call has workers.
  const bool binds;
  /// Whether each worker gets a part of the tasks, instead of batches in turn.
  const bool in_parts;

  /// The caller's, where it works.
  [[nodiscard]] seat& first_seat() noexcept { return first_; }

  // --- with the mutex held

  inline void make_known() noexcept override;

  [[nodiscard]] bool is_below(const basic_team_call* other) const noexcept {
    for (const basic_team_call* above = parent; above != nullptr; above = above->parent) {
      if (above == other) return true;
    }
    return false;
  }

  /// Whether one who has nothing to do had better work in this call than in the other.
  [[nodiscard]] bool comes_before(const basic_team_call& other) const noexcept {
    return depth_ != other.depth_ ? depth_ < other.depth_ : threads_ < other.threads_;
  }

  /// How many workers can be used at all.
  [[nodiscard]] std::size_t seats() const noexcept { return most_seats_; }
  /// Whether the calling thread may work here. One that works in `above` already counts there and further up.
  [[nodiscard]] bool has_room(const basic_team_call* above) noexcept {
    for (const basic_team_call* at = this; at != above; at = at->parent) {
      if (at->threads_ >= at->how.workers) return false;
    }
    return free_seat(above == this) != nullptr;
  }
  /// Whether the calling thread has worked here and keeps its seat.
  [[nodiscard]] bool is_bound_to_this_thread() noexcept {
    const auto me = std::this_thread::get_id();
    for (std::size_t number = 0; binds && number < seats_; ++number) {
      if (at(number).owner == me) return true;
    }
    return false;
  }

  /// Leaves the tasks of the first seat that have not begun to all seats, in parts of the same size. By the caller, in the middle of its
  /// own.
  void share_out(clock::time_point now) noexcept {
    // More than that would only be found by those who look for some.
    constexpr std::size_t most_parts = 4096;
    while (seats_ < std::min(most_seats_, most_parts) && add_seat() != nullptr) {
    }
    std::size_t last = 0;
    std::size_t first = first_.batch.cut(seats_, last);
    for (std::size_t number = 1; number < seats_; ++number) {
      const std::size_t part = (last - first) / (seats_ - number);
      at(number).batch.leave(first, first + part, now);
      first += part;
    }
  }

  /// Whether this is a stream whose tasks take so little that its consumer had better run them itself: it takes no longer to do so than to
  /// get their results from another processor, and need not wait for anybody to wake up. Only where batches have grown large, and while the
  /// crew can keep watch: others come where the consumer leaves tasks alone for long. May be asked without the mutex.
  [[nodiscard]] bool is_left_to_consumer() const noexcept {
    constexpr double next_to_nothing = 4;  // nanoseconds a task
    constexpr std::size_t large = 1024;
    return stream != nullptr && !caller_works && !binds && how.batch.is_automatic() && work.cost() != nullptr &&
           work.cost()->expected(1) < next_to_nothing && stream->batch_hint.load(std::memory_order_relaxed) >= large &&
           !stream->left_alone.load(std::memory_order_relaxed) && has_barrier_in_all_threads();
  }
  /// By who is on watch. A helper from before may be stuck in a task, too, with others behind it.
  employer::progress look_after_stream() noexcept {
    using progress = employer::progress;
    if (stream == nullptr) return progress::none;
    const std::size_t begun = work.known() - work.waiting();
    if (std::exchange(stream->seen, begun) != begun) return progress::some;
    if (!has_tasks()) return progress::none;
    stream->left_alone.store(true, std::memory_order_relaxed);
    return progress::left_alone;
  }

  /// Something to do here for a thread for which there is room.
  [[nodiscard]] chance look(clock::time_point now) noexcept {
    if (work.waiting() > 0) return {.call = this};
    if (!how.batch.is_automatic()) return {};
    bool later = false;
    for (std::size_t number = 0; number < seats_; ++number) {
      seat& one = at(number);
      // Before the batch: the worker opens one and only then ceases to choose.
      later = later || one.choosing.load(std::memory_order_acquire);
      std::size_t rest = 0;
      const splittable_range::prospect seen = one.batch.look(now, rest);
      if (seen == splittable_range::prospect::some) return {.call = this};
      later = later || seen == splittable_range::prospect::later;
    }
    return {.later = later};
  }
  /// Whether there are tasks that nobody has begun.
  [[nodiscard]] bool has_tasks() noexcept { return work.waiting() > 0 || has_tasks_besides(nullptr); }
  /// Whether there are some on seats other than this one.
  [[nodiscard]] bool has_tasks_besides(const seat* mine) noexcept {
    for (std::size_t number = 0; number < seats_; ++number) {
      if (&at(number) != mine && at(number).batch.not_begun() > 0) return true;
    }
    return false;
  }

  /// A seat that was taken.
  struct sitting {
    seat& at;
    bool first_time;  // the thread was not here before
  };
  /// Takes a seat for the calling thread, for which there is room.
  sitting sit_down(const basic_team_call* above) noexcept {
    seat& mine = *free_seat(above == this);
    const auto me = std::this_thread::get_id();
    const bool first_time = std::exchange(mine.owner, me) != me;
    for (basic_team_call* at = this; at != above; at = at->parent) ++at->threads_;
    mine.taken = true;
    // Nobody shall wait for one that is busy with the initializer and has no task yet.
    mine.choosing.store(!(binds && first_time), std::memory_order_relaxed);
    return {mine, first_time};
  }
  void stand_up(seat& mine, const basic_team_call* above) noexcept {
    mine.taken = false;
    for (basic_team_call* at = this; at != above; at = at->parent) --at->threads_;
  }

  // --- without the mutex, by the worker on that seat

  /// Runs tasks until there are none that the worker could take.
  void run_tasks(seat& mine, std::size_t most_batches) noexcept {
    if (in_parts) {
      mine.choosing.store(true, std::memory_order_relaxed);
      const clock::time_point now = clock::now();
      if (mine.batch.adopt(now) || steal(mine, now)) run_parts(mine, now);
      mine.choosing.store(false, std::memory_order_relaxed);
    } else {
      run_batches(mine, most_batches);
    }
  }
  /// Runs the tasks of the seat's batch, which was opened at `begin`, then those that others have and do not come to.
  void run_parts(seat& mine, clock::time_point begin) noexcept {
    do {
      mine.choosing.store(false, std::memory_order_release);
      work.run_splittable(mine.batch);
      mine.choosing.store(true, std::memory_order_relaxed);
      const std::size_t done = mine.batch.close();
      const clock::time_point then = std::exchange(begin, clock::now());
      if (work.cost() != nullptr && !work.stopped()) work.cost()->learn(done, begin - then);
    } while (steal(mine, begin));
    mine.choosing.store(false, std::memory_order_relaxed);
  }

  /// Helpers inside: the call may not end before they have left. Changed with the mutex held.
  std::atomic<int> helpers = 0;
  /// How far the caller may read. Null for a call that has all its input; set before the first worker comes, and constant.
  read_ahead* window = nullptr;
  /// What the last batch says of a good size for the next.
  std::size_t batch_hint = 1;
  /// A call whose results are taken one by one while it goes on: what becomes of it, and what the last batch says there. It has no window.
  struct stream_life {
    std::atomic<std::size_t> batch_hint{1};  // written by any worker, with or without the mutex
    int attending = 0;                       // threads that are in the call for its consumer
    std::size_t seen = no_index;             // how many tasks had been handed out when somebody last looked whether it goes on
    std::atomic<bool> left_alone{false};     // by its consumer, whose tasks these are while they take next to nothing
    bool given_up = false;                   // the call around it ends, and is about to close it
    bool closed = false;                     // the team has done with it, and may be gone
  };
  stream_life* stream = nullptr;  // set before the first worker comes, and constant
  /// Streams that were made in tasks of this call and are not closed. Changed with the mutex held.
  std::atomic<int> streams = 0;
  /// Whether more tasks may come while workers are here.
  [[nodiscard]] bool grows() const noexcept { return window != nullptr || stream != nullptr; }
  /// Whether helpers can find it.
  bool known = false;
  /// Of all calls that helpers can find, the one that was made before.
  basic_team_call* older = nullptr;

 private:
  // A batch is meant to last so long where it has to be read first: a reader that was waited for and woken has taken as long.
  static constexpr std::chrono::microseconds read_batch_time{200};

  static std::size_t places(const jobs& tasks, const plan& options) noexcept {
    const auto workers = static_cast<std::size_t>(options.workers);
    return tasks.complete() ? std::min(workers, std::max<std::size_t>(tasks.known(), 1)) : workers;
  }

  void run_batches(seat& mine, std::size_t most_batches) noexcept {
    adaptive_batch size(read_batch_time, stream != nullptr ? stream->batch_hint.load(std::memory_order_relaxed) : 1);
    clock::time_point now = clock::now();
    for (; most_batches > 0; --most_batches) {
      mine.choosing.store(true, std::memory_order_relaxed);
      const index_range tasks = work.next(batch_after(size));
      std::size_t first = tasks.first;
      std::size_t done = tasks.size();
      if (how.batch.is_automatic() && tasks.size() != 1) {
        if (tasks) {
          mine.batch.open(tasks.first, tasks.last, now);
        } else if (!steal(mine, now)) {
          break;
        }
        mine.choosing.store(false, std::memory_order_release);
        work.run_splittable(mine.batch);
        first = mine.batch.first();
        done = mine.batch.close();
      } else {
        if (!tasks) break;
        mine.choosing.store(false, std::memory_order_relaxed);
        work.run(tasks);
      }
      const clock::time_point then = std::exchange(now, clock::now());
      size.took(done, now - then);
      // What others took of the batch they report themselves.
      if (window != nullptr) {
        report({first, first + done}, size.size());
      } else if (stream != nullptr) {
        stream->batch_hint.store(size.size(), std::memory_order_relaxed);
        if (work.stopped()) {
          tell_of_the_end();
        } else if (work.cost() != nullptr) {
          work.cost()->learn(done, now - then);
        }
        if (is_left_to_consumer()) break;
      }
    }
    mine.choosing.store(false, std::memory_order_relaxed);
  }
  /// Moves the window of the reader.
  void report(index_range finished, std::size_t next_batch) noexcept;
  /// Lets a stream's consumer see that the call was stopped.
  void tell_of_the_end() noexcept;
  [[nodiscard]] std::size_t batch_after(const adaptive_batch& size) const noexcept {
    if (!how.batch.is_automatic()) return how.batch.count();
    return std::min(size.size(), fair_share(work.waiting(), how.workers));
  }

  /// Opens the seat's batch with tasks of another one's, of the one that has most.
  bool steal(seat& mine, clock::time_point now) noexcept {
    seat* victim = nullptr;
    std::size_t most = 0;
    const std::size_t seats = seats_.load(std::memory_order_acquire);
    for (std::size_t number = 0; number < seats; ++number) {
      seat& one = at(number);
      std::size_t rest = 0;
      if (&one == &mine || one.batch.look(now, rest) != splittable_range::prospect::some || rest <= most) continue;
      victim = &one;
      most = rest;
    }
    std::size_t first = 0;
    std::size_t last = 0;
    if (victim == nullptr || !victim->batch.split(first, last)) return false;
    mine.batch.open(first, last, now);
    return true;
  }

  /// The seat that the calling thread may take: its own of before, else one that nobody had, else any that is free. Null where there is
  /// none. The first one is the caller's where it works.
  [[nodiscard]] seat* free_seat(bool for_caller) noexcept {
    if (for_caller && caller_works) return &first_;
    const auto me = std::this_thread::get_id();
    seat* unused = nullptr;
    seat* of_another = nullptr;
    for (std::size_t number = caller_works ? 1 : 0; number < seats_; ++number) {
      seat& one = at(number);
      if (one.taken) continue;
      if (one.owner == me) return &one;
      if (one.owner != std::thread::id{}) {
        of_another = &one;
      } else if (unused == nullptr) {
        unused = &one;
      }
    }
    if (unused == nullptr) unused = add_seat();
    return unused != nullptr || binds ? unused : of_another;
  }
  /// One more seat, null where there can be no more.
  seat* add_seat() noexcept {
    const std::size_t number = seats_.load(std::memory_order_relaxed);
    if (number >= most_seats_) return nullptr;
    try {
      if (others_ == nullptr) others_ = std::make_unique<segmented<seat>>();
      others_->grow(number);
    } catch (const std::bad_alloc&) {  // fewer will do
      return nullptr;
    }
    others_->emplace(number - 1, [number] { return seat(number); });
    seats_.store(number + 1, std::memory_order_release);
    return &at(number);
  }
  [[nodiscard]] seat& at(std::size_t number) noexcept { return number == 0 ? first_ : (*others_)[number - 1]; }

  const std::size_t most_seats_;
  const int depth_ = parent != nullptr ? parent->depth_ + 1 : 0;
  seat first_{0};
  std::unique_ptr<segmented<seat>> others_;  // null until somebody comes: most calls are short
  // Grows with the mutex held. Workers go through the seats without it.
  std::atomic<std::size_t> seats_{1};
  int threads_;  // that work in this call or in calls nested in it
};
using team_call = basic_team_call<void>;

}  // namespace manyhands::detail
