#include <manyhands/detail/scope_frame.hpp>

#include <support/catch.hpp>

TEST_CASE("a scope holds the options that were merged for it") {
  const manyhands::detail::scope_frame frame{{.n_jobs = 3}};
  CHECK(frame.merged.n_jobs == 3);
}
