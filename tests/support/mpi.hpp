#pragma once

#include <manyhands.hpp>
#include <manyhands/backends/mpi.hpp>

/// That of the test program's main function.
extern manyhands::mpi_session* the_session;

/// How many ranks run tasks. Without any, tasks run on threads of this one.
inline int mpi_workers() { return the_session->workers(); }
