#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/inner_limit.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/result_intake.hpp>
#include <manyhands/detail/supervisor.hpp>
#include <manyhands/detail/worker_link.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// One call on worker processes: hears what they say, tells the supervisor, and does what that wants. All of it in the calling thread.
class forked_call {
 public:
  /// Throws `std::system_error` where the system has no descriptor or memory left.
  forked_call(jobs& work, const plan& how, std::size_t result_size)
      : work_(work),
        supervisor_(static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(how.workers), work.known())), how.batch, work.known()),
        intake_(work, supervisor_, result_size),
        links_(std::min<std::size_t>(static_cast<std::size_t>(how.workers), work.known())),
        polled_(links_.size() + 1) {}

  /// Returns once all tasks that somebody wants are settled and no worker is left. Throws only before the first task is handed out.
  void run() {
    try {
      for (;;) {
        supervisor_.looked_around();
        for (std::size_t number = 0; number < links_.size(); ++number) hear(number);
        heed_limit();
        while (const std::optional<action> wanted = supervisor_.next()) {
          perform(*wanted);
          heed_limit();
        }
        if (supervisor_.is_broken()) give_up();
        if (supervisor_.is_finished()) break;
        sleep(most_sleep());
      }
    } catch (...) {
      if (!handed_out_) throw;
      work_.abort(std::current_exception());
    }
    end();
  }

 private:
  using milliseconds = std::chrono::milliseconds;

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
        link.is_corrupt = true;
        supervisor_.doomed(static_cast<int>(number));
        link.kill();
      }
    }
    if (status) bury(number, *status);
  }

  void bury(std::size_t number, exit_status status) {
    const worker_link& link = links_[number];
    last_sign sign;
    if (link.was_ended) {
      sign.what = last_sign::kind::ended;
    } else if (link.is_corrupt) {
      intake_.take_places(static_cast<int>(number));  // they are not in the memory that it has overwritten
      sign.what = last_sign::kind::corrupt;
    } else if (const std::size_t task = link.board().running(); task != no_index) {
      sign = {last_sign::kind::running, task};
    }
    last_status_ = status;
    if (const std::optional<std::size_t> lost = supervisor_.died(static_cast<int>(number), sign)) {
      work_.fail(*lost, std::make_exception_ptr(
                            worker_lost(*lost, static_cast<int>(number), status.signal, status.code, link.crashed_at(status.signal))));
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
        link.board().post(link.posted++, wanted.tasks);
        break;
      case action::kind::take_back:
        take_back(link, wanted);
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
        flush_standard_streams();
        link.start(work_, number, parent_, intake_.places(), bell_, links_);
        link.board().limit(limit_);
        supervisor_.started(number);
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

  void take_back(worker_link& link, const action& wanted) {
    // What a worker that waits for work is about to begin is left to it, or two idle workers would take one task from each other for ever.
    const bool begins = wanted.is_next && link.is_ready && link.board().running() == no_index;
    const std::optional<index_range> taken =
        link.board().take_back(wanted.number, wanted.tasks, wanted.done, wanted.wanted, begins ? 1 : 0);
    // Rubbish will be found by `hear`, which ends the worker; here there is just nothing to take.
    supervisor_.took_back(wanted.worker, wanted.number, taken.value_or(index_range{wanted.tasks.last, wanted.tasks.last}));
  }

  void heed_limit() {
    const std::size_t limit = work_.limit();
    if (limit >= limit_) return;
    limit_ = limit;
    for (worker_link& link : links_) {
      if (link.runs()) link.board().limit(limit);
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

  // --- waiting and ending

  [[nodiscard]] milliseconds most_sleep() {
    // A worker rings for whatever it says, and its end is seen: the longest sleep only bounds the harm where a task has closed its bell.
    constexpr milliseconds longest(100);
    constexpr milliseconds where_ends_are_silent(2);
    constexpr milliseconds where_a_worker_is_late(1);
    if (supervisor_.should_look_again_soon()) return where_a_worker_is_late;
    const bool silent =
        std::any_of(links_.begin(), links_.end(), [](const worker_link& link) { return link.runs() && link.process().fd() < 0; });
    return silent ? where_ends_are_silent : longest;
  }

  void sleep(milliseconds at_most) {
    for (std::size_t number = 0; number < links_.size(); ++number) {
      const worker_link& link = links_[number];
      polled_[number] = {link.runs() ? link.process().fd() : -1, POLLIN, 0};
      if (!link.runs()) continue;
      link.board().caller_sleeps();
      // What it said before it knew that we sleep, it did not ring for.
      if (!ending_ && !link.is_corrupt && !link.was_ended && link.has_news()) at_most = milliseconds(0);
    }
    polled_.back() = {bell_.fd(), POLLIN, 0};
    wait_for_any(polled_, at_most);
    if (polled_.back().revents != 0) bell_.silence();
    for (const worker_link& link : links_) {
      if (link.runs()) link.board().caller_wakes();
    }
  }

  /// Ends all workers. Those that have done what was wanted write out what they printed; the others are at what nobody wants.
  void end() noexcept {
    ending_ = true;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    const std::size_t limit = work_.limit();
    for (worker_link& link : links_) {
      if (!link.runs()) continue;
      const std::size_t task = link.board().running();
      // A wanted task that seems to run has left its result, and is about to say so.
      if (link.board().is_ready() && !link.is_corrupt && (task == no_index || task < limit)) {
        link.board().dismiss();
      } else {
        link.kill();
      }
    }
    for (;;) {
      bool all_gone = true;
      const bool late = std::chrono::steady_clock::now() > patience;
      for (worker_link& link : links_) {
        if (!link.runs() || link.try_collect()) continue;
        all_gone = false;
        const std::size_t task = link.board().running();
        const bool began_late = task != no_index && task >= limit;  // before it could see the limit
        // One that writes its output may take its time: somebody may read it slowly. One that does not even begin to has lost its mind.
        if (began_late || (late && !link.board().is_leaving())) link.kill();
      }
      if (all_gone) return;
      sleep(most_sleep());
    }
  }

  jobs& work_;
  const parent_facts parent_;
  const shared_inner_limit inner_{work_.facts().inner};  // OpenBLAS starts threads in every child that has to lower the number itself
  const doorbell bell_;
  supervisor supervisor_;
  result_intake intake_;
  std::vector<worker_link> links_;
  std::vector<pollfd> polled_;  // one a worker, and the bell
  std::size_t limit_ = no_index;
  bool handed_out_ = false;
  bool ending_ = false;  // nothing that a worker says matters any more
  exit_status last_status_;
};

}  // namespace manyhands::detail
