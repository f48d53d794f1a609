#include <manyhands/detail/call_setup.hpp>

#include <cstddef>

#include <support/catch.hpp>

using manyhands::options;
using manyhands::detail::call_setup;

TEST_CASE("a call's own options come before those of the scope around it") {
  const manyhands::parallel_config guard({.n_jobs = 3, .batch_size = 7, .pre_dispatch = "4*n_jobs", .description = "outer", .seed = 5});
  const options own{.backend = "threads", .batch_size = 9};
  const call_setup call(own);
  REQUIRE(call.chosen.workers == 3);
  REQUIRE(call.how.workers == 3);
  REQUIRE(call.how.batch.count() == 9);
  REQUIRE(call.how.read_ahead == 12);
  REQUIRE(call.how.description == "outer");
  REQUIRE(call.facts.seed == 5);
  REQUIRE(call.facts.scope == manyhands::detail::here.scope);
  REQUIRE_FALSE(call.facts.binds);
}

TEST_CASE("where nothing is said, two batches a worker are read ahead, of whatever size") {
  const options own{.n_jobs = 5, .backend = "threads"};
  const call_setup call(own);
  REQUIRE(call.how.read_ahead == 10);
  REQUIRE(call.how.batch.is_automatic());
  REQUIRE(call.facts.seed == 0);
}
