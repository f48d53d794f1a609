// expect: manyhands: a task's result must be movable: return a std::unique_ptr to it, or its data
#include <atomic>

#include <manyhands.hpp>

int main() {
#ifndef MANYHANDS_FIXED
  std::vector<int> input(3);
  manyhands::Parallel()(input | manyhands::delayed([](int) { return std::atomic<int>(1); }));
#else
  std::vector<int> input(3);
  manyhands::Parallel()(input | manyhands::delayed([](int) { return std::make_unique<std::atomic<int> >(1); }));
#endif
}
