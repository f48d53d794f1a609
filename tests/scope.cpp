#include <manyhands/scope.hpp>

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include <support/catch.hpp>

namespace {

using manyhands::cpu_count;
using manyhands::effective_n_jobs;
using manyhands::options;
using manyhands::parallel_backend;
using manyhands::parallel_config;
using manyhands::prefer;
using manyhands::require;
using manyhands::detail::call_facts;
using manyhands::detail::context;
using manyhands::detail::here;
using manyhands::detail::overlaid;
using manyhands::detail::place;
using manyhands::detail::scoped;
using manyhands::detail::select;
using manyhands::detail::selection;

constexpr int largest_int = std::numeric_limits<int>::max();
constexpr int smallest_int = std::numeric_limits<int>::min();

/// Tests in which the environment says nothing but what they put there; as it was before at their end.
class environment {
 public:
  environment() {
    for (const char* name : {"MANYHANDS_N_JOBS", "MANYHANDS_BACKEND", "MANYHANDS_MAX_CPU_COUNT"}) {
      const char* text = getenv(name);
      before_[name] = text == nullptr ? std::nullopt : std::optional<std::string>(text);
      unsetenv(name);
    }
  }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  ~environment() {
    for (const auto& [name, text] : before_) {
      if (text) {
        setenv(name.c_str(), text->c_str(), 1);
      } else {
        unsetenv(name.c_str());
      }
    }
  }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

/// A backend by the name of "near" or "far", whose workers share memory or do not.
class fake_backend final : public manyhands::backend {
 public:
  explicit fake_backend(bool shares_memory, bool nests = false) : traits_{.shares_memory = shares_memory, .nests = nests} {}
  [[nodiscard]] std::string_view name() const noexcept override { return traits_.shares_memory ? "near" : "far"; }
  [[nodiscard]] manyhands::backend_traits traits() const noexcept override { return traits_; }
  void run(manyhands::jobs&, const manyhands::plan&) override {}

 private:
  manyhands::backend_traits traits_;
};

const auto near = std::make_shared<fake_backend>(true);
const auto far = std::make_shared<fake_backend>(false);

std::string chosen_name(const options& own = {}) { return std::string(select(own).who->name()); }

/// Makes the thread one that runs a task of such a call.
class inside_a_task {
 public:
  inside_a_task(place where, int budget) : facts_{.scope = here.scope, .where = where, .budget = budget}, outer_(here) {
    here = context{.call = &facts_, .scope = facts_.scope};
  }
  inside_a_task(const inside_a_task&) = delete;
  inside_a_task& operator=(const inside_a_task&) = delete;
  ~inside_a_task() { here = outer_; }

 private:
  call_facts facts_;
  context outer_;
};

template <class Error, class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& refused) {
    return refused.what();
  }
  return "not refused";
}
std::string conflict(options asked) {
  return refusal<std::invalid_argument>([&] { const parallel_config guard(std::move(asked)); });
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

// --- guards

TEST_CASE_METHOD(environment, "a guard sets the defaults to the end of its scope") {
  {
    const parallel_config guard({.n_jobs = 3, .description = "inside"});
    CHECK(effective_n_jobs() == 3);
    CHECK(scoped().description == "inside");
  }
  CHECK(effective_n_jobs() == cpu_count());
  CHECK_FALSE(scoped().description);
  CHECK(here.scope == nullptr);
}

TEST_CASE_METHOD(environment, "a guard can set the backend, by name or as an object") {
  {
    const parallel_backend guard("sequential");
    CHECK(chosen_name() == "sequential");
    CHECK(effective_n_jobs() == 1);
  }
  {
    const parallel_backend guard(near, {.n_jobs = 5});
    CHECK(select({}).who == near);
    CHECK(effective_n_jobs() == 5);
  }
  CHECK(chosen_name() == "threads");
}

TEST_CASE_METHOD(environment, "scopes nest and merge member by member") {
  const parallel_backend outer(near, {.n_jobs = 5, .description = "outer", .seed = 1});
  {
    const parallel_config inner({.batch_size = 7, .seed = 2});
    CHECK(select({}).who == near);
    CHECK(effective_n_jobs() == 5);
    CHECK(scoped().description == "outer");
    CHECK(scoped().batch_size->count() == 7);
    CHECK(scoped().seed == 2U);
    {
      const parallel_backend innermost("threads", {.n_jobs = 2, .description = "innermost"});
      CHECK(chosen_name() == "threads");
      CHECK(effective_n_jobs() == 2);
      CHECK(scoped().description == "innermost");
      CHECK(scoped().seed == 2U);
    }
    CHECK(scoped().description == "outer");
  }
  CHECK(scoped().seed == 1U);
  CHECK_FALSE(scoped().batch_size);
}

TEST_CASE_METHOD(environment, "what was default in a scope can be set back further in") {
  const parallel_config outer({.batch_size = 7, .description = "outer"});
  const parallel_config inner({.batch_size = manyhands::automatic, .description = ""});
  CHECK(scoped().batch_size->is_automatic());
  CHECK(scoped().description == "");
}

TEST_CASE("every member is merged: what is said above wins, else what is said below") {
  std::stop_source source;
  const auto is_merged = [](auto member, auto upper_value, auto lower_value) {
    options upper;
    options lower;
    lower.*member = lower_value;
    CHECK(overlaid(upper, lower).*member == lower_value);
    upper.*member = upper_value;
    CHECK(overlaid(upper, lower).*member == upper_value);
    CHECK(overlaid(upper, options()).*member == upper_value);
  };
  is_merged(&options::n_jobs, 1, 2);
  is_merged(&options::prefer, prefer::threads, prefer::processes);
  is_merged(&options::timeout, std::chrono::seconds(1), std::chrono::seconds(2));
  is_merged(&options::retries, 0, 2);
  is_merged(&options::inner_max_num_threads, 1, 2);
  is_merged(&options::max_tasks_per_worker, 1, 2);
  is_merged(&options::memory_limit, std::size_t{1}, std::size_t{2});
  is_merged(&options::pin, manyhands::pin::none, manyhands::pin::numa);
  is_merged(&options::stop, std::stop_token(), source.get_token());
  is_merged(&options::verbose, 0, 2);
  is_merged(&options::progress, false, true);
  is_merged(&options::description, std::string(), std::string("lower"));
  is_merged(&options::trace, std::filesystem::path("a"), std::filesystem::path("b"));
  is_merged(&options::report, std::filesystem::path("a"), std::filesystem::path("b"));
  is_merged(&options::checkpoint, std::filesystem::path("a"), std::filesystem::path("b"));
  is_merged(&options::seed, std::uint64_t{0}, std::uint64_t{2});
  is_merged(&options::observer, std::make_shared<manyhands::observer>(), std::make_shared<manyhands::observer>());

  options lower{.require = require::shared_memory, .batch_size = 2, .pre_dispatch = 2, .initializer = [] { throw 2; }};
  lower.backend = "lower";
  const options taken = overlaid({}, lower);
  CHECK(taken.backend.name() == "lower");
  CHECK(taken.require == require::shared_memory);
  CHECK(taken.batch_size->count() == 2);
  CHECK(taken.pre_dispatch->batches(1) == 2);
  CHECK_THROWS_AS(taken.initializer(), int);
  options upper{.batch_size = 1, .pre_dispatch = 1, .initializer = [] {}};
  upper.backend = far;
  const options kept = overlaid(upper, lower);
  CHECK(kept.backend.object() == far);
  CHECK(kept.backend.name().empty());
  CHECK(kept.batch_size->count() == 1);
  CHECK(kept.pre_dispatch->batches(1) == 1);
  CHECK_NOTHROW(kept.initializer());
}

TEST_CASE("a guard stays where it is") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<parallel_backend>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<parallel_backend>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<parallel_backend>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<parallel_config>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<parallel_config>);
  STATIC_REQUIRE_FALSE(std::is_move_assignable_v<parallel_config>);
}

TEST_CASE_METHOD(environment, "a scope is the thread's own") {
  const parallel_config guard({.n_jobs = 3});
  int seen = 0;
  std::string name;
  std::thread([&] {
    seen = effective_n_jobs();
    const parallel_config own({.n_jobs = 7});
    name = chosen_name();
  }).join();
  CHECK(seen == cpu_count());
  CHECK(effective_n_jobs() == 3);
}

TEST_CASE_METHOD(environment, "a scope ends where an exception leaves it") {
  try {
    const parallel_config guard({.n_jobs = 3});
    throw 1;
  } catch (int) {
  }
  CHECK(here.scope == nullptr);
}

TEST_CASE_METHOD(environment, "a guard that is refused changes nothing") {
  const parallel_config outer({.n_jobs = 3});
  CHECK_THROWS_AS(parallel_config({.n_jobs = 0}), std::invalid_argument);
  CHECK_THROWS_AS(parallel_backend("no such backend", {.n_jobs = 5}), std::invalid_argument);
  CHECK_THROWS_AS(parallel_backend("mpi", {.n_jobs = 5}), manyhands::error);
  CHECK(effective_n_jobs() == 3);
}

TEST_CASE_METHOD(environment, "a worker of another thread sees the scope of its call") {
  const parallel_config guard({.n_jobs = 3});
  const call_facts facts{.scope = here.scope, .where = place::threads, .budget = 8};
  int seen = 0;
  std::thread([&] {
    here = context{.call = &facts, .scope = facts.scope};
    seen = effective_n_jobs();
  }).join();
  CHECK(seen == 3);
}

// --- who runs a call

TEST_CASE_METHOD(environment, "threads run a call where nobody chose") {
  const selection chosen = select({});
  CHECK(chosen.who->name() == "threads");
  CHECK(chosen.workers == cpu_count());
  CHECK(chosen.where == place::threads);
  CHECK(chosen.budget == cpu_count());
}

TEST_CASE_METHOD(environment, "the call's own word goes before the scope, the scope before the environment, and that before the default") {
  CHECK(chosen_name() == "threads");
  set("MANYHANDS_BACKEND", "sequential");
  CHECK(chosen_name() == "sequential");
  const parallel_backend guard(near);
  CHECK(select({}).who == near);
  CHECK(select({.backend = far}).who == far);
  CHECK(chosen_name({.backend = "threading"}) == "threads");
}

TEST_CASE_METHOD(environment, "n_jobs is looked up in the same order") {
  CHECK(effective_n_jobs() == cpu_count());
  set("MANYHANDS_N_JOBS", "5");
  CHECK(effective_n_jobs() == 5);
  const parallel_config guard({.n_jobs = 6});
  CHECK(effective_n_jobs() == 6);
  CHECK(effective_n_jobs(7) == 7);
  CHECK(select({.n_jobs = 8}).workers == 8);
}

TEST_CASE_METHOD(environment, "the environment is read at each call") {
  set("MANYHANDS_N_JOBS", "5");
  CHECK(effective_n_jobs() == 5);
  set("MANYHANDS_N_JOBS", "6");
  CHECK(effective_n_jobs() == 6);
  unsetenv("MANYHANDS_N_JOBS");
  CHECK(effective_n_jobs() == cpu_count());
}

TEST_CASE_METHOD(environment, "n_jobs in the environment may be negative or auto") {
  set("MANYHANDS_N_JOBS", "-1");
  CHECK(effective_n_jobs() == cpu_count());
  set("MANYHANDS_N_JOBS", "-2");
  CHECK(effective_n_jobs() == std::max(cpu_count() - 1, 1));
  set("MANYHANDS_N_JOBS", std::to_string(smallest_int));
  CHECK(effective_n_jobs() == 1);
  set("MANYHANDS_N_JOBS", std::to_string(largest_int));
  CHECK(effective_n_jobs() == largest_int);
  set("MANYHANDS_N_JOBS", "auto");
  CHECK(effective_n_jobs() == std::max(cpu_count() - 1, 1));
  set("MANYHANDS_MAX_CPU_COUNT", "1");
  CHECK(effective_n_jobs() == 1);
}

TEST_CASE_METHOD(environment, "bad values in the environment are told with the variable and the value") {
  for (const char* value : {"0", "x", "1.5", "99999999999", "4 ", "AUTO"}) {
    set("MANYHANDS_N_JOBS", value);
    const std::string text = refusal<std::invalid_argument>([] { static_cast<void>(effective_n_jobs()); });
    CHECK(mentions(text, "MANYHANDS_N_JOBS is '" + std::string(value) + "'"));
  }
  unsetenv("MANYHANDS_N_JOBS");
  set("MANYHANDS_BACKEND", "fibers");
  const std::string text = refusal<std::invalid_argument>([] { static_cast<void>(effective_n_jobs()); });
  CHECK(mentions(text, "MANYHANDS_BACKEND is \"fibers\""));
  CHECK(mentions(text, "threads"));
  set("MANYHANDS_BACKEND", "mpi");
  CHECK(mentions(refusal<manyhands::error>([] { static_cast<void>(effective_n_jobs()); }), "not available yet"));
}

namespace {

/// There are so many workers, whatever there are processors.
class counted_backend final : public manyhands::backend {
 public:
  explicit counted_backend(int workers) : workers_(workers) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "counted"; }
  [[nodiscard]] manyhands::backend_traits traits() const noexcept override { return {.shares_memory = false, .workers = workers_}; }
  void run(manyhands::jobs&, const manyhands::plan&) override {}

 private:
  int workers_;
};

}  // namespace

TEST_CASE_METHOD(environment, "where a backend has so many workers, n_jobs counts those") {
  const parallel_backend guard(std::make_shared<counted_backend>(5));
  CHECK(effective_n_jobs() == 5);
  CHECK(effective_n_jobs(-1) == 5);
  CHECK(effective_n_jobs(-2) == 4);
  CHECK(effective_n_jobs(3) == 3);
  CHECK(effective_n_jobs(1000) == 5);
  CHECK(effective_n_jobs(-1000) == 1);
  set("MANYHANDS_N_JOBS", "auto");
  CHECK(effective_n_jobs() == 4);
}

TEST_CASE_METHOD(environment, "the one worker is the caller, unless there is but one and nobody asked for one") {
  using manyhands::detail::select;
  const auto one = std::make_shared<counted_backend>(1);
  const auto many = std::make_shared<counted_backend>(5);
  CHECK_FALSE(select({.backend = one}).in_caller);
  CHECK_FALSE(select({.n_jobs = -1, .backend = one}).in_caller);
  CHECK(select({.n_jobs = 1, .backend = one}).in_caller);
  CHECK(select({.n_jobs = 1, .backend = many}).in_caller);
  CHECK_FALSE(select({.n_jobs = 2, .backend = many}).in_caller);
  CHECK(select({.n_jobs = 1, .backend = "threads"}).in_caller);
}

TEST_CASE_METHOD(environment, "what the call says itself, the environment cannot spoil") {
  set("MANYHANDS_N_JOBS", "x");
  set("MANYHANDS_BACKEND", "fibers");
  CHECK(select({.n_jobs = 2, .backend = near}).workers == 2);
  const parallel_backend guard(near, {.n_jobs = 3});
  CHECK(effective_n_jobs() == 3);
}

TEST_CASE_METHOD(environment, "a backend that was registered as the default runs a call where nobody chose") {
  const manyhands::backend_factory threads = manyhands::detail::factory_of("threads");
  manyhands::register_parallel_backend(
      "test.near", [] { return near; }, true);
  CHECK(select({}).who == near);
  CHECK(chosen_name({.prefer = prefer::threads}) == "threads");
  manyhands::register_parallel_backend("threads", threads, true);
  CHECK(chosen_name() == "threads");
}

TEST_CASE_METHOD(environment, "the first of the smallest and largest n_jobs does not overflow") {
  CHECK(effective_n_jobs(largest_int) == largest_int);
  CHECK(effective_n_jobs(smallest_int) == 1);
  CHECK(effective_n_jobs(-1) == cpu_count());
  CHECK(effective_n_jobs(1) == 1);
  CHECK(mentions(refusal<std::invalid_argument>([] { static_cast<void>(effective_n_jobs(0)); }), "n_jobs is 0"));
}

TEST_CASE_METHOD(environment, "the sequential backend has one worker, whatever n_jobs says") {
  const selection chosen = select({.n_jobs = 8, .backend = "sequential"});
  CHECK(chosen.workers == 1);
  CHECK(chosen.where == place::caller);
}

TEST_CASE_METHOD(environment, "what a backend cannot nest runs in its caller") {
  CHECK(select({.n_jobs = 8, .backend = near}).budget == 1);
  CHECK(select({.n_jobs = 8, .backend = std::make_shared<fake_backend>(true, true)}).budget == 8);
}

TEST_CASE_METHOD(environment, "workers that are processes share the processors among them") {
  const selection chosen = select({.n_jobs = 2, .backend = far});
  CHECK(chosen.where == place::process);
  CHECK(chosen.budget == std::max(cpu_count() / 2, 1));
  CHECK(select({.n_jobs = largest_int, .backend = far}).budget == 1);
  CHECK(select({.n_jobs = 1, .backend = far}).where == place::caller);
}

// --- prefer and require

TEST_CASE_METHOD(environment, "prefer is a hint, and used only where nobody chose a backend") {
  CHECK(chosen_name({.prefer = prefer::threads}) == "threads");
  CHECK(select({.n_jobs = 3, .prefer = prefer::threads}).workers == 3);
  CHECK(select({.backend = far, .prefer = prefer::threads}).who == far);
  const parallel_config hint({.prefer = prefer::threads});
  CHECK(chosen_name() == "threads");
  const parallel_backend guard(far);
  CHECK(select({.prefer = prefer::threads}).who == far);
}

#if MANYHANDS_HAS_FORK
TEST_CASE_METHOD(environment, "prefer can ask for processes") {
  CHECK(chosen_name({.prefer = prefer::processes}) == "processes");
  CHECK(select({.n_jobs = 3, .prefer = prefer::processes}).workers == 3);
  const parallel_config hint({.prefer = prefer::processes});
  CHECK(chosen_name() == "processes");
  CHECK(chosen_name({.prefer = prefer::threads}) == "threads");
  CHECK(chosen_name({.require = require::shared_memory}) == "threads");
}

TEST_CASE_METHOD(environment, "a backend in the environment counts as chosen: prefer does not change it") {
  set("MANYHANDS_BACKEND", "threads");
  CHECK(chosen_name({.prefer = prefer::processes}) == "threads");
}
#endif

TEST_CASE_METHOD(environment, "require replaces a backend without shared memory by threads, and keeps n_jobs") {
  const parallel_backend guard(far, {.n_jobs = 3});
  CHECK(select({}).who == far);
  const selection chosen = select({.require = require::shared_memory});
  CHECK(chosen.who->name() == "threads");
  CHECK(chosen.workers == 3);
  const parallel_config inner({.require = require::shared_memory});
  CHECK(chosen_name() == "threads");
  CHECK(chosen_name({.backend = far}) == "threads");
  CHECK(select({.backend = near}).who == near);
}

TEST_CASE_METHOD(environment, "require together with a backend that cannot give it is refused, with the backend's name and the cure") {
  const std::string text = conflict({.backend = far, .require = require::shared_memory});
  CHECK(mentions(text, "shared_memory"));
  CHECK(mentions(text, "\"far\""));
  CHECK(mentions(text, "leave one of them out"));
  CHECK(mentions(conflict({.prefer = prefer::processes, .require = require::shared_memory}), "prefer is processes"));
#if MANYHANDS_HAS_FORK
  CHECK(mentions(conflict({.backend = "multiprocessing", .require = require::shared_memory}), "\"processes\""));
#endif
  CHECK(conflict({.backend = near, .require = require::shared_memory}) == "not refused");
  CHECK(conflict({.backend = "threads", .prefer = prefer::processes}) == "not refused");
}

// --- nested calls

TEST_CASE_METHOD(environment, "a call inside a thread worker has no more workers than the outer call") {
  const inside_a_task task(place::threads, 3);
  CHECK(effective_n_jobs() == 3);
  CHECK(effective_n_jobs(8) == 3);
  CHECK(effective_n_jobs(2) == 2);
  CHECK(effective_n_jobs(largest_int) == 3);
  CHECK(effective_n_jobs(smallest_int) == 1);
  set("MANYHANDS_N_JOBS", "7");
  CHECK(effective_n_jobs() == 3);
}

TEST_CASE_METHOD(environment, "a call inside a thread worker never forks") {
  const inside_a_task task(place::threads, 3);
  const selection chosen = select({.n_jobs = 2, .backend = far});
  CHECK(chosen.who->name() == "threads");
  CHECK(chosen.where == place::threads);
  CHECK(chosen.workers == 2);
}

TEST_CASE_METHOD(environment, "a call inside a worker process uses threads, as many as its share") {
  const inside_a_task task(place::process, 2);
  CHECK(effective_n_jobs() == 2);
  const selection chosen = select({.n_jobs = 8, .backend = far});
  CHECK(chosen.who->name() == "threads");
  CHECK(chosen.where == place::threads);
  CHECK(chosen.workers == 2);
}

TEST_CASE_METHOD(environment, "a call inside a worker process with a share of one runs in its caller") {
  const inside_a_task task(place::process, 1);
  CHECK(effective_n_jobs() == 1);
  CHECK(effective_n_jobs(8) == 1);
}

TEST_CASE_METHOD(environment, "a sequential call in between does not widen the bounds") {
  const inside_a_task task(place::threads, 3);
  const selection chosen = select({.n_jobs = 8, .backend = "sequential"});
  CHECK(chosen.workers == 1);
  CHECK(chosen.where == place::threads);
  CHECK(chosen.budget == 3);
}

TEST_CASE_METHOD(environment, "a call inside a task of a call in the caller has no bounds") {
  const inside_a_task task(place::caller, 0);
  CHECK(effective_n_jobs(8) == 8);
  CHECK(select({.n_jobs = 2, .backend = far}).who == far);
}

// --- what is refused

TEST_CASE_METHOD(environment, "n_jobs 0 and negative verbosity are refused, with the cure") {
  CHECK(mentions(conflict({.n_jobs = 0}), "n_jobs is 0: use"));
  CHECK(mentions(conflict({.verbose = -1}), "verbose is -1: use 0"));
}

TEST_CASE_METHOD(environment, "a backend that is none is refused") {
  CHECK(mentions(conflict({.backend = ""}), "backend is empty"));
  CHECK(mentions(conflict({.backend = std::shared_ptr<fake_backend>()}), "not null"));
  const std::string text = conflict({.backend = "fibers"});
  CHECK(mentions(text, "backend is \"fibers\""));
  CHECK(mentions(text, "sequential"));
  CHECK(mentions(text, "threads"));
  CHECK(mentions(refusal<manyhands::error>([] { const parallel_backend guard("mpi"); }), "\"mpi\" is not available yet"));
}
