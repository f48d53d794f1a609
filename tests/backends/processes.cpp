#include <manyhands/backends/processes.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/config.hpp>
#include <manyhands/parallel.hpp>
#include <manyhands/task.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using manyhands::delayed;
using manyhands::outcome;
using manyhands::Parallel;
using manyhands::worker_lost;
using manyhands_test::numbers;

namespace {

Parallel on_processes(int n_jobs = 2, manyhands::batch_size batch = manyhands::automatic) {
  return Parallel({.n_jobs = n_jobs, .backend = std::make_shared<manyhands::processes_backend>(), .batch_size = batch});
}

/// How a task ended: `worker_lost`'s signal and exit code, or neither.
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

/// Runs tasks 0 to 39, of which `culprit` does `misdeed`, and looks at all others: each ran once and has its result.
outcome<int> after(const std::function<void()>& misdeed, int culprit = 17, manyhands::batch_size batch = manyhands::automatic) {
  constexpr int count = 40;
  const shared_array<std::atomic<int>> runs(count);
  const auto results = on_processes(2, batch).outcomes(numbers(count) | delayed([&](int i) {
                                                         ++runs[static_cast<std::size_t>(i)];
                                                         if (i == culprit) misdeed();
                                                         return i * i;
                                                       }));
  REQUIRE(results.size() == count);
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    CHECK(runs[index] == 1);
    if (i != culprit) CHECK(results[index].value_or(-1) == i * i);
  }
  return results[static_cast<std::size_t>(culprit)];
}

void silence_standard_error() {
  const int nothing = ::open("/dev/null", O_WRONLY);
  ::dup2(nothing, STDERR_FILENO);
}

/// Not in the destructor itself: a compiler sees through that.
void fail() { throw std::runtime_error("from a destructor"); }

struct noisy_end {
  ~noisy_end() { fail(); }
};

}  // namespace

TEST_CASE("the backend is what it says") {
  const manyhands::processes_backend backend;
  CHECK(backend.name() == "processes");
  CHECK_FALSE(backend.traits().shares_memory);
}

TEST_CASE("tasks run in other processes, and their results come back in order") {
  const manyhands_test::leak_check leaks;
  const pid_t self = ::getpid();
  const auto pids = on_processes()(numbers(100) | delayed([](int) { return ::getpid(); }));
  CHECK(std::none_of(pids.begin(), pids.end(), [self](pid_t pid) { return pid == self; }));
  CHECK(on_processes(3)(numbers(1000) | delayed([](int i) { return i * 2; }))[999] == 1998);
  CHECK(on_processes()(numbers(300) | delayed([](int i) { return std::to_string(i); }))[299] == "299");
}

TEST_CASE("a task may use whatever its closure refers to, and changes only its own copy of it") {
  const manyhands_test::leak_check leaks;
  std::vector<std::string> words{"a", "b", "c"};
  const auto tripled = on_processes()(words | delayed([&](std::string& word) {
                                        word = word + word + word;
                                        return word;
                                      }));
  CHECK(tripled == std::vector<std::string>{"aaa", "bbb", "ccc"});
  CHECK(words == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("a task without a result is a task all the same") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> runs(100);
  on_processes()(numbers(100) | delayed([&](int i) { ++runs[static_cast<std::size_t>(i)]; }));
  CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& each) { return each == 1; }));
}

TEST_CASE("a result that cannot travel is refused before any task runs") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> runs(1);
  int here = 0;
  CHECK_THROWS_AS(on_processes()(numbers(3) | delayed([&](int) {
                                   ++runs[0];
                                   return &here;
                                 })),
                  manyhands::not_transportable);
  CHECK(runs[0] == 0);
}

TEST_CASE("a worker that a signal ends costs one task, and the signal is told") {
  const manyhands_test::leak_check leaks;
  const int signal = GENERATE(SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGKILL, SIGTERM);
  CHECK(lost(after([signal] {
          if (MANYHANDS_ASAN + MANYHANDS_TSAN != 0) std::signal(signal, SIG_DFL);  // they would report and exit
          std::raise(signal);
        })) == ending{signal, -1});
}

TEST_CASE("a worker that leaves in the middle of a task costs one task, and the code is told") {
  const manyhands_test::leak_check leaks;
  const int code = GENERATE(0, 3);
  CHECK(lost(after([code] { ::_exit(code); })) == ending{0, code});
  CHECK(lost(after([code] { std::exit(code); })) == ending{0, code});
  CHECK(lost(after([code] { std::quick_exit(code); })) == ending{0, code});
  CHECK(lost(after([code] { std::thread([code] { std::exit(code); }).join(); })) == ending{0, code});
}

TEST_CASE("a wild pointer, a full stack and a destructor that throws cost one task") {
  const manyhands_test::leak_check leaks;
#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they report it and go their own way
  CHECK(lost(after([] { *reinterpret_cast<volatile int*>(std::uintptr_t{0xdead}) = 1; })) == ending{SIGSEGV, -1});
  static std::function<int(int)> deep = [](int n) {
    volatile char frame[4096] = {};
    frame[n % 4096] = static_cast<char>(n);
    return deep(n + 1) + frame[0];
  };
  CHECK(lost(after([] { deep(0); })) == ending{SIGSEGV, -1});
#endif
  CHECK(lost(after([] {
          silence_standard_error();
          std::terminate();
        })) == ending{SIGABRT, -1});
  CHECK(lost(after([] {
          silence_standard_error();
          const noisy_end end;
        })) == ending{SIGABRT, -1});
}

TEST_CASE("a task that ends its thread costs itself, and unwinds nothing of the caller") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> unwound(1);
  struct guard {
    const shared_array<std::atomic<int>>& count;
    ~guard() { ++count[0]; }
  };
  {
    const guard in_caller{unwound};
    CHECK_FALSE(after([] {
                  silence_standard_error();
                  ::pthread_exit(nullptr);
                }).has_value());
    CHECK(unwound[0] == 0);
  }
  CHECK(unwound[0] == 1);
}

TEST_CASE("a thread of a task that crashes takes the task with it, and one that goes on takes nothing") {
  const manyhands_test::leak_check leaks;
  CHECK(lost(after([] { std::thread([] { std::raise(SIGSEGV); }).join(); })) == ending{SIGSEGV, -1});
  const auto results = on_processes()(numbers(10) | delayed([](int i) {
                                        std::thread([] { ::pause(); }).detach();
                                        return i;
                                      }));
  CHECK(results == numbers(10));
}

TEST_CASE("the first, the last or every task may be the one that crashes") {
  const manyhands_test::leak_check leaks;
  const manyhands::batch_size batch =
      GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1), manyhands::batch_size(40));
  CHECK(lost(after([] { std::raise(SIGSEGV); }, 0, batch)) == ending{SIGSEGV, -1});
  CHECK(lost(after([] { std::raise(SIGSEGV); }, 39, batch)) == ending{SIGSEGV, -1});
  const auto all = on_processes(2, batch).outcomes(numbers(30) | delayed([](int i) -> int { ::_exit(i); }));
  for (int i = 0; i < 30; ++i) CHECK(lost(all[static_cast<std::size_t>(i)]) == ending{0, i});
}

TEST_CASE("among tasks that take next to nothing each runs once, and crashes and long ones cost themselves") {
  const manyhands_test::leak_check leaks;
  constexpr int count = 60'000;
  const auto crashes = [](int i) { return i % 10'000 == 7'777; };
  const shared_array<std::atomic<int>> runs(count);
  const auto results = on_processes().outcomes(numbers(count) | delayed([&](int i) {
                                                 ++runs[static_cast<std::size_t>(i)];
                                                 if (crashes(i)) std::raise(SIGKILL);
                                                 if (i % 20'000 == 3'333) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                                 return i * 2.0;
                                               }));
  REQUIRE(results.size() == count);
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (crashes(i)) CHECK(lost(results[index]) == ending{SIGKILL, -1});
    const bool is_right = crashes(i) ? !results[index].has_value() : results[index].value_or(-1) == i * 2.0;
    wrong += is_right && runs[index] == 1 ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("workers that die again and again without one task completed break the pool") {
  const manyhands_test::leak_check leaks;
  CHECK_THROWS_AS(on_processes().outcomes(numbers(500) | delayed([](int) -> int { ::_exit(1); })), manyhands::pool_broken);
}

TEST_CASE("exceptions come back as what they are, and no worker is lost for them") {
  const manyhands_test::leak_check leaks;
  const auto pids = on_processes(1 + 1).outcomes(numbers(100) | delayed([](int i) {
                                                   if (i % 3 == 0) throw std::out_of_range("at " + std::to_string(i));
                                                   if (i % 3 == 1) throw 17;
                                                   return ::getpid();
                                                 }));
  for (int i = 0; i < 100; ++i) {
    const auto& each = pids[static_cast<std::size_t>(i)];
    if (i % 3 == 0) CHECK_THROWS_AS(each.value(), std::out_of_range);
    if (i % 3 == 1) CHECK_THROWS_AS(each.value(), manyhands::remote_error);
  }
  CHECK(after([] { throw std::runtime_error(std::string(3'000'000, 'w')); }).error() != nullptr);
}

TEST_CASE("the error of the lowest task wins, on any number of workers") {
  const manyhands_test::leak_check leaks;
  for (int workers = 2; workers <= 4; ++workers) {
    try {
      on_processes(workers)(numbers(200) | delayed([](int i) {
                              // The lower one is the slower one.
                              if (i == 5) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                              if (i == 5 || i > 7) throw std::runtime_error("task " + std::to_string(i));
                              return i;
                            }));
      FAIL("no error");
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()) == "task 5");
    }
  }
}

TEST_CASE("a loss ends a call that wants all results") {
  const manyhands_test::leak_check leaks;
  try {
    on_processes()(numbers(100) | delayed([](int i) {
                     if (i == 42) std::raise(SIGKILL);
                     return i;
                   }));
    FAIL("no error");
  } catch (const worker_lost& error) {
    CHECK(error.index() == 42);
    CHECK(error.signal() == SIGKILL);
  }
}

TEST_CASE("an initializer that throws fails the call with its error, and one that crashes breaks the pool") {
  const manyhands_test::leak_check leaks;
  const auto backend = std::make_shared<manyhands::processes_backend>();
  const shared_array<std::atomic<int>> runs(1);
  auto task = [&](int i) { return ++runs[0], i; };
  const Parallel throwing({.n_jobs = 2, .backend = backend, .initializer = [] { throw std::domain_error("not today"); }});
  CHECK_THROWS_AS(throwing(numbers(100) | delayed(task)), std::domain_error);
  const Parallel crashing({.n_jobs = 2, .backend = backend, .initializer = [] { std::raise(SIGSEGV); }});
  CHECK_THROWS_AS(crashing.outcomes(numbers(100) | delayed(task)), manyhands::pool_broken);
  CHECK(runs[0] == 0);
}

TEST_CASE("a result of 64 MiB comes back whole") {
  const manyhands_test::leak_check leaks;
  const auto results =
      on_processes()(numbers(2) | delayed([](int i) { return std::string(std::size_t{64} << 20, static_cast<char>('a' + i)); }));
  for (int i = 0; i < 2; ++i) {
    const std::string& each = results[static_cast<std::size_t>(i)];
    REQUIRE(each.size() == std::size_t{64} << 20);
    CHECK(each.find_first_not_of(static_cast<char>('a' + i)) == std::string::npos);
  }
}

TEST_CASE("a worker killed while it writes a large result costs that one task") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> victim(2);
  // Nothing tells a test that a result is half written: the killer waits for the last moment before, and any later one is as good.
  std::thread killer([&] {
    while (victim[0] == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(victim[0], SIGKILL);
  });
  const auto results = on_processes().outcomes(numbers(6) | delayed([&](int i) {
                                                 std::string big(std::size_t{i == 2 ? 256u : 1u} << 20, 'x');
                                                 if (i == 2) victim[0] = ::getpid();
                                                 return big;
                                               }));
  killer.join();
  for (int i = 0; i < 6; ++i) {
    const auto& each = results[static_cast<std::size_t>(i)];
    if (i == 2) CHECK(lost(each) == ending{SIGKILL, -1});
    else CHECK(each.value().size() == std::size_t{1} << 20);
  }
}

TEST_CASE("workers killed from outside at any moment cost at most the tasks they ran, and the call ends") {
  const manyhands_test::leak_check leaks;
  const bool frames = GENERATE(false, true);
  constexpr int count = 3000;
  const shared_array<std::atomic<int>> runs(count);
  std::atomic<bool> over = false;
  std::atomic<int> kills = 0;
  const shared_array<std::atomic<int>> progress(1);
  std::thread killer([&] {
    std::mt19937 random(5);
    int seen = 0;
    while (!over && kills < 40) {
      // Workers that are killed faster than they start break the pool, as they should.
      while (!over && progress[0] < seen + 50) std::this_thread::yield();
      seen = progress[0];
      std::vector<pid_t> alive;
      std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
      for (pid_t pid = 0; list >> pid;) alive.push_back(pid);
      if (alive.empty()) continue;
      ::kill(alive[random() % alive.size()], SIGKILL);
      ++kills;
    }
  });
  auto work = [&](int i) {
    ++runs[static_cast<std::size_t>(i)];
    std::atomic<int> spins = 0;
    while (++spins < 3000) {
    }
    ++progress[0];
  };
  auto check = [&](const auto& results, auto expected) {
    int losses = 0;
    for (int i = 0; i < count; ++i) {
      const auto& each = results[static_cast<std::size_t>(i)];
      if (each.has_value()) {
        CHECK(runs[static_cast<std::size_t>(i)] == 1);
        CHECK(*each == expected(i));
      } else {
        CHECK(runs[static_cast<std::size_t>(i)] <= 1);
        CHECK(lost(each) == ending{SIGKILL, -1});
        ++losses;
      }
    }
    CHECK(losses <= kills);
  };
  if (frames) {
    auto text = [](int i) { return std::string(static_cast<std::size_t>(i % 300), 'x'); };
    const auto results = on_processes().outcomes(numbers(count) | delayed([&](int i) { return work(i), text(i); }));
    over = true;
    killer.join();
    check(results, text);
  } else {
    const auto results = on_processes().outcomes(numbers(count) | delayed([&](int i) { return work(i), i; }));
    over = true;
    killer.join();
    check(results, [](int i) { return i; });
  }
}

TEST_CASE("a host that ignores SIGCHLD, or collects every child, loses no result and no call hangs") {
  const manyhands_test::leak_check leaks;
  const int how = GENERATE(0, 1, 2, 3);
  CHECK(manyhands_test::holds_in_subprocess([how] {
    struct sigaction action {};
    if (how == 0) action.sa_handler = SIG_IGN;
    if (how == 1) {
      action.sa_handler = SIG_DFL;
      action.sa_flags = SA_NOCLDWAIT;
    }
    if (how == 2) {
      action.sa_handler = [](int) {
        const int error = errno;
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        errno = error;
      };
    }
    if (how != 3) ::sigaction(SIGCHLD, &action, nullptr);
    if (how == 3) {
      std::thread([] {
        for (;;) {
          if (::waitpid(-1, nullptr, 0) < 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
      }).detach();
    }
    for (int call = 0; call < 5; ++call) {
      const auto results = on_processes().outcomes(numbers(30) | delayed([](int i) {
                                                     if (i == 9) std::raise(SIGKILL);
                                                     return i;
                                                   }));
      for (int i = 0; i < 30; ++i) {
        const auto& each = results[static_cast<std::size_t>(i)];
        if (i != 9 && each.value_or(-1) != i) return false;
        if (i != 9) continue;
        try {
          each.value();
          return false;
        } catch (const worker_lost& error) {
          // Linux 6.15 keeps the status for us; an older one does not.
          if (error.index() != 9 || (error.signal() != SIGKILL && error.signal() != 0)) return false;
        }
      }
    }
    return true;
  }));
}

TEST_CASE("signals that rain on the caller disturb no call") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // without SA_RESTART: every system call is cut short
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 1000}, {0, 1000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    for (int call = 0; call < 20; ++call) {
      if (on_processes()(numbers(200) | delayed([](int i) { return std::to_string(i); }))[199] != "199") return false;
    }
    return true;
  }));
}

TEST_CASE("without a process to be had the call throws, and without a descriptor it does as well or goes on") {
  const manyhands_test::leak_check leaks;
  const auto end = manyhands_test::in_subprocess([] {
    // Root is free of this limit, and so would be this test.
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return true;
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    try {
      on_processes()(numbers(3) | delayed([](int i) { return i; }));
      return false;
    } catch (const std::system_error& error) {
      return error.code() == std::errc::resource_unavailable_try_again;
    }
  });
  CHECK(end.exit_code == 0);
  CHECK(manyhands_test::holds_in_subprocess([] {
    for (int spare = 0; spare < 6; ++spare) {
      const auto used = static_cast<rlim_t>(manyhands_test::open_descriptors() + 3);
      const rlimit tight{used + static_cast<rlim_t>(spare), 20'000};
      ::setrlimit(RLIMIT_NOFILE, &tight);
      std::size_t before = 0;
      try {
        before = manyhands_test::open_descriptors();
      } catch (const std::exception&) {
        continue;
      }
      try {
        if (on_processes(4)(numbers(20) | delayed([](int i) { return i; })) != numbers(20)) return false;
      } catch (const std::system_error& error) {
        if (error.code() != std::errc::too_many_files_open) return false;
      }
      if (manyhands_test::open_descriptors() != before || !manyhands_test::children().empty()) return false;
    }
    return true;
  }));
}

TEST_CASE("a task that forks and returns twice counts once") {
  const manyhands_test::leak_check leaks;
  const auto result = after([] { static_cast<void>(::fork()); });
  CHECK(result.value_or(-1) == 17 * 17);
}

TEST_CASE("a daemon that a task leaves behind keeps no call waiting") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<pid_t>> daemons(1);
  const bool dies = GENERATE(false, true);
  const auto result = after([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      daemons[0] = ::getpid();
      for (;;) ::pause();  // holds every descriptor of the worker
    }
    while (daemons[0] == 0) std::this_thread::yield();
    if (dies) std::raise(SIGKILL);
  });
  CHECK(result.has_value() != dies);
  REQUIRE(daemons[0] > 0);
  ::kill(daemons[0], SIGKILL);
}

TEST_CASE("what is printed before and in tasks is printed once") {
  const manyhands_test::leak_check leaks;
  char path[] = "/tmp/manyhands-test-XXXXXX";
  const int file = ::mkstemp(path);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    ::dup2(file, STDOUT_FILENO);
    std::printf("before\n");
    const auto results = on_processes().outcomes(numbers(4) | delayed([](int i) {
                                                   std::printf("task %d\n", i);
                                                   if (i == 2) std::exit(1);
                                                   return i;
                                                 }));
    std::printf("after\n");
    std::fflush(stdout);
    return results.size() == 4;
  }));
  ::close(file);
  std::ifstream written(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(written, line);) lines.push_back(line);
  ::unlink(path);
  REQUIRE(lines.size() == 6);
  CHECK(lines.front() == "before");
  CHECK(lines.back() == "after");
  std::sort(lines.begin(), lines.end());
  CHECK(lines == std::vector<std::string>{"after", "before", "task 0", "task 1", "task 2", "task 3"});
}

TEST_CASE("lines that tasks print stay whole, however many they are and in however many pieces they come") {
  const manyhands_test::leak_check leaks;
  const std::string backend = GENERATE("processes", "loky");
  char path[] = "/tmp/manyhands-test-XXXXXX";
  const int file = ::mkstemp(path);
  constexpr int tasks = 30;
  constexpr int lines_each = 200;
  CHECK(manyhands_test::holds_in_subprocess([&] {
    ::dup2(file, STDOUT_FILENO);
    static_cast<void>(Parallel({.n_jobs = 3, .backend = backend})(numbers(tasks) | delayed([](int i) {
                                                                    for (int line = 0; line < lines_each; ++line) {
                                                                      std::printf("task %d:", i);
                                                                      for (int piece = 0; piece < 20; ++piece) std::cout << " and more";
                                                                      std::printf(" line %d\n", line);
                                                                    }
                                                                    return i;
                                                                  })));
    return true;
  }));
  ::close(file);
  std::ifstream written(path);
  std::set<std::pair<int, int>> seen;
  for (std::string line; std::getline(written, line);) {
    CAPTURE(line);
    int task = -1;
    int number = -1;
    REQUIRE(std::sscanf(line.c_str(), "task %d:", &task) == 1);
    REQUIRE(std::sscanf(line.c_str() + line.rfind(" line "), " line %d", &number) == 1);
    std::string expected = "task " + std::to_string(task) + ":";
    for (int piece = 0; piece < 20; ++piece) expected += " and more";
    REQUIRE(line == expected + " line " + std::to_string(number));
    seen.emplace(task, number);
  }
  ::unlink(path);
  CHECK(seen.size() == static_cast<std::size_t>(tasks) * lines_each);
}

TEST_CASE("what the last tasks of a call print is not lost") {
  const manyhands_test::leak_check leaks;
  char path[] = "/tmp/manyhands-test-XXXXXX";
  const int file = ::mkstemp(path);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    ::dup2(file, STDOUT_FILENO);
    for (int call = 0; call < 50; ++call) {
      on_processes()(numbers(4) | delayed([](int i) { std::printf("task %d\n", i); }));
    }
    return true;
  }));
  ::close(file);
  std::ifstream written(path);
  CHECK(std::count(std::istreambuf_iterator<char>(written), std::istreambuf_iterator<char>(), '\n') == 200);
  ::unlink(path);
}

TEST_CASE("exit handlers and static destructors of the program run in no worker") {
  const manyhands_test::leak_check leaks;
  static const shared_array<std::atomic<int>>* handled = nullptr;
  const shared_array<std::atomic<int>> count(1);
  handled = &count;
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::atexit([] { ++(*handled)[0]; });
    const auto results = on_processes().outcomes(numbers(4) | delayed([](int i) {
                                                   if (i == 2) std::exit(5);
                                                   return i;
                                                 }));
    return lost(results[2]) == ending{0, 5};
  }));
  CHECK(count[0] == 0);
}

TEST_CASE("a hundred calls leave nothing behind") {
  const manyhands_test::leak_check leaks;
  for (int call = 0; call < 100; ++call) CHECK(on_processes()(numbers(3) | delayed([](int i) { return i; })) == numbers(3));
}

// AddressSanitizer of g++ 12 does not make its allocator ready for a fork: one while another thread allocates leaves a lock taken.
#if !MANYHANDS_ASAN || defined(__clang__)
TEST_CASE("several threads may call at a time") {
  const manyhands_test::leak_check leaks;
  const Parallel shared = on_processes();
  std::atomic<int> good = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < 5; ++call) {
        const auto results = shared.outcomes(numbers(50) | delayed([](int i) {
                                               if (i == 20) std::raise(SIGKILL);
                                               return i;
                                             }));
        good += static_cast<int>(std::count_if(results.begin(), results.end(), [](const auto& each) { return each.has_value(); }));
      }
    });
  }
  for (std::thread& each : callers) each.join();
  CHECK(good == 4 * 5 * 49);
}

TEST_CASE("a host whose other threads never stop allocating and printing can fork") {
  const manyhands_test::leak_check leaks;
  std::atomic<bool> over = false;
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      while (!over) {
        std::vector<std::string> some(10, std::string(100, 'x'));
        std::fputs("", stdout);
      }
    });
  }
  for (int call = 0; call < 20; ++call) {
    CHECK(on_processes()(numbers(20) | delayed([](int i) {
                           std::vector<int> some(1000, i);
                           std::fputs("", stdout);
                           return some.back();
                         })) == numbers(20));
  }
  over = true;
  for (std::thread& each : busy) each.join();
}
#endif

TEST_CASE("the host's other children are nobody's business") {
  const manyhands_test::leak_check leaks;
  const pid_t other = ::fork();
  if (other == 0) ::_exit(9);
  for (int call = 0; call < 5; ++call) on_processes()(numbers(10) | delayed([](int i) { return i; }));
  int status = 0;
  CHECK(::waitpid(other, &status, 0) == other);
  CHECK(WEXITSTATUS(status) == 9);
}

TEST_CASE("no worker outlives a caller that is killed") {
  const manyhands_test::leak_check leaks;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const shared_array<std::atomic<int>> begun(1);
  const auto end = manyhands_test::in_subprocess([&] {
    ::close(ends[0]);
    const pid_t self = ::getpid();
    std::thread([&, self] {
      while (begun[0] != 2) std::this_thread::yield();
      ::kill(self, SIGKILL);
    }).detach();
    on_processes()(numbers(10) | delayed([&](int) -> int {
                     for (++begun[0];;) begun[0].load();  // busy; and a loop that does nothing may be left out
                   }));
    return true;
  });
  CHECK(end.signal == SIGKILL);
  ::close(ends[1]);
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);  // blocks for as long as a worker holds the other end
  ::close(ends[0]);
}

TEST_CASE("Ctrl-C ends the program as it would without the library, and its workers with it") {
  const manyhands_test::leak_check leaks;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const shared_array<std::atomic<int>> begun(1);
  const auto end = manyhands_test::in_subprocess([&] {
    std::signal(SIGINT, SIG_DFL);  // not the handler of the test framework
    ::setpgid(0, 0);
    ::close(ends[0]);
    std::thread([&] {
      while (begun[0] != 2) std::this_thread::yield();
      ::kill(0, SIGINT);  // as a terminal does: to the whole group
    }).detach();
    on_processes()(numbers(10) | delayed([&](int) -> int {
                     ++begun[0];
                     for (;;) ::pause();
                   }));
    return true;
  });
  CHECK(end.signal == SIGINT);
  ::close(ends[1]);
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
}

TEST_CASE("memory that runs out in a task is an exception, and the worker lives") {
  const manyhands_test::leak_check leaks;
#if !MANYHANDS_ASAN && !MANYHANDS_TSAN
  const auto result = after([] {
    const rlimit small{std::size_t{1} << 28, std::size_t{1} << 28};
    ::setrlimit(RLIMIT_DATA, &small);
    std::vector<char> big(std::size_t{1} << 30);
    static_cast<void>(!::write(-1, big.data(), 1));  // or clang leaves it out
  });
  CHECK_THROWS_AS(result.value(), std::bad_alloc);
#endif
}

TEST_CASE("a worker whose task has failed begins no later one, however soon its caller hears of it") {
  const manyhands_test::leak_check leaks;
  constexpr int count = 5000;
  for (int round = 0; round < 10; ++round) {
    const shared_array<std::atomic<int>> failed(1);
    const shared_array<std::atomic<int>> begun_by_it(1);
    const auto work = delayed([&](int i) {
      // What it ran before it got this task, from a worker that was slower, does not count.
      if (failed[0] == ::getpid()) begun_by_it[0] = i;
      if (i != 700) return;
      failed[0] = ::getpid();
      throw std::out_of_range("700");
    });
    CHECK_THROWS_AS(on_processes()(numbers(count) | work), std::out_of_range);
    REQUIRE(begun_by_it[0] <= 700);
  }
  // Where errors are results it goes on.
  CHECK(on_processes()
            .outcomes(numbers(50) | delayed([](int i) {
                        if (i == 3) throw i;
                        return i;
                      }))[49]
            .value() == 49);
}

TEST_CASE("what tasks have printed is there, though a later task has failed") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::FILE* const file = std::tmpfile();
    ::dup2(::fileno(file), STDOUT_FILENO);
    const shared_array<std::atomic<int>> done(40);
    try {
      on_processes()(numbers(40) | delayed([&](int i) {
                       if (i == 12) throw std::out_of_range("12");
                       std::printf("[%d]", i);
                       if (i > 12) std::this_thread::sleep_for(std::chrono::milliseconds(50));  // to be ended in it
                       done[static_cast<std::size_t>(i)] = 1;
                     }));
    } catch (const std::out_of_range&) {
    }
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(::pread(::fileno(file), text.data(), text.size(), 0), 0)));
    for (int i = 0; i < 12; ++i) {
      const std::string mark = "[" + std::to_string(i) + "]";
      const std::size_t at = text.find(mark);
      if (at == std::string::npos || text.find(mark, at + 1) != std::string::npos) return false;
    }
    return true;
  }));
}

TEST_CASE("pthread_exit in a task is a loss like exit, and aborts nothing") {
  const manyhands_test::leak_check leaks;
  CHECK(lost(after([] { ::pthread_exit(nullptr); })) == ending{0, 0});
}

TEST_CASE("a worker sees nothing of what its program had read ahead") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    int ends[2];
    if (::pipe(ends) != 0 || ::write(ends[1], "a\nb\nc\n", 6) != 6) return false;
    ::dup2(ends[0], STDIN_FILENO);
    std::ios::sync_with_stdio(false);
    std::string first;
    std::getline(std::cin, first);
    const auto read = on_processes()(numbers(4) | delayed([](int) {
                                       std::string line;
                                       return std::getline(std::cin, line) ? line : "nothing";
                                     }));
    std::string second;
    std::getline(std::cin, second);
    return first == "a" && second == "b" && read == std::vector<std::string>(4, "nothing");
  }));
}

TEST_CASE("a call does not hang on a stream buffer of the program that another thread has locked") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    struct locking_buffer : std::streambuf {
      int sync() override {
        const std::lock_guard lock(mutex);
        return 0;
      }
      int overflow(int c) override { return c; }
      std::mutex mutex;
    };
    static locking_buffer buffer;
    std::cout.rdbuf(&buffer);
    std::atomic<bool> over = false;
    std::thread holder([&] {
      while (!over) buffer.pubsync();
    });
    bool right = true;
    for (int round = 0; round < 8; ++round) right = right && on_processes()(numbers(4) | delayed([](int i) { return i; })) == numbers(4);
    over = true;
    holder.join();
    return right;
  }));
}

TEST_CASE("wide output that waits in a buffer is written once") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::FILE* const file = std::tmpfile();
    ::dup2(::fileno(file), STDOUT_FILENO);
    std::ios::sync_with_stdio(false);
    std::wcout << L"W";
    on_processes()(numbers(8) | delayed([](int) { std::wcout << L"."; }));
    std::wcout.flush();
    std::string text(100, '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(::pread(::fileno(file), text.data(), text.size(), 0), 0)));
    return std::count(text.begin(), text.end(), 'W') == 1 && std::count(text.begin(), text.end(), '.') == 8;
  }));
}

TEST_CASE("the library writes into no file of a task that has closed its descriptors") {
  const manyhands_test::leak_check leaks;
  std::string path = "/tmp/manyhands-test-XXXXXX";
  const int file = ::mkstemp(path.data());
  REQUIRE(file >= 0);
  const auto opened = on_processes()(numbers(8) | delayed([&](int i) {
                                       int count = 0;
                                       for (int fd = 3; fd < 64; ++fd) ::close(fd);
                                       for (int k = 0; k < 61; ++k) count += ::open(path.c_str(), O_RDWR) >= 0 ? 1 : 0;
                                       std::this_thread::sleep_for(std::chrono::milliseconds(2 + i % 2));  // the caller sleeps, too
                                       return count;
                                     }));
  struct stat status {};
  REQUIRE(::fstat(file, &status) == 0);
  ::close(file);
  ::unlink(path.c_str());
  CHECK(opened == std::vector<int>(8, 61));
  CHECK(status.st_size == 0);
}

TEST_CASE("what a task starts dies of Ctrl-C, and the worker does not") {
  const manyhands_test::leak_check leaks;
  const auto ends = on_processes()(numbers(2) | delayed([](int) {
                                     std::raise(SIGINT);
                                     const pid_t child = ::fork();
                                     if (child == 0) {
                                       ::execl("/bin/sh", "sh", "-c", "kill -INT $$; sleep 20", static_cast<char*>(nullptr));
                                       ::_exit(1);
                                     }
                                     int status = 0;
                                     ::waitpid(child, &status, 0);
                                     return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
                                   }));
  CHECK(ends == std::vector<int>(2, SIGINT));
}
