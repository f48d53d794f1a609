#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/assignment.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// What the supervisor wants done next.
struct action {
  enum class kind : std::uint8_t {
    start,      ///< a process for worker `worker`; answer `started` or `not_started`
    fetch,      ///< at most `most` tasks from the call; answer `fetched`
    give,       ///< range `number`, which is `tasks`, to worker `worker`
    take_back,  ///< `wanted` of what worker `worker` has not begun of range `number`, which is `tasks`; answer `took_back`
    retire,     ///< dismiss worker `worker`, which has run enough and has nothing to do
    let_go,     ///< dismiss worker `worker`, which has got its last tasks and ends when it has run them
    cut_short   ///< end worker `worker` if it runs a task that nobody wants any more; answer `doomed` if so
  };

  kind what = kind::start;
  int worker = 0;
  std::uint32_t number = 0;
  index_range tasks = {};
  std::size_t most = 0;
  share wanted = share::half;
  /// For `give`: how often the tasks were begun before.
  int attempt = 0;
  /// For `take_back`: the tasks below it have their results.
  std::size_t done = 0;
  /// For `take_back`: the worker is at this range, or begins it next.
  bool is_next = false;
};

/// The life of a call's workers: who is started, who gets which tasks, what is left to do when one dies, and when to give up.
///
/// Told of events, it says what to do. It calls nothing, waits for nothing and knows no clock. Workers are numbered from 0.
template <class>
class basic_supervisor {
 public:
  /// Deaths in a row outside of any task, and deaths without one task completed, after which a call is given up.
  static constexpr int most_deaths_outside = 8;
  static constexpr int most_deaths_without_progress = 64;

  /// `retries` is how often a task is begun again whose worker died; after `tasks_per_worker`, if it is not 0, a worker is replaced.
  basic_supervisor(int workers, batch_size batch, std::size_t tasks, int retries = 0, std::size_t tasks_per_worker = 0)
      : workers_(static_cast<std::size_t>(workers)),
        batch_(batch),
        retries_(retries),
        quota_(tasks_per_worker != 0 ? tasks_per_worker : no_index),
        unfetched_(tasks) {}

  /// From now on workers are let go as soon as there is nothing more for them, rather than when the call ends: nobody else needs them.
  void let_go_early() noexcept { lets_go_ = true; }
  /// From now on ranges have at most so many tasks, where nobody asked for a size.
  void limit_ranges(std::size_t tasks) noexcept { most_in_range_ = tasks; }

  // --- events

  /// All that has happened up to now was told: what came to nothing may be tried again.
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
  /// It was given so many tasks before, in other calls.
  void started(int number, std::size_t given_before = 0) noexcept {
    at(number).life = state::starting;
    at(number).got = given_before;
  }
  /// The call goes on with the others.
  void not_started(int number) noexcept { at(number).life = state::given_up; }
  /// The worker's initializer has run.
  void ready(int number) noexcept {
    if (at(number).life == state::starting) at(number).life = state::ready;
  }
  /// The first `count` tasks of `expected(number)` have their results.
  void completed(int number, std::size_t count) noexcept {
    at(number).given.complete(count, limit_);
    if (count != 0) deaths_outside_ = deaths_without_progress_ = 0;
  }
  /// The worker says that it is through with its oldest range, and took so long. False where that cannot be.
  [[nodiscard]] bool range_finished(int number, std::chrono::nanoseconds elapsed) {
    const auto oldest = at(number).given.finish_oldest(limit_);
    if (oldest && oldest->done != oldest->first) {
      pace_.took(oldest->done - oldest->first, elapsed);
      timed_.tasks += oldest->done - oldest->first;
      timed_.elapsed += elapsed;
    }
    return oldest.has_value();
  }
  /// These tasks, the last ones of range `range_number`, are the worker's no more. Empty where there was nothing to take.
  void took_back(int number, std::uint32_t range_number, index_range tasks) {
    at(number).tried = tasks.empty();
    if (tasks.empty()) return;
    at(number).given.shorten(range_number, tasks.first);
    at(number).got -= tasks.size();
    todo_.insert(todo_.begin(), tasks);
  }
  /// No task at or above `index` shall start any more, and what becomes of those that run is of no interest.
  void limited(std::size_t index) noexcept { limit_ = std::min(limit_, index); }
  /// The worker is about to die by its caller's hand.
  void doomed(int number) noexcept { at(number).life = state::doomed; }
  /// The worker has left the call, or is about to: another will not take its place unless nobody is left.
  void spared(int number) noexcept {
    worker& who = at(number);
    who.spared = true;
    who.life = who.life == state::absent ? state::given_up : state::doomed;
  }
  /// The worker is gone. Returns the task that it took with it, if any; all its others will be run by somebody else, and so will this one
  /// where it has another attempt.
  [[nodiscard]] std::optional<std::size_t> died(int number, last_sign sign) {
    worker& who = at(number);
    std::optional<std::size_t> culprit = who.given.culprit(sign, limit_);
    // It says that it ran another task than the next one that it owes: it has overwritten results, or what it says.
    const bool is_doubtful = culprit && (sign.what == last_sign::kind::corrupt || sign.task != *culprit);
    const bool is_excused = is_doubtful && who.given.unfinished() > 1 && !is_suspect(*culprit);
    if (is_excused) {
      // It may be any of the tasks that it owes. Each of them gets a worker for itself.
      for (const assignment::range& each : who.given.ranges()) suspects_.push_back({each.done, each.last});
      culprit.reset();
    }
    if (culprit) who.given.complete(1, limit_);
    const bool again = culprit && has_another_attempt(*culprit, sign);
    // To end a late task is our own doing, and attempts are bounded by their number, as are tasks that can become suspect.
    if (sign.what != last_sign::kind::ended && !is_excused && !(sign.what == last_sign::kind::late && culprit)) {
      if (!again) ++deaths_without_progress_;
      deaths_outside_ = culprit ? 0 : deaths_outside_ + 1;
    }
    while (!who.given.ranges().empty()) {
      if (const index_range rest = who.given.drop_newest(limit_)) todo_.insert(todo_.begin(), rest);
    }
    const state after = who.spared ? state::given_up : state::absent;
    who = {};
    who.life = after;
    if (!again) return culprit;
    // Alone, and after those that have not had their turn.
    todo_.push_back({*culprit, *culprit + 1});
    return std::nullopt;
  }

  // --- what to do

  /// The next thing to do, nothing where it is time to wait for events.
  [[nodiscard]] std::optional<action> next() {
    for (index_range& each : todo_) each.last = std::max(each.first, std::min(each.last, limit_));
    std::erase_if(todo_, [](const index_range& each) { return each.empty(); });
    if (is_finished() || is_broken()) return std::nullopt;
    if (!begun_) {  // before the first task is handed out: a call that cannot start a worker has run none
      begun_ = true;
      return action{.what = action::kind::start};
    }
    if (const auto retire = retire_one()) return retire;
    if (const auto feed = feed_those_with(0)) return feed;
    if (const auto start = start_another()) return start;
    if (const auto feed = feed_those_with(1)) return feed;
    if (const auto leave = let_one_go()) return leave;
    if (const auto rob = take_from_the_busy()) return rob;
    return cut_short_the_unwanted();
  }

  // --- queries

  /// The range of which the worker owes the next result, cut off at the limit. Empty where it owes none.
  [[nodiscard]] assignment::range current(int number) const noexcept { return at(number).given.current(limit_); }
  /// The tasks whose results the worker owes next, in this order.
  [[nodiscard]] index_range expected(int number) const noexcept { return at(number).given.expected(limit_); }
  /// True once no task that somebody wants is left.
  [[nodiscard]] bool is_finished() const noexcept {
    if (limit_ == 0) return true;
    return is_dry() && todo_.empty() && !any([this](const worker& each) { return !each.given.expected(limit_).empty(); });
  }
  /// True once workers die again and again and nothing comes of it.
  [[nodiscard]] bool is_broken() const noexcept {
    return deaths_outside_ >= most_deaths_outside || deaths_without_progress_ >= most_deaths_without_progress;
  }
  /// What workers have done, and how long it took all of them together.
  struct work_done {
    std::size_t tasks = 0;
    std::chrono::nanoseconds elapsed{0};
  };
  [[nodiscard]] work_done timed() const noexcept { return timed_; }
  /// True where a worker has nothing to do and, where nothing more is to be fetched, there will be nothing for it unless another one dies.
  [[nodiscard]] bool can_spare(int number) const noexcept {
    const worker& who = at(number);
    return (who.life == state::ready || who.life == state::absent) && who.given.ranges().empty() && todo_.empty() &&
           !any([](const worker& each) { return each.given.unfinished() > 1; });
  }
  /// True while there is a worker that can be given tasks.
  [[nodiscard]] bool has_workers() const noexcept { return any(is_alive); }
  /// True while a worker may be at a task that nobody wants, and `cut_short` did not meet it there.
  [[nodiscard]] bool should_look_again_soon() const noexcept {
    return any([this](const worker& each) { return is_alive(each) && each.given.has_unwanted(limit_); });
  }

 private:
  enum class state : std::uint8_t {
    absent,    ///< has no process
    starting,  ///< has one, which has not said yet that it can run tasks
    ready,     ///< runs tasks, or waits for them
    doomed,    ///< was killed, has retired or was let go, and is not gone yet
    given_up   ///< could not be started, or was spared
  };
  struct worker {
    state life = state::absent;
    bool tried = false;   // what can be tried once between two looks around was tried
    bool spared = false;  // the call does without it
    std::size_t got = 0;  // tasks that it was given and that were not taken back
    assignment given = {};
  };

  [[nodiscard]] worker& at(int number) noexcept { return workers_[static_cast<std::size_t>(number)]; }
  [[nodiscard]] const worker& at(int number) const noexcept { return workers_[static_cast<std::size_t>(number)]; }
  static bool is_alive(const worker& who) noexcept { return who.life == state::starting || who.life == state::ready; }
  template <class Test>
  [[nodiscard]] bool any(Test&& test) const {
    return std::any_of(workers_.begin(), workers_.end(), test);
  }

  /// Counts the attempts at a task that died with its worker, and not more than there can have been, whatever the worker says.
  [[nodiscard]] bool has_another_attempt(std::size_t task, last_sign sign) {
    if (retries_ == 0) return false;
    int& begun = attempts_[task];
    if (sign.what != last_sign::kind::corrupt) begun = std::clamp(sign.attempt, begun, retries_);
    if (++begun <= retries_) return true;
    attempts_.erase(task);
    return false;
  }

  /// Whether the task may have been the one in which a worker has overwritten its memory: if another one does it, there will be no doubt.
  [[nodiscard]] bool is_suspect(std::size_t task) const noexcept {
    return std::any_of(suspects_.begin(), suspects_.end(), [task](index_range each) { return each.first <= task && task < each.last; });
  }
  [[nodiscard]] std::size_t automatic_size() const noexcept { return std::min(pace_.size(), most_in_range_); }
  static adaptive_batch fresh_pace() noexcept { return adaptive_batch(std::chrono::microseconds(700)); }
  [[nodiscard]] bool is_dry() const noexcept { return dry_ || fetched_ >= limit_; }
  [[nodiscard]] std::size_t batch_now() const noexcept {
    if (!batch_.is_automatic()) return std::min(batch_.count(), worker_board::most_tasks);
    return std::min(automatic_size(), fair_share(unfetched_, static_cast<int>(workers_.size())));
  }

  /// Gives tasks to workers that have so many ranges; to those first that can begin at once.
  [[nodiscard]] std::optional<action> feed_those_with(std::size_t ranges) {
    for (const state life : {state::ready, state::starting}) {
      for (std::size_t number = 0; number < workers_.size(); ++number) {
        const auto& given = workers_[number].given.ranges();
        if (workers_[number].life != life || given.size() != ranges || workers_[number].got >= quota_) continue;
        if (ranges != 0 && (is_suspect(given.front().first) || (!todo_.empty() && is_suspect(todo_.front().first)))) continue;
        if (!todo_.empty()) return give(static_cast<int>(number));
        if (is_dry()) return std::nullopt;
        return action{.what = action::kind::fetch, .most = batch_now()};
      }
    }
    return std::nullopt;
  }
  [[nodiscard]] action give(int number) {
    index_range& source = todo_.front();
    index_range tasks = source;
    // What comes back from a worker may be much, and is shared out again; batches of a fixed size stay together.
    if (batch_.is_automatic()) tasks.last = tasks.first + std::min(tasks.size(), automatic_size());
    if (is_suspect(tasks.first)) tasks.last = tasks.first + 1;
    tasks.last = tasks.first + std::min(tasks.size(), quota_ - at(number).got);
    at(number).got += tasks.size();
    source.first = tasks.last;
    if (source.empty()) todo_.erase(todo_.begin());
    const auto begun = attempts_.find(tasks.first);  // no other task is with one that was begun before
    return {.what = action::kind::give,
            .worker = number,
            .number = at(number).given.add(tasks),
            .tasks = tasks,
            .attempt = begun != attempts_.end() ? begun->second : 0};
  }
  [[nodiscard]] std::optional<action> retire_one() {
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      worker& who = workers_[number];
      if (who.life != state::ready || who.got < quota_ || !who.given.ranges().empty()) continue;
      who.life = state::doomed;
      return action{.what = action::kind::retire, .worker = static_cast<int>(number)};
    }
    return std::nullopt;
  }
  /// Where all tasks were handed out, and nobody has one to spare, nor one that may have to be begun again.
  [[nodiscard]] std::optional<action> let_one_go() {
    if (!lets_go_ || retries_ != 0 || !is_dry() || !todo_.empty() || any([](const worker& each) { return each.given.unfinished() > 1; }))
      return std::nullopt;
    const auto found = std::find_if(workers_.begin(), workers_.end(), is_alive);
    if (found == workers_.end()) return std::nullopt;
    found->life = state::doomed;
    return action{.what = action::kind::let_go, .worker = static_cast<int>(found - workers_.begin())};
  }
  [[nodiscard]] std::optional<action> start_another() {
    if (todo_.empty() && is_dry()) return std::nullopt;
    auto found = find(state::absent);
    // Those that could not be started get another chance where nobody else is left.
    if (found == workers_.end() && !has_workers()) found = find(state::given_up);
    if (found == workers_.end()) return std::nullopt;
    if (todo_.empty()) return action{.what = action::kind::fetch, .most = batch_now()};
    return action{.what = action::kind::start, .worker = static_cast<int>(found - workers_.begin())};
  }
  [[nodiscard]] typename std::vector<worker>::const_iterator find(state life) const noexcept {
    return std::find_if(workers_.begin(), workers_.end(), [life](const worker& each) { return each.life == life; });
  }

  /// Where one worker waits and another has tasks that it has not begun, the one gets some of the other's: of the one that has most of
  /// them.
  [[nodiscard]] std::optional<action> take_from_the_busy() const {
    // Not for one that has not waited yet: two that are about to begin would take one task from each other for ever.
    // One that has retired may be replaced for it.
    const auto has_time = [this](const worker& each) {
      return (each.life == state::ready && each.given.ranges().empty()) || (each.life == state::absent && quota_ != no_index);
    };
    if (!any(has_time)) return std::nullopt;
    std::optional<action> best;
    std::size_t most = 0;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      const worker& who = workers_[number];
      if (!is_alive(who) || who.tried || who.given.unfinished() <= most) continue;
      most = who.given.unfinished();
      best = take_from(static_cast<int>(number), who.given);
    }
    return best;
  }
  [[nodiscard]] action take_from(int number, const assignment& given) const {
    const auto& ranges = given.ranges();
    const auto is_left = [](const assignment::range& each) { return each.done < each.last; };
    const assignment::range& oldest = *std::find_if(ranges.begin(), ranges.end(), is_left);
    const assignment::range& newest = *std::find_if(ranges.rbegin(), ranges.rend(), is_left);
    action rob{.what = action::kind::take_back,
               .worker = number,
               .number = newest.number,
               .tasks = {newest.first, newest.last},
               .done = newest.done};
    rob.is_next = &newest == &oldest;
    if (!batch_.is_automatic()) {
      rob.wanted = share::whole;
    } else if (!rob.is_next && oldest.last - oldest.done > 1) {
      rob.wanted = share::rest;  // without them the worker still has more than the task that it runs
    }
    return rob;
  }

  [[nodiscard]] std::optional<action> cut_short_the_unwanted() {
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      worker& who = workers_[number];
      if (!is_alive(who) || who.tried || !who.given.has_unwanted(limit_)) continue;
      who.tried = true;
      return action{.what = action::kind::cut_short, .worker = static_cast<int>(number)};
    }
    return std::nullopt;
  }

  std::vector<worker> workers_;
  batch_size batch_;
  int retries_;
  std::size_t quota_;                    // the most tasks that one worker is given
  std::map<std::size_t, int> attempts_;  // how often tasks were begun that have died with a worker
  std::size_t unfetched_;
  adaptive_batch pace_ = fresh_pace();
  work_done timed_ = {};
  std::vector<index_range> suspects_;
  std::vector<index_range> todo_;  // fetched or taken back, and nobody's
  std::size_t fetched_ = 0;        // the tasks below it were fetched
  bool dry_ = false;               // the call had no more tasks to hand out
  bool begun_ = false;
  bool lets_go_ = false;
  std::size_t most_in_range_ = no_index;
  std::size_t limit_ = no_index;
  int deaths_outside_ = 0;
  int deaths_without_progress_ = 0;
};
using supervisor = basic_supervisor<void>;

}  // namespace manyhands::detail
