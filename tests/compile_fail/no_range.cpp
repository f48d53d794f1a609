// expect: manyhands: Parallel takes a range of tasks, or tasks: callables without parameters, as delayed(fn)(args...) makes them
#include <vector>

#include <manyhands.hpp>

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(5);
#else
  manyhands::Parallel()([] { return 5; });
#endif
}
