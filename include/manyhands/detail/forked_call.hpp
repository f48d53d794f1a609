#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/inner_limit.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/packed_call.hpp>
#include <manyhands/detail/pooled_worker.hpp>
#include <manyhands/detail/result_intake.hpp>
#include <manyhands/detail/supervisor.hpp>
#include <manyhands/detail/worker_link.hpp>
#include <manyhands/detail/worker_pool.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// One call on worker processes: hears what they say, tells the supervisor, and does what that wants. All of it in the calling thread.
template <class>
class basic_forked_call {
  using milliseconds = std::chrono::milliseconds;
  using clock = std::chrono::steady_clock;

 public:
  /// `result_size` is that of every result's bytes, 0 where it varies; `seats` are the numbers of its workers, where they are not 0, 1, 2
  /// and so on. Throws `std::system_error` where the system has no descriptor or memory left.
  basic_forked_call(jobs& work, const plan& how, std::size_t result_size, std::vector<int> seats = {})
      : basic_forked_call(work, how, std::min(static_cast<std::size_t>(how.workers), work.known()), nullptr, result_size) {
    polled_.resize(links_.size() + 1);
    // Not where others have use for their seats, nor where an initializer may take long: then one that is ready runs another's task.
    if (seats.empty() && !work.facts().initializer) supervisor_.let_go_early();
    seats_ = std::move(seats);
    forks_.emplace(work.facts());
  }
  /// The same on workers of that pool, which did not inherit the tasks. Throws `not_transportable`, too.
  basic_forked_call(jobs& work, const plan& how, std::size_t result_size, worker_pool& pool)
      : basic_forked_call(work, how, std::min(static_cast<std::size_t>(how.workers), work.known()), &pool, result_size) {
    polled_.resize(2 * links_.size());
    kind_ = {.initializer = code_of(work.facts().initializer), .memory_limit = work.facts().memory_limit, .program = known_program::now()};
    save_call(work, sent_);
  }

  /// Returns once all tasks that somebody wants are settled and no worker is left. Throws only before the first task is handed out.
  void run() {
    try {
      while (step()) {
        const milliseconds most = falls_asleep();
        wait_for_any(polled_, most);
        wakes_up();
      }
    } catch (...) {
      if (!handed_out_) throw;
      work_.abort(std::current_exception());
    }
    end();
  }

  // --- the same bit by bit, for who has several at a time: `step` until it is false, with pauses, then `end`

  /// Hears what workers say and does all that can be done at once. False once no task that somebody wants is left. Throws like `run`, and
  /// also where it cannot go on.
  bool step() {
    supervisor_.looked_around();
    for (std::size_t number = 0; number < links_.size(); ++number) hear(number);
    heed_limit();
    while (const std::optional<action> wanted = supervisor_.next()) {
      perform(*wanted);
      heed_limit();
    }
    for (worker_link& link : links_) link.offer_where_memory_runs_out();
    if (supervisor_.is_broken()) give_up();
    return !supervisor_.is_finished();
  }
  /// Has workers say from now on when there is something to hear: then one of `polled` is ready. Gives the longest time to wait for it.
  [[nodiscard]] milliseconds falls_asleep() {
    milliseconds at_most = most_sleep();
    for (std::size_t number = 0; number < links_.size(); ++number) {
      worker_link& link = links_[number];
      polled_[number] = {link.runs() ? link.process().fd() : -1, POLLIN, 0};
      if (pool_ != nullptr) polled_[links_.size() + number] = {link.runs() ? link.bell()->fd() : -1, POLLIN, 0};
      if (!link.runs()) continue;
      link.board().caller_sleeps();
      // What it said before it knew that we sleep, it did not ring for.
      if (!ending_ && !link.is_corrupt && !link.was_ended && link.has_news()) at_most = milliseconds(0);
    }
    if (forks_) polled_.back() = {forks_->bell.fd(), POLLIN, 0};
    return at_most;
  }
  [[nodiscard]] std::vector<pollfd>& polled() noexcept { return polled_; }
  void wakes_up() noexcept {
    if (forks_ && polled_.back().revents != 0) forks_->bell.silence();
    for (std::size_t number = 0; number < links_.size(); ++number) {
      const worker_link& link = links_[number];
      if (!link.runs()) continue;
      if (pool_ != nullptr && polled_[links_.size() + number].revents != 0) link.bell()->silence();
      link.board().caller_wakes();
    }
  }
  /// What its workers have done up to now.
  [[nodiscard]] supervisor::work_done timed() const noexcept { return supervisor_.timed(); }
  /// Lets workers go for which there will be no more work, and gives their seats to others.
  void retire_idle(std::vector<int>& seats) {
    for (std::size_t number = 0; number < links_.size(); ++number) {
      worker_link& link = links_[number];
      if (seats_[number] == no_seat || work_.waiting() > 0 || !supervisor_.can_spare(static_cast<int>(number))) continue;
      supervisor_.spared(static_cast<int>(number));
      if (link.runs()) {
        link.was_ended = true;
        link.last_moment = clock::now() + patience;
        link.board().dismiss();
      }
      seats.push_back(std::exchange(seats_[number], no_seat));
    }
  }
  /// Gives the seats of all its workers to others. After `end`.
  void leave_seats(std::vector<int>& seats) {
    std::copy_if(seats_.begin(), seats_.end(), std::back_inserter(seats), [](int seat) { return seat != no_seat; });
    seats_.clear();
  }

  /// Ends all workers, or gives them back to their pool. Those that have done what was wanted write out what they printed; the others are
  /// at what nobody wants.
  void end() noexcept {
    ending_ = true;
    if (pool_ != nullptr) give_back();
    const clock::time_point last_moment = clock::now() + patience;
    const std::size_t limit = work_.limit();
    for (worker_link& link : links_) {
      if (!link.runs()) continue;
      const std::size_t task = link.board().running();
      // A wanted task that seems to run has left its result, and is about to say so.
      if (link.board().is_ready() && !link.is_corrupt && !link.is_late && (task == no_index || task < limit)) {
        link.let_go();
      } else {
        link.kill();
      }
    }
    for (;;) {
      bool all_gone = true;
      const bool late = clock::now() > last_moment;
      for (worker_link& link : links_) {
        if (!link.runs() || link.try_collect()) continue;
        all_gone = false;
        const std::size_t task = link.board().running();
        const bool began_late = task != no_index && task >= limit;  // before it could see the limit
        // One that writes its output may take its time: somebody may read it slowly. One that does not even begin to has lost its mind.
        if (began_late || (late && !link.board().is_leaving())) link.kill();
      }
      if (all_gone) return;
      const milliseconds most = falls_asleep();
      wait_for_any(polled_, most);
      wakes_up();
    }
  }

 private:
  basic_forked_call(jobs& work, const plan& how, std::size_t workers, worker_pool* pool, std::size_t result_size)
      : work_(work),
        supervisor_(static_cast<int>(workers), how.batch, work.known(), work.facts().retries, work.facts().tasks_per_worker),
        pool_(pool),
        result_size_(result_size),
        intake_(work, supervisor_),
        links_(workers) {
    if (const std::size_t places = direct_results::capacity_for(result_size); places != 0) supervisor_.limit_ranges(places);
  }

  // Whose worker was let go.
  static constexpr int no_seat = -1;

  /// So long a worker has to follow when it is asked to end. One that is stopped, or blocks SIGTERM, never does.
  static constexpr milliseconds grace{500};
  /// And so long it has to begin to leave when it is dismissed.
  static constexpr milliseconds patience{1000};

  /// Gives workers back that have nothing left to do, and waits a moment for those that are about to say so.
  void give_back() noexcept {
    const clock::time_point last_moment = clock::now() + patience;
    const std::size_t limit = work_.limit();
    for (worker_link& link : links_) {
      if (link.runs()) link.send_no_more();
    }
    for (;;) {
      bool any = false;
      for (std::size_t number = 0; number < links_.size(); ++number) {
        worker_link& link = links_[number];
        if (!link.runs() || link.is_corrupt || link.was_ended || link.is_late || link.is_stuck) continue;
        if (!intake_.take(static_cast<int>(number), link)) continue;
        if (link.is_idle()) {
          pool_->give_back(std::move(link), kind_, quota());
          continue;
        }
        if (link.try_collect()) continue;
        const std::size_t task = link.board().running();
        any = any || ((task == no_index || task < limit) && link.can_become_idle());
      }
      if (!any || clock::now() > last_moment) return;
      const milliseconds most = falls_asleep();
      wait_for_any(polled_, std::min(most, milliseconds(1)));
      wakes_up();
    }
  }
  /// Of tasks, that a worker may be given in its life.
  [[nodiscard]] std::size_t quota() const noexcept {
    return work_.facts().tasks_per_worker != 0 ? work_.facts().tasks_per_worker : no_index;
  }

  // --- what workers say

  void hear(std::size_t number) {
    worker_link& link = links_[number];
    if (!link.runs()) return;
    // First of all: what a dead worker has left is complete.
    std::optional<exit_status> status;
    if (polled_[number].revents != 0 || link.process().fd() < 0) status = link.try_collect();
    if (!link.is_corrupt && !link.was_ended) {
      if (!link.is_ready && link.board().is_ready()) {
        link.is_ready = true;
        supervisor_.ready(static_cast<int>(number));
      }
      if (!intake_.take(static_cast<int>(number), link) || !link.is_intact(limit_)) {
        doom(number);
      }
      if (pool_ != nullptr && link.runs() && !link.is_corrupt) link.send(work_);
    }
    if (status) {
      bury(number, *status);
    } else if (clock::time_point::max() != link.last_moment) {
      if (clock::now() >= link.last_moment && (link.is_late || !link.board().is_leaving())) link.kill();
    } else if (timeout_.count() != 0) {
      look_at_clock(number);
    }
  }

  void doom(std::size_t number) {
    links_[number].is_corrupt = true;
    supervisor_.doomed(static_cast<int>(number));
    links_[number].kill();
  }

  void look_at_clock(std::size_t number) {
    worker_link& link = links_[number];
    if (link.is_corrupt || link.was_ended || link.is_stuck) return;
    const std::uint64_t began = link.board().began();
    const clock::time_point now = clock::now();
    const index_range owed = supervisor_.expected(static_cast<int>(number));
    const bool is_at_work = link.is_ready && !owed.empty();
    const std::chrono::nanoseconds silence = link.silence(is_at_work ? owed.first : no_index, began, now);
    if (began == 0) {
      // Stopped between two tasks, or it has lost its clock. One that writes its output may take its time.
      if (!is_at_work || silence < grace || silence - grace < timeout_) return;
      if (link.board().running() == no_index && !link.process().is_stopped()) return;
      link.is_stuck = true;
      supervisor_.doomed(static_cast<int>(number));
      link.kill();
    } else if (began > nanoseconds(now)) {  // it cannot be
      doom(number);
    } else if (nanoseconds(now) - began >= static_cast<std::uint64_t>(timeout_.count()) && link.condemn(began)) {
      link.is_late = true;
      link.last_moment = now + grace;
      supervisor_.doomed(static_cast<int>(number));
    }
  }
  [[nodiscard]] static std::uint64_t nanoseconds(clock::time_point time) noexcept {
    return static_cast<std::uint64_t>(time.time_since_epoch() / std::chrono::nanoseconds(1));
  }

  void bury(std::size_t number, exit_status status) {
    worker_link& link = links_[number];
    last_sign sign;
    if (link.was_ended || (link.has_left(status) && supervisor_.expected(static_cast<int>(number)).empty())) {
      sign.what = last_sign::kind::ended;
    } else if (link.is_corrupt) {
      intake_.take_places(static_cast<int>(number), link);  // each of them shows whether it was overwritten, too
      sign.what = last_sign::kind::corrupt;
    } else if (const std::size_t task = link.board().running(); task != no_index || link.is_late) {
      sign = {link.is_late || link.is_stuck ? last_sign::kind::late : last_sign::kind::running, task, link.board().attempt()};
    }
    last_status_ = status;
    const int seat = seat_of(static_cast<int>(number));
    if (!ending_ && !(link.was_let_go && sign.what == last_sign::kind::ended)) tell(occurrence::kind::lost, seat);
    if (const std::optional<std::size_t> lost = supervisor_.died(static_cast<int>(number), sign)) {
      const std::size_t index = work_.index_in_call(*lost);
      work_.fail(*lost, sign.what == last_sign::kind::late ? std::make_exception_ptr(task_timeout(index, timeout_))
                                                           : std::make_exception_ptr(worker_lost(index, seat, status.signal, status.code,
                                                                                                 link.crashed_at(status.signal))));
    }
  }

  // --- what the supervisor wants

  void perform(const action& wanted) {
    worker_link& link = links_[static_cast<std::size_t>(wanted.worker)];
    switch (wanted.what) {
      case action::kind::start:
        start(wanted.worker);
        break;
      case action::kind::fetch:
        handed_out_ = true;
        supervisor_.fetched(work_.next(wanted.most));
        break;
      case action::kind::give:
        if (pool_ != nullptr) {
          link.queue(wanted.tasks);
          link.send(work_, true);
        }
        link.board().post(link.posted++, wanted.tasks, wanted.attempt);
        tell(occurrence::kind::dispatched, seat_of(wanted.worker), wanted.tasks);
        break;
      case action::kind::take_back:
        take_back(link, wanted);
        break;
      case action::kind::retire:
        link.was_ended = true;
        link.last_moment = clock::now() + patience;
        link.board().dismiss();
        break;
      case action::kind::let_go:
        link.let_go();
        break;
      case action::kind::cut_short:
        if (link.board().running() != no_index && link.board().running() >= work_.limit()) {
          link.was_ended = true;
          supervisor_.doomed(wanted.worker);
          link.kill();
        }
        break;
    }
  }

  void start(int number) {
    worker_link& link = links_[static_cast<std::size_t>(number)];
    // With others at work it is not worth waiting until the system has a process to spare.
    const int attempts = supervisor_.has_workers() ? 1 : 6;
    for (int attempt = 1;; ++attempt) {
      try {
        if (pool_ != nullptr) {
          start_pooled(link, number);
        } else {
          flush_standard_streams();
          if (link.was_started) forks_->parent.look_at_signals();
          link.start(work_, seat_for(number), forks_->parent, result_size_, forks_->bell, links_);
          if (!seats_.empty()) link.offer_where_memory_runs_out(true);  // of a stream, whose consumer may be away for long
        }
        link.board().limit(limit_);
        supervisor_.started(number, link.tasks_given);
        if (std::exchange(link.was_started, true)) tell(occurrence::kind::replaced, seat_of(number));
        return;
      } catch (const std::system_error& error) {
        if (attempt < attempts && error.code() == std::errc::resource_unavailable_try_again) {
          std::this_thread::sleep_for(milliseconds(1 << (attempt - 1)));
          continue;
        }
        supervisor_.not_started(number);
        if (supervisor_.has_workers()) return;
        if (!handed_out_) throw;
        work_.abort(std::current_exception());
        return;
      }
    }
  }

  void start_pooled(worker_link& link, int number) {
    pool_->take(link, kind_, quota());
    call_opening opening{.worker = seat_for(number), .result_size = result_size_};
    if (work_.facts().pins != nullptr) {
      const pinning& pins = *work_.facts().pins;
      opening.processors = (work_.facts().binds ? pins.place_of(opening.worker) : pins.home()).processors();
    }
    link.begin_call(std::move(opening), sent_.bytes());
  }

  void take_back(worker_link& link, const action& wanted) {
    // What a worker that waits for work is about to begin is left to it, or two idle workers would take one task from each other for ever.
    const bool begins = wanted.is_next && link.is_ready && link.board().running() == no_index;
    const std::optional<index_range> taken =
        link.board().take_back(wanted.number, wanted.tasks, wanted.done, wanted.wanted, begins ? 1 : 0);
    if (pool_ != nullptr && taken && !taken->empty()) {
      link.shorten(wanted.number, taken->first);
      link.tasks_given -= taken->size();
    }
    // Rubbish will be found by `hear`, which ends the worker; here there is just nothing to take.
    supervisor_.took_back(wanted.worker, wanted.number, taken.value_or(index_range{wanted.tasks.last, wanted.tasks.last}));
  }

  void heed_limit() {
    const std::size_t limit = work_.limit();
    if (limit >= limit_) return;
    limit_ = limit;
    for (worker_link& link : links_) {
      if (!link.runs()) continue;
      link.board().limit(limit);
      if (pool_ != nullptr) link.board().nudge();  // it may wait for a task that will not be sent
    }
    supervisor_.limited(limit);
  }

  void give_up() {
    std::string text = "worker processes died again and again, and no task was completed; the last one ";
    if (last_status_.signal != 0) {
      text += "was killed by signal " + std::to_string(last_status_.signal);
    } else if (last_status_.code >= 0) {
      text += "exited with code " + std::to_string(last_status_.code);
    } else {
      text += "ended with a status that the host program has collected";
    }
    work_.abort(std::make_exception_ptr(pool_broken(text)));
    heed_limit();
  }

  /// The number that a worker goes by: that of the one whose place it takes.
  [[nodiscard]] int seat_for(int number) noexcept {
    if (seats_.empty()) return number;
    int& mine = seats_[static_cast<std::size_t>(number)];
    // That of a worker that was let go is somebody else's by now, but then one has died that has left its own.
    for (std::size_t other = 0; mine == no_seat && other < links_.size(); ++other) {
      if (!links_[other].runs()) std::swap(mine, seats_[other]);
    }
    return mine;
  }
  [[nodiscard]] int seat_of(int number) const noexcept { return seats_.empty() ? number : seats_[static_cast<std::size_t>(number)]; }

  /// `tasks` by their numbers here.
  void tell(occurrence::kind what, int seat, index_range tasks = {}) noexcept {
    observation* const seen = work_.facts().observed;
    if (seen == nullptr || seat == no_seat) return;  // one that was let go is neither lost nor replaced
    const std::size_t first = work_.index_in_call(tasks.first);
    seen->report({.what = what, .task = {.index = first, .worker = seat}, .last = first + tasks.size()});
  }

  // --- waiting

  [[nodiscard]] milliseconds most_sleep() {
    // A worker rings for whatever it says, and its end is seen: the longest sleep only bounds the harm where a task has closed its bell.
    constexpr milliseconds longest(100);
    constexpr milliseconds where_ends_are_silent(2);
    constexpr milliseconds where_a_task_is_unwanted(1);
    if (supervisor_.should_look_again_soon()) return where_a_task_is_unwanted;
    const bool silent =
        std::any_of(links_.begin(), links_.end(), [](const worker_link& link) { return link.runs() && link.process().fd() < 0; });
    const bool new_ones =
        std::any_of(links_.begin(), links_.end(), [](const worker_link& link) { return link.runs() && !link.is_offered; });
    return std::min({silent ? where_ends_are_silent : longest, new_ones && !ending_ ? worker_link::soon : longest, until_one_is_late()});
  }
  /// How long no worker can be late. Tasks that begin meanwhile have all their time before them.
  [[nodiscard]] milliseconds until_one_is_late() {
    if (timeout_.count() == 0 || ending_) return milliseconds::max();
    const clock::time_point now = clock::now();
    std::chrono::nanoseconds least = timeout_;
    for (const worker_link& link : links_) {
      if (!link.runs()) continue;
      if (link.is_late) {
        least = std::min<std::chrono::nanoseconds>(least, link.last_moment - now);
      } else if (const std::uint64_t began = link.board().began(); began != 0 && began < nanoseconds(now)) {
        least = std::min(least, timeout_ - std::chrono::nanoseconds(nanoseconds(now) - began));
      }
    }
    return std::max(std::chrono::ceil<milliseconds>(least), milliseconds(1));
  }

  jobs& work_;
  const std::chrono::nanoseconds timeout_ = work_.facts().timeout;  // 0: none
  /// What a call needs that forks its workers itself.
  struct forks {
    explicit forks(const call_facts& facts) : inner(facts.inner) {}

    parent_facts parent = {};
    const shared_inner_limit inner;  // OpenBLAS starts threads in every child that has to lower the number itself
    const doorbell bell = {};
  };
  std::optional<forks> forks_;
  supervisor supervisor_;
  worker_pool* const pool_;  // null: it forks workers for itself
  worker_kind kind_ = {};
  writer sent_;  // the call, for workers of the pool
  const std::size_t result_size_;
  result_intake intake_;
  std::vector<worker_link> links_;
  std::vector<pollfd> polled_;  // one a worker, and the bell
  std::vector<int> seats_;      // the workers' numbers; empty: as they come
  std::size_t limit_ = no_index;
  bool handed_out_ = false;
  bool ending_ = false;  // nothing that a worker says matters any more
  exit_status last_status_;
};
using forked_call = basic_forked_call<void>;

}  // namespace manyhands::detail
