#pragma once

// A shared library whose functions are tasks, and that makes calls.
namespace mpi_library {

int tripled(int i);
long sum_of_squares(int count);

}  // namespace mpi_library
