#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/os.hpp>

namespace manyhands::detail {

/// How much of a posted range its caller wants back.
enum class share : std::uint8_t {
  half,  ///< half of what has not begun, rounded up
  rest,  ///< all that has not begun
  whole  ///< all of it, and only while none of it has begun
};

/// What a caller and one of its workers tell each other, in memory that both can write.
///
/// The worker may write rubbish anywhere in it: the caller believes nothing that its own records do not allow. The two sides share no lock,
/// so the worker may die between any two instructions.
template <class>
class basic_worker_board {
 public:
  /// Ranges that may be posted and not be finished: the one that runs, and one so that the worker need not wait for its caller.
  static constexpr std::uint32_t places = 2;
  /// The most tasks in a range.
  static constexpr std::size_t most_tasks = 0x7fffffff;

  basic_worker_board() = default;
  basic_worker_board(const basic_worker_board&) = delete;
  basic_worker_board& operator=(const basic_worker_board&) = delete;

  // --- the caller

  /// Lets the worker begin: by then its caller can see it end.
  void open_gate() noexcept {
    gate_.store(1, std::memory_order_release);
    wake_worker();
  }
  /// Posts range number `number`, counted from 0, of tasks that were begun so often before. Number `number - places` must be finished.
  void post(std::uint32_t number, index_range tasks, int attempt = 0) noexcept {
    place& where = places_[number % places];
    where.first.store(tasks.first, std::memory_order_relaxed);
    where.attempt.store(attempt, std::memory_order_relaxed);
    where.span.store(pack(0, static_cast<std::uint32_t>(tasks.size())), std::memory_order_relaxed);
    posted_.store(number + 1, std::memory_order_release);
    wake_worker();
  }
  /// For a worker that lives on, and is through with all that it was given: begins call number `call`, which is not 0 and not the last one.
  /// Wakes nobody: what is posted then does, or `nudge`. What is sent to the worker afterwards it sees with all of this.
  void begin_call(std::uint32_t call) noexcept {
    // Before all others: whoever sees one of them sees that it is not of the last call.
    call_.store(call, std::memory_order_relaxed);
    for (place& each : places_) each.span.store(0, std::memory_order_release);
    posted_.store(0, std::memory_order_release);
    limit_.store(no_index, std::memory_order_relaxed);
    sleeping_.store(0, std::memory_order_relaxed);
    phase_.store(0, std::memory_order_relaxed);
    began_.store(0, std::memory_order_relaxed);
    finished_.store(0, std::memory_order_relaxed);
    ready_.store(0, std::memory_order_relaxed);
  }
  /// Has the worker look again at what it waits for.
  void nudge() noexcept { wake_worker(); }
  /// Lets no task at or above `index` start any more.
  void limit(std::size_t index) noexcept { limit_.store(index, std::memory_order_relaxed); }
  /// The worker ends after the task it runs; what is posted and has not begun it runs, too.
  void dismiss() noexcept {
    dismissed_.store(1, std::memory_order_release);
    wake_worker();
  }

  /// Takes tasks back of range `number`, which by the caller's records is `tasks`, those below `done` with a result. Leaves `keep` of them.
  /// Empty where there are none to be had; nothing where the worker wrote rubbish.
  [[nodiscard]] std::optional<index_range> take_back(std::uint32_t number, index_range tasks, std::size_t done, share wanted,
                                                     std::size_t keep) noexcept {
    const auto [first, last] = tasks;
    std::atomic<std::uint64_t>& span = places_[number % places].span;
    std::uint64_t seen = span.load(std::memory_order_relaxed);
    for (;;) {
      const std::size_t next = first + begun(seen);
      if (first + end(seen) != last || next > last || next < done) return std::nullopt;
      const std::size_t waiting = last - next;
      if (waiting <= keep || (wanted == share::whole && (next != first || keep != 0))) return index_range{last, last};
      const std::size_t taken = wanted == share::half ? (waiting - keep + 1) / 2 : waiting - keep;
      const std::uint64_t left = pack(begun(seen), static_cast<std::uint32_t>(last - taken - first));
      if (span.compare_exchange_weak(seen, left, std::memory_order_relaxed)) return index_range{last - taken, last};
    }
  }

  /// Whether what the caller has written is still there: so many posted ranges, this limit, and whether it was dismissed. A worker that has
  /// overwritten it may wait for what will never come.
  [[nodiscard]] bool is_intact(std::uint32_t posted, std::size_t limit, bool dismissed = false) const noexcept {
    return posted_.load(std::memory_order_relaxed) == posted && limit_.load(std::memory_order_relaxed) == limit &&
           gate_.load(std::memory_order_relaxed) == 1 && dismissed_.load(std::memory_order_relaxed) == (dismissed ? 1U : 0U);
  }

  /// Asks to be rung for what the worker says from now on. What it said before can be read when this returns.
  void caller_sleeps() noexcept { sleeping_.exchange(1, std::memory_order_acq_rel); }
  void caller_wakes() noexcept { sleeping_.exchange(0, std::memory_order_acq_rel); }

  /// How many ranges the worker says it has finished. What it did for them can be read afterwards.
  [[nodiscard]] std::uint32_t finished() const noexcept { return finished_.load(std::memory_order_acquire); }
  /// How long the worker says that range `number`, finished, has taken.
  [[nodiscard]] std::uint64_t elapsed(std::uint32_t number) const noexcept {
    return places_[number % places].elapsed.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_ready() const noexcept { return ready_.load(std::memory_order_acquire) == yes; }
  /// The task that the worker says it runs, `no_index` for none.
  [[nodiscard]] std::size_t running() const noexcept {
    const std::uint64_t phase = phase_.load(std::memory_order_acquire);
    return (phase & 1) != 0 ? static_cast<std::size_t>(phase >> 1) : no_index;
  }
  /// Which attempt at its task the worker says it has begun last.
  [[nodiscard]] int attempt() const noexcept { return attempt_.load(std::memory_order_relaxed); }
  /// When the worker says that it began the attempt which it is at, in nanoseconds of the steady clock. 0: it is at none, or has no clock.
  [[nodiscard]] std::uint64_t began() const noexcept { return began_.load(std::memory_order_acquire); }
  /// Lets the worker do nothing more after the attempt that it began then. False where it is through with it: then nothing has happened.
  [[nodiscard]] bool condemn(std::uint64_t attempt_began) noexcept {
    return began_.compare_exchange_strong(attempt_began, condemned, std::memory_order_acq_rel);
  }
  /// True while the worker has nothing left to do but to write out what it printed.
  [[nodiscard]] bool is_leaving() const noexcept { return leaving_.load(std::memory_order_acquire) == yes; }
  /// True once it has done that, too.
  [[nodiscard]] bool has_left() const noexcept { return leaving_.load(std::memory_order_acquire) == ~yes; }
  /// The code that the worker gave to exit(), -1 if it did not call that.
  [[nodiscard]] int exit_code() const noexcept { return exit_called_.load(std::memory_order_acquire) == yes ? exit_code_.load() : -1; }

  // --- the worker

  void wait_for_gate() noexcept {
    wait_until([&] { return gate_.load(std::memory_order_acquire) != 0; });
  }
  /// Waits for another call than `last`, and gives its number. 0 where there will be none.
  [[nodiscard]] std::uint32_t wait_for_call(std::uint32_t last) noexcept {
    wait_until([&] { return is_over(last); });
    return dismissed_.load(std::memory_order_acquire) == 0 ? call_.load(std::memory_order_acquire) : 0;
  }
  [[nodiscard]] bool is_dismissed() const noexcept { return dismissed_.load(std::memory_order_acquire) != 0; }
  /// Whether the worker was dismissed, or another call than this has begun.
  [[nodiscard]] bool is_over(std::uint32_t call) const noexcept {
    return dismissed_.load(std::memory_order_acquire) != 0 || call_.load(std::memory_order_acquire) != call;
  }
  /// Waits until something holds that the caller nudges for.
  template <class Condition>
  void wait_until(Condition&& holds) noexcept {
    for (;;) {
      const std::uint32_t seen = bell_.load(std::memory_order_acquire);
      if (holds()) return;
      futex_wait(bell_, seen);
    }
  }
  /// Waits for range `number` of a call. False where there will be none.
  [[nodiscard]] bool wait_for_range(std::uint32_t number, std::uint32_t call = 0) noexcept {
    wait_until([&] { return has_range(number) || is_over(call); });
    // In this order: that of another call is none of ours.
    return has_range(number) && call_.load(std::memory_order_acquire) == call;
  }
  [[nodiscard]] bool has_range(std::uint32_t number) const noexcept { return posted_.load(std::memory_order_acquire) != number; }
  /// Range `number` as it is now; its end may still come down.
  [[nodiscard]] index_range range(std::uint32_t number) const noexcept {
    const place& where = places_[number % places];
    const std::size_t first = where.first.load(std::memory_order_relaxed);
    return {first, first + end(where.span.load(std::memory_order_relaxed))};
  }
  /// Which attempt at its tasks it is.
  [[nodiscard]] int attempt(std::uint32_t number) const noexcept {
    return places_[number % places].attempt.load(std::memory_order_relaxed);
  }
  /// Begins the task `begun` places behind the first of range `number`. False where that is behind the end.
  [[nodiscard]] bool claim(std::uint32_t number, std::uint32_t begun_before) noexcept {
    std::atomic<std::uint64_t>& span = places_[number % places].span;
    std::uint64_t seen = span.load(std::memory_order_relaxed);
    // Another beginning than ours is a range that our own task has overwritten: no task of it is ours.
    while (begun(seen) == begun_before && begun_before < end(seen)) {
      if (span.compare_exchange_weak(seen, pack(begun_before + 1, end(seen)), std::memory_order_relaxed)) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t limit() const noexcept { return static_cast<std::size_t>(limit_.load(std::memory_order_relaxed)); }

  // One word for both: killed between two, a worker would be blamed for a task that it has not begun.
  void begin_task(std::size_t index) noexcept { phase_.store(static_cast<std::uint64_t>(index) << 1 | 1, std::memory_order_relaxed); }
  void end_task(std::size_t index) noexcept { phase_.store(static_cast<std::uint64_t>(index + 1) << 1, std::memory_order_release); }
  /// Begins an attempt at the task that was begun; at time 0 where nobody wants to know when.
  void begin_attempt(int number, std::uint64_t now) noexcept {
    attempt_.store(number, std::memory_order_relaxed);
    if (now != 0) began_.store(now, std::memory_order_release);
  }
  /// Ends an attempt that began at some time. False where the caller has condemned the worker for it.
  [[nodiscard]] bool end_attempt() noexcept { return began_.exchange(0, std::memory_order_acq_rel) != condemned; }
  void finish_range(std::uint32_t number, std::uint64_t elapsed) noexcept {
    places_[number % places].elapsed.store(elapsed, std::memory_order_relaxed);
    finished_.store(number + 1, std::memory_order_release);
  }
  void say_ready() noexcept { ready_.store(yes, std::memory_order_release); }
  void say_leaving() noexcept { leaving_.store(yes, std::memory_order_release); }
  /// There is nothing left to do that anybody should wait for.
  void say_left() noexcept { leaving_.store(~yes, std::memory_order_release); }
  void say_exit(int code) noexcept {
    exit_code_.store(code);
    exit_called_.store(yes, std::memory_order_release);
  }
  /// Whether the caller sleeps and has not been told of this. What the worker said before is seen by a caller that this does not wake.
  [[nodiscard]] bool shall_ring() noexcept { return sleeping_.exchange(0, std::memory_order_acq_rel) == 1; }

 private:
  // Not 1: a worker that overwrites its board at random shall not seem to have said it.
  static constexpr std::uint64_t yes = 0x6d616e7968616e64;
  static constexpr std::uint64_t condemned = ~std::uint64_t{0};

  struct alignas(cache_line) place {
    std::atomic<std::uint64_t> first{0};
    std::atomic<std::uint64_t> span{0};  // tasks begun, and the end, counted from `first`: in one word, so that both sides can change it
    std::atomic<std::uint64_t> elapsed{0};
    std::atomic<int> attempt{0};
  };

  static constexpr std::uint64_t pack(std::uint32_t begun_tasks, std::uint32_t end_tasks) noexcept {
    return static_cast<std::uint64_t>(begun_tasks) << 32 | end_tasks;
  }
  static constexpr std::uint32_t begun(std::uint64_t span) noexcept { return static_cast<std::uint32_t>(span >> 32); }
  static constexpr std::uint32_t end(std::uint64_t span) noexcept { return static_cast<std::uint32_t>(span); }

  void wake_worker() noexcept {
    // Always a system call: a flag "the worker sleeps" would be the worker's to overwrite, and then nobody would wake it.
    bell_.fetch_add(1, std::memory_order_release);
    futex_wake(bell_);
  }

  // Written by the caller.
  alignas(cache_line) std::atomic<std::uint32_t> bell_{0};
  std::atomic<std::uint32_t> gate_{0};
  std::atomic<std::uint32_t> posted_{0};
  std::atomic<std::uint32_t> dismissed_{0};
  std::atomic<std::uint64_t> limit_{no_index};
  std::atomic<std::uint32_t> call_{0};  // of one that lives on; else 0 for ever
  // Written by both.
  place places_[places];
  alignas(cache_line) std::atomic<std::uint32_t> sleeping_{0};
  // Written by the worker.
  alignas(cache_line) std::atomic<std::uint64_t> phase_{0};  // a task's index, doubled; odd while it runs
  std::atomic<std::uint64_t> began_{0};                      // condemned: the caller ends the worker for what it is at
  std::atomic<int> attempt_{0};
  std::atomic<std::uint32_t> finished_{0};
  std::atomic<std::uint64_t> ready_{0};
  std::atomic<std::uint64_t> leaving_{0};
  std::atomic<std::uint64_t> exit_called_{0};
  std::atomic<int> exit_code_{-1};

  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);
};
using worker_board = basic_worker_board<void>;

}  // namespace manyhands::detail
