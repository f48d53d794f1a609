#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>

#include <manyhands/backend.hpp>
#include <manyhands/detail/stream_watch.hpp>
#include <manyhands/detail/team.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// Has a call's tasks run while its consumer reads them and takes their results. All in the consumer's thread, which may be another one
/// each time.
class stream_driver {
 public:
  stream_driver() = default;
  stream_driver(const stream_driver&) = delete;
  stream_driver& operator=(const stream_driver&) = delete;
  virtual ~stream_driver() = default;

  /// Whether tasks run while the consumer does something else. Else each is read and run when its result is asked for.
  [[nodiscard]] virtual bool is_eager() const noexcept { return true; }
  /// How many tasks a batch seems to be good for; only asked where the call does not say it.
  [[nodiscard]] virtual std::size_t batch() const noexcept = 0;
  /// More tasks were read: lets workers have them. Does not wait. With `more` the next one is read at once, and may be long in coming.
  virtual void feed(bool more) noexcept = 0;
  /// Runs a task, or waits, for a while or until the goal is reached.
  virtual void attend(stream_goal& goal) noexcept = 0;
  /// Waits until no task runs any more, and lets go of the workers. All that is still to be run is run. Any number of times.
  virtual void close() noexcept = 0;
};

/// Runs each task in the consumer's thread when its result is asked for.
template <class>
class basic_stream_in_caller final : public stream_driver {
 public:
  explicit basic_stream_in_caller(jobs& work) noexcept : work_(work) {}

  [[nodiscard]] bool is_eager() const noexcept override { return false; }
  [[nodiscard]] std::size_t batch() const noexcept override { return 1; }
  void feed(bool) noexcept override {}
  void attend(stream_goal&) noexcept override {
    const worker_scope me(work_, 0, first_time_);
    first_time_ = false;
    while (const index_range tasks = work_.next(1)) work_.run(tasks);
  }
  void close() noexcept override {}

 private:
  jobs& work_;
  bool first_time_ = true;
};
using stream_in_caller = basic_stream_in_caller<void>;

/// Runs tasks on a team of threads: that of the call around, or one of its own.
template <class>
class basic_stream_on_team final : public stream_driver, private stream_waker {
 public:
  basic_stream_on_team(jobs& work, const plan& how, stream_watch& watch, outside_helpers* outside) {
    team_call* const outer = team::call_around();
    // Helpers of the crew are there when they are needed: the consumer is free for what it does with results, and for reading.
    if (outer == nullptr) own_.emplace(outside != nullptr ? how.workers - 1 : how.workers, outside);
    call_.emplace(outer != nullptr ? outer->squad : *own_, outer, work, how);
    call_->stream = &life_;
    watch.woken_by(*this);
    call_->squad.open_stream(*call_);
  }

  [[nodiscard]] std::size_t batch() const noexcept override { return life_.batch_hint.load(std::memory_order_relaxed); }
  void feed(bool more) noexcept override {
    if (more && is_here()) team::feed_stream(*call_);
  }
  void attend(stream_goal& goal) noexcept override {
    if (is_here()) team::attend_stream(*call_, goal);
  }
  void close() noexcept override {
    if (is_here()) team::close_stream(*call_);
  }

 private:
  void wake() noexcept override {
    const std::lock_guard lock(home_.mutex());
    call_->squad.tell_sleepers();
  }
  /// False in a forked copy of the process, which has none of the threads.
  [[nodiscard]] bool is_here() const noexcept { return &home_ == &crew::get(); }

  crew& home_ = crew::get();
  team_call::stream_life life_;
  std::optional<team> own_;
  std::optional<team_call> call_;
};
using stream_on_team = basic_stream_on_team<void>;

/// A part of a call's tasks, as if it were a call of its own: task 0 is the part's first one.
template <class>
class basic_part_of_jobs final : public jobs {
 public:
  basic_part_of_jobs(jobs& whole, index_range tasks) noexcept : jobs(whole.facts()), whole_(whole), first_(tasks.first) {
    publish(tasks.size(), true);
  }

  void run(index_range tasks) noexcept override {
    whole_.run({first_ + tasks.first, first_ + tasks.last});
    heed_limit();
  }
  void fail(std::size_t index, std::exception_ptr cause) noexcept override {
    whole_.fail(first_ + index, std::move(cause));
    heed_limit();
  }
  void load(std::size_t index, reader& bytes) override { whole_.load(first_ + index, bytes); }
  void load_all(index_range tasks, std::span<const std::byte> bytes) noexcept override {
    whole_.load_all({first_ + tasks.first, first_ + tasks.last}, bytes);
    heed_limit();
  }
  void load_error(std::size_t index, reader& bytes) noexcept override {
    whole_.load_error(first_ + index, bytes);
    heed_limit();
  }
  task_result execute(std::size_t index, writer& bytes) noexcept override {
    const task_result what = whole_.execute(first_ + index, bytes);
    heed_limit();
    return what;
  }
  [[nodiscard]] result_transport transport() const override { return whole_.transport(); }
  [[nodiscard]] task_packing packing() const override { return whole_.packing(); }
  void pack(std::size_t index, writer& bytes) override { whole_.pack(first_ + index, bytes); }
  void abort(std::exception_ptr cause) noexcept override {
    whole_.abort(std::move(cause));
    heed_limit();
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return whole_.aborted(); }
  bool read(std::size_t) noexcept override { return false; }
  [[nodiscard]] std::size_t index_in_call(std::size_t index) const noexcept override { return whole_.index_in_call(first_ + index); }

  /// Takes over what is known elsewhere of a failure. Any thread.
  void heed_limit() noexcept {
    const std::size_t limit = whole_.limit();
    if (limit != no_index) stop_at(limit - std::min(limit, first_));
  }

 private:
  jobs& whole_;
  const std::size_t first_;
};
using part_of_jobs = basic_part_of_jobs<void>;

/// Has a backend run all that was read, whenever a result is asked for that is not there.
template <class>
class basic_stream_in_turns final : public stream_driver {
 public:
  basic_stream_in_turns(jobs& work, const plan& how, backend& who) : work_(work), how_(how), who_(who) {}

  [[nodiscard]] std::size_t batch() const noexcept override { return pace_.size(); }
  void feed(bool) noexcept override {}
  void attend(stream_goal&) noexcept override { run_waiting(); }
  void close() noexcept override { run_waiting(); }

 private:
  void run_waiting() noexcept {
    const index_range tasks = work_.next(no_index);
    if (!tasks) return;
    part_of_jobs part(work_, tasks);
    const auto begin = std::chrono::steady_clock::now();
    try {
      who_.run(part, how_);
      if (part.waiting() > 0) throw error("backend \"" + std::string(who_.name()) + "\" returned before all tasks were run");
    } catch (...) {
      work_.abort(std::current_exception());
    }
    pace_.took(tasks.size(), std::chrono::steady_clock::now() - begin);
  }

  jobs& work_;
  const plan& how_;
  backend& who_;
  adaptive_batch pace_{std::chrono::milliseconds(5)};
};
using stream_in_turns = basic_stream_in_turns<void>;

}  // namespace manyhands::detail
