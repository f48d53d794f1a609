#include <iostream>
#include <vector>

#include <manyhands.hpp>
#include <manyhands/backends/mpi.hpp>

// Without mpirun it is the only rank.
int main() {
  manyhands::mpi_session session;
  manyhands::parallel_backend guard("mpi");
  const std::vector<int> numbers{1, 2, 3, 4};
  const auto squares = manyhands::Parallel()(numbers | manyhands::delayed([](int n) { return n * n; }));
  if (squares != std::vector<int>{1, 4, 9, 16}) return 1;
  std::cout << "OK mpi\n";
}
