// expect: manyhands: Parallel takes a range of tasks, or tasks: callables without parameters, as delayed(fn)(args...) makes them
#include <manyhands.hpp>

int half(int number) { return number / 2; }

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(half);
#else
  manyhands::Parallel()(manyhands::delayed(half)(8));
#endif
}
