#include <manyhands/backends/loky.hpp>

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/pool.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using manyhands::delayed;
using manyhands::not_transportable;
using manyhands::options;
using manyhands::outcome;
using manyhands::Parallel;
using manyhands::worker_lost;
using manyhands_test::pool_check;
using namespace std::chrono_literals;
using manyhands_test::numbers;

namespace {

// Made before the first worker, so that all have them: tasks that travel can refer to nothing else of a test's.
const shared_array<std::atomic<int>> runs(4000);
const shared_array<std::atomic<int>> notes(8);

void clear() {
  for (auto& each : runs) each = 0;
  for (auto& each : notes) each = 0;
}

Parallel on_loky(int n_jobs = 2, manyhands::batch_size batch = manyhands::automatic) {
  return Parallel({.n_jobs = n_jobs, .backend = "loky", .batch_size = batch});
}

int process(int) { return ::getpid(); }
/// The processes that run so many tasks at the same time.
std::set<int> processes_of(const Parallel& parallel, int tasks = 2) {
  notes[7] = 0;
  const auto all = parallel(std::vector<int>(static_cast<std::size_t>(tasks), tasks) | delayed([](int together) {
                              ++notes[7];
                              for (int i = 0; i < 30'000 && notes[7] < together; ++i) std::this_thread::sleep_for(1ms);
                              return static_cast<int>(::getpid());
                            }));
  return {all.begin(), all.end()};
}
bool is_gone(int pid) { return ::kill(pid, 0) != 0; }
template <class Condition>
bool comes_true(Condition&& holds, std::chrono::seconds most = 30s) {
  const auto last = std::chrono::steady_clock::now() + most;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > last) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

struct ending {
  int signal = 0;
  int exit_code = -1;
  friend bool operator==(const ending&, const ending&) = default;
};
template <class R>
ending lost(const outcome<R>& result) {
  REQUIRE_FALSE(result.has_value());
  try {
    std::rethrow_exception(result.error());
  } catch (const worker_lost& error) {
    CHECK(error.index() == result.index());
    CHECK(error.worker() >= 0);
    CHECK(error.worker() < 2);
    return {error.signal(), error.exit_code()};
  }
}

enum class misdeed { segfault, abort, kill, leave_0, leave_3, exit_0, exit_5, quick_exit, end_thread, terminate, throws };

int commit(misdeed what) {
  switch (what) {
    case misdeed::segfault:
      std::raise(SIGSEGV);
      break;
    case misdeed::abort:
      std::abort();
    case misdeed::kill:
      std::raise(SIGKILL);
      break;
    case misdeed::leave_0:
      ::_exit(0);
    case misdeed::leave_3:
      ::_exit(3);
    case misdeed::exit_0:
      std::exit(0);
    case misdeed::exit_5:
      std::exit(5);
    case misdeed::quick_exit:
      std::quick_exit(2);
    case misdeed::end_thread:
      ::close(STDERR_FILENO);
      ::pthread_exit(nullptr);
    case misdeed::terminate:
      ::close(STDERR_FILENO);
      std::terminate();
    case misdeed::throws:
      throw std::out_of_range("as asked");
  }
  return 0;
}

struct job {
  int number = 0;
  int culprit = -1;
  misdeed what = misdeed::throws;
};

/// Runs 40 tasks of which one does something, and looks at all others: each ran once and has its result.
outcome<int> after(misdeed what, int culprit = 17, manyhands::batch_size batch = manyhands::automatic) {
  clear();
  std::vector<job> all;
  for (int i = 0; i < 40; ++i) all.push_back({i, culprit, what});
  const auto results = on_loky(2, batch).outcomes(all | delayed([](const job& one) {
                                                    ++runs[static_cast<std::size_t>(one.number)];
                                                    if (one.number == one.culprit) commit(one.what);
                                                    return one.number * one.number;
                                                  }));
  REQUIRE(results.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(runs[i] == 1);
    if (static_cast<int>(i) != culprit) CHECK(results[i].value_or(-1) == static_cast<int>(i * i));
  }
  return results[static_cast<std::size_t>(culprit)];
}

struct late_comer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int twice(int x) { return 2 * x; }
void initialize() { ++notes[0]; }
void initialize_otherwise() { ++notes[1]; }

}  // namespace

TEST_CASE("the backend is what it says") {
  const manyhands::loky_backend backend;
  CHECK(backend.name() == "loky");
  CHECK_FALSE(backend.traits().shares_memory);
  CHECK(backend.traits().packs_tasks);
  CHECK(manyhands::detail::make_backend("loky")->name() == "loky");
}

TEST_CASE("tasks run in other processes, and their results come back in order") {
  const pool_check leaks;
  const pid_t self = ::getpid();
  CHECK(processes_of(on_loky()).count(self) == 0);
  CHECK(on_loky(3)(numbers(3000) | delayed(twice))[2999] == 5998);
  CHECK(on_loky()(numbers(300) | delayed([](int i) { return std::to_string(i); }))[299] == "299");
  clear();
  on_loky()(numbers(100) | delayed([](int i) { ++runs[static_cast<std::size_t>(i)]; }));
  CHECK(std::all_of(runs.begin(), runs.begin() + 100, [](const auto& each) { return each == 1; }));
  const auto different = on_loky()(
      delayed(twice)(4), [] { return std::string("b"); }, [] {},
      delayed([](std::string a, int b) { return a.size() + static_cast<std::size_t>(b); })(std::string("abc"), 4));
  CHECK(std::get<0>(different) == 8);
  CHECK(std::get<1>(different) == "b");
  CHECK(std::get<3>(different) == 7);
}

TEST_CASE("every task runs exactly once, for every batch size and number of workers") {
  const pool_check leaks;
  for (const int workers : {2, 3, 5}) {
    for (const std::size_t batch : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{5000}}) {
      clear();
      const auto size = batch == 0 ? manyhands::batch_size(manyhands::automatic) : manyhands::batch_size(batch);
      CHECK(on_loky(workers, size)(numbers(2000) | delayed([](int i) {
                                     ++runs[static_cast<std::size_t>(i)];
                                     return i;
                                   })) == numbers(2000));
      CHECK(std::all_of(runs.begin(), runs.begin() + 2000, [](const auto& each) { return each == 1; }));
    }
  }
}

TEST_CASE("workers outlive the call, and serve the next one, of whatever thread and whatever type") {
  const pool_check leaks;
  const std::set<int> first = processes_of(on_loky());
  CHECK(first.size() == 2);
  CHECK(processes_of(on_loky()) == first);
  CHECK(on_loky()(numbers(100) | delayed([](int i) { return std::string(static_cast<std::size_t>(i), 'x'); }))[99].size() == 99);
  std::set<int> elsewhere;
  std::thread([&] { elsewhere = processes_of(on_loky()); }).join();
  // The thread that made the call is gone, and they are not.
  CHECK(elsewhere == first);
  CHECK(processes_of(on_loky()) == first);
}

TEST_CASE("no result of one call is taken for one of the next, whatever the size of either") {
  const pool_check leaks;
  const auto same = [](const auto& results, const auto& expected) {
    return std::all_of(results.begin(), results.end(), [&](const auto& each) { return each == expected; });
  };
  const auto range = [](std::size_t count) { return std::views::iota(std::size_t{0}, count); };
  std::mt19937 random(7);
  for (int call = 0; call < 300; ++call) {
    const std::size_t count = 1 + random() % (call % 10 == 0 ? 40'000 : 300);
    // Mostly the same results again, in the same places.
    switch (random() % 5) {
      case 0:
        CHECK(same(on_loky()(range(count) | delayed([](std::size_t) { return 'x'; })), 'x'));
        break;
      case 1:
        CHECK(same(on_loky()(range(count) | delayed([](std::size_t) {
                               return std::array<double, 7>{1, 2};
                             })),
                   std::array<double, 7>{1, 2}));
        break;
      case 2:
        CHECK(same(on_loky()(range(count) | delayed([](std::size_t) { return std::string("x"); })), "x"));
        break;
      default: {
        const auto results = on_loky()(range(count) | delayed([](std::size_t i) { return i; }));
        std::size_t wrong = results.size() == count ? 0 : 1;
        for (std::size_t i = 0; i < results.size(); ++i) wrong += results[i] != i;
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("more workers are started when a call wants more, and fewer used when it wants fewer") {
  const pool_check leaks;
  const std::set<int> two = processes_of(on_loky(2), 2);
  const std::set<int> four = processes_of(on_loky(4), 4);
  CHECK(four.size() == 4);
  CHECK(std::includes(four.begin(), four.end(), two.begin(), two.end()));
  const auto pids = on_loky(2)(numbers(6) | delayed(process));
  const std::set<int> again(pids.begin(), pids.end());
  CHECK(again.size() <= 2);
  CHECK(std::includes(four.begin(), four.end(), again.begin(), again.end()));
}

TEST_CASE("the workers that wait are ended when they are told to") {
  const pool_check leaks;
  const std::set<int> there = processes_of(on_loky());
  CHECK(manyhands::detail::worker_pool::here_and_now().idle() == 2);
  manyhands::loky_backend::end_idle_workers();
  CHECK(manyhands::detail::worker_pool::here_and_now().idle() == 0);
  CHECK(std::all_of(there.begin(), there.end(), is_gone));
  const std::set<int> later = processes_of(on_loky());
  CHECK(later != there);
}

TEST_CASE("workers that nobody wants for 10 seconds end", "[slow]") {
  const pool_check leaks;
  const auto begin = std::chrono::steady_clock::now();
  const std::set<int> there = processes_of(on_loky());
  CHECK(comes_true([&] { return std::all_of(there.begin(), there.end(), is_gone); }, 60s));
  CHECK(std::chrono::steady_clock::now() - begin >= 10s);
  CHECK(processes_of(on_loky()).size() == 2);
}

TEST_CASE("a worker that dies while it waits is not missed") {
  const pool_check leaks;
  for (const int pid : processes_of(on_loky())) {
    ::kill(pid, SIGKILL);
    break;
  }
  CHECK(on_loky()(numbers(100) | delayed(twice))[99] == 198);
  for (const int pid : processes_of(on_loky())) ::kill(pid, SIGKILL);
  CHECK(on_loky()(numbers(100) | delayed(twice))[99] == 198);
}

TEST_CASE("many threads call at once, and each gets its results") {
  const pool_check leaks;
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&good, t] {
      for (int round = 0; round < 15; ++round) {
        const auto results = on_loky(2)(numbers(50 + t) | delayed(twice));
        if (results.size() == static_cast<std::size_t>(50 + t) && results.back() == 2 * (49 + t)) ++good;
      }
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(good == 90);
}

TEST_CASE("what cannot travel is refused before any task runs, and no worker is started for it") {
  const pool_check leaks;
  clear();
  int there = 1;
  CHECK_THROWS_AS(on_loky()(numbers(3) | delayed([&there](int i) { return ++runs[0], i + there; })), not_transportable);
  CHECK_THROWS_AS(on_loky()(numbers(3) | delayed([](int i) { return ++runs[0], &runs[static_cast<std::size_t>(i)]; })), not_transportable);
  const std::vector<std::function<int()>> hidden{[] { return ++runs[0], 1; }, [] { return ++runs[0], 2; }};
  CHECK_THROWS_AS(on_loky()(hidden), not_transportable);
  CHECK_THROWS_AS(on_loky()(delayed([](int& i) { return ++runs[0], i; })(std::ref(there)), [] { return ++runs[0], 1; }), not_transportable);
  CHECK_THROWS_AS(on_loky().generator(numbers(3) | delayed([there](int i) { return i + there; })), not_transportable);
  const Parallel initialized({.n_jobs = 2, .backend = "loky", .initializer = [] { ++runs[0]; }});
  CHECK_THROWS_AS(initialized(numbers(3) | delayed([](int i) { return ++runs[0], i; })), not_transportable);
  CHECK(runs[0] == 0);
  CHECK(manyhands::detail::worker_pool::here_and_now().idle() == 0);
  // In the caller nothing needs to travel.
  CHECK(on_loky(1)(numbers(3) | delayed([there](int i) { return i + there; })) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a worker that is lost costs one task, and how it ended is told") {
  const pool_check leaks;
  CHECK(lost(after(misdeed::segfault)) == ending{SIGSEGV, -1});
  CHECK(lost(after(misdeed::abort)) == ending{SIGABRT, -1});
  CHECK(lost(after(misdeed::kill)) == ending{SIGKILL, -1});
  CHECK(lost(after(misdeed::leave_0)) == ending{0, 0});
  CHECK(lost(after(misdeed::leave_3)) == ending{0, 3});
  CHECK(lost(after(misdeed::exit_0)) == ending{0, 0});
  CHECK(lost(after(misdeed::exit_5)) == ending{0, 5});
  CHECK(lost(after(misdeed::quick_exit)) == ending{0, 2});
  CHECK(lost(after(misdeed::terminate)) == ending{SIGABRT, -1});
  CHECK_FALSE(after(misdeed::end_thread).has_value());
  CHECK_THROWS_AS(after(misdeed::throws).value(), std::out_of_range);
}

TEST_CASE("the first and the last task may be the one that crashes, for every batch size") {
  const pool_check leaks;
  const manyhands::batch_size batch =
      GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1), manyhands::batch_size(40));
  CHECK(lost(after(misdeed::segfault, 0, batch)) == ending{SIGSEGV, -1});
  CHECK(lost(after(misdeed::kill, 39, batch)) == ending{SIGKILL, -1});
}

TEST_CASE("a call that wants all results ends with the loss, and the next one finds workers") {
  const pool_check leaks;
  for (int round = 0; round < 5; ++round) {
    try {
      on_loky()(numbers(100) | delayed([](int i) {
                  if (i == 42) std::raise(SIGKILL);
                  return i;
                }));
      FAIL("no error");
    } catch (const worker_lost& error) {
      CHECK(error.index() == 42);
      CHECK(error.signal() == SIGKILL);
    }
    CHECK(on_loky()(numbers(10) | delayed(twice))[9] == 18);
  }
}

TEST_CASE("workers that die again and again break the call, and not the next one") {
  const pool_check leaks;
  CHECK_THROWS_AS(on_loky().outcomes(numbers(500) | delayed([](int) -> int { ::_exit(1); })), manyhands::pool_broken);
  CHECK(on_loky()(numbers(10) | delayed(twice))[9] == 18);
  const Parallel crashing({.n_jobs = 2, .backend = "loky", .initializer = +[] { std::raise(SIGSEGV); }});
  CHECK_THROWS_AS(crashing(numbers(10) | delayed(twice)), manyhands::pool_broken);
  CHECK(on_loky()(numbers(10) | delayed(twice))[9] == 18);
}

TEST_CASE("of several errors the caller gets that of the lowest index, and nothing of the call runs any more") {
  const pool_check leaks;
  for (int workers = 2; workers <= 4; ++workers) {
    try {
      on_loky(workers)(numbers(200) | delayed([](int i) {
                         if (i == 5) std::this_thread::sleep_for(20ms);  // the lower one is the slower one
                         if (i == 5 || i > 7) throw std::runtime_error("task " + std::to_string(i));
                         return i;
                       }));
      FAIL("no error");
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()) == "task 5");
    }
  }
  clear();
  CHECK_THROWS_AS(on_loky(2, 1)(numbers(2) | delayed([](int i) {
                                  if (i == 0) {
                                    while (notes[0] == 0) std::this_thread::sleep_for(1ms);
                                    throw std::runtime_error("0");
                                  }
                                  notes[0] = 1;
                                  std::this_thread::sleep_for(60s);  // nobody wants it any more
                                  notes[1] = 1;
                                })),
                  std::runtime_error);
  CHECK(notes[1] == 0);
  CHECK(on_loky()(numbers(10) | delayed(twice))[9] == 18);
}

TEST_CASE("a task that outlives its timeout is ended alone") {
  const pool_check leaks;
  const Parallel timed({.n_jobs = 2, .backend = "loky", .timeout = 100ms});
  const auto results = timed.outcomes(numbers(20) | delayed([](int i) {
                                        while (i == 7) std::this_thread::sleep_for(1ms);
                                        return i;
                                      }));
  for (int i = 0; i < 20; ++i) {
    const auto& each = results[static_cast<std::size_t>(i)];
    if (i == 7) CHECK_THROWS_AS(each.value(), manyhands::task_timeout);
    else CHECK(each.value_or(-1) == i);
  }
  CHECK(timed(numbers(10) | delayed(twice))[9] == 18);
}

TEST_CASE("a task that fails is run again, of the same bytes, whether it throws or crashes") {
  const pool_check leaks;
  clear();
  const Parallel patient({.n_jobs = 2, .backend = "loky", .retries = 2});
  const auto results = patient(numbers(30) | delayed([](int i) {
                                 ++runs[static_cast<std::size_t>(i)];
                                 if (manyhands::this_task::attempt() == 0 && i % 3 == 0) throw std::runtime_error("first");
                                 if (manyhands::this_task::attempt() == 1 && i == 9) std::raise(SIGKILL);
                                 return i * 10 + manyhands::this_task::attempt();
                               }));
  for (int i = 0; i < 30; ++i) {
    const int attempts = i == 9 ? 3 : i % 3 == 0 ? 2 : 1;
    CHECK(results[static_cast<std::size_t>(i)] == i * 10 + attempts - 1);
    CHECK(runs[static_cast<std::size_t>(i)] == attempts);
  }
}

TEST_CASE("a worker is replaced after so many tasks, of all its calls") {
  const pool_check leaks;
  const Parallel few({.n_jobs = 2, .backend = "loky", .batch_size = 1, .max_tasks_per_worker = 3});
  std::vector<int> pids;
  for (int round = 0; round < 4; ++round) {
    for (const int pid : few(numbers(5) | delayed(process))) pids.push_back(pid);
  }
  for (const int pid : pids) CHECK(std::count(pids.begin(), pids.end(), pid) <= 3);
}

TEST_CASE("the initializer runs once in a worker's life, in replacements too, and one that throws fails the call") {
  const pool_check leaks;
  clear();
  const Parallel prepared({.n_jobs = 2, .backend = "loky", .initializer = initialize});
  const std::set<int> first = processes_of(prepared);
  CHECK(notes[0] == 2);
  CHECK(prepared(numbers(20) | delayed([](int i) { return notes[0] != 0 ? i : -1; })) == numbers(20));
  CHECK(processes_of(prepared) == first);
  CHECK(notes[0] == 2);
  const auto results = prepared.outcomes(numbers(10) | delayed([](int i) {
                                           if (i == 3) std::raise(SIGKILL);
                                           return i;
                                         }));
  CHECK(lost(results[3]) == ending{SIGKILL, -1});
  CHECK(processes_of(prepared).size() == 2);
  CHECK(notes[0] == 3);
  // One that does something else has workers of its own.
  const Parallel other({.n_jobs = 2, .backend = "loky", .initializer = initialize_otherwise});
  CHECK(processes_of(other).size() == 2);
  CHECK(notes[0] == 3);
  CHECK(notes[1] == 2);
  const Parallel throwing({.n_jobs = 2, .backend = "loky", .initializer = +[] { throw std::domain_error("not today"); }});
  CHECK_THROWS_AS(throwing(numbers(4) | delayed(twice)), std::domain_error);
  CHECK_THROWS_AS(throwing(numbers(4) | delayed(twice)), std::domain_error);
}

#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they reserve far more than that
TEST_CASE("a worker may allocate so much and no more, and calls without a limit have other workers") {
  const pool_check leaks;
  const auto allocate = [](std::size_t bytes) {
    std::vector<char> memory(bytes, 'x');
    return memory[bytes / 2];
  };
  const std::vector<std::size_t> sizes{1000, std::size_t{512} << 20U};
  const Parallel limited({.n_jobs = 2, .backend = "loky", .memory_limit = std::size_t{64} << 20U});
  const auto results = limited.outcomes(sizes | delayed(allocate));
  CHECK(results[0].value() == 'x');
  CHECK_THROWS_AS(results[1].value(), std::bad_alloc);
  CHECK(on_loky()(sizes | delayed(allocate))[1] == 'x');
}
#endif

TEST_CASE("a call that is stopped ends at once, and its tasks with it") {
  const pool_check leaks;
  clear();
  std::stop_source source;
  std::thread stopper([&] {
    while (notes[0] == 0) std::this_thread::sleep_for(1ms);
    source.request_stop();
  });
  const Parallel stoppable({.n_jobs = 2, .backend = "loky", .stop = source.get_token()});
  CHECK_THROWS_AS(stoppable(numbers(4) | delayed([](int) {
                              notes[0] = 1;
                              std::this_thread::sleep_for(60s);
                              notes[1] = 1;
                            })),
                  manyhands::cancelled);
  stopper.join();
  CHECK(notes[1] == 0);
  CHECK(on_loky()(numbers(10) | delayed(twice))[9] == 18);
}

TEST_CASE("tasks know who they are, and see the scope of the call") {
  const pool_check leaks;
  const Parallel seeded({.n_jobs = 2, .backend = "loky", .seed = 9});
  const Parallel alone({.n_jobs = 1, .seed = 9});
  const auto seeds = [](int) { return manyhands::this_task::seed(); };
  CHECK(seeded(numbers(50) | delayed(seeds)) == alone(numbers(50) | delayed(seeds)));
  CHECK(on_loky()(numbers(50) | delayed([](int) { return static_cast<int>(manyhands::this_task::index()); })) == numbers(50));
  const auto workers = on_loky(3)(numbers(50) | delayed([](int) { return manyhands::this_worker::index(); }));
  CHECK(std::all_of(workers.begin(), workers.end(), [](int worker) { return worker >= 0 && worker < 3; }));
  const manyhands::parallel_config guard({.n_jobs = 2, .description = "outside"});
  const Parallel scoped({.backend = "loky"});
  const auto scopes = scoped(numbers(4) | delayed([](int) { return manyhands::detail::scoped().description.value_or(""); }));
  CHECK(scopes == std::vector<std::string>(4, "outside"));
}

TEST_CASE("a call inside a task uses threads, and their number is the process's share") {
  const pool_check leaks;
  const auto inner = on_loky()(numbers(4) | delayed([](int i) {
                                 const auto results = Parallel()(numbers(10) | delayed([i](int j) { return i * j; }));
                                 return std::accumulate(results.begin(), results.end(), 0);
                               }));
  CHECK(inner == std::vector<int>{0, 45, 90, 135});
  const int share = std::max(manyhands::cpu_count() / 2, 1);
  for (const int n : on_loky()(numbers(4) | delayed([](int) { return manyhands::effective_n_jobs(); }))) CHECK(n == share);
  // Another worker process is not what is asked for there.
  CHECK(on_loky()(numbers(2) | delayed([](int) {
                    const pid_t outer = ::getpid();
                    const auto pids = on_loky(2)(numbers(2) | delayed(process));
                    return pids[0] == outer;
                  })) == std::vector<bool>{true, true});
}

TEST_CASE("arguments of any size travel, and results") {
  const pool_check leaks;
  std::vector<std::string> texts;
  for (int i = 0; i < 4; ++i) texts.emplace_back(std::size_t{5} << 20U, static_cast<char>('a' + i));
  const auto results = on_loky()(texts | delayed([](const std::string& text) { return text + text.front(); }));
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(results[i] == texts[i] + texts[i].front());
  std::vector<std::vector<int>> many(2000, numbers(100));
  const auto sums =
      on_loky(2, 500)(many | delayed([](const std::vector<int>& values) { return std::accumulate(values.begin(), values.end(), 0); }));
  CHECK(sums == std::vector<int>(2000, 4950));
}

TEST_CASE("generators give results while the rest still runs") {
  const pool_check leaks;
  int expected = 0;
  for (const int value : on_loky().generator(numbers(200) | delayed(twice))) CHECK(value == 2 * expected++);
  CHECK(expected == 200);
  std::set<std::size_t> seen;
  for (const auto& each :
       on_loky().generator_unordered(numbers(100) | delayed([](int i) { return static_cast<int>(manyhands::this_task::index()) == i; }))) {
    CHECK(each.value);
    seen.insert(each.index);
  }
  CHECK(seen.size() == 100);
}

TEST_CASE("a worker that is killed from outside at any moment costs at most the task it ran, and the call ends") {
  const pool_check leaks;
  clear();
  std::atomic<bool> done{false};
  std::thread killer([&] {
    int last = 0;
    while (!done) {
      const int victim = notes[2].exchange(0);
      if (victim != 0 && victim != last) ::kill(last = victim, SIGKILL);
      std::this_thread::sleep_for(3ms);
    }
  });
  const auto results = on_loky(3).outcomes(numbers(3000) | delayed([](int i) {
                                             ++runs[static_cast<std::size_t>(i)];
                                             notes[2] = ::getpid();
                                             const auto until = std::chrono::steady_clock::now() + 100us;
                                             while (std::chrono::steady_clock::now() < until) {
                                             }
                                             return i;
                                           }));
  done = true;
  killer.join();
  std::size_t losses = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) {
      CHECK(runs[i] == 1);
      CHECK(*results[i] == static_cast<int>(i));
    } else {
      CHECK(runs[i] <= 1);  // it may have been killed on the way to it
      ++losses;
    }
  }
  CHECK(losses < 1500);
}

TEST_CASE("a copy of the program has workers of its own, and leaves its parent's alone") {
  const pool_check leaks;
  const std::set<int> mine = processes_of(on_loky());
  CHECK(manyhands_test::holds_in_subprocess([&] {
    const std::set<int> own = processes_of(on_loky());
    const bool apart = std::none_of(own.begin(), own.end(), [&](int pid) { return mine.count(pid) != 0; });
    manyhands::loky_backend::end_idle_workers();
    return apart && own.size() == 2 && std::none_of(mine.begin(), mine.end(), is_gone);
  }));
  CHECK(processes_of(on_loky()) == mine);
  // Nor does a forked worker use them.
  const Parallel forked({.n_jobs = 2, .backend = "processes"});
  CHECK(forked(numbers(2) | delayed([](int) { return on_loky(2)(numbers(4) | delayed(twice))[3]; })) == std::vector<int>{6, 6});
  CHECK(processes_of(on_loky()) == mine);
}

TEST_CASE("workers end with the program, however it ends") {
  const pool_check leaks;
  clear();
  const auto note_workers = [] {
    std::size_t at = 4;
    for (const int pid : processes_of(on_loky())) notes[at++] = pid;
    return true;
  };
  const auto all_gone = [] { return is_gone(notes[4]) && is_gone(notes[5]); };
  SECTION("by exit") {
    CHECK(manyhands_test::in_subprocess([&] {
            note_workers();
            std::exit(7);
            return true;
          }).exit_code == 7);
    CHECK(notes[5] != 0);
    CHECK(all_gone());  // collected by the program itself
  }
  SECTION("by a signal") {
    CHECK(manyhands_test::in_subprocess([&] {
            note_workers();
            std::raise(SIGKILL);
            return true;
          }).signal == SIGKILL);
    CHECK(notes[5] != 0);
    const auto is_dead = [](int pid) {
      std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
      std::string text;
      std::getline(file, text);
      return text.empty() || text.at(text.rfind(')') + 2) == 'Z';
    };
    CHECK(comes_true([&] { return is_dead(notes[4]) && is_dead(notes[5]); }));
  }
  SECTION("in the middle of a call of another thread") {
    CHECK(manyhands_test::in_subprocess([&] {
            std::thread([] {
              on_loky()(numbers(2) | delayed([](int) {
                          notes[6] = 1;
                          ::pause();
                        }));
            }).detach();
            while (notes[6] == 0) std::this_thread::sleep_for(1ms);
            std::exit(3);
            return true;
          }).exit_code == 3);
  }
}

TEST_CASE("workers know a library that was loaded after they were started") {
  const pool_check leaks;
  static_cast<void>(processes_of(on_loky()));
  void* const library = ::dlopen(FAKE_POOLS, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  using function = int (*)();
  const auto fn = reinterpret_cast<function>(::dlsym(library, "fake_mkl_local"));
  REQUIRE(fn != nullptr);
  const std::vector<int> found = on_loky()(std::vector<function>{fn, fn});
  CHECK(found.at(0) == found.at(1));
  ::dlclose(library);
}

TEST_CASE("workers know what was registered after they were started") {
  const pool_check leaks;
  static_cast<void>(processes_of(on_loky()));
  manyhands::register_exception<late_comer>();
  CHECK_THROWS_AS(on_loky()(numbers(2) | delayed([](int) -> int { throw late_comer("late"); })), late_comer);
  manyhands::register_parallel_backend("late comer", [] { return manyhands::detail::make_backend("sequential"); });
  const auto inner =
      on_loky()(numbers(2) | delayed([](int) { return Parallel({.n_jobs = 3, .backend = "late comer"})(numbers(4) | delayed(twice))[3]; }));
  CHECK(inner == std::vector<int>{6, 6});
}

TEST_CASE("workers are bound for a call that wants it, and not for the next one") {
  const pool_check leaks;
  const auto processors = [](int) {
    std::this_thread::sleep_for(2ms);
    return manyhands::detail::affinity_mask().count();
  };
  const int all = manyhands::detail::affinity_mask().count();
  const options wish{.n_jobs = 2, .backend = "loky", .pin = manyhands::pin::cores};
  const auto places = manyhands::detail::select_pinning(wish);
  REQUIRE(places.has_value());
  for (const int count : Parallel(wish)(numbers(4) | delayed(processors))) {
    CHECK(count <= all);
    if (places->places.size() > 1) CHECK(count < all);
  }
  for (const int count : on_loky()(numbers(4) | delayed(processors))) CHECK(count == all);
}

TEST_CASE("what a task prints is written, once") {
  const pool_check leaks;
  const std::string path = "/tmp/manyhands_loky_" + std::to_string(::getpid());
  CHECK(manyhands_test::holds_in_subprocess([&] {
    if (std::freopen(path.c_str(), "w", stdout) == nullptr) return false;
    std::printf("before\n");
    on_loky()(numbers(10) | delayed([](int i) { std::printf("task %d\n", i); }));
    manyhands::loky_backend::end_idle_workers();
    std::fflush(stdout);
    return true;
  }));
  std::ifstream file(path);
  std::multiset<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.insert(line);
  CHECK(lines.size() == 11);
  CHECK(lines.count("before") == 1);
  CHECK(lines.count("task 9") == 1);
  std::filesystem::remove(path);
}

TEST_CASE("results that are journaled are not run again") {
  const pool_check leaks;
  clear();
  const std::string path = "/tmp/manyhands_loky_journal_" + std::to_string(::getpid());
  std::filesystem::remove(path);
  const Parallel kept({.n_jobs = 2, .backend = "loky", .checkpoint = path});
  const auto task = [](int i) {
    ++runs[static_cast<std::size_t>(i)];
    if (i == 30 && notes[0] == 0) throw std::runtime_error("the first time");
    return i;
  };
  CHECK_THROWS_AS(kept(numbers(40) | delayed(task)), std::runtime_error);
  notes[0] = 1;
  CHECK(kept(numbers(40) | delayed(task)) == numbers(40));
  for (std::size_t i = 0; i < 30; ++i) CHECK(runs[i] == 1);
  std::filesystem::remove(path);
}

namespace {

class counting_observer final : public manyhands::observer {
 public:
  void batch_dispatched(const manyhands::observed_call&, std::size_t first, std::size_t last, int) override { dispatched += last - first; }
  void task_started(const manyhands::observed_call&, const manyhands::observed_task&) override { ++started; }
  void task_finished(const manyhands::observed_call&, const manyhands::observed_task& task) override {
    ++finished;
    if (task.end < task.begin || task.worker < 0 || task.worker > 1) ++wrong;
  }
  void task_failed(const manyhands::observed_call&, const manyhands::observed_task&) override { ++failed; }
  void task_retried(const manyhands::observed_call&, const manyhands::observed_task&) override { ++retried; }
  void worker_lost(const manyhands::observed_call&, int) override { ++lost; }
  void worker_replaced(const manyhands::observed_call&, int) override { ++replaced; }

  std::size_t dispatched = 0;
  int started = 0;
  int finished = 0;
  int failed = 0;
  int retried = 0;
  int lost = 0;
  int replaced = 0;
  int wrong = 0;
};

}  // namespace

TEST_CASE("observers are told what happens, and an old worker in a new call is no replacement") {
  const pool_check leaks;
  clear();
  const auto seen = std::make_shared<counting_observer>();
  const Parallel watched({.n_jobs = 2, .backend = "loky", .retries = 1, .observer = seen});
  CHECK(watched(numbers(50) | delayed(twice))[49] == 98);
  CHECK(seen->started == 50);
  CHECK(seen->finished == 50);
  CHECK(seen->dispatched >= 50);
  CHECK(watched(numbers(50) | delayed(twice))[49] == 98);
  CHECK(seen->lost == 0);
  CHECK(seen->replaced == 0);
  const auto results = watched.outcomes(numbers(50) | delayed([](int i) {
                                          if (i == 5 && manyhands::this_task::attempt() == 0) throw std::runtime_error("once");
                                          if (i == 7) std::raise(SIGKILL);
                                          return i;
                                        }));
  CHECK(seen->retried == 1);
  CHECK(seen->failed == 1);
  CHECK(seen->lost == 2);
  CHECK(seen->replaced <= 2);
  CHECK(seen->wrong == 0);
  CHECK(lost(results[7]) == ending{SIGKILL, -1});
}

TEST_CASE("a long row of short calls is served, and nothing is left") {
  const pool_check leaks;
  for (int round = 0; round < 2000; ++round) {
    const auto results = on_loky()(std::vector<int>{round, round + 1} | delayed(twice));
    if (results != std::vector<int>{2 * round, 2 * round + 2}) FAIL("round " << round);
  }
}

namespace {

/// A task of a call that one of its tasks may spoil.
struct mixed_job {
  int number = 0;
  int culprit = -1;
  int fault = 0;
  std::string text = {};
};

std::size_t run_mixed(const mixed_job& one) {
  if (one.number == one.culprit) {
    if (one.fault == 1) std::raise(SIGSEGV);
    if (one.fault == 2) ::_exit(3);
    if (one.fault == 3) throw std::runtime_error("as asked");
    if (one.fault == 4) std::this_thread::sleep_for(60s);
    if (one.fault == 5) std::exit(0);
    if (one.fault == 6) std::raise(SIGSTOP);
  }
  return static_cast<std::size_t>(one.number) + one.text.size();
}

/// Makes calls of all sorts, and returns how many of them did not give exactly what they should.
int mixed_calls(unsigned seed, int count) {
  std::mt19937 random(seed);
  const auto below = [&random](unsigned n) { return static_cast<int>(random() % n); };
  int wrong = 0;
  for (int call = 0; call < count; ++call) {
    const std::size_t length = below(20) == 0 ? 300'000 : static_cast<std::size_t>(below(50));
    const int size = 1 + below(length > 1000 ? 20 : 200);
    const int fault = below(14);  // mostly none
    const bool fails = fault >= 1 && fault <= 6;
    const int culprit = below(static_cast<unsigned>(size));
    std::vector<mixed_job> jobs;
    for (int i = 0; i < size; ++i) jobs.push_back({i, culprit, fault, std::string(length, 'x')});
    options how{.n_jobs = 2 + below(3), .backend = "loky"};
    if (below(2) == 0) how.batch_size = 1 + below(20);
    if (fault == 4 || fault == 6) how.timeout = 50ms;
    if (below(5) == 0) how.retries = 1;
    if (below(7) == 0) how.max_tasks_per_worker = 1 + below(30);
    if (below(9) == 0) how.initializer = initialize;
    const Parallel parallel(how);
    try {
      if (below(2) == 0) {
        const auto results = parallel.outcomes(jobs | delayed(run_mixed));
        for (std::size_t i = 0; i < results.size(); ++i) {
          const bool is_lost = fails && static_cast<int>(i) == culprit;
          if (results[i].has_value() == is_lost || (!is_lost && *results[i] != i + length)) ++wrong;
        }
      } else {
        const auto results = parallel(jobs | delayed(run_mixed));
        if (fails) ++wrong;
        for (std::size_t i = 0; i < results.size(); ++i) wrong += results[i] != i + length;
      }
    } catch (const std::exception&) {
      if (!fails) ++wrong;
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("any mix of calls and faults, in several threads at once, gives exactly what it should", "[slow]") {
  const pool_check leaks;
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&wrong, t] { wrong[t] = mixed_calls(t, 150); });
  }
  for (std::thread& each : threads) each.join();
  for (const int each : wrong) CHECK(each == 0);
}
