// joblib:  Parallel(n_jobs=2)(delayed(sqrt)(i ** 2) for i in range(10))

#include <cmath>
#include <cstddef>
#include <iostream>
#include <ranges>
#include <string>
#include <vector>

#include <manyhands.hpp>

using manyhands::Parallel, manyhands::delayed;

std::string repeated(const std::string& word, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += word;
  return text;
}

int main() {
  // One function for every element of a range: a vector, in the order of the range.
  const std::vector<double> roots =
      Parallel({.n_jobs = 2})(std::views::iota(0, 10) | delayed([](int i) { return std::sqrt(static_cast<double>(i) * i); }));
  for (const double root : roots) std::cout << root << ' ';
  std::cout << '\n';

  // A container stays where it is: its elements are not copied.
  const std::vector<std::string> words = {"many", "hands", "make", "light", "work"};
  for (const std::size_t length : Parallel()(words | delayed(&std::string::size))) std::cout << length << ' ';
  std::cout << '\n';

  // Different tasks: a tuple.
  const auto [text, sum] = Parallel()(delayed(repeated)("ho ", 3), delayed([](double a, double b) { return a + b; })(0.5, 0.25));
  std::cout << text << sum << '\n';

  // The same line on processes.
  const auto squares = Parallel({.n_jobs = 2, .backend = "processes"})(std::views::iota(0, 10) | delayed([](int i) { return i * i; }));
  for (const int square : squares) std::cout << square << ' ';
  std::cout << '\n';
}
