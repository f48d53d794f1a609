#include <manyhands/backends/mpi.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/mpi.hpp>
#include <support/mpi_library.hpp>
#include <support/numbers.hpp>

using manyhands::delayed;
using manyhands::options;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

/// A file to which ranks of this machine add bytes, one a task.
class tally {
 public:
  tally() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands_mpi_XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    ::close(fd);
    path_ = name;
  }
  tally(const tally&) = delete;
  tally& operator=(const tally&) = delete;
  ~tally() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::size_t count() const { return count(path_); }
  static void add(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
    static_cast<void>(!::write(fd, "x", 1));
    ::close(fd);
  }
  static std::size_t count(const std::string& path) { return static_cast<std::size_t>(std::filesystem::file_size(path)); }
  /// Waits until so many bytes are there; throws after half a minute.
  static void wait_for(const std::string& path, std::size_t bytes) {
    for (int tries = 0; count(path) < bytes; ++tries) {
      if (tries == 30'000)
        throw std::runtime_error("waited in vain for " + std::to_string(bytes) + ", there are " + std::to_string(count(path)));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  std::string path_;
};

struct opaque {
  std::unique_ptr<int> value;
  explicit opaque(int i) : value(std::make_unique<int>(i)) {}
  virtual ~opaque() = default;
  opaque(opaque&&) = default;
};

class unknown_problem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class known_problem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

int twice(int i) { return 2 * i; }
int squared_unless(int i, int bad) {
  if (i == bad) throw std::out_of_range("no " + std::to_string(i));
  return i * i;
}

}  // namespace

TEST_CASE("results come in the order of the input") {
  const manyhands::parallel_backend guard("mpi");
  const auto results = Parallel()(numbers(50'000) | delayed(twice));
  REQUIRE(results.size() == 50'000);
  bool right = true;
  for (int i = 0; i < 50'000; ++i) right = right && results[static_cast<std::size_t>(i)] == 2 * i;
  CHECK(right);
}

TEST_CASE("every size of batch gives the same results") {
  const manyhands::parallel_backend guard("mpi");
  for (const std::size_t size : {1U, 7U, 1000U, 100'000U}) {
    CHECK(Parallel({.batch_size = size})(numbers(3'000) | delayed([](int i) { return std::to_string(i); })).back() == "2999");
  }
}

TEST_CASE("tasks of different types give a tuple") {
  const manyhands::parallel_backend guard("mpi");
  const auto [number, text, nothing] =
      Parallel()(delayed(twice)(21), delayed([](const std::string& name) { return "hello " + name; })(std::string("ranks")), [] {});
  CHECK(number == 42);
  CHECK(text == "hello ranks");
  CHECK(nothing == std::monostate());
}

TEST_CASE("without tasks there are no results, and nothing is sent") {
  const manyhands::parallel_backend guard("mpi");
  CHECK(Parallel()(numbers(0) | delayed(twice)).empty());
}

TEST_CASE("tasks run on the other ranks, each of which has one number") {
  const manyhands::parallel_backend guard("mpi");
  const auto seen = Parallel({.batch_size = 1})(numbers(200) | delayed([](int) {
                                                  std::this_thread::sleep_for(std::chrono::microseconds(200));
                                                  return std::pair(manyhands::this_worker::index(), ::getpid());
                                                }));
  if (mpi_workers() == 0) return;
  const std::set<std::pair<int, pid_t>> pairs(seen.begin(), seen.end());
  std::set<pid_t> pids;
  std::set<int> indices;
  for (const auto& [index, pid] : pairs) {
    CHECK(pid != ::getpid());
    CHECK(index >= 0);
    CHECK(index < mpi_workers());
    pids.insert(pid);
    indices.insert(index);
  }
  CHECK(pids.size() == pairs.size());
  CHECK(indices.size() == pairs.size());
  CHECK(static_cast<int>(pids.size()) == mpi_workers());
}

TEST_CASE("n_jobs counts ranks, and one is the caller") {
  const manyhands::parallel_backend guard("mpi");
  const int all = mpi_workers() != 0 ? mpi_workers() : manyhands::cpu_count();
  CHECK(manyhands::effective_n_jobs() == all);
  CHECK(manyhands::effective_n_jobs(-1) == all);
  if (mpi_workers() != 0) CHECK(manyhands::effective_n_jobs(1000) == mpi_workers());
  const auto pid_of = [](int) { return ::getpid(); };
  for (const pid_t pid : Parallel(1)(numbers(10) | delayed(pid_of))) CHECK(pid == ::getpid());
  if (mpi_workers() < 2) return;
  const auto pids = Parallel(2)(numbers(100) | delayed(pid_of));
  CHECK(std::set<pid_t>(pids.begin(), pids.end()).size() <= 2);
}

TEST_CASE("a task sees its index, its seed and the scope of the call") {
  const auto view = [] {
    const manyhands::parallel_config inner({.n_jobs = 3, .seed = 77});
    return Parallel({.n_jobs = -1})(numbers(20) |
                                    delayed([](int) { return std::pair(manyhands::this_task::index(), manyhands::this_task::seed()); }));
  };
  const manyhands::parallel_backend guard("mpi");
  const auto here = [&] {
    const manyhands::parallel_backend sequential("sequential");
    return view();
  }();
  CHECK(view() == here);
}

TEST_CASE("large arguments and results travel whole") {
  const manyhands::parallel_backend guard("mpi");
  std::vector<std::vector<int>> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(numbers(1'000'000, i));
  const auto results = Parallel()(blocks | delayed([](const std::vector<int>& block) {
                                    std::vector<int> back(block.rbegin(), block.rend());
                                    return back;
                                  }));
  REQUIRE(results.size() == blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    CHECK(std::equal(blocks[i].rbegin(), blocks[i].rend(), results[i].begin(), results[i].end()));
}

TEST_CASE("the error of the lowest failed task is thrown, with its type") {
  const manyhands::parallel_backend guard("mpi");
  for (int round = 0; round < 20; ++round) {
    try {
      Parallel({.batch_size = 3})(numbers(500) | delayed([](int i) {
                                    if (i == 41) std::this_thread::sleep_for(std::chrono::milliseconds(3));
                                    if (i >= 41) throw std::out_of_range("task " + std::to_string(i));
                                    return i;
                                  }));
      FAIL("no error");
    } catch (const std::out_of_range& error) {
      CHECK(error.what() == std::string("task 41"));
    }
  }
}

// On every rank: they do not get past the session.
namespace {
const bool is_registered = (manyhands::register_exception<known_problem>(), true);
}

TEST_CASE("errors of types that nobody knows are told by name, those that were registered come as themselves") {
  CHECK(is_registered);
  const manyhands::parallel_backend guard("mpi");
  CHECK_THROWS_AS(Parallel()(numbers(3) | delayed([](int i) { return i == 1 ? throw known_problem("known") : i; })), known_problem);
  if (mpi_workers() == 0) return;
  try {
    Parallel()(numbers(3) | delayed([](int i) { return i == 1 ? throw unknown_problem("what is this") : i; }));
    FAIL("no error");
  } catch (const manyhands::remote_error& error) {
    CHECK_THAT(error.type_name(), Catch::Matchers::Contains("unknown_problem"));
    CHECK_THAT(error.what(), Catch::Matchers::Contains("what is this"));
  }
}

TEST_CASE("outcomes have each task's value or error") {
  const manyhands::parallel_backend guard("mpi");
  const auto results = Parallel().outcomes(numbers(300) | delayed([](int i) {
                                             if (i % 3 == 0) throw std::invalid_argument(std::to_string(i));
                                             return i;
                                           }));
  REQUIRE(results.size() == 300);
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i].has_value() == (i % 3 != 0));
}

TEST_CASE("after a failure no further task begins") {
  const manyhands::parallel_backend guard("mpi");
  const tally begun;
  const auto path = begun.path();
  std::vector<std::pair<int, std::string>> inputs;
  for (int i = 0; i < 10'000; ++i) inputs.emplace_back(i, path);
  CHECK_THROWS_AS(Parallel()(inputs | delayed([](const std::pair<int, std::string>& input) {
                               tally::add(input.second);
                               std::this_thread::sleep_for(std::chrono::microseconds(200));
                               if (input.first == 5) throw std::domain_error("five");
                             })),
                  std::domain_error);
  const std::size_t after = begun.count();
  CHECK(after < 5'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(begun.count() == after);
}

TEST_CASE("what cannot travel is refused before any task runs") {
  if (mpi_workers() == 0) return;
  const manyhands::parallel_backend guard("mpi");
  const tally begun;
  int factor = 3;
  CHECK_THROWS_AS(Parallel()(numbers(5) | delayed([factor, path = begun.path()](int i) { return tally::add(path), i * factor; })),
                  manyhands::not_transportable);
  CHECK_THROWS_AS(Parallel()(numbers(5) | delayed([](int i) { return opaque(i); })), manyhands::not_transportable);
  CHECK(begun.count() == 0);
}

TEST_CASE("the initializer runs once on each rank, and its error is the call's") {
  const manyhands::parallel_backend guard("mpi");
  static int here = 0;  // in each process
  const auto counts = Parallel({.batch_size = 1, .initializer = +[] { ++here; }})(numbers(50) | delayed([](int) { return here; }));
  if (mpi_workers() != 0) {
    for (const int count : counts) CHECK(count == 1);
  }
  CHECK_THROWS_AS(Parallel({.initializer = +[] { throw std::length_error("not today"); }})(numbers(50) | delayed(twice)),
                  std::length_error);
}

TEST_CASE("a late task is asked to stop, and is an error") {
  const manyhands::parallel_backend guard("mpi");
  const auto results =
      Parallel({.timeout = std::chrono::milliseconds(30)}).outcomes(numbers(6) | delayed([](int i) {
                                                                      while (i == 4 && !manyhands::this_task::stop_token().stop_requested())
                                                                        std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                                                      return i;
                                                                    }));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i != 4) {
      CHECK(results[i].has_value());
      continue;
    }
    try {
      static_cast<void>(results[i].value());
      FAIL("no error");
    } catch (const manyhands::task_timeout& late) {
      CHECK(late.index() == 4);
    }
  }
}

TEST_CASE("a task that failed is run again as often as the call says") {
  const manyhands::parallel_backend guard("mpi");
  const auto results = Parallel({.retries = 2})(numbers(30) | delayed([](int i) {
                                                  if (manyhands::this_task::attempt() < i % 3) throw std::runtime_error("not yet");
                                                  return manyhands::this_task::attempt();
                                                }));
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i] == static_cast<int>(i % 3));
}

TEST_CASE("a call is stopped from outside, and its tasks are asked to stop") {
  const manyhands::parallel_backend guard("mpi");
  std::stop_source button;
  std::thread finger([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    button.request_stop();
  });
  CHECK_THROWS_AS(Parallel({.stop = button.get_token()})(numbers(1'000) | delayed([](int i) {
                                                           while (!manyhands::this_task::stop_token().stop_requested()) {
                                                             std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                                           }
                                                           return i;
                                                         })),
                  manyhands::cancelled);
  finger.join();
  CHECK(Parallel()(numbers(3) | delayed(twice)) == std::vector<int>{0, 2, 4});
}

TEST_CASE("a call inside a task uses its rank's threads") {
  const manyhands::parallel_backend guard("mpi");
  const auto seen = Parallel()(numbers(4) | delayed([](int) {
                                 const auto inner = Parallel()(numbers(8) | delayed([](int) { return ::getpid(); }));
                                 return std::pair(inner == std::vector<pid_t>(8, ::getpid()), manyhands::effective_n_jobs());
                               }));
  for (const auto& [all_here, jobs] : seen) {
    CHECK(all_here);
    CHECK(jobs >= 1);
    CHECK(jobs <= manyhands::cpu_count());
  }
}

TEST_CASE("calls are made one after another, and by several threads at a time") {
  const manyhands::parallel_backend guard("mpi");
  for (int round = 0; round < 200; ++round) CHECK(Parallel()(numbers(3, round) | delayed(twice)).front() == 2 * round);

  std::vector<long> sums(4);
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < sums.size(); ++caller) {
    callers.emplace_back([&sums, caller] {
      const manyhands::parallel_backend mine("mpi");
      for (int round = 0; round < 10; ++round) {
        const auto results = Parallel()(numbers(2'000, static_cast<int>(caller)) | delayed(twice));
        sums[caller] += std::accumulate(results.begin(), results.end(), 0L);
      }
    });
  }
  for (std::thread& each : callers) each.join();
  for (std::size_t caller = 0; caller < sums.size(); ++caller)
    CHECK(sums[caller] == 10 * (1999L * 2000 + 2 * 2000 * static_cast<long>(caller)));
}

TEST_CASE("a failed call does not disturb one that runs at the same time") {
  const manyhands::parallel_backend guard("mpi");
  std::thread other([] {
    const manyhands::parallel_backend mine("mpi");
    for (int round = 0; round < 20; ++round) {
      try {
        Parallel()(numbers(100) | delayed([](int i) { return squared_unless(i, 7); }));
      } catch (const std::out_of_range&) {
      }
    }
  });
  bool right = true;
  for (int round = 0; round < 20; ++round) right = right && Parallel()(numbers(1'000) | delayed(twice)).back() == 1998;
  other.join();
  CHECK(right);
}

TEST_CASE("generators give results in order, or as they come, of endless input, too") {
  const manyhands::parallel_backend guard("mpi");
  int expected = 0;
  for (const int value : Parallel().generator(std::views::iota(0) | delayed(twice))) {
    CHECK(value == 2 * expected);
    if (++expected == 500) break;
  }
  std::vector<bool> seen(200);
  for (const auto& [index, value] : Parallel().generator_unordered(numbers(200) | delayed(twice))) {
    CHECK(value == 2 * static_cast<int>(index));
    seen[index] = true;
  }
  CHECK(seen == std::vector<bool>(200, true));
}

TEST_CASE("a generator gives what was ready before it throws") {
  const manyhands::parallel_backend guard("mpi");
  std::vector<int> got;
  try {
    for (const int value : Parallel({.batch_size = 2}).generator(numbers(100) | delayed([](int i) { return squared_unless(i, 11); })))
      got.push_back(value);
    FAIL("no error");
  } catch (const std::out_of_range&) {
  }
  REQUIRE(got.size() == 11);
  CHECK(got.back() == 100);
}

TEST_CASE("input without random access is read as far ahead as the call permits") {
  const manyhands::parallel_backend guard("mpi");
  const std::forward_list<int> list{1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(Parallel()(list | delayed(twice)) == std::vector<int>{2, 4, 6, 8, 10, 12, 14, 16, 18});
  const auto all = numbers(20'000);
  const std::list<int> many(all.begin(), all.end());
  CHECK(Parallel({.pre_dispatch = "3*n_jobs"})(many | delayed(twice)).back() == 39'998);
  if (mpi_workers() == 0) return;

  // None is finished before as many were read as may be: batches of one, two for each worker.
  const tally done;
  std::size_t read = 0;
  std::size_t too_far = 0;
  const auto path = done.path();
  std::list<std::string> paths(40, path);
  auto watched = paths | std::views::transform([&](const std::string& each) -> const std::string& {
                   const std::size_t finished = tally::count(path);
                   if (++read > finished + 2 * static_cast<std::size_t>(mpi_workers()) + 1) ++too_far;
                   return each;
                 });
  Parallel({.batch_size = 1, .pre_dispatch = "2*n_jobs"})(watched | delayed([](const std::string& where) { tally::add(where); }));
  CHECK(read == 40);
  CHECK(too_far == 0);
}

TEST_CASE("input that breaks is an error, behind the tasks that were read") {
  const manyhands::parallel_backend guard("mpi");
  const std::list<int> list{1, 2, 3, 4, 5, 6};
  auto broken = list | std::views::transform([](int i) { return i == 5 ? throw std::overflow_error("no more") : i; });
  CHECK_THROWS_AS(Parallel()(broken | delayed(twice)), std::overflow_error);
  CHECK_THROWS_AS(Parallel()(broken | delayed([](int i) { return squared_unless(i, 2); })), std::out_of_range);
}

TEST_CASE("a long task does not keep those behind it waiting") {
  if (mpi_workers() < 2) return;
  const manyhands::parallel_backend guard("mpi");
  const tally done;
  std::vector<std::pair<int, std::string>> inputs;
  for (int i = 0; i < 4'000; ++i) inputs.emplace_back(i, done.path());
  // It ends only when all others have: those of its batch, and of the batch behind it, have to go elsewhere.
  const auto results = Parallel()(inputs | delayed([](const std::pair<int, std::string>& input) {
                                    if (input.first == 2'000) {
                                      tally::wait_for(input.second, 3'999);
                                    } else {
                                      tally::add(input.second);
                                    }
                                    return input.first;
                                  }));
  CHECK(results.size() == 4'000);
}

TEST_CASE("tasks that wait for each other run at the same time where there are ranks for them") {
  if (mpi_workers() < 2) return;
  const manyhands::parallel_backend guard("mpi");
  const tally here;
  std::vector<std::string> paths(static_cast<std::size_t>(mpi_workers()), here.path());
  const auto results = Parallel()(paths | delayed([](const std::string& path) {
                                    tally::add(path);
                                    tally::wait_for(path, 2);
                                    return 1;
                                  }));
  CHECK(results.size() == paths.size());
}

TEST_CASE("functions of a shared library are found on every rank") {
  const manyhands::parallel_backend guard("mpi");
  CHECK(Parallel()(numbers(3) | delayed(&mpi_library::tripled)) == std::vector<int>{0, 3, 6});
  // One that makes the call itself, with a lambda of its own.
  CHECK(mpi_library::sum_of_squares(100) == 328'350);
}

namespace {

class host_watcher final : public manyhands::observer {
 public:
  void worker_joined(const manyhands::observed_call&, int worker, std::string_view host, int rank) override {
    joined.emplace(worker, rank);
    hosts.emplace(host);
  }
  void task_finished(const manyhands::observed_call&, const manyhands::observed_task& task) override {
    finished.insert(task.index);
    if (task.end < task.begin) ++odd;
    workers.insert(task.worker);
  }
  void call_ended(const manyhands::observed_call& call, std::exception_ptr) override { backend = call.backend; }

  std::set<std::pair<int, int>> joined;
  std::set<std::string> hosts;
  std::set<std::size_t> finished;
  std::set<int> workers;
  int odd = 0;
  std::string backend;
};

}  // namespace

TEST_CASE("observers see each task, and the host and rank of each worker") {
  const manyhands::parallel_backend guard("mpi");
  const auto watcher = std::make_shared<host_watcher>();
  Parallel({.batch_size = 1, .observer = watcher})(numbers(100) | delayed([](int i) {
                                                     std::this_thread::sleep_for(std::chrono::microseconds(100));
                                                     return i;
                                                   }));
  CHECK(watcher->finished.size() == 100);
  CHECK(watcher->odd == 0);
  CHECK(watcher->backend == (mpi_workers() == 0 ? "threads" : "mpi"));
  if (mpi_workers() == 0) return;
  CHECK(static_cast<int>(watcher->joined.size()) == mpi_workers());
  for (const auto& [worker, rank] : watcher->joined) CHECK(rank == worker + 1);
  std::string host(256, '\0');
  ::gethostname(host.data(), host.size());
  CHECK(watcher->hosts == std::set<std::string>{host.c_str()});
}

TEST_CASE("a journal keeps results, and the same call runs only what is missing") {
  const manyhands::parallel_backend guard("mpi");
  const tally runs;
  const std::string journal = runs.path() + ".journal";
  std::vector<std::pair<int, std::string>> inputs;
  for (int i = 0; i < 20; ++i) inputs.emplace_back(i, runs.path());
  const auto call = [&] {
    return Parallel({.checkpoint = journal})(inputs | delayed([](const std::pair<int, std::string>& input) {
                                               tally::add(input.second);
                                               return input.first;
                                             }));
  };
  const auto first = call();
  CHECK(call() == first);
  CHECK(runs.count() == 20);
  std::filesystem::remove(journal);
}

TEST_CASE("a call that must share memory runs on threads") {
  const manyhands::parallel_backend guard("mpi");
  int sum = 0;
  std::mutex mutex;
  Parallel({.require = manyhands::require::shared_memory})(numbers(100) | delayed([&](int i) {
                                                             const std::lock_guard lock(mutex);
                                                             sum += i;
                                                           }));
  CHECK(sum == 4'950);
}

TEST_CASE("there is one session, and its backend is known by name") {
  const auto names = manyhands::registered_backends();
  CHECK(std::find(names.begin(), names.end(), "mpi") != names.end());
  CHECK_THROWS_AS(manyhands::mpi_session(), manyhands::error);
  CHECK_THROWS_AS(manyhands::mpi_session({.max_retries = -1}), std::exception);
}

// Three copies of it are there at a time, beside the value itself.
TEST_CASE("a result of more than 2 GiB comes home", "[.huge]") {
  const manyhands::parallel_backend guard("mpi");
  const auto results = Parallel()(numbers(1) | delayed([](int) {
                                    std::vector<char> large(std::size_t{2'200'000'000});
                                    large.back() = 'z';
                                    return large;
                                  }));
  CHECK(results.front().size() == 2'200'000'000U);
  CHECK(results.front().back() == 'z');
}
