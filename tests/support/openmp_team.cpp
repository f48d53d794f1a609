#include <support/openmp_team.hpp>

// Not <omp.h>: clang's is not always there where its runtime is.
extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int);
}

int openmp_team_size() {
  int size = 0;
#pragma omp parallel
  {
#pragma omp atomic
    ++size;
  }
  return size;
}

int openmp_most() { return omp_get_max_threads(); }

void openmp_set_most(int threads) { omp_set_num_threads(threads); }

void openmp_inside_region(void (*function)(void*), void* data) {
#pragma omp parallel num_threads(2)
  {
#pragma omp single
    function(data);
  }
}
