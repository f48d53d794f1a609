#include <support/mpi_library.hpp>

#include <numeric>
#include <ranges>

#include <manyhands.hpp>

namespace mpi_library {

int tripled(int i) { return 3 * i; }

long sum_of_squares(int count) {
  const auto squares =
      manyhands::Parallel()(std::views::iota(0, count) | manyhands::delayed([](int i) { return static_cast<long>(i) * i; }));
  return std::accumulate(squares.begin(), squares.end(), 0L);
}

}  // namespace mpi_library
