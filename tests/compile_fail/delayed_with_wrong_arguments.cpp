// expect: manyhands: delayed(fn)(args...): fn cannot be called with these arguments
#include <manyhands.hpp>

int half(int number) { return number / 2; }

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel()(manyhands::delayed(half)("eight"));
#else
  manyhands::Parallel()(manyhands::delayed(half)(8));
#endif
}
