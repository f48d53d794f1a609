#include <manyhands/parallel.hpp>

#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>

using manyhands::delayed;
using manyhands::options;
using manyhands::Parallel;
using manyhands::parallel_config;

namespace {

/// Notes what it was asked for, and runs the tasks in the caller.
class notebook final : public manyhands::backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "notebook"; }
  void run(manyhands::jobs& work, const manyhands::plan& how) override {
    workers = how.workers;
    batch = how.batch.count();
    read_ahead = how.read_ahead;
    description = how.description;
    known = work.known();
    const manyhands::worker_scope me(work, 0);
    while (const manyhands::index_range tasks = work.next(leave_one && work.waiting() > 1 ? work.waiting() - 1 : manyhands::no_index)) {
      work.run(tasks);
      if (leave_one) return;
    }
  }

  int workers = 0;
  std::size_t batch = 0;
  std::size_t read_ahead = 0;
  std::size_t known = 0;
  std::string description = {};
  bool leave_one = false;
};

template <class Failure>
std::string message_of(Failure&& fail) {
  try {
    fail();
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "no std::invalid_argument";
}

const auto five = [] { return std::vector<int>{1, 2, 3, 4, 5} | delayed([](int i) { return i; }); };

}  // namespace

TEST_CASE("an object is made of options, of a number of workers, or of nothing") {
  REQUIRE(Parallel()(five()).size() == 5);
  REQUIRE(Parallel(2)(five()).size() == 5);
  REQUIRE(Parallel({.n_jobs = 2, .backend = "threads"})(five()).size() == 5);
  REQUIRE(Parallel({})(five()).size() == 5);  // no options, and not the number 0
  REQUIRE(Parallel(std::size_t{2})(five()).size() == 5);
  const Parallel constant{3};
  const Parallel copy = constant;
  REQUIRE(copy(five()).size() == 5);
  static_assert(std::is_nothrow_move_constructible_v<Parallel> || std::is_move_constructible_v<Parallel>);
}

TEST_CASE("bad options are refused at construction, with the value and the cure") {
  using Catch::Matchers::Contains;
  REQUIRE_THAT(message_of([] { Parallel(0); }), Contains("n_jobs is 0") && Contains("-1"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = "no such"}); }),
               Contains("\"no such\"") && Contains("sequential") && Contains("threads") && Contains("processes"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = ""}); }), Contains("empty"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = std::shared_ptr<manyhands::backend>()}); }), Contains("empty"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = nullptr}); }), Contains("empty"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = static_cast<const char*>(nullptr)}); }), Contains("empty"));
  REQUIRE_THAT(message_of([] { Parallel(5'000'000'000); }), Contains("n_jobs is 5000000000"));
  REQUIRE_THAT(message_of([] { Parallel({.retries = -1}); }), Contains("retries is -1"));
  REQUIRE_THAT(message_of([] { Parallel({.inner_max_num_threads = 0}); }), Contains("inner_max_num_threads is 0"));
  REQUIRE_THAT(message_of([] { Parallel({.max_tasks_per_worker = 0}); }), Contains("max_tasks_per_worker is 0"));
  REQUIRE_THAT(message_of([] { Parallel({.memory_limit = 0}); }), Contains("memory_limit is 0"));
  REQUIRE_THAT(message_of([] { Parallel({.timeout = std::chrono::seconds(-1)}); }), Contains("timeout is -1"));
  REQUIRE_THAT(message_of([] { Parallel({.batch_size = 0}); }), Contains("batch_size is 0") && Contains("automatic"));
  REQUIRE_THAT(message_of([] { Parallel({.batch_size = -3}); }), Contains("batch_size is -3"));
  REQUIRE_THAT(message_of([] { Parallel({.pre_dispatch = 0}); }), Contains("pre_dispatch") && Contains("0"));
  REQUIRE_THAT(message_of([] { Parallel({.pre_dispatch = "2*jobs"}); }), Contains("2*jobs") && Contains("n_jobs"));
  REQUIRE_THAT(message_of([] { Parallel({.backend = "processes", .require = manyhands::require::shared_memory}); }),
               Contains("shared_memory") && Contains("processes"));
  REQUIRE_THAT(message_of([] { Parallel({.verbose = -1}); }), Contains("verbose is -1"));
}

TEST_CASE("what depends on the number of workers is refused at the call, before any task runs") {
  int runs = 0;
  const Parallel par({.n_jobs = 1, .pre_dispatch = "n_jobs-1"});
  REQUIRE_THAT(message_of([&] { par([&] { ++runs; }); }), Catch::Matchers::Contains("n_jobs-1"));
  REQUIRE(runs == 0);
}

TEST_CASE("the backend is told what the call asks for") {
  const auto notes = std::make_shared<notebook>();
  Parallel({.n_jobs = 3, .backend = notes, .batch_size = 7, .pre_dispatch = "3*n_jobs", .description = "counting"})(five());
  REQUIRE(notes->workers == 3);
  REQUIRE(notes->batch == 7);
  REQUIRE(notes->read_ahead == 9);
  REQUIRE(notes->description == "counting");
  REQUIRE(notes->known == 5);
  Parallel({.n_jobs = 4, .backend = notes})(five());
  REQUIRE(notes->batch == 0);
  REQUIRE(notes->read_ahead == 8);
  REQUIRE(notes->description.empty());
  Parallel({.n_jobs = 4, .backend = notes, .pre_dispatch = "all"})(five());
  REQUIRE(notes->read_ahead == std::numeric_limits<std::size_t>::max());
  Parallel({.n_jobs = 1000000, .backend = notes})(five());
  REQUIRE(notes->workers == 1000000);
  REQUIRE(notes->known == 5);
}

TEST_CASE("options are looked up at the call: own, scope, environment, default") {
  const auto notes = std::make_shared<notebook>();
  const Parallel par({.backend = notes});
  {
    const parallel_config guard({.n_jobs = 5, .batch_size = 2, .description = "from the scope"});
    par(five());
    REQUIRE(notes->workers == 5);
    REQUIRE(notes->batch == 2);
    REQUIRE(notes->description == "from the scope");
    Parallel({.n_jobs = 6, .backend = notes, .description = "own"})(five());
    REQUIRE(notes->workers == 6);
    REQUIRE(notes->description == "own");
  }
  ::setenv("MANYHANDS_N_JOBS", "7", 1);
  par(five());
  ::unsetenv("MANYHANDS_N_JOBS");
  REQUIRE(notes->workers == 7);
}

TEST_CASE("a backend that leaves tasks undone is found out") {
  const auto notes = std::make_shared<notebook>();
  notes->leave_one = true;
  REQUIRE_THROWS_AS(Parallel({.n_jobs = 2, .backend = notes})(five()), manyhands::error);
}

TEST_CASE("more workers than anybody has are no trouble") {
  REQUIRE(Parallel(std::numeric_limits<int>::max())(five()).size() == 5);
  REQUIRE(Parallel(std::numeric_limits<int>::min())(five()).size() == 5);
  REQUIRE(Parallel({.n_jobs = std::numeric_limits<int>::max(), .backend = "processes"})(five()).size() == 5);
}

TEST_CASE("a call of no tasks gives an empty tuple") { REQUIRE(Parallel(2)() == std::tuple<>()); }

TEST_CASE("the first line of the contract") {
  const auto root = [](int i) { return i * i; };
  const auto load = [](const char* name) { return std::string(name); };
  const auto count = [](const std::string& text) { return text.size(); };
  const std::string text = "some text";
  auto [a, b] = Parallel()(delayed(load)("a.csv"), delayed(count)(text));
  REQUIRE(a == "a.csv");
  REQUIRE(b == 9);
#if !defined(__clang__) || __clang_major__ > 15
  auto squares = Parallel({.n_jobs = 4})(std::views::iota(0, 10) | delayed(root));
  REQUIRE(squares == std::vector{0, 1, 4, 9, 16, 25, 36, 49, 64, 81});
#else
  static_cast<void>(root);
#endif
}
