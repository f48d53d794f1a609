// expect: manyhands: what stands left of `| delayed(fn)` is not a range: for one task write delayed(fn)(argument)
#include <manyhands.hpp>

int half(int number) { return number / 2; }

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(8 | manyhands::delayed(half));
#else
  manyhands::Parallel()(manyhands::delayed(half)(8));
#endif
}
