#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "../support/measure.hpp"

namespace benchmark {

struct free_memory {
  void operator()(double* memory) const { std::free(memory); }
};
using array = std::unique_ptr<double[], free_memory>;

/// In huge pages where the system has them: in small ones it would take a hundred times as long to make the arrays as to pass over them.
inline array make_array(std::size_t elements) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  array made(static_cast<double*>(std::aligned_alloc(huge_page, elements * sizeof(double))));
  check(made != nullptr);
  madvise(made.get(), elements * sizeof(double), MADV_HUGEPAGE);
  return made;
}

/// Does the way in which indices are handed out keep the memory streaming? Nanoseconds for a pass over 2^26 doubles, one task each, into an
/// array that is there already.
template <class Contender>
measurement memory_bound(const conditions& given) {
  constexpr std::size_t elements = std::size_t{1} << 26;
  if (elements > Contender::can.tasks) throw left_out("a task for each of 67 million elements takes seconds, or all memory");

  const array in = make_array(elements), out = make_array(elements);
  for (std::size_t i = 0; i < elements; ++i) {
    in[i] = static_cast<double>(i & 0xffff);
    out[i] = 0;
  }
  Contender contender(given.workers);
  const double* const from = in.get();
  double* const to = out.get();
  double added = 0;  // another answer each time, else the last one would pass for this one
  const double time = time_of(
      [&] {
        added += 1;
        contender.for_each(elements, [from, to, added](std::size_t i) { to[i] = 2 * from[i] + added; });
        return added;
      },
      [&](double expected) {
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < elements; ++i) wrong += to[i] != 2 * from[i] + expected;
        return wrong == 0;
      });
  return {time};
}

}  // namespace benchmark
