// The main function of tests that run under mpirun: rank 0 runs the cases, the others serve it.
#define CATCH_CONFIG_RUNNER
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#endif
#include <support/catch.hpp>
#include <support/mpi.hpp>

manyhands::mpi_session* the_session = nullptr;

int main(int argc, char** argv) {
  manyhands::mpi_session session;
  the_session = &session;
  return Catch::Session().run(argc, argv);
}
