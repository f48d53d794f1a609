// n_jobs: how many workers. As in joblib, -1 is all processors, -2 all but one.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands.hpp>

using manyhands::Parallel, manyhands::delayed, manyhands::effective_n_jobs;
using clock_type = std::chrono::steady_clock;

int main() {
  // Tasks that sleep need no processor: 4 workers run 4 at a time on any machine.
  const auto begin = clock_type::now();
  const auto sleep = [begin](int i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return std::pair(std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - begin).count(), i);
  };
  auto ends = Parallel({.n_jobs = 4})(std::views::iota(0, 20) | delayed(sleep));
  std::sort(ends.begin(), ends.end());
  std::cout << "twenty sleeps of 50 ms on 4 workers:\n";
  for (std::size_t wave = 0; wave < ends.size(); wave += 4) {
    std::cout << "  after " << ends[wave + 3].first << " ms: tasks";
    for (std::size_t k = wave; k < wave + 4; ++k) std::cout << ' ' << ends[k].second;
    std::cout << '\n';
  }

  // What the system lets this program use: not more than its affinity mask and its container's quota allow.
  const int processors = manyhands::cpu_count();
  std::cout << "processors: " << processors << '\n';
  std::cout << "-1 is all of them: " << std::boolalpha << (effective_n_jobs(-1) == processors) << '\n';
  std::cout << "-2 is all but one: " << (effective_n_jobs(-2) == std::max(processors - 1, 1)) << '\n';
  std::cout << "never less than one: " << effective_n_jobs(-1000) << '\n';
  std::cout << "more than there are is allowed: " << effective_n_jobs(1000) << '\n';

  // One worker is the caller itself: no thread, no process, a debugger shows one stack.
  const auto me = std::this_thread::get_id();
  const auto in_caller = Parallel(1)(std::views::iota(0, 3) | delayed([me](int) { return std::this_thread::get_id() == me; }));
  std::cout << "1 runs in the caller: " << (std::count(in_caller.begin(), in_caller.end(), true) == 3) << '\n';

  try {
    Parallel nobody({.n_jobs = 0});
  } catch (const std::invalid_argument& error) {
    std::cout << error.what() << '\n';
  }
}
