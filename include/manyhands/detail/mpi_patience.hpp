#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace manyhands::detail {

/// How to wait for a letter: MPI has no way to sleep until one comes. First lets others run, then sleeps for longer and longer.
class mpi_patience {
 public:
  /// Nothing has come once more.
  void wait() noexcept {
    if (rounds_ < most_rounds) {
      ++rounds_;
      ::sched_yield();
      return;
    }
    std::this_thread::sleep_for(sleep_);
    sleep_ = std::min(sleep_ * 2, longest);
  }
  /// Something has come.
  void reset() noexcept {
    rounds_ = 0;
    sleep_ = shortest;
  }

 private:
  static constexpr int most_rounds = 200;
  static constexpr std::chrono::microseconds shortest{20};
  static constexpr std::chrono::microseconds longest{1000};

  int rounds_ = 0;
  std::chrono::microseconds sleep_ = shortest;
};

}  // namespace manyhands::detail
