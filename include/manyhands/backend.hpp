#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include <manyhands/codec.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/inner_limit.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/options.hpp>
#include <manyhands/schedule.hpp>
#include <manyhands/this_task.hpp>

// The seam between a call and whoever runs its tasks. To write a backend:
//   1. derive from `backend`: `name`, `traits`, `run`;
//   2. in `run`, on each of at most `plan::workers` workers, open a `worker_scope`, then take ranges with `jobs::next` and run them with
//      `jobs::run` until none is left;
//   3. return once every worker has left its `worker_scope`;
//   4. register it with `register_parallel_backend`, or hand it to `options::backend`.
// A backend whose workers do not share memory runs tasks with `jobs::execute` over there, and gives the bytes to `jobs::load` over here.
// Where they did not inherit the tasks either, `jobs::pack` over here makes bytes of them, which `detail::packed_call` runs over there.

namespace manyhands {

/// The tasks from `first` up to but not including `last`, by index.
struct index_range {
  std::size_t first = 0;
  std::size_t last = 0;

  [[nodiscard]] std::size_t size() const noexcept { return last - first; }
  [[nodiscard]] bool empty() const noexcept { return first == last; }
  explicit operator bool() const noexcept { return !empty(); }
  friend bool operator==(const index_range&, const index_range&) = default;
};

/// No index: larger than any.
inline constexpr std::size_t no_index = std::numeric_limits<std::size_t>::max();

/// How a call's results get from one process to another.
struct result_transport {
  /// Why they cannot: the type's name and the reason. Both empty where they can.
  std::string type_name = {};
  std::string obstacle = {};
  /// The size of every result's bytes, 0 where it varies.
  std::size_t fixed_size = 0;

  [[nodiscard]] bool possible() const noexcept { return obstacle.empty(); }
};

/// How a call's tasks get to workers that did not inherit them.
struct task_packing {
  /// Runs a task once: takes what `jobs::pack` wrote of it, behind the header, and appends its value as `jobs::execute` does. Throws what
  /// the task throws, and `codec_error` for bytes that are no such task.
  using runner = void (*)(reader& task, writer& value);

  /// The same in every process of this program, though at another address. Null where tasks cannot travel.
  runner run = nullptr;
  /// An error of one task is no reason not to run others.
  bool keeps_errors = false;
  /// Why they cannot: the type's name and the reason.
  std::string type_name = {};
  std::string obstacle = {};

  [[nodiscard]] bool possible() const noexcept { return run != nullptr; }
};

/// What `jobs::execute` left in the bytes.
enum class task_result : std::uint8_t {
  value,  ///< for `jobs::load`
  error   ///< for `jobs::load_error`
};

/// A call's tasks by index, and the places for their results.
///
/// A task is settled by exactly one of `run`, `load`, `load_error` and `fail`. Tasks are handed out in order, which makes the lowest failed
/// index the one that a plain loop would have met first.
class jobs {
 public:
  jobs(const jobs&) = delete;
  jobs& operator=(const jobs&) = delete;

  // --- any thread, at any time

  /// Hands out the next tasks, at most `most` of them: none once all that was read is handed out, or a failure is known. Never blocks.
  [[nodiscard]] index_range next(std::size_t most) noexcept {
    std::size_t first = handed_out_.load(std::memory_order_relaxed);
    for (;;) {
      // Not zero once a failure is known: where the input itself failed, the tasks before are still to be run.
      const std::size_t known = std::min(known_.load(std::memory_order_acquire), limit());
      if (first >= known) return {};
      const std::size_t last = known - first < most ? known : first + most;
      // Release: who learns from `waiting` that these tasks are gone also sees what this thread has said before of itself.
      if (handed_out_.compare_exchange_weak(first, last, std::memory_order_release, std::memory_order_relaxed)) return {first, last};
    }
  }
  /// Hands out all that was read. For the one thread that knows the call so far: with nobody to race against it takes a fraction of the
  /// time.
  [[nodiscard]] index_range take_all() noexcept {
    const std::size_t first = handed_out_.load(std::memory_order_relaxed);
    const std::size_t known = std::min(known_.load(std::memory_order_acquire), limit());
    if (first >= known) return {};
    handed_out_.store(known, std::memory_order_release);
    return {first, known};
  }
  /// How many tasks were read and not handed out yet.
  MANYHANDS_EACH_CALL [[nodiscard]] std::size_t waiting() const noexcept {
    const std::size_t known = std::min(known_.load(std::memory_order_relaxed), limit());
    const std::size_t handed_out = handed_out_.load(std::memory_order_acquire);
    return handed_out < known ? known - handed_out : 0;
  }
  /// How many tasks were read so far: all of them, for a backend that does not stream.
  [[nodiscard]] std::size_t known() const noexcept { return known_.load(std::memory_order_acquire); }
  /// True once no further task shall start: one failed and the call wants no result of a higher one, or the call was given up.
  [[nodiscard]] bool stopped() const noexcept { return limit() != no_index; }
  /// No task with this index or a higher one may start any more.
  [[nodiscard]] std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

  /// Gives the call up with this error, whatever the tasks do: a worker's initializer failed, or the backend cannot go on.
  virtual void abort(std::exception_ptr cause) noexcept = 0;
  /// What `abort` was given first, null if it was not called.
  [[nodiscard]] virtual std::exception_ptr aborted() const noexcept = 0;

  // --- any thread, for a task that was handed out and is not settled

  /// Runs these tasks in order, each in its place and as often as the call wants; those at or above `limit()` are left out. Distinct ranges
  /// may run at the same time.
  virtual void run(index_range tasks) noexcept = 0;
  /// The same for tasks of which others may take the tail meanwhile.
  virtual void run_splittable(detail::splittable_range& tasks) noexcept {
    for (std::size_t index = tasks.at(); tasks.claim(index); ++index) run({index, index + 1});
  }
  /// Settles a task that nobody could run. Where memory is not shared, one thread at a time calls it, `load` or `load_error`.
  virtual void fail(std::size_t index, std::exception_ptr cause) noexcept = 0;
  /// Settles a task with the value that `execute` wrote elsewhere. Throws `codec_error` where the bytes are no such value: the task is not
  /// settled then.
  virtual void load(std::size_t index, reader& bytes) = 0;
  /// Settles tasks with the values that `execute` wrote, which are of the same size and lie side by side; those that are no such value,
  /// with the error that says so.
  virtual void load_all(index_range tasks, std::span<const std::byte> bytes) noexcept {
    load_each(tasks, bytes, [this](std::size_t index, reader& one) { load(index, one); });
  }
  /// Settles a task with the error that `execute` wrote elsewhere.
  virtual void load_error(std::size_t index, reader& bytes) noexcept = 0;

  // --- where memory is not shared

  /// Runs one task, as often as the call wants, and leaves its value or its error in `bytes`, in the place of what was there. Settles
  /// nothing: this is the far side.
  /// Lowers this side's `limit` where no further task is wanted after an error.
  virtual task_result execute(std::size_t index, writer& bytes) noexcept = 0;
  [[nodiscard]] virtual result_transport transport() const = 0;

  // --- where workers did not inherit the tasks; the calling thread

  [[nodiscard]] virtual task_packing packing() const { return {.type_name = "manyhands::jobs", .obstacle = "it has no way to pack tasks"}; }
  /// Appends a task's bytes, for `detail::packed_call` on the far side. The task stays, and may be packed again until it is settled. Where
  /// saving an argument throws, or a function pointer cannot be named elsewhere, that error is packed, and becomes the task's over there.
  /// Throws `std::bad_alloc`. Only where `packing()` is possible.
  virtual void pack(std::size_t index, writer& bytes) {
    static_cast<void>(index);
    static_cast<void>(bytes);
  }

  // --- the calling thread, between `backend::run`'s begin and its end

  /// Reads up to `most` further tasks from the input. False once nothing more will come: the input has ended or is broken, or a failure is
  /// known. Only a backend that streams need call it.
  virtual bool read(std::size_t most) noexcept = 0;
  /// Whether all of the input was read.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

  /// Where the user knows a task by another index, because these jobs are a part of a call's.
  [[nodiscard]] virtual std::size_t index_in_call(std::size_t index) const noexcept { return index; }

  /// What tasks of this call see in `this_task` and `this_worker`.
  [[nodiscard]] const detail::call_facts& facts() const noexcept { return facts_; }
  /// What is remembered of such tasks from earlier calls, null where nothing is.
  [[nodiscard]] detail::task_cost* cost() const noexcept { return cost_; }

 protected:
  explicit jobs(const detail::call_facts& facts, detail::task_cost* cost = nullptr) noexcept : facts_(facts), cost_(cost) {}
  ~jobs() = default;

  void publish(std::size_t known, bool complete) noexcept {
    known_.store(known, std::memory_order_release);
    complete_ = complete;
  }
  /// What `load_all` does, with `load_one(index, bytes)` in the place of `load`.
  template <class Load>
  void load_each(index_range tasks, std::span<const std::byte> bytes, Load&& load_one) noexcept {
    const std::size_t size = bytes.size() / tasks.size();
    for (; !tasks.empty(); ++tasks.first, bytes = bytes.subspan(size)) {
      try {
        reader one(bytes.first(size));
        load_one(tasks.first, one);
      } catch (...) {
        fail(tasks.first, std::current_exception());
      }
    }
  }
  /// Lets no task at or above `index` start any more; the lowest of several wins.
  void stop_at(std::size_t index) noexcept {
    std::size_t seen = limit_.load(std::memory_order_relaxed);
    while (index < seen && !limit_.compare_exchange_weak(seen, index, std::memory_order_relaxed)) {
    }
  }

 private:
  alignas(detail::cache_line) std::atomic<std::size_t> handed_out_{0};
  // Apart from handed_out_, which every worker writes: these two are read before every task.
  alignas(detail::cache_line) std::atomic<std::size_t> known_{0};
  std::atomic<std::size_t> limit_{no_index};
  bool complete_ = false;  // the calling thread's
  const detail::call_facts& facts_;
  detail::task_cost* const cost_;
};

/// Makes the calling thread, or this process, worker `index` of a call for as long as it lives: tasks see the call's scope, seed and worker
/// number, the thread is bound where the call wants it, OpenMP and its like keep to the call's limit, and the call's initializer has run.
/// Where that throws, the call is given up and `jobs::next` hands out nothing more.
template <class>
class basic_worker_scope {
 public:
  /// `first_time` is false for a worker that was in this call before.
  MANYHANDS_EACH_CALL basic_worker_scope(jobs& work, int index, bool first_time = true)
      : outer_(detail::here), pin_(work.facts(), index, outer_), inner_(limit_for(work.facts())) {
    const detail::call_facts& facts = work.facts();
    detail::here =
        detail::context{.call = &facts, .scope = facts.scope, .worker = index, .initializing = facts.initializing, .stop = facts.stop};
    if (facts.watches != nullptr) detail::here.watch = facts.watches->of(index);
    if (!first_time || !facts.initializer) return;
    detail::here.initializing = true;
    try {
      facts.initializer();
    } catch (...) {
      work.abort(std::current_exception());
    }
    detail::here.initializing = facts.initializing;
  }
  basic_worker_scope(const basic_worker_scope&) = delete;
  basic_worker_scope& operator=(const basic_worker_scope&) = delete;
  MANYHANDS_EACH_CALL ~basic_worker_scope() { detail::here = outer_; }

 private:
  /// None where the thread is in a call that has the same limit: what its task has changed since is for the task to say.
  [[nodiscard]] detail::inner_threads limit_for(const detail::call_facts& facts) const noexcept {
    return outer_.call != nullptr && outer_.call->inner == facts.inner ? detail::inner_threads{} : facts.inner;
  }

  detail::context outer_;
  detail::worker_pin pin_;
  detail::inner_limit inner_;
};
using worker_scope = basic_worker_scope<void>;

/// What kind of workers a backend has.
struct backend_traits {
  /// Tasks run in the caller's memory: results need no codec.
  bool shares_memory = true;
  /// Calls `jobs::read` itself, as far ahead as `plan::read_ahead` says. For others everything is read before `run` begins.
  bool streams = false;
  /// Its workers did not inherit the tasks: these need `jobs::pack`.
  bool packs_tasks = false;
  /// A call made inside one of its tasks finds the workers of the outer call and shares them. Where nobody knows how, such calls run in
  /// their caller.
  bool nests = false;
  /// How many workers there can be, and how many `n_jobs = -1` stands for. 0: as many as anybody asks for, and as there are processors.
  int workers = 0;
};

/// What a call asks of its backend.
struct plan {
  /// The most workers that may run tasks at the same time, at least 1.
  int workers = 1;
  batch_size batch = automatic;
  /// How many batches may be read and not be finished, counted from the oldest unfinished one.
  std::size_t read_ahead = no_index;
  /// `options::description`.
  std::string_view description = {};
};

namespace detail {

class outside_helpers;
class stream_driver;

/// How often a backend was registered.
inline constinit std::atomic<std::uint64_t> registered_backend_changes{0};

/// How the library's own backends run a call whose results are taken one by one while it goes on.
struct stream_host {
  enum class kind : std::uint8_t {
    in_turns,      ///< by `backend::run`, as much as may be read at a time
    on_team,       ///< by threads, those of `outside` where that is not null
    in_processes,  ///< by processes that are forked for what was read
    elsewhere      ///< by what `made` gives
  };

  kind how = kind::in_turns;
  outside_helpers* outside = nullptr;
  /// A new driver for these jobs.
  stream_driver* (*made)(jobs& work, const plan& how) = nullptr;
};

}  // namespace detail

/// Who runs the tasks of a call.
class backend {
 public:
  backend() = default;
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  virtual ~backend() = default;

  /// The name it is registered by.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual backend_traits traits() const noexcept { return {}; }

  /// Called before room is made for many results, which takes as long as to wake a worker: that may be done meanwhile. What this returns is
  /// dropped before `run` is called. By default nothing happens.
  [[nodiscard]] virtual std::shared_ptr<void> prepare(const plan& how, std::size_t tasks) {
    static_cast<void>(how);
    static_cast<void>(tasks);
    return nullptr;
  }

  /// For the library's own backends. The generator calls of any other use `run`, as often as it takes, while their caller waits.
  [[nodiscard]] virtual detail::stream_host streams() noexcept { return {}; }

  /// Runs the tasks on at most `how.workers` workers, and on no more than there are tasks. Returns once none of them runs any more.
  ///
  /// Called in the calling thread, and by several threads at a time. May throw only while no task has been handed out.
  virtual void run(jobs& work, const plan& how) = 0;
};

}  // namespace manyhands
