#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <stdexcept>
#include <vector>

#include <manyhands/detail/supervisor.hpp>

namespace manyhands_test {

/// A worker that exists on paper: it does with its ranges what a real one does, a step at a time.
struct fake_worker {
  struct range {
    std::uint32_t number;
    std::size_t next;
    std::size_t last;
    int attempt;
  };

  bool runs = false;
  bool is_ready = false;
  bool is_leaving = false;
  std::optional<std::size_t> running = {};
  int attempt = 0;
  std::deque<range> ranges = {};
};

/// A call without processes: does at once what a supervisor wants, and lets workers get on only when told to.
class fake_call {
 public:
  fake_call(int count, manyhands::batch_size batch, std::size_t tasks, int retries = 0, std::size_t tasks_per_worker = 0)
      : supervisor(count, batch, tasks, retries, tasks_per_worker),
        workers(static_cast<std::size_t>(count)),
        runs(tasks),
        settled(tasks),
        tasks_(tasks) {}

  /// Does all that the supervisor wants now. Returns the actions.
  std::vector<manyhands::detail::action> settle_down() {
    using kind = manyhands::detail::action::kind;
    std::vector<manyhands::detail::action> done;
    supervisor.looked_around();
    while (const auto wanted = supervisor.next()) {
      if (done.size() > 10'000) throw std::runtime_error("the supervisor never comes to rest");
      done.push_back(*wanted);
      fake_worker& who = workers.at(static_cast<std::size_t>(wanted->worker));
      switch (wanted->what) {
        case kind::start:
          if (forks_left == 0) {
            supervisor.not_started(wanted->worker);
            if (!supervisor.has_workers()) return done;  // a real call is given up here
          } else {
            --forks_left;
            who = {.runs = true};
            supervisor.started(wanted->worker);
          }
          break;
        case kind::fetch: {
          const std::size_t known = std::min(tasks_, limit);
          const std::size_t first = std::min(fetched_, known);
          fetched_ = std::max(fetched_, first + std::min(wanted->most, known - first));
          supervisor.fetched({first, first + std::min(wanted->most, known - first)});
          break;
        }
        case kind::give:
          who.ranges.push_back({wanted->number, wanted->tasks.first, wanted->tasks.last, wanted->attempt});
          break;
        case kind::take_back:
          take_back(who, *wanted);
          break;
        case kind::retire:
          if (who.running || !who.ranges.empty()) throw std::runtime_error("a worker was retired that has work");
          who.runs = false;
          static_cast<void>(supervisor.died(wanted->worker, {manyhands::detail::last_sign::kind::ended, 0}));
          break;
        case kind::let_go:
          who.is_leaving = true;
          break;
        case kind::cut_short:
          if (who.running && *who.running >= limit) {
            supervisor.doomed(wanted->worker);
            who.runs = false;
            static_cast<void>(supervisor.died(wanted->worker, {manyhands::detail::last_sign::kind::ended, 0}));
          }
          break;
      }
    }
    return done;
  }

  void become_ready(int number) {
    at(number).is_ready = true;
    supervisor.ready(number);
  }
  /// Begins the worker's next task. Returns it; nothing where it has none.
  std::optional<std::size_t> begin(int number) {
    fake_worker& who = at(number);
    while (!who.ranges.empty()) {
      fake_worker::range& current = who.ranges.front();
      if (current.next < current.last && current.next < limit) {
        who.running = current.next++;
        who.attempt = current.attempt;
        ++runs[*who.running];
        return who.running;
      }
      who.ranges.pop_front();
      if (!supervisor.range_finished(number, std::chrono::microseconds(10)))
        throw std::runtime_error("a range was finished that could not be");
    }
    if (who.is_leaving) {
      who.runs = false;
      static_cast<void>(supervisor.died(number, {manyhands::detail::last_sign::kind::ended, 0}));
    }
    return std::nullopt;
  }
  /// Ends the task that the worker runs, with a result.
  void finish(int number) {
    fake_worker& who = at(number);
    const std::size_t task = *who.running;
    who.running.reset();
    if (task >= limit) return;
    if (supervisor.expected(number).first != task) throw std::runtime_error("another result was expected");
    ++settled[task];
    supervisor.completed(number, 1);
  }
  /// Kills the worker. Returns the task that it took with it.
  std::optional<std::size_t> kill(int number, manyhands::detail::last_sign::kind how = manyhands::detail::last_sign::kind::running) {
    fake_worker& who = at(number);
    manyhands::detail::last_sign sign;
    if (who.running) sign = {how, *who.running, who.attempt};
    who.runs = false;
    const auto lost = supervisor.died(number, sign);
    if (lost) ++settled[*lost];
    return lost;
  }
  /// Fails task `index` of a call that wants nothing of later ones then.
  void fail_at(std::size_t index) {
    limit = std::min(limit, index);
    supervisor.limited(limit);
  }

  fake_worker& at(int number) { return workers.at(static_cast<std::size_t>(number)); }

  manyhands::detail::supervisor supervisor;
  std::vector<fake_worker> workers;
  std::vector<int> runs;     // how often each task was begun
  std::vector<int> settled;  // how often each task got a result or was lost
  std::size_t limit = manyhands::no_index;
  int forks_left = 1'000'000;

 private:
  void take_back(fake_worker& who, const manyhands::detail::action& wanted) {
    using manyhands::detail::share;
    const bool begins = wanted.is_next && who.is_ready && !who.running;
    manyhands::index_range taken{wanted.tasks.last, wanted.tasks.last};
    for (fake_worker::range& each : who.ranges) {
      if (each.number != wanted.number) continue;
      const std::size_t waiting = each.last - each.next;
      const std::size_t keep = begins ? 1 : 0;
      if (waiting <= keep || (wanted.wanted == share::whole && (each.next != wanted.tasks.first || begins))) break;
      const std::size_t count = wanted.wanted == share::half ? (waiting - keep + 1) / 2 : waiting - keep;
      each.last -= count;
      taken = {each.last, each.last + count};
    }
    supervisor.took_back(wanted.worker, wanted.number, taken);
  }

  std::size_t tasks_;
  std::size_t fetched_ = 0;
};

}  // namespace manyhands_test
