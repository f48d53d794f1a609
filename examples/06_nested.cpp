// Calls inside tasks: they share the workers of the outermost call, so that no more threads run than it asked for.

#include <algorithm>
#include <atomic>
#include <iostream>
#include <numeric>
#include <ranges>
#include <vector>

#include <manyhands.hpp>

using manyhands::Parallel, manyhands::delayed;

std::atomic<int> running{0};
std::atomic<int> most{0};

// A library function that is parallel inside, and is called from parallel code: it need not care.
long sum_of_squares(int n) {
  const auto squares = Parallel()(std::views::iota(0, n) | delayed([](int i) {
                                    const int now = ++running;
                                    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                                    }
                                    const long square = static_cast<long>(i) * i;
                                    --running;
                                    return square;
                                  }));
  return std::accumulate(squares.begin(), squares.end(), 0L);
}

// Divide and conquer: as deep as you like, nothing waits for a worker that is not there.
long leaves(int depth) {
  if (depth == 0) return 1;
  const auto [left, right] = Parallel()(delayed(leaves)(depth - 1), delayed(leaves)(depth - 1));
  return left + right;
}

int main() {
  const Parallel outer({.n_jobs = 3});
  for (const long sum : outer(std::vector{10, 100, 1000, 10000} | delayed(sum_of_squares))) std::cout << sum << '\n';
  std::cout << "no more than 3 tasks at a time: " << std::boolalpha << (most <= 3) << '\n';

  {
    const manyhands::parallel_config scope({.n_jobs = 3});
    std::cout << "leaves of a tree of depth 10: " << leaves(10) << '\n';
  }

  // Inside a worker process a call uses threads: the process's share of the processors.
  const Parallel processes({.n_jobs = 2, .backend = "processes"});
  for (const long sum : processes(std::vector{10, 100, 1000, 10000} | delayed(sum_of_squares))) std::cout << sum << '\n';
  const auto inside = processes(std::views::iota(0, 2) | delayed([](int) { return manyhands::effective_n_jobs(); }));
  std::cout << "its share: " << inside[0] << ", as expected: " << (inside[0] == std::max(manyhands::cpu_count() / 2, 1)) << '\n';
}
