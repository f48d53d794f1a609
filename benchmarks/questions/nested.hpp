#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../support/measure.hpp"
#include "../support/work.hpp"

namespace benchmark {

/// May a task make a call of its own? Nanoseconds for 8 tasks that each make a call of 1,000 tasks of a microsecond.
template <class Contender>
measurement nested(const conditions& given) {
  static constexpr std::size_t outer = 8, inner = 1'000;
  if (!Contender::can.nested) throw left_out("a task that waits for others holds a thread");

  const std::uint64_t spins = given.spins_per_microsecond;
  Contender contender(given.workers);
  const auto inner_call = [&](std::size_t i) {
    const std::vector<std::uint64_t> results =
        contender.map(inner, [spins, i](std::size_t k) { return benchmark_spin(spins) + i * inner + k; });
    for (std::size_t k = 0; k < inner; ++k)
      if (results[k] != spins + i * inner + k) return false;
    return results.size() == inner;
  };
  return {time_of([&] { return contender.map(outer, [&](std::size_t i) { return inner_call(i) ? i + 1 : 0; }); },
                  [&](const std::vector<std::size_t>& results) {
                    for (std::size_t i = 0; i < outer; ++i)
                      if (results[i] != i + 1) return false;
                    return results.size() == outer;
                  })};
}

}  // namespace benchmark
