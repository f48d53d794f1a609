#include <manyhands/detail/call_extras.hpp>

#include <chrono>
#include <stop_token>

#include <manyhands/backends/threads.hpp>
#include <support/catch.hpp>

using manyhands::options;
using manyhands::detail::call_extras;
using manyhands::detail::call_facts;
using manyhands::detail::here;
using manyhands::detail::select;

TEST_CASE("a call has extras where it, the scope or the task around it has something for them") {
  CHECK_FALSE(call_extras::are_wanted(true));
  CHECK(call_extras::are_wanted(false));
  {
    const manyhands::parallel_config plain({.n_jobs = 2});
    CHECK_FALSE(call_extras::are_wanted(true));
    const manyhands::parallel_config seeded({.seed = 2});
    CHECK(call_extras::are_wanted(true));
    const manyhands::parallel_config inside({.n_jobs = 3});
    CHECK(call_extras::are_wanted(true));
  }
  const std::stop_token token;
  here.stop = &token;
  CHECK(call_extras::are_wanted(true));
  here.stop = nullptr;
}

TEST_CASE("extras add to what tasks are told, and take nothing from it") {
  const options own{.backend = "threads", .timeout = std::chrono::seconds(3), .retries = 2};
  const options scope{.timeout = std::chrono::seconds(5), .max_tasks_per_worker = 7, .memory_limit = 11, .seed = 13};
  const manyhands::threads_backend who;
  call_facts facts{.budget = 17, .depth = 19};
  {
    const call_extras extras(own, scope, select(own), who, facts);
    CHECK(facts.timeout == std::chrono::seconds(3));
    CHECK(facts.retries == 2);
    CHECK(facts.tasks_per_worker == 7);
    CHECK(facts.memory_limit == 11);
    CHECK(facts.seed == 13);
    CHECK(facts.watches != nullptr);
    CHECK(facts.stop == nullptr);
    CHECK_FALSE(facts.binds);
    CHECK(facts.budget == 17);
    CHECK(facts.depth == 19);
  }
}

TEST_CASE("what stops a call is what stops the task around it, too") {
  std::stop_source around;
  const std::stop_token token = around.get_token();
  std::stop_source own_source;
  const options own{.backend = "threads", .stop = own_source.get_token()};
  const options none;
  const manyhands::threads_backend who;
  here.stop = &token;
  call_facts facts;
  const call_extras extras(own, none, select(own), who, facts);
  here.stop = nullptr;
  REQUIRE(facts.stop != nullptr);
  CHECK_FALSE(facts.stop->stop_requested());
  around.request_stop();
  CHECK(facts.stop->stop_requested());
}
