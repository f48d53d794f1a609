#include <manyhands.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <manyhands/config.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/subprocess.hpp>

// What `options::inner_max_num_threads` promises, with OpenBLAS and with the OpenMP that the compiler uses.

using manyhands::Parallel;
using manyhands::parallel_config;

namespace {

template <class Task>
std::vector<Task> copies(std::size_t count, Task task) {
  return std::vector<Task>(count, task);
}

/// Those on which inner threads can be looked at: ThreadSanitizer takes threads that a forked process starts for those it has inherited.
std::vector<std::string> backends() {
  std::vector<std::string> names = all_backends();
  if (MANYHANDS_TSAN != 0) std::erase(names, "processes");
  return names;
}

int default_share(int workers) { return std::max(manyhands::cpu_count() / workers, 1); }

/// OpenBLAS with threads of its own, loaded as a program's plugin would; `loaded` is false where it is not installed.
struct openblas {
  openblas() {
    for (const char* path : {"libopenblas.so.0", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
                             "/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0"}) {
      void* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
      if (library == nullptr || reinterpret_cast<int (*)()>(::dlsym(library, "openblas_get_parallel"))() != 1) continue;
      loaded = true;
      get = reinterpret_cast<int (*)()>(::dlsym(library, "openblas_get_num_threads"));
      set = reinterpret_cast<void (*)(int)>(::dlsym(library, "openblas_set_num_threads"));
      multiply = reinterpret_cast<decltype(multiply)>(::dlsym(library, "cblas_dgemm"));
      return;
    }
  }

  /// Large enough for all threads that it may use.
  void work() const {
    if (MANYHANDS_TSAN != 0) return;  // it does not know how OpenBLAS's threads wait for each other
    constexpr int size = 300;
    constexpr int plain = 111;
    constexpr int by_rows = 101;
    const std::vector<double> ones(static_cast<std::size_t>(size * size), 1.0);
    std::vector<double> result(ones.size());
    multiply(by_rows, plain, plain, size, size, size, 1.0, ones.data(), size, ones.data(), size, 0.0, result.data(), size);
    if (result.back() != size) throw std::runtime_error("OpenBLAS multiplies wrongly");
  }

  bool loaded = false;
  int (*get)() = nullptr;
  void (*set)(int) = nullptr;
  void (*multiply)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int) = nullptr;
};

[[maybe_unused]] std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

/// Runs the test in a process of its own where OpenBLAS is installed.
template <class Test>
bool holds_with_openblas(Test test) {
  return manyhands_test::holds_in_subprocess([&] {
    const openblas blas;
    return !blas.loaded || test(blas);
  });
}

}  // namespace

TEST_CASE("OpenBLAS is there for these tests") {
  if (manyhands_test::holds_in_subprocess([] { return !openblas().loaded; })) {
    WARN("skipped: install libopenblas0-pthread to test with it");
  }
}

TEST_CASE("OpenBLAS keeps to the number inside tasks, and gets its own back") {
  CHECK(holds_with_openblas([](const openblas& blas) {
    blas.set(5);
    for (const std::string& name : backends()) {
      const auto task = [&] {
        blas.work();
        return blas.get();
      };
      for (const int seen : Parallel({.n_jobs = 2, .backend = name, .inner_max_num_threads = 3})(copies(6, task))) {
        if (seen != 3) return false;
      }
      if (blas.get() != 5) return false;
      if (name == "sequential") continue;
      for (const int seen : Parallel({.n_jobs = 2, .backend = name})(copies(6, task))) {
        if (seen != std::min(default_share(2), 5)) return false;
      }
      if (blas.get() != 5) return false;
      try {
        Parallel({.n_jobs = 2, .backend = name})(copies(6, []() -> int { throw std::domain_error("a task's"); }));
        return false;
      } catch (const std::domain_error&) {
      }
      if (blas.get() != 5) return false;
      blas.work();
    }
    return true;
  }));
}

#if !MANYHANDS_TSAN  // see backends()
TEST_CASE("OpenBLAS starts no threads in worker processes that may not use them") {
  CHECK(holds_with_openblas([](const openblas& blas) {
    blas.set(4);
    blas.work();
    const auto task = [&] {
      blas.work();
      return threads_of_this_process();
    };
    for (const std::ptrdiff_t threads : Parallel({.n_jobs = 2, .backend = "processes", .inner_max_num_threads = 1})(copies(4, task))) {
      if (threads != 1) return false;
    }
    return blas.get() == 4;
  }));
}
#endif

TEST_CASE("a library that is loaded between two calls is known to the second") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const Parallel par({.n_jobs = 2, .inner_max_num_threads = 3});
    par(copies(2, [] {}));
    const openblas blas;
    if (!blas.loaded) return true;
    for (const int seen : par(copies(4, [&] { return blas.get(); }))) {
      if (seen != 3) return false;
    }
    return true;
  }));
}

#if defined(WITH_OPENMP)
#include <support/openmp_team.hpp>

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

bool all_are(const std::vector<team>& teams, int threads) {
  for (const team& one : teams) {
    if (one != team{threads, threads}) {
      UNSCOPED_INFO("a task may use " << one.most << " and got " << one.size);
      return false;
    }
  }
  return !teams.empty();
}

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
  for (const std::string& name : backends()) {
    INFO(name);
    const Parallel par({.n_jobs = 2, .backend = name, .inner_max_num_threads = 3});
    CHECK(all_are(par(copies(20, &seen_slowly)), 3));
    CHECK(seen() == team{5, 5});
  }
}

TEST_CASE("by default the workers share the processors") {
  const with_threads many(64);
  for (const std::string& name : backends()) {
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
  for (const std::string& name : backends()) {
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
  for (const std::string& name : backends()) {
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
  for (const std::string& name : backends()) {
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
  for (const std::string& name : backends()) {
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

#if !MANYHANDS_TSAN  // see backends()
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
#endif

#else
TEST_CASE("inner_max_num_threads with OpenMP") { WARN("skipped: this compiler has no OpenMP"); }
#endif
