#include <omp.h>

#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

class openmp_taskloop {
 public:
  static constexpr benchmark::limits can{};

  explicit openmp_taskloop(int workers) { omp_set_num_threads(workers); }

  template <class F>
  void for_each(std::size_t n, F f) {
    if (omp_in_parallel()) {  // in a task of an outer loop: its team takes the tasks of this one
      share_out(n, f);
      return;
    }
#pragma omp parallel
#pragma omp single
    share_out(n, f);
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
    for_each(n, [&](std::size_t i) { results[i] = f(i); });
    return results;
  }

 private:
  // A function of its own: clang 14 crashes over it in a lambda.
  template <class F>
  static void share_out(std::size_t n, F& f) {
#pragma omp taskloop
    for (std::size_t i = 0; i < n; ++i) f(i);
  }
};

int main(int argc, char** argv) { return benchmark::answer<openmp_taskloop>(argc, argv); }
