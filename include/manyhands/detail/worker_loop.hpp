#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include <manyhands/backend.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/detail/worker_process.hpp>
#include <manyhands/exception_codec.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// Where a worker that did not inherit its tasks gets them from.
class task_source {
 public:
  task_source() = default;
  task_source(const task_source&) = delete;
  task_source& operator=(const task_source&) = delete;

  /// Has the worker's jobs hold this task, the next one. Waits for it. False where nobody wants it any more.
  [[nodiscard]] virtual bool fetch(std::size_t index) noexcept = 0;
  /// The number of the call.
  [[nodiscard]] virtual std::uint32_t call() const noexcept = 0;
  /// The worker has run this call's initializer before.
  [[nodiscard]] virtual bool is_initialized() const noexcept = 0;

 protected:
  ~task_source() = default;
};

/// The far side of a call: takes ranges from its board, runs their tasks, and leaves the results where the caller finds them.
///
/// Runs tasks in the order in which they were given, and leaves each result before it begins the next task: the caller relies on both.
template <class>
class basic_worker_loop {
 public:
  basic_worker_loop(const basic_worker_loop&) = delete;
  basic_worker_loop& operator=(const basic_worker_loop&) = delete;
  /// `source` is null where tasks were inherited.
  basic_worker_loop(jobs& work, int number, worker_board& board, frame_writer results, const direct_results& places, const doorbell& bell,
                    const process_mark& mark, task_source* source = nullptr) noexcept
      : work_(work),
        number_(number),
        board_(board),
        results_(results),
        places_(places),
        bell_(bell),
        mark_(mark),
        source_(source),
        call_(source != nullptr ? source->call() : 0),
        watch_(*this) {}

  /// Returns when the caller needs this worker no more, or the call's initializer has failed; the caller then knows its error. Says so on
  /// the board, unless another call has begun: then it returns true.
  bool run() noexcept {
    if (serve() && source_ != nullptr && !board_.is_dismissed()) return true;
    board_.say_leaving();
    return false;
  }

 private:
  using clock = std::chrono::steady_clock;

  /// False where the initializer has failed.
  bool serve() noexcept {
    worker_scope scope(work_, number_, source_ == nullptr || !source_->is_initialized());
    if (work_.facts().is_watched()) here.watch = &watch_;
    end_if_copy();
    if (const std::exception_ptr cause = work_.aborted()) {
      bytes_.clear();
      save_exception(cause, bytes_);
      send(0, frame_kind::no_worker);
      return false;
    }
    board_.say_ready();
    if (!board_.has_range(0)) ring();
    for (std::uint32_t range = 0; board_.wait_for_range(range, call_); ++range) run_range(range);
    return true;
  }

  /// Lets the caller see each attempt.
  class watch final : public attempt_watch {
   public:
    explicit watch(basic_worker_loop& owner) noexcept : owner_(owner) {}

    void begin(int attempt) noexcept override {
      const bool timed = owner_.work_.facts().timeout.count() != 0;
      if (timed) began_ = clock::now();
      owner_.board_.begin_attempt(attempt, timed ? static_cast<std::uint64_t>(began_.time_since_epoch() / std::chrono::nanoseconds(1)) : 0);
    }
    [[nodiscard]] bool end() noexcept override {
      const std::chrono::nanoseconds limit = owner_.work_.facts().timeout;
      if (limit.count() == 0) return false;
      owner_.end_if_copy();
      const bool late = clock::now() - began_ >= limit;
      // The caller has begun to end us, and means this task: what came after it would be done twice.
      if (!owner_.board_.end_attempt()) end_worker(0);
      return late;
    }

   private:
    basic_worker_loop& owner_;
    clock::time_point began_;
  };

  void run_range(std::uint32_t number) noexcept {
    index_range tasks = board_.range(number);
    // A task of ours may have overwritten it. The caller will miss the results and end us.
    if (tasks.last > work_.known() || tasks.first > tasks.last) tasks = {};
    const direct_results::row places = places_.of_range(number);
    places.expect(tasks.size());
    here.attempt = std::clamp(board_.attempt(number), 0, work_.facts().retries);
    const clock::time_point start = clock::now();
    std::uint32_t begun = 0;
    // Its own failures a worker knows before its caller does.
    const auto is_wanted = [&](std::size_t index) { return index < board_.limit() && index < work_.limit(); };
    for (std::size_t index = tasks.first; index < tasks.last && is_wanted(index) && board_.claim(number, begun); ++index, ++begun) {
      if (source_ != nullptr && !source_->fetch(index)) break;
      board_.begin_task(index);
      run_task(index, places, begun);
      board_.end_task(index);
      flush_if_written();  // the caller may end this worker before it comes to its end, and what was done shall be seen
    }
    board_.finish_range(number, static_cast<std::uint64_t>(std::chrono::nanoseconds(clock::now() - start).count()));
    ring();
  }

  /// `task` counts those of the range.
  void run_task(std::size_t index, const direct_results::row& places, std::size_t task) noexcept {
    bytes_.clear();
    const task_result what = work_.execute(index, bytes_);
    end_if_copy();
    if (what == task_result::value && task < places.capacity() && bytes_.size() == places_.size()) {
      places.put(task, bytes_.bytes());
    } else {
      send(index, what == task_result::value ? frame_kind::value : frame_kind::error);
    }
    if (bytes_.size() > most_kept) bytes_ = writer();
  }

  void send(std::size_t index, frame_kind kind) noexcept {
    results_.write(index, kind, bytes_.bytes(), [&](const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
      ring();
      futex_wait(word, seen);
    });
    // Values can wait for the end of the range; after an error no later task may begin.
    if (kind != frame_kind::value || results_.is_half_full()) ring();
  }

  void ring() const noexcept {
    if (board_.shall_ring()) bell_.ring();
  }

  /// A task that forks and returns in both processes: what it made is no worker, and must neither answer nor run on into the program.
  void end_if_copy() const noexcept {
    if (!mark_.is_original()) ::_exit(0);
  }

  static constexpr std::size_t most_kept = std::size_t{4} << 20;

  jobs& work_;
  int number_;
  worker_board& board_;
  frame_writer results_;
  const direct_results places_;
  const doorbell& bell_;
  const process_mark& mark_;
  task_source* const source_;
  const std::uint32_t call_;
  watch watch_;
  writer bytes_;
};
using worker_loop = basic_worker_loop<void>;

}  // namespace manyhands::detail
