#pragma once

#include <cstddef>
#include <vector>

#include "../support/measure.hpp"

namespace benchmark {

/// Does the way in which indices are handed out keep the memory streaming? Nanoseconds for a pass over 2^26 doubles, one task each, into an
/// array that is there already.
template <class Contender>
measurement memory_bound(const conditions& given) {
  constexpr std::size_t elements = std::size_t{1} << 26;
  if (elements > Contender::can.tasks) throw left_out("a task for each of 67 million elements would take seconds, or all memory");

  std::vector<double> in(elements), out(elements);
  for (std::size_t i = 0; i < elements; ++i) in[i] = static_cast<double>(i & 0xffff);
  Contender contender(given.workers);
  const double* const from = in.data();
  double* const to = out.data();
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
