#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/forked_call.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/stream_driver.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// Runs tasks in processes that are forked for them: whatever was read by then, and nobody works on, is shared by as many new workers as
/// there are too few. A worker that finds nothing more to do ends.
template <class>
class basic_stream_in_processes final : public stream_driver {
 public:
  basic_stream_in_processes(jobs& work, const plan& how, std::size_t result_size) : work_(work), how_(how), result_size_(result_size) {
    // Highest first: the lowest number is taken first, from the end.
    for (int number = how.workers; number > 0; --number) free_seats_.push_back(number - 1);
  }
  ~basic_stream_in_processes() override { close(); }

  [[nodiscard]] std::size_t batch() const noexcept override { return pace_.size(); }
  void feed(bool more) noexcept override {
    // Workers that are forked together inherit more, but what is there shall not wait for input that is slow.
    constexpr std::chrono::milliseconds reading_time(1);
    if (!more || clock::now() - looked_ > reading_time) step();
  }
  void attend(stream_goal& goal) noexcept override {
    step();
    if (!goal.is_reached() && !groups_.empty()) sleep();
  }
  void close() noexcept override {
    while (work_.waiting() > 0 || !groups_.empty()) {
      step();
      if (!groups_.empty()) sleep();
    }
  }

 private:
  using clock = std::chrono::steady_clock;

  /// Workers that were forked at one time, for tasks that had been read by then.
  struct group {
    group(jobs& whole, index_range tasks, const plan& options, std::size_t result_size, std::vector<int> its_seats)
        : part(whole, tasks), how(options), call(part, how, result_size, std::move(its_seats)) {}

    part_of_jobs part;
    plan how;
    forked_call call;
    bool is_new = true;
  };

  /// Does all that can be done at once.
  void step() noexcept {
    looked_ = clock::now();
    try {
      for (bool again = true; again;) {
        again = false;
        for (std::size_t at = 0; at != groups_.size();) {
          group& each = *groups_[at];
          if (advance(each)) {
            ++at;
          } else {
            end(at);
            again = true;  // its end may be what others have waited for
          }
        }
        again = start_workers() || again;
      }
    } catch (...) {  // no memory
      give_up(std::current_exception());
    }
  }
  /// False once the group has nothing more to do.
  [[nodiscard]] bool advance(group& each) {
    each.part.heed_limit();
    const auto begin = clock::now();
    const bool goes_on = each.call.step();
    if (std::exchange(each.is_new, false)) start_time_ = (clock::now() - begin) / each.how.workers;
    each.call.retire_idle(free_seats_);
    return goes_on;
  }
  void end(std::size_t at) {
    group& ended = *groups_[at];
    ended.call.end();
    ended.call.leave_seats(free_seats_);
    std::sort(free_seats_.rbegin(), free_seats_.rend());
    if (const supervisor::work_done done = ended.call.timed(); done.tasks != 0) {
      const double share = std::min(static_cast<double>(batch_time.count()) /
                                        static_cast<double>(std::max(start_time_.count(), std::chrono::nanoseconds::rep{1})) / 8,
                                    1.0);
      pace_.took(done.tasks,
                 std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(static_cast<double>(done.elapsed.count()) * share)));
    }
    groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  bool start_workers() {
    const std::size_t waiting = work_.waiting();
    if (waiting == 0 || free_seats_.empty()) return false;
    const std::size_t batch = how_.batch.is_automatic() ? pace_.size() : how_.batch.count();
    plan how = how_;
    how.workers = static_cast<int>(std::min(free_seats_.size(), (waiting - 1) / std::max<std::size_t>(batch, 1) + 1));
    std::vector<int> seats(free_seats_.end() - how.workers, free_seats_.end());
    groups_.reserve(groups_.size() + 1);
    const index_range tasks = work_.next(no_index);
    if (!tasks) return false;
    try {
      groups_.push_back(std::make_unique<group>(work_, tasks, how, result_size_, std::move(seats)));
    } catch (...) {
      give_up(std::current_exception());
      return false;
    }
    free_seats_.resize(free_seats_.size() - static_cast<std::size_t>(how.workers));
    return true;
  }
  /// Ends the call: no worker is left.
  void give_up(std::exception_ptr cause) noexcept {
    work_.abort(std::move(cause));
    for (const std::unique_ptr<group>& each : groups_) {
      each->part.heed_limit();
      each->call.end();
    }
    groups_.clear();
  }

  /// Waits until a worker has something to say.
  void sleep() noexcept {
    try {
      polled_.clear();
      auto most = std::chrono::milliseconds::max();
      for (const std::unique_ptr<group>& each : groups_) most = std::min(most, each->call.falls_asleep());
      for (const std::unique_ptr<group>& each : groups_) {
        polled_.insert(polled_.end(), each->call.polled().begin(), each->call.polled().end());
      }
      wait_for_any(polled_, most);
      auto seen = polled_.begin();
      for (const std::unique_ptr<group>& each : groups_) {
        std::vector<pollfd>& own = each->call.polled();
        std::copy_n(seen, own.size(), own.begin());
        seen += static_cast<std::ptrdiff_t>(own.size());
        each->call.wakes_up();
      }
    } catch (...) {
      give_up(std::current_exception());
    }
  }

  jobs& work_;
  const plan& how_;
  const std::size_t result_size_;
  std::vector<int> free_seats_;  // numbers of workers that nobody has, the lowest last
  std::vector<std::unique_ptr<group>> groups_;
  std::vector<pollfd> polled_;
  clock::time_point looked_ = clock::now();
  // How long it took to fork a worker: some tenths of a millisecond, or tens of them in a large program, or beside other load.
  std::chrono::nanoseconds start_time_{0};
  // A batch lasts so long, or eight times as long as that, by what workers take for their tasks.
  static constexpr std::chrono::nanoseconds batch_time = std::chrono::milliseconds(5);
  adaptive_batch pace_{batch_time};
};
using stream_in_processes = basic_stream_in_processes<void>;

}  // namespace manyhands::detail
