# How tests and examples are started on ranks: mpi_flags for MPIEXEC_EXECUTABLE, and mpi_is_open_mpi.

# Open MPI wants to be told that there are more ranks than processors, that they are not to be bound to one each, and that root may do it.
execute_process(COMMAND ${MPIEXEC_EXECUTABLE} --version OUTPUT_VARIABLE mpi_launcher ERROR_QUIET)
set(mpi_flags "")
set(mpi_is_open_mpi FALSE)
if(mpi_launcher MATCHES "Open MPI|OpenRTE")
  set(mpi_flags --oversubscribe --bind-to none --allow-run-as-root)
  set(mpi_is_open_mpi TRUE)
endif()
