// expect: manyhands: Parallel takes a range of tasks, and this is not a range that can be read
#include <functional>
#include <vector>

#include <manyhands.hpp>

int main() {
  const std::vector<std::function<int()>> tasks;
#ifndef MANYHANDS_FIXED
  manyhands::Parallel().outcomes(5);
#else
  manyhands::Parallel().outcomes(tasks);
#endif
}
