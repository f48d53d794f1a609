#include <manyhands.hpp>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/subprocess.hpp>

// What `options::inner_max_num_threads` promises, with the OpenMP that the compiler uses.

#if defined(WITH_OPENMP)
#include <support/openmp_team.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands::parallel_backend;
using manyhands::parallel_config;

namespace {

/// What a task gets from OpenMP.
struct team {
  int most = 0;
  int size = 0;
  friend bool operator==(const team&, const team&) = default;
};

team seen() { return {openmp_most(), openmp_team_size()}; }

/// The same after a while, so that each of two workers takes some.
team seen_slowly() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return seen();
}

template <class Task>
std::vector<Task> copies(std::size_t count, Task task) {
  return std::vector<Task>(count, task);
}

bool all_are(const std::vector<team>& teams, int threads) {
  for (const team& one : teams) {
    if (one != team{threads, threads}) {
      UNSCOPED_INFO("a task may use " << one.most << " and got " << one.size);
      return false;
    }
  }
  return !teams.empty();
}

int default_share(int workers) { return std::max(manyhands::cpu_count() / workers, 1); }

/// What the calling thread may use at the beginning, for a test to change.
struct with_threads {
  explicit with_threads(int threads) { openmp_set_most(threads); }
  with_threads(const with_threads&) = delete;
  with_threads& operator=(const with_threads&) = delete;
  ~with_threads() { openmp_set_most(before); }
  int before = openmp_most();
};

}  // namespace

TEST_CASE("inner_max_num_threads is what OpenMP uses inside tasks, on every backend and worker") {
  const with_threads five(5);
  for (const std::string& name : all_backends()) {
    INFO(name);
    const Parallel par({.n_jobs = 2, .backend = name, .inner_max_num_threads = 3});
    CHECK(all_are(par(copies(20, &seen_slowly)), 3));
    CHECK(seen() == team{5, 5});
  }
}

TEST_CASE("by default the workers share the processors") {
  const with_threads many(64);
  for (const std::string& name : all_backends()) {
    if (name == "sequential") continue;
    INFO(name);
    for (const int workers : {2, 3}) {
      const std::vector<team> teams = Parallel({.n_jobs = workers, .backend = name})(copies(20, &seen_slowly));
      CHECK(all_are(teams, default_share(workers)));
    }
    CHECK(openmp_most() == 64);
  }
}

TEST_CASE("a call that runs in its caller alone leaves OpenMP as it is, unless told otherwise") {
  const with_threads five(5);
  for (const std::string& name : all_backends()) {
    INFO(name);
    CHECK(all_are(Parallel({.n_jobs = 1, .backend = name})(copies(2, &seen)), 5));
    CHECK(all_are(Parallel({.n_jobs = 1, .backend = name, .inner_max_num_threads = 2})(copies(2, &seen)), 2));
    CHECK(openmp_most() == 5);
  }
}

TEST_CASE("the scope's number holds, and the call's own wins") {
  const parallel_config guard({.n_jobs = 2, .inner_max_num_threads = 3});
  CHECK(all_are(Parallel()(copies(4, &seen)), 3));
  CHECK(all_are(Parallel({.inner_max_num_threads = 2})(copies(4, &seen)), 2));
}

TEST_CASE("OpenMP gets its number back after an exception") {
  const with_threads five(5);
  for (const std::string& name : all_backends()) {
    INFO(name);
    const Parallel par({.n_jobs = 2, .backend = name, .inner_max_num_threads = 3});
    CHECK_THROWS_AS(par(copies(4, []() -> int { return openmp_most() == 3 ? throw std::domain_error("three") : 0; })), std::domain_error);
    CHECK(openmp_most() == 5);
  }
}

TEST_CASE("an initializer has the number of its call") {
  std::atomic<int> wrong = 0;
  const auto check = [&] { wrong += openmp_most() != 3 ? 1 : 0; };
  Parallel({.n_jobs = 2, .inner_max_num_threads = 3, .initializer = check})(copies(8, &seen_slowly));
  CHECK(wrong == 0);
}

TEST_CASE("a nested call goes by the call around it, or by its own number, which ends with it") {
  for (const std::string& name : all_backends()) {
    INFO(name);
    const auto task = [] {
      const std::vector<team> silent = Parallel({.n_jobs = 2})(copies(4, &seen_slowly));
      const std::vector<team> own = Parallel({.n_jobs = 2, .inner_max_num_threads = 4})(copies(4, &seen_slowly));
      const std::vector<team> alone = Parallel({.n_jobs = 1})(copies(1, &seen));
      std::vector<team> all{silent.front(), silent.back(), own.front(), own.back(), alone.front(), seen()};
      return all;
    };
    const std::vector<team> expected{{3, 3}, {3, 3}, {4, 4}, {4, 4}, {3, 3}, {3, 3}};
    const Parallel par({.n_jobs = 2, .backend = name, .inner_max_num_threads = 3});
    for (const std::vector<team>& teams : par(copies(3, task))) CHECK(teams == expected);
  }
}

TEST_CASE("nested calls by default do not use more than their call has") {
  for (const std::string& name : all_backends()) {
    if (name == "sequential") continue;
    INFO(name);
    const auto task = [] { return Parallel({.n_jobs = 2})(copies(4, &seen_slowly)).front(); };
    for (const team& one : Parallel({.n_jobs = 2, .backend = name})(copies(3, task))) {
      CHECK(one.size <= default_share(2));
    }
  }
}

TEST_CASE("calls at the same time each have their number") {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int most = 1; most <= 3; ++most) {
    callers.emplace_back([&, most] {
      const auto task = [most] { return seen_slowly() == team{most, most} ? 0 : 1; };
      for (int i = 0; i < 5; ++i) {
        for (const int miss : Parallel({.n_jobs = 2, .inner_max_num_threads = most})(copies(6, task))) wrong += miss;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("worker processes use OpenMP whether or not their program has used it before") {
  const with_threads four(4);
  for (int i = 0; i < 3; ++i) {
    CHECK(openmp_team_size() == 4);
    CHECK(all_are(Parallel({.n_jobs = 2, .backend = "processes", .inner_max_num_threads = 3})(copies(4, &seen)), 3));
  }
}

TEST_CASE("worker processes that are forked inside a parallel region do not wait for threads that are not there") {
  std::vector<team> teams;
  openmp_inside_region(
      [](void* result) {
        *static_cast<std::vector<team>*>(result) =
            Parallel({.n_jobs = 2, .backend = "processes", .inner_max_num_threads = 3})(copies(4, &seen));
      },
      &teams);
  CHECK(teams.size() == 4);
}

#else
TEST_CASE("inner_max_num_threads with OpenMP") { WARN("skipped: this compiler has no OpenMP"); }
#endif
