#include <manyhands/backends/mpi_options.hpp>

#include <support/catch.hpp>

TEST_CASE("a lost rank ends the run where nobody says otherwise") {
  const manyhands::mpi_options usual;
  CHECK(usual.on_lost == manyhands::on_lost::stop);
  const manyhands::mpi_options other{.on_lost = manyhands::on_lost::resubmit};
  CHECK(other.max_retries == 1);
  CHECK(other.silence >= std::chrono::seconds(1));
}
