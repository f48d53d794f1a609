// expect: manyhands: Parallel takes a range of tasks, callables without parameters: make them with `range | delayed(fn)`
#include <vector>

#include <manyhands.hpp>

int main() {
  const std::vector<int> numbers{1, 2, 3};
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(numbers);
#else
  manyhands::Parallel()(numbers | manyhands::delayed([](int number) { return number; }));
#endif
}
