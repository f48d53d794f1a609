#include <algorithm>
#include <execution>
#include <numeric>
#include <vector>

int main() {
  std::vector<int> squares(10);
  std::iota(squares.begin(), squares.end(), 0);
  std::transform(std::execution::par, squares.begin(), squares.end(), squares.begin(), [](int i) { return i * i; });
  return squares[0];
}
