// Calls on worker processes in a program that has threads already: those of other libraries, and ours. What the program has used, its tasks
// can use, too, and nothing hangs. Each test runs in a copy of this program, which is killed if it hangs.

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <manyhands.hpp>
#include <manyhands/backends/asio.hpp>
#include <manyhands/config.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/subprocess.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

#if !MANYHANDS_TSAN  // it does not know how those libraries' threads wait for each other

namespace {

/// True where `use` gives the same in the program, then in tasks, and then in the program again; three times.
bool works_in_tasks_after_program(const std::function<long()>& use) {
  const long expected = use();
  for (int call = 0; call < 3; ++call) {
    const auto results =
        Parallel({.n_jobs = 2, .backend = "processes", .inner_max_num_threads = 2})(numbers(6) | delayed([&](int) { return use(); }));
    if (results != std::vector<long>(6, expected)) return false;
    if (use() != expected) return false;
  }
  return true;
}

/// The same while another thread of the program never stops using it.
bool works_while_program_is_busy(const std::function<long()>& use) {
  std::atomic<bool> over = false;
  std::thread busy([&] {
    while (!over) use();
  });
  const bool works = works_in_tasks_after_program(use);
  over = true;
  busy.join();
  return works;
}

/// OpenMP by a runtime of that name, as compilers use it. Empty where it is not installed.
std::function<long()> openmp(const char* runtime) {
  void* const library = ::dlopen(runtime, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  const auto parallel = reinterpret_cast<void (*)(void (*)(void*), void*, unsigned, unsigned)>(::dlsym(library, "GOMP_parallel"));
  const auto thread = reinterpret_cast<int (*)()>(::dlsym(library, "omp_get_thread_num"));
  if (parallel == nullptr || thread == nullptr) return nullptr;
  return [parallel, thread] {
    struct team {
      int (*number)();
      std::atomic<long> sum = 0;
    };
    team all{thread};
    parallel(
        [](void* data) {
          auto& to = *static_cast<team*>(data);
          to.sum += to.number() + 1;
        },
        &all, 2, 0);
    return all.sum.load();
  };
}

/// A product of matrices by OpenBLAS with two threads of that kind. Empty where it is not installed.
std::function<long()> openblas(const std::string& flavour) {
  const std::string path = "/usr/lib/x86_64-linux-gnu/openblas-" + flavour + "/libopenblas.so.0";
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  using product = void (*)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
  const auto multiply = reinterpret_cast<product>(::dlsym(library, "cblas_dgemm"));
  reinterpret_cast<void (*)(int)>(::dlsym(library, "openblas_set_num_threads"))(2);
  return [multiply] {
    constexpr int size = 200;
    constexpr int plain = 111;
    constexpr int by_rows = 101;
    const std::vector<double> ones(static_cast<std::size_t>(size * size), 1.0);
    std::vector<double> result(ones.size());
    multiply(by_rows, plain, plain, size, size, size, 1.0, ones.data(), size, ones.data(), size, 0.0, result.data(), size);
    return std::lround(std::accumulate(result.begin(), result.end(), 0.0));
  };
}

}  // namespace

TEST_CASE("GNU's OpenMP works in tasks of a program that has used it") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const auto use = openmp("libgomp.so.1");
    return !use || works_in_tasks_after_program(use);
  }));
}

TEST_CASE("GNU's OpenMP works in tasks while another thread of the program uses it") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const auto use = openmp("libgomp.so.1");
    return !use || works_while_program_is_busy(use);
  }));
}

TEST_CASE("LLVM's OpenMP works in tasks of a program that has used it") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const auto use = openmp("libomp.so.5");
    return !use || works_in_tasks_after_program(use);
  }));
}

TEST_CASE("LLVM's OpenMP works in tasks while another thread of the program uses it") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const auto use = openmp("libomp.so.5");
    return !use || works_while_program_is_busy(use);
  }));
}

TEST_CASE("OpenBLAS works in tasks of a program that has used it, with threads of its own and with OpenMP's") {
  const std::string threads = GENERATE("pthread", "openmp");
  CAPTURE(threads);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    const auto use = openblas(threads);
    return !use || works_in_tasks_after_program(use);
  }));
}

#if defined(TBB_SUM)
// While another thread is inside TBB, a fork may find one of its locks taken.
TEST_CASE("TBB works in tasks of a program that has used it") {
  CHECK(manyhands_test::holds_in_subprocess([&] {
    void* const library = ::dlopen(TBB_SUM, RTLD_NOW | RTLD_LOCAL);
    const auto sum = reinterpret_cast<long (*)(long)>(::dlsym(library, "tbb_sum"));
    return works_in_tasks_after_program([sum] { return sum(100'000); });
  }));
}
#endif

TEST_CASE("calls on threads work in tasks of a program that has made some, and while it does") {
  const bool is_busy = GENERATE(false, true);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    const auto use = [] {
      const auto results = Parallel({.n_jobs = 3, .backend = "threads"})(numbers(50) | delayed([](int i) { return i; }));
      return std::accumulate(results.begin(), results.end(), 0L);
    };
    return is_busy ? works_while_program_is_busy(use) : works_in_tasks_after_program(use);
  }));
}

TEST_CASE("calls on an executor whose threads a worker does not have work there in their caller") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    boost::asio::thread_pool pool(2);
    const auto backend = manyhands::asio_backend(pool.get_executor());
    const bool works = works_in_tasks_after_program([&] {
      const auto results = Parallel({.n_jobs = 3, .backend = backend})(numbers(50) | delayed([](int i) { return i; }));
      return std::accumulate(results.begin(), results.end(), 0L);
    });
    pool.join();
    return works;
  }));
}
#endif
