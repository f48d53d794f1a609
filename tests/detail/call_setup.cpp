#include <manyhands/detail/call_setup.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <support/catch.hpp>

using manyhands::options;
using manyhands::detail::call_setup;

namespace {

/// As much of a call's tasks as a setup wants to know.
struct counted {
  [[nodiscard]] std::optional<std::size_t> size() const { return 12; }
  [[nodiscard]] manyhands::result_transport transport() const { return {.fixed_size = 4}; }
  [[nodiscard]] static std::string result_name() { return "int"; }
};

}  // namespace

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

TEST_CASE("a call's limits, clocks, stop and observers are its own or the scope's") {
  std::stop_source source;
  const auto watch = std::make_shared<manyhands::observer>();
  const manyhands::parallel_config guard(
      {.n_jobs = 3, .timeout = std::chrono::seconds(5), .retries = 4, .memory_limit = 1000, .stop = source.get_token(), .observer = watch});
  const options own{.backend = "threads", .retries = 2, .max_tasks_per_worker = 9};
  call_setup call(own);
  REQUIRE(call.facts.retries == 2);
  REQUIRE(call.facts.timeout == std::chrono::seconds(5));
  REQUIRE(call.facts.watches != nullptr);
  REQUIRE(call.facts.tasks_per_worker == 9);
  REQUIRE(call.facts.memory_limit == 1000);
  REQUIRE(call.facts.depth == 0);
  source.request_stop();
  REQUIRE(call.facts.stop->stop_requested());
  REQUIRE(call.facts.observed == nullptr);
  call.attach(counted{});
  REQUIRE(call.facts.observed != nullptr);
  REQUIRE(call.facts.observed->call().tasks == 12);
  REQUIRE(call.facts.observed->call().workers == 3);
  REQUIRE(call.facts.kept == nullptr);
}

TEST_CASE("one worker is the caller, whatever the backend, and nobody watches where nobody is asked to") {
  const options own{.n_jobs = 1, .backend = "processes", .timeout = std::chrono::seconds(5)};
  call_setup call(own);
  REQUIRE(call.who().name() == "sequential");
  REQUIRE(call.facts.watches != nullptr);
  call.attach(counted{});
  REQUIRE(call.facts.observed == nullptr);
  call.begin();
  call.end(nullptr);
}

TEST_CASE("where nothing is said, two batches a worker are read ahead, of whatever size") {
  const options own{.n_jobs = 5, .backend = "threads"};
  const call_setup call(own);
  REQUIRE(call.how.read_ahead == 10);
  REQUIRE(call.how.batch.is_automatic());
  REQUIRE(call.facts.seed == 0);
}
