#include <manyhands.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <manyhands/config.hpp>
#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Writes to so much memory. Not in sight of a compiler that sees that nobody reads it.
std::size_t use(std::size_t bytes) {
  const std::unique_ptr<char[]> memory(new char[bytes]);
  char* volatile used = memory.get();
  std::memset(used, 1, bytes);
  return static_cast<std::size_t>(std::count(used, used + bytes, 1));
}

}  // namespace

TEST_CASE("a worker process is replaced after so many tasks") {
  const manyhands_test::leak_check leaks;
  const int most = GENERATE(1, 7, 1000);
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(20));
  const shared_array<std::atomic<int>> initialized(1);
  const Parallel par(
      {.n_jobs = 2, .backend = "processes", .batch_size = batch, .max_tasks_per_worker = most, .initializer = [&] { ++initialized[0]; }});
  const shared_array<std::atomic<int>> runs(60);
  const std::vector<pid_t> pids = par(numbers(60) | delayed([&](int i) {
                                        ++runs[static_cast<std::size_t>(i)];
                                        return ::getpid();
                                      }));
  std::map<pid_t, int> tasks;
  for (const pid_t pid : pids) ++tasks[pid];
  for (const auto& [pid, count] : tasks) CHECK(count <= most);
  CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& each) { return each == 1; }));
  CHECK(initialized[0] >= static_cast<int>(tasks.size()));
}

TEST_CASE("a worker process that has run enough breaks no pool") {
  const manyhands_test::leak_check leaks;
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = std::chrono::seconds(20), .retries = 1, .max_tasks_per_worker = 1});
  const auto all = par(numbers(100) | delayed([](int i) {
                         if (i % 20 == 3 && manyhands::this_task::attempt() == 0) ::_exit(1);
                         return std::to_string(i);
                       }));
  for (int i = 0; i < 100; ++i) CHECK(all[static_cast<std::size_t>(i)] == std::to_string(i));
}

TEST_CASE("where memory is shared no worker is replaced") {
  const std::string backend = GENERATE("threads", "sequential");
  CHECK(Parallel({.n_jobs = 2, .backend = backend, .max_tasks_per_worker = 1, .memory_limit = mebibyte})(
            numbers(10) | delayed([](int) { return static_cast<int>(use(8 * mebibyte) / mebibyte); })) == std::vector<int>(10, 8));
}

TEST_CASE("a task that allocates more than a worker process may fails alone") {
  if (MANYHANDS_ASAN + MANYHANDS_TSAN != 0) return;  // they keep memory that was freed, and need some themselves
  const manyhands_test::leak_check leaks;
  const Parallel par({.n_jobs = 2, .backend = "processes", .memory_limit = 64 * mebibyte});
  const auto all = par.outcomes(numbers(20) | delayed([](int i) { return use((i == 7 ? 512 : 16) * mebibyte) / mebibyte; }));
  for (std::size_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    if (i != 7) {
      CHECK(all[i].value() == 16);
      continue;
    }
    try {
      static_cast<void>(all[i].value());
      FAIL("it was given the memory");
    } catch (const std::bad_alloc&) {
    } catch (const manyhands::worker_lost& lost) {
      CHECK(lost.index() == 7);
    }
  }
}

TEST_CASE("what the program has allocated itself does not count") {
  if (MANYHANDS_ASAN + MANYHANDS_TSAN != 0) return;  // they keep memory that was freed, and need some themselves
  const manyhands_test::leak_check leaks;
  const std::vector<char> large(128 * mebibyte, 'x');
  const Parallel par({.n_jobs = 2, .backend = "processes", .memory_limit = 64 * mebibyte});
  const auto sums =
      par(numbers(4) | delayed([&](int i) { return use(16 * mebibyte) + static_cast<std::size_t>(large[static_cast<std::size_t>(i)]); }));
  CHECK(sums == std::vector<std::size_t>(4, 16 * mebibyte + 'x'));
}
