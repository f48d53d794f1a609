// expect: deleted
#include <manyhands.hpp>

int main() {
  manyhands::parallel_backend guard("threads");
#ifndef MANYHANDS_FIXED
  manyhands::parallel_backend other = guard;
#else
  manyhands::parallel_backend other("threads");
#endif
}
