// What may happen to worker processes and around them. Each call gives every other result, names the one task that is to blame, and leaves
// nothing behind. Signals, exits and hosts that collect children are in tests/backends/processes.cpp, overwritten memory in
// tests/detail/forked_call.cpp, terminals in terminal.cpp, other libraries' threads in fork_after_threads.cpp.

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands.hpp>
#include <manyhands/config.hpp>
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

using flags = shared_array<std::atomic<int>>;

Parallel on_processes(int n_jobs = 2, manyhands::batch_size batch = manyhands::automatic) {
  return Parallel({.n_jobs = n_jobs, .backend = "processes", .batch_size = batch});
}

/// A worker that has nothing to do stays where a task may have to be begun again, and else leaves.
Parallel on_processes_that_stay() { return Parallel({.n_jobs = 2, .backend = "processes", .batch_size = 1, .retries = 1}); }

struct ending {
  int signal = 0;
  int exit_code = -1;
  friend bool operator==(const ending&, const ending&) = default;
};

/// How the worker of a task ended; neither signal nor code where it did not.
template <class R>
ending lost(const outcome<R>& result) {
  try {
    static_cast<void>(result.value());
  } catch (const worker_lost& error) {
    return error.index() == result.index() ? ending{error.signal(), error.exit_code()} : ending{-1, -1};
  } catch (...) {
  }
  return {};
}

/// Runs 40 tasks of which one does `misdeed`, and looks at all others: each ran once and has its result.
outcome<int> after(const std::function<void()>& misdeed, manyhands::batch_size batch = manyhands::automatic) {
  constexpr std::size_t count = 40;
  constexpr std::size_t culprit = 17;
  const flags runs(count);
  const auto results = on_processes(2, batch).outcomes(numbers(count) | delayed([&](int i) {
                                                         ++runs[static_cast<std::size_t>(i)];
                                                         if (i == culprit) misdeed();
                                                         return i * i;
                                                       }));
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(runs[i] == 1);
    if (i != culprit) CHECK(results.at(i).value_or(-1) == static_cast<int>(i * i));
  }
  return results.at(culprit);
}

template <class Condition>
void wait_until(Condition&& holds) {
  while (!holds()) std::this_thread::sleep_for(std::chrono::microseconds(200));
}

/// The letter that `ps` shows: R runs, S sleeps, T is stopped, Z is dead and not collected; 0 where there is no such process.
char state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');
  return name_end == std::string::npos ? '\0' : text.at(name_end + 2);
}
bool is_gone(pid_t pid) { return state_of(pid) == '\0'; }

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A file of its own, gone at the end.
struct scratch_file {
  scratch_file() { fd = ::mkstemp(path.data()); }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() {
    ::close(fd);
    ::unlink(path.c_str());
  }
  std::string path = "/tmp/manyhands-test-XXXXXX";
  int fd = -1;
};

}  // namespace

// --- what a task does to its own worker

#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they report it and go their own way

TEST_CASE("a fault of the processor costs one task") {
  const manyhands_test::leak_check leaks;
  SECTION("division by zero") {
    CHECK(lost(after([] {
            volatile int zero = 0;
            zero = 7 / zero;
          })) == ending{SIGFPE, -1});
  }
  SECTION("an instruction that there is not") {
    const ending end = lost(after([] { __builtin_trap(); }));
    CHECK((end == ending{SIGILL, -1} || end == ending{SIGTRAP, -1}));
  }
  SECTION("a page of a file that has become shorter") {
    CHECK(lost(after([] {
            const scratch_file file;
            if (::ftruncate(file.fd, 4096) != 0) return;
            auto* const page = static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0));
            if (::ftruncate(file.fd, 0) != 0) return;
            ::unlink(file.path.c_str());
            page[5] = 1;
          })) == ending{SIGBUS, -1});
  }
  SECTION("a function that is not there") {
    CHECK(lost(after([] {
            void (*volatile nothing)() = nullptr;
            nothing();
          })) == ending{SIGSEGV, -1});
  }
}

TEST_CASE("an address space that a task makes too small fails the task, or costs it its worker, and nothing else") {
  const manyhands_test::leak_check leaks;
  const auto result = after([] {
    const rlimit small{std::size_t{1} << 29, std::size_t{1} << 29};
    ::setrlimit(RLIMIT_AS, &small);
    std::vector<char> big(std::size_t{1} << 30);
    static_cast<void>(!::write(-1, big.data(), 1));  // or clang leaves it out
  });
  CHECK_THROWS_AS(result.value(), std::bad_alloc);
}

TEST_CASE("a worker that the system ends because memory runs out costs one task") {
  const manyhands_test::leak_check leaks;
  // Where this may be tried: as root, with a memory controller of version 1 or 2.
  std::string group = "/sys/fs/cgroup/memory";
  std::string limit = "memory.limit_in_bytes";
  if (!std::filesystem::exists(group)) group = "/sys/fs/cgroup", limit = "memory.max";
  group += "/manyhands-test-" + std::to_string(::getpid());
  std::error_code refused;
  std::filesystem::create_directory(group, refused);
  const bool can_limit = !refused && (std::ofstream(group + "/" + limit) << (16 << 20)).flush().good();
  if (can_limit) {
    if (std::filesystem::exists(group + "/memory.swap.max")) std::ofstream(group + "/memory.swap.max") << 0;
    CHECK(lost(after([&] {
            if (!(std::ofstream(group + "/cgroup.procs") << ::getpid()).flush()) return;
            std::string big(std::size_t{64} << 20, 'x');
            static_cast<void>(!::write(-1, big.data(), 1));
          })) == ending{SIGKILL, -1});
  } else {
    WARN("skipped: no memory control group may be made here");
  }
  ::rmdir(group.c_str());
}
#endif

TEST_CASE("quick_exit in a task runs no handler of the program") {
  const manyhands_test::leak_check leaks;
  static const flags* handled = nullptr;
  const flags count(1);
  handled = &count;
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::at_quick_exit([] { ++(*handled)[0]; });
    const auto results = on_processes().outcomes(numbers(4) | delayed([](int i) {
                                                   if (i == 2) std::quick_exit(5);
                                                   return i;
                                                 }));
    return lost(results[2]) == ending{0, 5};
  }));
  CHECK(count[0] == 0);
}

TEST_CASE("static objects of the program are destroyed in no worker") {
  const manyhands_test::leak_check leaks;
  static const flags* destroyed = nullptr;
  const flags count(1);
  destroyed = &count;
  const bool by_thread = GENERATE(false, true);
  CHECK(manyhands_test::holds_in_subprocess([by_thread] {
    struct noted {
      ~noted() { ++(*destroyed)[0]; }
    };
    static const noted object;
    const auto results = on_processes().outcomes(numbers(6) | delayed([by_thread](int i) {
                                                   if (i == 2 && by_thread) std::thread([] { std::exit(5); }).join();
                                                   if (i == 2) std::exit(5);
                                                   return i;
                                                 }));
    return lost(results[2]) == ending{0, 5};
  }));
  CHECK(count[0] == 0);
}

TEST_CASE("what the program has not written yet is written by no worker, however that ends") {
  const manyhands_test::leak_check leaks;
  const scratch_file own;
  const scratch_file standard;
  const int how = GENERATE(0, 1, 2, 3);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    ::dup2(standard.fd, STDOUT_FILENO);
    ::dup2(standard.fd, STDERR_FILENO);
    std::ios::sync_with_stdio(false);
    static std::FILE* const log = ::fdopen(::dup(own.fd), "w");
    static std::ofstream stream(own.path, std::ios::app);
    std::fputs("log\n", log);
    stream << "stream\n";
    std::cout << "cout\n";
    std::clog << "clog\n";
    std::printf("printf\n");
    static_cast<void>(on_processes().outcomes(numbers(6) | delayed([how](int i) {
                                                if (i == 3 && how == 1) std::exit(1);
                                                if (i == 3 && how == 2) std::raise(SIGKILL);
                                                if (i == 3 && how == 3) std::quick_exit(1);
                                                return i;
                                              })));
    std::fflush(log);
    stream.flush();
    std::cout.flush();
    std::clog.flush();
    std::fflush(stdout);
    return true;
  }));
  const std::string written = contents(own.path) + contents(standard.path);
  for (const std::string line : {"log\n", "stream\n", "cout\n", "clog\n", "printf\n"}) {
    CAPTURE(line);
    const std::size_t at = written.find(line);
    CHECK(at != std::string::npos);
    if (line != "log\n") CHECK(written.find(line, at + 1) == std::string::npos);  // which is in "clog", too
  }
  CHECK(written.size() == std::strlen("log\nstream\ncout\nclog\nprintf\n"));
}

TEST_CASE("a task that waits for any child finds none of the caller's") {
  const manyhands_test::leak_check leaks;
  CHECK(on_processes()(numbers(20) | delayed([](int) { return ::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD; })) ==
        std::vector<bool>(20, true));
}

TEST_CASE("a task that leaves its session and its group is ended with its call") {
  const manyhands_test::leak_check leaks;
  CHECK(on_processes()(numbers(6) | delayed([](int) { return ::setsid() != -1 || errno == EPERM; })) == std::vector<bool>(6, true));
}

// --- what is done to a worker from outside

TEST_CASE("a worker that is killed while it is idle costs nothing") {
  const manyhands_test::leak_check leaks;
  const int signal = GENERATE(SIGKILL, SIGTERM, SIGSEGV);
  const flags pids(2);
  std::atomic<bool> was_idle = false;
  std::thread killer([&] {
    wait_until([&] { return pids[0] != 0 && pids[1] != 0; });
    // The one whose task is done: it sleeps because it has none.
    wait_until([&] { return state_of(pids[1]) == 'S'; });
    ::kill(pids[1], signal);
    wait_until([&] { return is_gone(pids[1]); });  // the caller has collected it
    was_idle = true;
    pids[0] = 0;
  });
  const auto results = on_processes_that_stay().outcomes(numbers(2) | delayed([&](int i) {
                                                           const auto index = static_cast<std::size_t>(i);
                                                           // Not both in one worker: it would be killed for the task that waits.
                                                           if (i == 1) wait_until([&] { return pids[0] != 0; });
                                                           pids[index] = ::getpid();
                                                           if (i == 0) wait_until([&] { return pids[0] == 0; });
                                                           return i + 7;
                                                         }));
  killer.join();
  CHECK(was_idle);
  CHECK(results.at(0).value_or(-1) == 7);
  CHECK(results.at(1).value_or(-1) == 8);
}

TEST_CASE("a worker that is killed while it is busy costs the task that it runs") {
  const manyhands_test::leak_check leaks;
  const flags victim(1);
  std::thread killer([&] {
    wait_until([&] { return victim[0] != 0; });
    ::kill(victim[0], SIGKILL);
  });
  CHECK(lost(after([&] {
          for (victim[0] = ::getpid();;) victim[0].load();
        })) == ending{SIGKILL, -1});
  killer.join();
}

TEST_CASE("a worker that is stopped keeps its own task waiting and no other, until it goes on or is killed") {
  const manyhands_test::leak_check leaks;
  const int then = GENERATE(SIGCONT, SIGKILL);
  constexpr int count = 60;
  const flags stopped(1);
  const flags done(1);
  std::thread other([&] {
    wait_until([&] { return stopped[0] != 0 && state_of(stopped[0]) == 'T' && done[0] == count - 1; });
    ::kill(stopped[0], then);
  });
  const auto results = on_processes().outcomes(numbers(count) | delayed([&](int i) {
                                                 if (i == 23) {
                                                   stopped[0] = ::getpid();
                                                   ::raise(SIGSTOP);
                                                 }
                                                 ++done[0];
                                                 return i;
                                               }));
  other.join();
  for (int i = 0; i < count; ++i) {
    const auto& each = results.at(static_cast<std::size_t>(i));
    if (i == 23 && then == SIGKILL) CHECK(lost(each) == ending{SIGKILL, -1});
    else CHECK(each.value_or(-1) == i);
  }
}

TEST_CASE("a worker that is stopped while it is idle does not keep the call from ending") {
  const manyhands_test::leak_check leaks;
  const flags pids(2);
  std::thread other([&] {
    wait_until([&] { return pids[0] != 0 && pids[1] != 0 && state_of(pids[1]) == 'S'; });
    ::kill(pids[1], SIGSTOP);
    wait_until([&] { return state_of(pids[1]) == 'T'; });
    pids[0] = 0;
  });
  CHECK(on_processes_that_stay()(numbers(2) | delayed([&](int i) {
                                   if (i == 1) wait_until([&] { return pids[0] != 0; });
                                   pids[static_cast<std::size_t>(i)] = ::getpid();
                                   if (i == 0) wait_until([&] { return pids[0] == 0; });
                                   return i;
                                 })) == numbers(2));
  other.join();
}

// --- results

namespace {

/// A worker's process number. To read one takes the caller until that worker waits for room in its ring; then it is killed.
struct killed_when_read {
  std::string text = {};
};
const flags* writer_of_large = nullptr;

struct fails_to_be_written {
  int how = 0;
};
struct fails_to_be_read {
  int how = 0;
};
struct crashes_in_destructor {
  bool is_armed = false;
  explicit crashes_in_destructor(bool armed) : is_armed(armed) {}
  crashes_in_destructor(crashes_in_destructor&& other) noexcept : is_armed(std::exchange(other.is_armed, false)) {}
  crashes_in_destructor& operator=(crashes_in_destructor&&) = delete;
  ~crashes_in_destructor() {
    if (is_armed) std::raise(SIGSEGV);
  }
};

}  // namespace

template <>
struct manyhands::codec<killed_when_read> {
  static void save(const killed_when_read& value, writer& out) { out.put(value.text); }
  static killed_when_read load(reader& in) {
    killed_when_read value{in.get<std::string>()};
    wait_until([] { return (*writer_of_large)[0] != 0 && state_of((*writer_of_large)[0]) == 'S'; });
    ::kill((*writer_of_large)[0], SIGKILL);
    wait_until([] { return state_of((*writer_of_large)[0]) == 'Z'; });
    return value;
  }
};
template <>
struct manyhands::codec<fails_to_be_written> {
  static void save(const fails_to_be_written& value, writer& out) {
    out.put(std::string(1000, 'x'));
    if (value.how == 1) throw std::domain_error("not to be written");
    if (value.how == 2) std::raise(SIGSEGV);
    if (value.how == 3) ::_exit(0);
  }
  static fails_to_be_written load(reader& in) { return static_cast<void>(in.get<std::string>()), fails_to_be_written{}; }
};
template <>
struct manyhands::codec<fails_to_be_read> {
  static void save(const fails_to_be_read& value, writer& out) { out.put(value.how); }
  static fails_to_be_read load(reader& in) {
    const int how = in.get<int>();
    if (how == 1) throw std::domain_error("not to be read");
    if (how == 2) static_cast<void>(in.get<std::string>());  // there is no more
    return {};
  }
};
template <>
struct manyhands::codec<crashes_in_destructor> {
  static void save(const crashes_in_destructor&, writer& out) { out.put(std::string(10, 'x')); }
  static crashes_in_destructor load(reader& in) { return static_cast<void>(in.get<std::string>()), crashes_in_destructor(false); }
};

TEST_CASE("a worker that dies half through a result while another one's is read costs its own task") {
  const manyhands_test::leak_check leaks;
  const flags pid(1);
  writer_of_large = &pid;
  const auto results = on_processes(2, 1).outcomes(numbers(2) | delayed([&](int i) {
                                                     if (i == 0) return killed_when_read{"small"};
                                                     std::string large(std::size_t{8} << 20, 'x');
                                                     pid[0] = ::getpid();
                                                     return killed_when_read{large};
                                                   }));
  REQUIRE(results.at(0).has_value());
  CHECK(results.at(0)->text == "small");
  CHECK(lost(results.at(1)) == ending{SIGKILL, -1});
}

TEST_CASE("a result that cannot be written fails its task alone, by an exception or a crash") {
  const manyhands_test::leak_check leaks;
  const auto results = on_processes().outcomes(numbers(40) | delayed([](int i) { return fails_to_be_written{i % 10 == 4 ? i / 10 : 0}; }));
  for (std::size_t i = 0; i < 40; ++i) {
    CAPTURE(i);
    if (i % 10 != 4 || i < 10) CHECK(results.at(i).has_value());
  }
  CHECK_THROWS_AS(results.at(14).value(), std::domain_error);
  CHECK(lost(results.at(24)) == ending{SIGSEGV, -1});
  CHECK(lost(results.at(34)) == ending{0, 0});
}

TEST_CASE("a result that cannot be read fails its task alone") {
  const manyhands_test::leak_check leaks;
  const auto results = on_processes().outcomes(numbers(30) | delayed([](int i) { return fails_to_be_read{i % 10 == 4 ? i / 10 : 0}; }));
  for (std::size_t i = 0; i < 30; ++i) {
    CAPTURE(i);
    if (i % 10 != 4 || i < 10) CHECK(results.at(i).has_value());
  }
  CHECK_THROWS_AS(results.at(14).value(), std::domain_error);
  CHECK_THROWS_AS(results.at(24).value(), manyhands::codec_error);
}

TEST_CASE("a result whose destructor crashes in the worker costs its task alone") {
  const manyhands_test::leak_check leaks;
  const auto results = on_processes().outcomes(numbers(20) | delayed([](int i) { return crashes_in_destructor(i == 9); }));
  for (std::size_t i = 0; i < 20; ++i) {
    if (i == 9) CHECK(lost(results[i]) == ending{SIGSEGV, -1});
    else CHECK(results[i].has_value());
  }
}

// --- what the system refuses

namespace {

/// Becomes a user of its own, to whom limits apply that root is free of. False where that is not allowed.
bool become_nobody() { return ::getuid() == 0 && ::setgid(54'321) == 0 && ::setuid(54'321) == 0; }

void allow_processes(pid_t where, rlim_t count) {
  const rlimit limit{count, count};
  ::prlimit(where, RLIMIT_NPROC, &limit, nullptr);
}

}  // namespace

#if !MANYHANDS_TSAN  // it has a thread of its own in each process, which counts
TEST_CASE("a limit on processes that lets some workers start lets the call go on with them") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    if (!become_nobody()) return true;
    allow_processes(0, 2);
    const auto results = on_processes(4).outcomes(numbers(60) | delayed([](int i) {
                                                    if (i == 30) std::raise(SIGKILL);
                                                    return i;
                                                  }));
    for (int i = 0; i < 60; ++i) {
      if (i != 30 && results[static_cast<std::size_t>(i)].value_or(-1) != i) return false;
    }
    return lost(results[30]) == ending{SIGKILL, -1} && manyhands_test::children().empty();
  }));
}
#endif

TEST_CASE("a limit on processes that lets no worker be replaced ends the call with the system's error") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    if (!become_nobody()) return true;
    allow_processes(0, 2);
    try {
      static_cast<void>(on_processes(2).outcomes(numbers(60) | delayed([](int i) {
                                                   if (i == 10) {
                                                     allow_processes(::getppid(), 1);
                                                     std::raise(SIGKILL);
                                                   }
                                                   return i;
                                                 })));
      return false;
    } catch (const std::system_error& error) {
      return error.code() == std::errc::resource_unavailable_try_again && manyhands_test::children().empty();
    }
  }));
}

TEST_CASE("a full /dev/shm is of no consequence, and nothing is left there") {
  const manyhands_test::leak_check leaks;
  const auto count_files = [] {
    return std::distance(std::filesystem::directory_iterator("/dev/shm"), std::filesystem::directory_iterator());
  };
  const auto before = count_files();
  CHECK(manyhands_test::holds_in_subprocess([] {
    // A small one of our own, where that may be made.
    if (::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=4096") == 0) {
      std::ofstream fill("/dev/shm/fill");
      while (fill.flush() << std::string(4096, 'x')) {
      }
    }
    const auto large = on_processes()(numbers(4) | delayed([](int i) { return std::string(std::size_t{3} << 20, static_cast<char>(i)); }));
    if (large[3] != std::string(std::size_t{3} << 20, 3)) return false;
    return on_processes()(numbers(10'000) | delayed([](int i) { return i; })) == numbers(10'000);
  }));
  CHECK(count_files() == before);
}

#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they need all the addresses that there are
TEST_CASE("a caller without memory throws, or does as well, and leaves nothing behind") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const std::vector<int> input = numbers(200);
    int failures = 0;
    for (rlim_t spare = 0; spare < 40; ++spare) {
      const rlimit tight{pages * 4096 + spare * (128 << 10), RLIM_INFINITY};
      ::setrlimit(RLIMIT_AS, &tight);
      bool right = true;
      try {
        const auto results = on_processes(3)(input | delayed([](int i) { return i; }));
        right = results == input;
      } catch (const std::bad_alloc&) {
        ++failures;
      } catch (const std::system_error& error) {
        ++failures;
        right = error.code() == std::errc::not_enough_memory || error.code() == std::errc::resource_unavailable_try_again;
      }
      const rlimit wide{RLIM_INFINITY, RLIM_INFINITY};
      ::setrlimit(RLIMIT_AS, &wide);
      if (!right || !manyhands_test::children().empty() || manyhands_test::shared_mappings() != 0) return false;
    }
    return failures > 0;
  }));
}
#endif

// --- what workers have of each other

TEST_CASE("replacements have the descriptors that the first workers had, and hold no lock of a dead one") {
  const manyhands_test::leak_check leaks;
  const scratch_file file;
  const auto results = on_processes(3).outcomes(numbers(60) | delayed([&](int i) {
                                                  const auto open = manyhands_test::open_descriptors();
                                                  if (i % 20 == 10) {
                                                    const int own = ::open(file.path.c_str(), O_RDWR);
                                                    if (::flock(own, LOCK_EX) == 0) std::raise(SIGKILL);
                                                  }
                                                  return open;
                                                }));
  std::set<std::size_t> seen;
  for (std::size_t i = 0; i < 60; ++i) {
    if (i % 20 == 10) CHECK(lost(results[i]) == ending{SIGKILL, -1});
    else seen.insert(results[i].value());
  }
  CHECK(seen.size() == 1);
  CHECK(::flock(file.fd, LOCK_EX | LOCK_NB) == 0);
}

// --- who calls

TEST_CASE("a call from a thread that ends soon after it is like any other") {
  const manyhands_test::leak_check leaks;
  for (int round = 0; round < 20; ++round) {
    std::vector<int> results;
    std::thread([&] { results = on_processes()(numbers(30) | delayed([](int i) { return i; })); }).join();
    REQUIRE(results == numbers(30));
  }
}

TEST_CASE("whatever its workers do, none lives on when the caller is killed") {
  const manyhands_test::leak_check leaks;
  const std::string what = GENERATE("computes", "sleeps", "ignores signals", "is stopped", "writes a result that nobody reads", "is idle");
  CAPTURE(what);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const flags begun(1);
  const flags worker(1);
  const auto end = manyhands_test::in_subprocess([&] {
    ::close(ends[0]);
    const pid_t self = ::getpid();
    std::thread([&, self] {
      wait_until([&] { return begun[0] == 2; });
      if (what == "is stopped") wait_until([&] { return state_of(worker[0]) == 'T'; });
      if (what == "is idle" || what[0] == 'w') wait_until([&] { return state_of(worker[0]) == 'S'; });
      ::kill(self, SIGKILL);
    }).detach();
    on_processes_that_stay()(numbers(2) | delayed([&](int i) {
                               if (i == 1) worker[0] = ::getpid();
                               ++begun[0];
                               if (i == 0 || what == "sleeps") {
                                 for (;;) ::pause();
                               }
                               if (what == "ignores signals") {
                                 sigset_t all;
                                 ::sigfillset(&all);
                                 ::sigprocmask(SIG_BLOCK, &all, nullptr);
                                 for (;;) ::pause();
                               }
                               if (what == "is stopped") ::raise(SIGSTOP);
                               if (what == "computes") {
                                 for (;;) begun[0].load();
                               }
                               return std::string(what[0] == 'w' ? std::size_t{64} << 20 : 1, 'x');
                             }));
    return true;
  });
  CHECK(end.signal == SIGKILL);
  ::close(ends[1]);
  const auto killed = std::chrono::steady_clock::now();
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);  // blocks for as long as a worker holds the other end
  // At once, were the machine ours.
  CHECK(std::chrono::steady_clock::now() - killed < std::chrono::seconds(10));
  ::close(ends[0]);
}
