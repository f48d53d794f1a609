#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// What the supervisor wants done next.
struct action {
  enum class kind : std::uint8_t {
    start,      ///< a process for worker `worker`; answer `started` or `not_started`
    fetch,      ///< at most `most` tasks from the call; answer `fetched`
    give,       ///< range `number`, which is `tasks`, to worker `worker`
    take_back,  ///< `wanted` of the tasks of range `number` that worker `worker` has not begun; answer `took_back`
    cut_short   ///< end worker `worker` if it runs a task that nobody wants any more; answer `doomed` if so
  };

  kind what = kind::start;
  int worker = 0;
  std::uint32_t number = 0;
  index_range tasks = {};
  std::size_t most = 0;
  /// For `take_back`: the tasks of the range below it have their results.
  std::size_t done = 0;
  share wanted = share::half;
  /// For `take_back`: one task may be left to the worker, if that is about to begin it.
  bool is_next = false;
};

/// How a worker was found dead.
struct last_sign {
  enum class kind : std::uint8_t {
    idle,     ///< it ran no task
    running,  ///< it said that it ran `task`
    corrupt,  ///< it had overwritten what it shares with its caller, and was ended for it
    ended     ///< its caller ended it, for a task that nobody wanted
  };

  kind what = kind::idle;
  std::size_t task = 0;
};

/// The life of a call's workers: who is started, who gets which tasks, what is left to do when one dies, and when to give up.
///
/// Told of events, it says what to do, and remembers all that the call's decisions rest on. It calls nothing, waits for nothing and knows no clock.
/// Every worker runs its ranges in order and a range's tasks in order: so the first task without a result is the one that a dead worker ran.
class supervisor {
 public:
  /// Deaths in a row outside of any task, and deaths without one task completed, after which a call is given up.
  static constexpr int most_deaths_outside = 8;
  static constexpr int most_deaths_without_progress = 64;

  supervisor(int workers, batch_size batch, std::size_t tasks)
      : workers_(static_cast<std::size_t>(workers)), batch_(batch), unfetched_(tasks), pace_(std::chrono::microseconds(700)) {}

  // --- events

  /// All that has happened up to now was told: actions that came to nothing may be tried again.
  void looked_around() noexcept {
    for (worker& each : workers_) each.tried = false;
  }
  void fetched(index_range tasks) {
    unfetched_ -= std::min(unfetched_, tasks.size());
    if (tasks.empty()) {
      dry_ = true;
    } else {
      fetched_ = tasks.last;
      todo_.push_back(tasks);
    }
  }
  void started(int number) noexcept { at(number) = {.life = state::starting}; }
  /// The call goes on with those that there are. With none left it cannot: the caller has tried hard before it tells this.
  void not_started(int number) noexcept { at(number).life = state::given_up; }
  /// The worker's initializer has run.
  void ready(int number) noexcept {
    if (at(number).life == state::starting) at(number).life = state::ready;
  }
  /// The first `count` tasks of `expected(number)` have their results.
  void completed(int number, std::size_t count) noexcept {
    worker& who = at(number);
    if (range* current = current_range(who); current != nullptr && count != 0) {
      current->done += count;
      who.last_done = current->done - 1;
      deaths_outside_ = deaths_without_progress_ = 0;
    }
  }
  /// The worker says that it is through with its oldest range, and took so long. False where that cannot be.
  [[nodiscard]] bool range_finished(int number, std::chrono::nanoseconds elapsed) {
    worker& who = at(number);
    if (who.ranges.empty()) return false;
    const range& oldest = who.ranges.front();
    if (oldest.done < wanted_end(oldest)) return false;
    if (oldest.done != oldest.first) pace_.took(oldest.done - oldest.first, elapsed);
    who.ranges.pop_front();
    return true;
  }
  /// These tasks, the last ones of range `range_number`, are the worker's no more. Empty where there was nothing to take.
  void took_back(int number, std::uint32_t range_number, index_range tasks) {
    worker& who = at(number);
    who.tried = tasks.empty();
    if (tasks.empty()) return;
    for (range& each : who.ranges) {
      if (each.number == range_number) each.last = tasks.first;
    }
    todo_.push_front(tasks);
  }
  /// No task at or above `index` shall start any more, and what becomes of those that run is of no interest.
  void limited(std::size_t index) { limit_ = std::min(limit_, index); }
  /// The worker is about to die by its caller's hand.
  void doomed(int number) noexcept { at(number).life = state::doomed; }
  /// The worker is gone. Returns the task that it took with it, if any; all its others will be run by somebody else.
  [[nodiscard]] std::optional<std::size_t> died(int number, last_sign sign) {
    worker& who = at(number);
    const std::optional<std::size_t> culprit = culprit_of(who, sign);
    if (culprit) ++current_range(who)->done;
    if (sign.what != last_sign::kind::ended) {
      ++deaths_without_progress_;
      deaths_outside_ = culprit ? 0 : deaths_outside_ + 1;
    }
    for (; !who.ranges.empty(); who.ranges.pop_back()) {
      const range& newest = who.ranges.back();
      if (newest.done < wanted_end(newest)) todo_.push_front({newest.done, wanted_end(newest)});
    }
    who = {.life = state::absent};
    return culprit;
  }

  // --- what to do

  /// The next thing to do, nothing where it is time to wait for events.
  [[nodiscard]] std::optional<action> next() {
    drop_unwanted();
    if (is_finished() || is_broken()) return std::nullopt;
    if (!begun_) {  // before the first task is handed out, so that a call that cannot start a worker has run none
      begun_ = true;
      return action{.what = action::kind::start, .worker = 0};
    }
    if (auto feed = feed_those_with(0)) return feed;
    if (auto start = start_another()) return start;
    if (auto feed = feed_those_with(1)) return feed;
    if (auto rob = take_from_the_busy()) return rob;
    return cut_short_the_unwanted();
  }

  // --- queries

  /// The tasks whose results the worker owes next, in this order.
  [[nodiscard]] index_range expected(int number) noexcept {
    const range* current = current_range(at(number));
    return current != nullptr ? index_range{current->done, wanted_end(*current)} : index_range{};
  }
  /// True once no task that somebody wants is left.
  [[nodiscard]] bool is_finished() noexcept {
    if (limit_ == 0) return true;
    if (!is_dry() || !todo_.empty()) return false;
    return std::none_of(workers_.begin(), workers_.end(), [this](worker& each) { return current_range(each) != nullptr; });
  }
  /// True once workers die again and again and nothing comes of it.
  [[nodiscard]] bool is_broken() const noexcept {
    return deaths_outside_ >= most_deaths_outside || deaths_without_progress_ >= most_deaths_without_progress;
  }
  /// Workers that have a process and can be given tasks.
  [[nodiscard]] int alive() const noexcept { return static_cast<int>(std::count_if(workers_.begin(), workers_.end(), is_alive)); }
  /// True while a worker may be busy with a task that nobody wants, and `cut_short` did not meet it at that.
  [[nodiscard]] bool should_look_again_soon() noexcept {
    return limit_ != no_index &&
           std::any_of(workers_.begin(), workers_.end(), [this](worker& each) { return is_alive(each) && has_unwanted(each); });
  }

 private:
  enum class state : std::uint8_t {
    absent,    ///< has no process
    starting,  ///< has one, which has not said yet that it can run tasks
    ready,     ///< runs tasks, or waits for them
    doomed,    ///< was killed and is not gone yet
    given_up   ///< could not be started
  };
  struct range {
    std::uint32_t number = 0;
    std::size_t first = 0;
    std::size_t done = 0;  // the tasks below it have their results
    std::size_t last = 0;
  };
  struct worker {
    state life = state::absent;
    bool tried = false;  // what can be tried once between two looks around was tried
    std::uint32_t posted = 0;
    std::size_t last_done = no_index;
    std::deque<range> ranges = {};  // in the order in which it runs them, at most worker_board::places
  };

  [[nodiscard]] worker& at(int number) noexcept { return workers_[static_cast<std::size_t>(number)]; }
  static bool is_alive(const worker& who) noexcept { return who.life == state::starting || who.life == state::ready; }
  [[nodiscard]] std::size_t wanted_end(const range& each) const noexcept { return std::min(each.last, limit_); }

  /// The range in which the worker owes the next result. Those before it that lie above the limit it skips.
  [[nodiscard]] range* current_range(worker& who) noexcept {
    for (range& each : who.ranges) {
      if (each.done < wanted_end(each)) return &each;
    }
    return nullptr;
  }
  /// True where the worker may run a task above the limit before it comes to one that is wanted.
  [[nodiscard]] bool has_unwanted(worker& who) noexcept {
    const range* const current = current_range(who);
    for (const range& each : who.ranges) {
      if (&each == current) return false;
      if (each.done < each.last) return true;
    }
    return false;
  }

  [[nodiscard]] std::optional<std::size_t> culprit_of(worker& who, last_sign sign) noexcept {
    const range* const current = current_range(who);
    if (current == nullptr || sign.what == last_sign::kind::ended || sign.what == last_sign::kind::idle) return std::nullopt;
    // It was killed after it had left the result and before it could say so; or in a task that nobody wants.
    if (sign.what == last_sign::kind::running && (sign.task == who.last_done || (sign.task >= limit_ && has_unwanted(who)))) return std::nullopt;
    // Whatever a corrupt worker says: to charge the first task without a result makes sure that the call comes to an end.
    return current->done;
  }

  void drop_unwanted() {
    for (index_range& each : todo_) each.last = std::min(each.last, std::max(each.first, limit_));
    std::erase_if(todo_, [](const index_range& each) { return each.empty(); });
  }
  [[nodiscard]] bool is_dry() const noexcept { return dry_ || fetched_ >= limit_; }
  [[nodiscard]] std::size_t batch_now() const noexcept {
    if (!batch_.is_automatic()) return std::min(batch_.count(), worker_board::most_tasks);
    return std::min(pace_.size(), fair_share(unfetched_, static_cast<int>(workers_.size())));
  }

  /// Gives tasks to workers that have so many ranges.
  [[nodiscard]] std::optional<action> feed_those_with(std::size_t ranges) {
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      worker& who = workers_[number];
      if (!is_alive(who) || who.ranges.size() != ranges) continue;
      if (!todo_.empty()) return give(static_cast<int>(number));
      if (is_dry()) return std::nullopt;
      return action{.what = action::kind::fetch, .most = batch_now()};
    }
    return std::nullopt;
  }
  [[nodiscard]] action give(int number) {
    worker& who = at(number);
    index_range& source = todo_.front();
    index_range tasks = source;
    // What comes back from a worker may be much, and is shared out again; batches of a fixed size stay together.
    if (batch_.is_automatic() && tasks.size() > pace_.size()) tasks.last = tasks.first + pace_.size();
    source.first = tasks.last;
    if (source.empty()) todo_.pop_front();
    who.ranges.push_back({who.posted, tasks.first, tasks.first, tasks.last});
    return {.what = action::kind::give, .worker = number, .number = who.posted++, .tasks = tasks};
  }
  [[nodiscard]] std::optional<action> start_another() {
    if (todo_.empty() && is_dry()) return std::nullopt;
    auto found = find(state::absent);
    // Those that could not be started get another chance where nobody else is left.
    if (found == workers_.size() && alive() == 0) found = find(state::given_up);
    if (found == workers_.size()) return std::nullopt;
    if (todo_.empty()) return action{.what = action::kind::fetch, .most = batch_now()};
    return action{.what = action::kind::start, .worker = static_cast<int>(found)};
  }
  [[nodiscard]] std::size_t find(state life) const noexcept {
    const auto found = std::find_if(workers_.begin(), workers_.end(), [life](const worker& each) { return each.life == life; });
    return static_cast<std::size_t>(found - workers_.begin());
  }

  /// Where a worker has nothing to do and another has tasks that it has not begun, the idle one gets some of them.
  [[nodiscard]] std::optional<action> take_from_the_busy() {
    // Only for one that waits already: two that are about to begin would take the same task from each other forever.
    const bool somebody_waits = std::any_of(workers_.begin(), workers_.end(), [](const worker& each) { return each.life == state::ready && each.ranges.empty(); });
    if (!somebody_waits || !todo_.empty()) return std::nullopt;
    std::optional<action> best;
    std::size_t most = 0;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      worker& who = workers_[number];
      if (!is_alive(who) || who.tried || who.ranges.empty()) continue;
      const std::size_t waiting = unfinished(who);
      if (waiting <= most) continue;
      if (auto rob = take_from(static_cast<int>(number), who)) {
        best = rob;
        most = waiting;
      }
    }
    return best;
  }
  [[nodiscard]] std::optional<action> take_from(int number, worker& who) {
    const range& newest = who.ranges.back();
    if (newest.done == newest.last) return std::nullopt;
    const bool is_next = &newest == &who.ranges.front() || who.ranges.front().done == who.ranges.front().last;
    action rob{.what = action::kind::take_back,
               .worker = number,
               .number = newest.number,
               .tasks = {newest.first, newest.last},
               .done = newest.done,
               .is_next = is_next};
    if (!batch_.is_automatic()) {
      rob.wanted = share::whole;
    } else {
      // Behind a range of which more than the task that may run is left, all of it; else a half.
      rob.wanted = &newest != &who.ranges.front() && who.ranges.front().last - who.ranges.front().done > 1 ? share::rest : share::half;
    }
    return rob;
  }
  [[nodiscard]] static std::size_t unfinished(const worker& who) noexcept {
    std::size_t count = 0;
    for (const range& each : who.ranges) count += each.last - each.done;
    return count;
  }

  [[nodiscard]] std::optional<action> cut_short_the_unwanted() {
    if (limit_ == no_index) return std::nullopt;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      worker& who = workers_[number];
      if (!is_alive(who) || who.tried || !has_unwanted(who)) continue;
      who.tried = true;
      return action{.what = action::kind::cut_short, .worker = static_cast<int>(number)};
    }
    return std::nullopt;
  }

  std::vector<worker> workers_;
  batch_size batch_;
  std::size_t unfetched_;
  adaptive_batch pace_;
  std::deque<index_range> todo_;  // fetched or taken back, and nobody's
  std::size_t fetched_ = 0;       // the tasks below it were fetched
  bool dry_ = false;              // the call had no more tasks to hand out
  bool begun_ = false;
  std::size_t limit_ = no_index;
  int deaths_outside_ = 0;
  int deaths_without_progress_ = 0;
};

}  // namespace manyhands::detail
