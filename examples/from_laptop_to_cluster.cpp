// The same program on one machine and on many: only how it is started differs.
//
//   ./from_laptop_to_cluster                     threads
//   mpirun -n 65 ./from_laptop_to_cluster        64 workers, wherever mpirun starts them
//   srun -n 65 --mpi=pmix ./from_laptop_to_cluster

#include <cmath>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <random>
#include <ranges>

#include <manyhands.hpp>
#include <manyhands/backends/mpi.hpp>

// How many of so many random points of a square lie in its circle. A function without state: its name is what travels.
long hits(long points) {
  std::mt19937_64 random(manyhands::this_task::seed());  // depends on the task's index alone, wherever it runs
  std::uniform_real_distribution<double> side(-1, 1);
  long inside = 0;
  for (long i = 0; i < points; ++i) inside += std::hypot(side(random), side(random)) < 1;
  return inside;
}

int main() {
  manyhands::mpi_session session;            // the first statement: ranks other than 0 run tasks in here, and never get past it
  manyhands::parallel_backend guard("mpi");  // the only other line that a program needs

  const long tasks = 200;
  constexpr long points = 20'000;
  const auto counts = manyhands::Parallel()(std::views::iota(0L, tasks) | manyhands::delayed([](long) { return hits(points); }));
  const long inside = std::accumulate(counts.begin(), counts.end(), 0L);

  std::cout << "workers: " << manyhands::effective_n_jobs() << '\n';
  std::cout << "pi is about " << std::setprecision(6) << 4.0 * static_cast<double>(inside) / static_cast<double>(tasks * points) << '\n';
}
