// expect: manyhands: delayed(fn) is no task yet: write delayed(fn)(args...), and delayed(fn)() where fn takes no arguments
#include <manyhands.hpp>

int one() { return 1; }

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(manyhands::delayed(one), manyhands::delayed(one));
#else
  manyhands::Parallel()(manyhands::delayed(one)(), manyhands::delayed(one)());
#endif
}
