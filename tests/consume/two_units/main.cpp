#include <iostream>
#include <vector>

#include <manyhands.hpp>

std::vector<int> squares_of(const std::vector<int>& numbers);

int main() {
  const std::vector<int> numbers{1, 2, 3, 4};
  const auto doubled = manyhands::Parallel({.n_jobs = 2})(numbers | manyhands::delayed([](int n) { return 2 * n; }));
  if (doubled != std::vector<int>{2, 4, 6, 8} || squares_of(numbers) != std::vector<int>{1, 4, 9, 16}) return 1;
  std::cout << "OK hwloc=" << MANYHANDS_WITH_HWLOC << '\n';
}
