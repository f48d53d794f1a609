#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>

namespace manyhands {

namespace detail {
template <class>
class basic_observation;
using observation = basic_observation<void>;
}  // namespace detail

/// A call, as those who watch it see it. What it refers to lives as long as the call.
struct observed_call {
  using clock = std::chrono::steady_clock;

  /// Unlike any other call's of this program.
  std::uint64_t number = 0;
  /// `options::description`.
  std::string_view description = {};
  /// The name that the backend is registered by, and the name of its class.
  std::string_view backend = {};
  std::string_view backend_class = {};
  /// As the caller gave it, and the number of workers that came of it.
  int n_jobs = -1;
  int workers = 1;
  /// How many tasks there are, where that is known when the call begins.
  std::optional<std::size_t> tasks = {};
  /// How many batches may be read and not be finished; none where all of the input is read at once.
  std::optional<std::size_t> pre_dispatch = {};
  /// How many calls there are around it.
  int depth = 0;
  /// How many results its checkpoint has from an earlier run, and how many bytes of that were broken and are lost.
  std::size_t restored = 0;
  std::size_t broken_bytes = 0;
  clock::time_point begin = {};
};

/// One attempt to run one task.
struct observed_task {
  std::size_t index = 0;
  /// As `this_worker::index()` tells it.
  int worker = 0;
  /// As `this_task::attempt()` tells it.
  int attempt = 0;
  /// When it began in its worker, and when it ended. The same while it runs.
  observed_call::clock::time_point begin = {};
  observed_call::clock::time_point end = {};
  /// Null unless it failed.
  std::exception_ptr error = {};
};

/// Watches calls: derive from it, override what is of interest, and give it to `options::observer`.
///
/// One observer may watch many calls, also at the same time: what it is told never overlaps. It is told in the order in which things
/// happen in one worker, by any of the call's threads, and everything of a call between `call_begun` and `call_ended`. Workers go on
/// while it takes its time; only where it lags tens of thousands of events behind do they wait. Calls that it makes itself are not watched.
///
/// One that throws is told no more of that call, which goes on and returns its results; but an `observer_error` is thrown by the call once
/// all results are complete.
class observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  virtual ~observer() = default;

  /// No task has started yet.
  virtual void call_begun(const observed_call& call) { static_cast<void>(call); }
  /// All of the input was read: so many tasks. Where their number was known before, this comes at once.
  virtual void input_ended(const observed_call& call, std::size_t tasks) {
    static_cast<void>(call);
    static_cast<void>(tasks);
  }
  /// A worker took the tasks from `first` up to `last`, or was sent them. Some of them may be run by another in the end.
  virtual void batch_dispatched(const observed_call& call, std::size_t first, std::size_t last, int worker) {
    static_cast<void>(call);
    static_cast<void>(first);
    static_cast<void>(last);
    static_cast<void>(worker);
  }
  virtual void task_started(const observed_call& call, const observed_task& task) {
    static_cast<void>(call);
    static_cast<void>(task);
  }
  /// It has its result.
  virtual void task_finished(const observed_call& call, const observed_task& task) {
    static_cast<void>(call);
    static_cast<void>(task);
  }
  /// It failed for good.
  virtual void task_failed(const observed_call& call, const observed_task& task) {
    static_cast<void>(call);
    static_cast<void>(task);
  }
  /// It failed and will be run again: told of the attempt that failed.
  virtual void task_retried(const observed_call& call, const observed_task& task) {
    static_cast<void>(call);
    static_cast<void>(task);
  }
  /// A worker is about to be sent its first tasks that is rank `rank` of an MPI job, on the machine `host`.
  virtual void worker_joined(const observed_call& call, int worker, std::string_view host, int rank) {
    static_cast<void>(call);
    static_cast<void>(worker);
    static_cast<void>(host);
    static_cast<void>(rank);
  }
  /// A worker process died.
  virtual void worker_lost(const observed_call& call, int worker) {
    static_cast<void>(call);
    static_cast<void>(worker);
  }
  /// Another process took the place of one that died, or that had run as many tasks as it may.
  virtual void worker_replaced(const observed_call& call, int worker) {
    static_cast<void>(call);
    static_cast<void>(worker);
  }
  /// No task runs any more. `error` is what the call throws, null if it returns its results, or is a generator that was left early.
  virtual void call_ended(const observed_call& call, std::exception_ptr error) {
    static_cast<void>(call);
    static_cast<void>(error);
  }

 private:
  friend detail::observation;
  std::mutex mutex_;  // held while it is told something
};

}  // namespace manyhands
