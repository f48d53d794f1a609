#include <manyhands/detail/mpi_world.hpp>

#include <support/catch.hpp>
#include <support/mpi.hpp>

using manyhands::detail::mpi_world;

TEST_CASE("the session is there until the program ends") {
  REQUIRE(mpi_world::current() != nullptr);
  CHECK(mpi_world::current()->workers() == mpi_workers());
  CHECK(mpi_world::current()->roster().rank() == 0);
}

TEST_CASE("a second session, and options out of range, are refused") { CHECK_THROWS_AS(mpi_world::begin({}), manyhands::error); }

TEST_CASE("MPI runs in the way that is needed") {
  int level = 0;
  MPI_Query_thread(&level);
  CHECK(level >= MPI_THREAD_SERIALIZED);
}
