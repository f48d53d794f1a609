#include <tbb/tbb.h>

#include <vector>

int main() {
  std::vector<int> squares(10);
  tbb::parallel_for(0, 10, [&](int i) { squares[static_cast<std::size_t>(i)] = i * i; });
  return squares[0];
}
