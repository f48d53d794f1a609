// expect: nodiscard
#pragma GCC diagnostic error "-Wunused-result"
#pragma GCC diagnostic error "-Wunused-value"
#include <manyhands.hpp>

int main() {
#ifndef MANYHANDS_FIXED
  manyhands::parallel_backend("threads", {.n_jobs = 2});
#else
  manyhands::parallel_backend guard("threads", {.n_jobs = 2});
#endif
}
