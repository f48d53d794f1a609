#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include <manyhands/config.hpp>

namespace manyhands {

namespace detail {

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
};

/// What the calling thread is doing. Not changed by anyone else.
struct context {
  const call_facts* call = nullptr;
  const scope_frame* scope = nullptr;
  int worker = 0;
  std::size_t task = 0;
  bool initializing = false;  // as in call_facts, and true while an initializer runs
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

/// A seed for the task's random numbers: it depends on `options::seed` and the index alone, so a run is the same for every `n_jobs`,
/// backend and batch size.
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
