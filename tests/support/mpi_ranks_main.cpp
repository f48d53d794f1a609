// The main function of tests of what stands below a session: every rank runs the cases, and they talk to each other.
#define CATCH_CONFIG_RUNNER
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#endif
#include <support/catch.hpp>

#include <manyhands/detail/mpi_post.hpp>

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
  const int failed = Catch::Session().run(argc, argv);
  MPI_Finalize();
  return failed;
}
