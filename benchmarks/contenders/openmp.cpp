// Compiled once for each OPENMP_SCHEDULE (dynamic, guided, static) and each runtime.

#include <omp.h>

#include <string_view>
#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

#define TEXT_OF(word) #word
#define TEXT(macro) TEXT_OF(macro)

// In `nested` an inner loop runs on the thread that meets it, which is what OpenMP does unless told otherwise.
class openmp {
 public:
  static constexpr benchmark::limits can =
      std::string_view(TEXT(OPENMP_SCHEDULE)) == "dynamic" ? benchmark::limits{.tasks = 1'000'000} : benchmark::limits{};

  explicit openmp(int workers) { omp_set_num_threads(workers); }

  template <class F>
  void for_each(std::size_t n, F f) {
#pragma omp parallel for schedule(OPENMP_SCHEDULE)
    for (std::size_t i = 0; i < n; ++i) f(i);
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
#pragma omp parallel for schedule(OPENMP_SCHEDULE)
    for (std::size_t i = 0; i < n; ++i) results[i] = f(i);
    return results;
  }
};

int main(int argc, char** argv) { return benchmark::answer<openmp>(argc, argv); }
