#include <manyhands/detail/scope_frame.hpp>

#include <chrono>
#include <memory>
#include <stop_token>

#include <support/catch.hpp>

using manyhands::options;
using manyhands::detail::is_plain;
using manyhands::detail::scope_frame;

TEST_CASE("a scope holds the options that were merged for it") {
  const scope_frame frame{{.n_jobs = 3}};
  CHECK(frame.merged.n_jobs == 3);
  CHECK(frame.is_plain);
  CHECK_FALSE(scope_frame{{.retries = 1}}.is_plain);
}

TEST_CASE("options are plain that say only who runs a call, in what portions, and its name") {
  CHECK(is_plain({}));
  CHECK(is_plain({.n_jobs = 3,
                  .backend = "loky",
                  .prefer = manyhands::prefer::threads,
                  .require = manyhands::require::shared_memory,
                  .batch_size = 5,
                  .pre_dispatch = 7,
                  .inner_max_num_threads = 2,
                  .description = "plain"}));
  CHECK_FALSE(is_plain({.timeout = std::chrono::seconds(1)}));
  CHECK_FALSE(is_plain({.retries = 1}));
  CHECK_FALSE(is_plain({.max_tasks_per_worker = 1}));
  CHECK_FALSE(is_plain({.memory_limit = 1}));
  CHECK_FALSE(is_plain({.initializer = [] {}}));
  CHECK_FALSE(is_plain({.pin = manyhands::pin::cores}));
  CHECK_FALSE(is_plain({.stop = std::stop_token()}));
  CHECK_FALSE(is_plain({.verbose = 1}));
  CHECK_FALSE(is_plain({.progress = true}));
  CHECK_FALSE(is_plain({.trace = "file"}));
  CHECK_FALSE(is_plain({.report = "file"}));
  CHECK_FALSE(is_plain({.checkpoint = "file"}));
  CHECK_FALSE(is_plain({.seed = 1}));
  CHECK_FALSE(is_plain({.observer = std::make_shared<manyhands::observer>()}));
}
