#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <manyhands/detail/markup.hpp>
#include <manyhands/observer.hpp>

namespace manyhands::detail {

/// How an attempt ended.
enum class fate : std::uint8_t {
  finished,
  failed,  ///< for good
  retried  ///< failed, to be run again
};

/// How many durations are how long. Sixteen steps an octave: what is read from it is right within 3 %.
class duration_counts {
 public:
  static constexpr std::size_t steps = 960;

  void add(std::chrono::nanoseconds time) noexcept { ++counts_[step_of(time)]; }
  [[nodiscard]] std::size_t operator[](std::size_t step) const noexcept { return counts_[step]; }

  [[nodiscard]] static std::size_t step_of(std::chrono::nanoseconds time) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
    if (ns < 16) return static_cast<std::size_t>(ns);
    const auto shift = static_cast<int>(std::bit_width(ns)) - 5;
    return static_cast<std::size_t>(shift) * 16 + static_cast<std::size_t>(ns >> shift);
  }
  /// The shortest time that counts for a step.
  [[nodiscard]] static std::chrono::nanoseconds least(std::size_t step) noexcept {
    if (step < 32) return std::chrono::nanoseconds(step);
    return std::chrono::nanoseconds(static_cast<std::int64_t>(step % 16 + 16) << (step / 16 - 1));
  }

 private:
  std::array<std::size_t, steps> counts_{};
};

/// What a report tells of a call. Times are from the call's beginning.
struct report_data {
  using time = std::chrono::nanoseconds;

  struct attempt {
    std::size_t index = 0;
    int worker = 0;
    int number = 0;
    time begin{0};
    time end{0};
    fate how = fate::finished;
    std::string error = {};
  };
  /// A stretch of a worker's time.
  struct cell {
    double working = 0;  // nanoseconds
    bool has_failed = false;
    bool has_retried = false;
  };
  struct worker {
    std::vector<cell> cells = {};  // empty while it has done nothing
    time working{0};
    time first_begin{0};
    time last_end{0};
    time longest{0};
    std::size_t finished = 0;
    std::size_t failed = 0;
    std::size_t retried = 0;
    std::size_t lost = 0;
    std::size_t replaced = 0;

    [[nodiscard]] std::size_t attempts() const noexcept { return finished + failed + retried; }
  };
  struct incident {
    int worker = 0;
    time when{0};
    bool is_loss = false;
  };

  std::string description;
  std::string backend;
  int n_jobs = -1;
  int workers = 1;
  int depth = 0;
  std::optional<std::size_t> tasks;
  std::size_t restored = 0;
  std::size_t broken_bytes = 0;
  std::time_t date = 0;
  time elapsed{0};
  std::string error;  // what the call threw

  worker all;                // cells, first_begin and last_end unused
  std::vector<worker> each;  // no more than `most_workers`
  time cell_width{0};
  std::size_t cells = 0;  // a worker has
  std::vector<incident> incidents;

  std::vector<attempt> attempts;  // empty where there were more than `most_attempts`
  bool has_all_attempts = true;
  std::vector<attempt> slowest;   // the longest first
  std::vector<attempt> failures;  // those for good, and others, each the first `most_failures`
  std::vector<attempt> retries;
  duration_counts durations;
  std::size_t timed = 0;  // durations
  time shortest{0};

  std::size_t peak_memory = 0;          // bytes: of this process since it was started
  std::size_t peak_process_memory = 0;  // of the largest process that ended during the call, 0 where it is not known

  static constexpr std::size_t most_workers = 256;
  static constexpr std::size_t most_attempts = 1500;
  static constexpr std::size_t most_slowest = 20;
  static constexpr std::size_t most_failures = 100;
  static constexpr std::size_t most_incidents = 200;
  static constexpr std::size_t longest_text = 1000;  // bytes
};

/// Gathers what a report tells, in memory that does not grow with the number of tasks: workers' time is counted in cells, whose width
/// doubles when the call outlasts them.
template <class>
class basic_report_tally {
 public:
  explicit basic_report_tally(const observed_call& call) : begin_(call.begin) {
    data_.description = clipped(call.description, 300);
    data_.backend = std::string(call.backend);
    data_.n_jobs = call.n_jobs;
    data_.workers = call.workers;
    data_.depth = call.depth;
    data_.tasks = call.tasks;
    data_.restored = call.restored;
    data_.broken_bytes = call.broken_bytes;
    data_.date = std::time(nullptr);
    const auto workers = static_cast<std::size_t>(std::max(call.workers, 1));
    data_.each.resize(std::min(workers, report_data::most_workers));
    constexpr std::size_t most_cells = 32768;
    data_.cells = std::clamp(std::bit_floor(most_cells / data_.each.size()), std::size_t{128}, std::size_t{1024});
    data_.cell_width = std::chrono::nanoseconds(1000);
    children_before_ = peak(RUSAGE_CHILDREN);
  }

  void input_ended(std::size_t tasks) { data_.tasks = tasks; }
  void add(const observed_task& task, fate how) {
    report_data::attempt one{.index = task.index,
                             .worker = task.worker,
                             .number = task.attempt,
                             .begin = std::max(task.begin - begin_, time(0)),
                             .end = std::max(task.end - begin_, time(0)),
                             .how = how};
    if (one.end < one.begin) one.end = one.begin;
    // Of these only the text is new, and it is expensive.
    if (task.error != nullptr && has_room_for(how)) one.error = clipped(error_text(task.error), report_data::longest_text);

    count(data_.all, one);
    if (report_data::worker* const who = find(task.worker)) {
      if (who->attempts() == 0 || one.begin < who->first_begin) who->first_begin = one.begin;
      who->last_end = std::max(who->last_end, one.end);
      count(*who, one);
      fill_cells(*who, one);
    }
    // A result of an earlier run, an attempt of which nobody knows when it began, a task that no worker came to.
    const bool is_timed = one.end > one.begin;
    if (is_timed) {
      const time lasted = one.end - one.begin;
      data_.durations.add(lasted);
      data_.shortest = data_.timed == 0 ? lasted : std::min(data_.shortest, lasted);
      ++data_.timed;
    }
    keep(one, is_timed);
  }
  void lost(int worker, observed_call::clock::time_point when) { note(worker, when, true); }
  void replaced(int worker, observed_call::clock::time_point when) { note(worker, when, false); }
  void end(observed_call::clock::time_point when, const std::exception_ptr& error) {
    data_.elapsed = std::max(when - begin_, time(1));
    data_.error = clipped(error_text(error), report_data::longest_text);
    std::sort_heap(data_.slowest.begin(), data_.slowest.end(), is_longer);
    data_.peak_memory = peak(RUSAGE_SELF);
    const std::size_t children = peak(RUSAGE_CHILDREN);
    if (children > children_before_) data_.peak_process_memory = children;
  }

  [[nodiscard]] const report_data& data() const noexcept { return data_; }

 private:
  using time = report_data::time;

  static bool is_longer(const report_data::attempt& a, const report_data::attempt& b) {
    const time of_a = a.end - a.begin;
    const time of_b = b.end - b.begin;
    return of_a != of_b ? of_a > of_b : a.index < b.index;
  }
  static std::size_t peak(int who) {
    struct rusage used {};
    return ::getrusage(who, &used) == 0 ? static_cast<std::size_t>(used.ru_maxrss) * 1024 : 0;
  }
  static void count(report_data::worker& who, const report_data::attempt& one) {
    const time lasted = one.end - one.begin;
    who.working += lasted;
    who.longest = std::max(who.longest, lasted);
    ++(one.how == fate::finished ? who.finished : one.how == fate::failed ? who.failed : who.retried);
  }

  /// Null where it has no row of its own.
  report_data::worker* find(int worker) {
    if (worker < 0) return nullptr;
    const auto number = static_cast<std::size_t>(worker);
    if (number >= report_data::most_workers) return nullptr;
    if (number >= data_.each.size()) data_.each.resize(number + 1);
    return &data_.each[number];
  }
  void fill_cells(report_data::worker& who, const report_data::attempt& one) {
    while (one.end >= data_.cell_width * static_cast<std::int64_t>(data_.cells)) double_cells();
    if (who.cells.empty()) who.cells.resize(data_.cells);
    const std::int64_t width = data_.cell_width.count();
    const auto first = static_cast<std::size_t>(one.begin.count() / width);
    const auto last = static_cast<std::size_t>(one.end.count() / width);
    if (first == last) {
      who.cells[first].working += static_cast<double>((one.end - one.begin).count());
    } else {
      who.cells[first].working += static_cast<double>(width - one.begin.count() % width);
      for (std::size_t at = first + 1; at < last; ++at) who.cells[at].working += static_cast<double>(width);
      who.cells[last].working += static_cast<double>(one.end.count() % width);
    }
    if (one.how == fate::failed) who.cells[last].has_failed = true;
    if (one.how == fate::retried) who.cells[last].has_retried = true;
  }
  void double_cells() {
    data_.cell_width *= 2;
    for (report_data::worker& who : data_.each) {
      if (who.cells.empty()) continue;
      for (std::size_t at = 0; at < data_.cells; ++at) {
        report_data::cell both;
        for (std::size_t old = 2 * at; old < 2 * at + 2 && old < data_.cells; ++old) {
          both.working += who.cells[old].working;
          both.has_failed = both.has_failed || who.cells[old].has_failed;
          both.has_retried = both.has_retried || who.cells[old].has_retried;
        }
        who.cells[at] = both;
      }
    }
  }

  [[nodiscard]] bool has_room_for(fate how) const {
    return (how == fate::failed ? data_.failures : data_.retries).size() < report_data::most_failures;
  }
  void keep(const report_data::attempt& one, bool is_timed) {
    if (one.how != fate::finished && has_room_for(one.how)) (one.how == fate::failed ? data_.failures : data_.retries).push_back(one);
    if (is_timed) {
      report_data::attempt plain = one;
      plain.error.clear();
      if (data_.slowest.size() < report_data::most_slowest) {
        data_.slowest.push_back(plain);
        std::push_heap(data_.slowest.begin(), data_.slowest.end(), is_longer);
      } else if (is_longer(plain, data_.slowest.front())) {
        std::pop_heap(data_.slowest.begin(), data_.slowest.end(), is_longer);
        data_.slowest.back() = plain;
        std::push_heap(data_.slowest.begin(), data_.slowest.end(), is_longer);
      }
      if (data_.has_all_attempts && data_.attempts.size() < report_data::most_attempts) {
        data_.attempts.push_back(plain);
      } else {
        data_.has_all_attempts = false;
        data_.attempts = std::vector<report_data::attempt>();
      }
    }
  }
  void note(int worker, observed_call::clock::time_point when, bool is_loss) {
    ++(is_loss ? data_.all.lost : data_.all.replaced);
    if (report_data::worker* const who = find(worker)) ++(is_loss ? who->lost : who->replaced);
    if (data_.incidents.size() < report_data::most_incidents) data_.incidents.push_back({worker, when - begin_, is_loss});
  }

  const observed_call::clock::time_point begin_;
  report_data data_;
  std::size_t children_before_ = 0;
};

using report_tally = basic_report_tally<void>;

}  // namespace manyhands::detail
