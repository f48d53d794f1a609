#include <iostream>
#include <vector>

#include <manyhands.hpp>

// What a consumer's first program looks like. It says which hwloc choice arrived here.
int main() {
  const std::vector<int> numbers{1, 2, 3, 4};
  const auto squares = manyhands::Parallel({.n_jobs = 2})(numbers | manyhands::delayed([](int n) { return n * n; }));
  if (squares != std::vector<int>{1, 4, 9, 16}) return 1;
  std::cout << "OK hwloc=" << MANYHANDS_WITH_HWLOC << '\n';
}
