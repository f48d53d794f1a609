// expect: batch_size
#include <manyhands.hpp>

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::Parallel par({.batch_size = true});
#else
  manyhands::Parallel par({.batch_size = 1});
#endif
}
