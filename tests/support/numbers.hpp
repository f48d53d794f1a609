#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace manyhands_test {

/// So many, from `first` upwards.
inline std::vector<int> numbers(int count, int first = 0) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), first);
  return all;
}

}  // namespace manyhands_test
