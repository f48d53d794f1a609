// expect: manyhands: range | delayed(fn): fn must be callable as const, or be copyable: every task needs its own
#include <memory>
#include <vector>

#include <manyhands.hpp>

int main() {
  const std::vector<int> numbers{1, 2, 3};
#ifndef MANYHANDS_FIXED
  auto sum = [total = std::make_unique<int>(0)](int number) mutable { return *total += number; };
#else
  auto sum = [total = 0](int number) mutable { return total += number; };
#endif
  manyhands::Parallel()(numbers | manyhands::delayed(std::move(sum)));
}
