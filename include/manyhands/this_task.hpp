#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include <manyhands/config.hpp>

namespace manyhands {

namespace detail {

template <class>
class basic_observation;
using observation = basic_observation<void>;
template <class>
class basic_journal;
struct scope_frame;
struct pinning;

/// Where a task runs, as far as a nested call must know.
enum class place : std::uint8_t {
  caller,   ///< not inside any parallel call, or inside one that set no bounds
  threads,  ///< on one of the threads that a call may use: nested calls share them
  process   ///< in a worker process
};

/// What a library with threads of its own may use inside a task.
struct inner_threads {
  /// 0: what it uses anyway.
  int most = 0;
  /// Somebody has asked for this number. Else less, where the library was told so, stays less.
  bool exactly = false;

  /// The number for one that uses `now` threads.
  [[nodiscard]] constexpr int allowed(int now) const noexcept { return exactly || most < now ? most : now; }
  friend bool operator==(const inner_threads&, const inner_threads&) = default;
};

/// Told when its worker begins and ends an attempt at a task. There is one only where something depends on it.
class attempt_watch {
 public:
  attempt_watch() = default;
  attempt_watch(const attempt_watch&) = delete;
  attempt_watch& operator=(const attempt_watch&) = delete;

  virtual void begin(int attempt) noexcept = 0;
  /// Whether the attempt has taken longer than it may.
  [[nodiscard]] virtual bool end() noexcept = 0;

 protected:
  ~attempt_watch() = default;
};

/// The watches of a call's workers.
class attempt_watches {
 public:
  attempt_watches() = default;
  attempt_watches(const attempt_watches&) = delete;
  attempt_watches& operator=(const attempt_watches&) = delete;

  /// Null where the worker has none.
  [[nodiscard]] virtual attempt_watch* of(int worker) noexcept = 0;

 protected:
  ~attempt_watches() = default;
};

/// What all tasks of one call have in common. Lives in the frame of the call.
struct call_facts {
  const scope_frame* scope = nullptr;
  std::function<void()> initializer = {};
  /// It was made by an initializer, or by what that called: a scope's initializer is not run for it once more.
  bool initializing = false;
  std::uint64_t seed = 0;
  place where = place::caller;
  /// The most threads that this call and all calls nested in it may use.
  int budget = 0;
  inner_threads inner = {};
  /// Where workers are bound: those of this call, or of one around it on threads. Null: nowhere.
  const pinning* pins = nullptr;
  /// It is this call that binds them.
  bool binds = false;
  /// How often a failed task is run again.
  int retries = 0;
  /// The longest that one attempt at a task may take. 0: as long as it likes.
  std::chrono::nanoseconds timeout{0};
  /// So many tasks a worker process is given, then it is replaced. 0: as many as there are.
  std::size_t tasks_per_worker = 0;
  /// Bytes that a worker process may allocate beyond what it inherited. 0: no limit.
  std::size_t memory_limit = 0;
  /// Who looks after the timeout in this process. Null: nobody.
  attempt_watches* watches = nullptr;
  /// What asks the task to stop in which the call was made. Null: nothing.
  const std::stop_token* stop = nullptr;

  /// Who is told what happens in the call. Null: nobody.
  observation* observed = nullptr;
  /// Somebody in the caller's process is: this is the far side, which sends a record of each run home.
  bool tells_runs = false;
  /// Where results are kept beyond the call. Null: nowhere.
  basic_journal<void>* kept = nullptr;
  /// Nobody is told of calls in here: a worker process has no way to tell, and what an observer does itself is not watched.
  bool unobserved = false;
  /// How many calls there are around it.
  int depth = 0;

  /// Whether there is more to a task than to run it once.
  [[nodiscard]] bool is_watched() const noexcept {
    return retries != 0 || timeout.count() != 0 || observed != nullptr || tells_runs || kept != nullptr;
  }
};

/// What the calling thread is doing. Not changed by anyone else.
struct context {
  const call_facts* call = nullptr;
  const scope_frame* scope = nullptr;
  int worker = 0;
  std::size_t task = 0;
  bool initializing = false;  // as in call_facts, and true while an initializer runs
  int attempt = 0;
  attempt_watch* watch = nullptr;
  const std::stop_token* stop = nullptr;  // null: nothing ever asks the task to stop
};

inline constinit thread_local context here{};

/// Mixes a seed and an index so that neighbours have nothing in common: the SplitMix64 generator (Steele, Lea, Flood 2014) at position
/// `index`.
[[nodiscard]] constexpr std::uint64_t mixed(std::uint64_t seed, std::uint64_t index) noexcept {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace detail

/// What a task may ask about itself. Outside of any task it is task 0 of seed 0.
namespace this_task {

/// The position of the task in the input.
[[nodiscard]] inline std::size_t index() noexcept { return detail::here.task; }

/// How often the task was run before, and failed: 0 at first, at most `options::retries`.
[[nodiscard]] inline int attempt() noexcept { return detail::here.attempt; }

/// Asks the task to stop: when the call is stopped (`options::stop`), when the task has run for `options::timeout`, and in a nested call
/// when the task around it is asked. Only where the task shares the caller's memory: a worker process is killed instead. Holds for this
/// attempt, and after its end. A token that nothing can stop where none of these can happen.
[[nodiscard]] inline std::stop_token stop_token() noexcept { return detail::here.stop != nullptr ? *detail::here.stop : std::stop_token(); }

/// A seed for the task's random numbers: it depends on `options::seed` and the index alone, so a run is the same for every `n_jobs`,
/// backend and batch size, and for every attempt.
[[nodiscard]] inline std::uint64_t seed() noexcept {
  return detail::mixed(detail::here.call != nullptr ? detail::here.call->seed : 0, index());
}

}  // namespace this_task

/// What a task may ask about the worker that runs it.
namespace this_worker {

/// The number of the worker: 0 to n - 1, the same during a call, and no two tasks of a call that run at the same time see the same. 0
/// outside of any task.
[[nodiscard]] inline int index() noexcept { return detail::here.worker; }

}  // namespace this_worker

}  // namespace manyhands
