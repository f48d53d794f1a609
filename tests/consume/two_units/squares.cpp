#include <vector>

#include <manyhands.hpp>

std::vector<int> squares_of(const std::vector<int>& numbers) {
  return manyhands::Parallel({.n_jobs = 2})(numbers | manyhands::delayed([](int n) { return n * n; }));
}
