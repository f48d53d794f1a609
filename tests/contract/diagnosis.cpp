// What `worker_lost` tells of a crash, and that telling it changes nothing about the crash.

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <manyhands/config.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using Catch::Matchers::Contains;
using manyhands::delayed;
using manyhands::Parallel;
using manyhands::worker_lost;

namespace library {

[[gnu::noinline]] void write_to(std::uintptr_t address) { *reinterpret_cast<volatile int*>(address) = 1; }

[[gnu::noinline]] void use_handle(std::uintptr_t handle) {
  write_to(handle + 16);
  volatile int after = 1;  // or the call were a jump, and left no frame
  after = after + 1;
}

}  // namespace library

namespace {

/// The loss of the one task of twelve that does `misdeed`; all others have their results.
std::optional<worker_lost> loss_by(const std::function<void()>& misdeed, std::function<void()> initializer = {}) {
  std::vector<int> input(12);
  for (int i = 0; i < 12; ++i) input[static_cast<std::size_t>(i)] = i;
  manyhands::options how{.n_jobs = 2, .backend = "processes"};
  if (initializer) how.initializer = std::move(initializer);
  const auto results = Parallel(how).outcomes(input | delayed([&](int i) {
                                                if (i == 5) misdeed();
                                                return i;
                                              }));
  for (int i = 0; i < 12; ++i) {
    if (i != 5 && results.at(static_cast<std::size_t>(i)).value_or(-1) != i) return std::nullopt;
  }
  try {
    static_cast<void>(results.at(5).value());
  } catch (const worker_lost& lost) {
    return lost;
  } catch (...) {
  }
  return std::nullopt;
}

/// Where in the backtrace a function is met, its length where it is not.
[[maybe_unused]] std::size_t place_of(const std::string& function, const worker_lost& lost) {
  const auto& frames = lost.backtrace();
  return static_cast<std::size_t>(
      std::find_if(frames.begin(), frames.end(), [&](const auto& frame) { return frame.find(function) != std::string::npos; }) -
      frames.begin());
}

struct sigaction handler_of(int signal) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return action;
}

constexpr int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

}  // namespace

#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they look after crashes themselves

TEST_CASE("a wild pointer is told with its address and the functions that led to it") {
  const manyhands_test::leak_check leaks;
  const auto lost = loss_by([] { library::use_handle(0xdead0); });
  REQUIRE(lost);
  CHECK(lost->signal() == SIGSEGV);
  CHECK(lost->exit_code() == -1);
  CHECK(lost->fault_address() == std::uintptr_t{0xdead0 + 16});
  CHECK(place_of("library::write_to(unsigned long)+0x", *lost) == 0);
  CHECK(place_of("library::use_handle(unsigned long)+0x", *lost) == 1);
  CHECK(place_of("manyhands::detail::basic_worker_loop", *lost) < lost->backtrace().size());
  CHECK_THAT(lost->what(), Contains("at address 0xdeae0, in library::write_to"));
}

TEST_CASE("a full stack is told, and what filled it") {
  const manyhands_test::leak_check leaks;
  static std::function<int(int)> deep = [](int n) {
    volatile char frame[4096] = {};
    frame[n % 4096] = static_cast<char>(n);
    return deep(n + 1) + frame[0];
  };
  const auto lost = loss_by([] { deep(0); });
  REQUIRE(lost);
  CHECK(lost->signal() == SIGSEGV);
  CHECK(lost->fault_address().has_value());
  CHECK(lost->backtrace().size() > 20);
}

TEST_CASE("abort and a failed assertion are told with who called it, and have no address") {
  const manyhands_test::leak_check leaks;
  const auto lost = loss_by([] { std::abort(); });
  REQUIRE(lost);
  CHECK(lost->signal() == SIGABRT);
  CHECK(lost->fault_address() == std::nullopt);
  CHECK(place_of("abort", *lost) < 6);
}

TEST_CASE("a bad instruction and a division by zero are told with the instruction's address") {
  const manyhands_test::leak_check leaks;
  const auto division = loss_by([] {
    volatile int zero = 0;
    zero = 7 / zero;
  });
  REQUIRE(division);
  CHECK(division->signal() == SIGFPE);
  CHECK(division->fault_address().has_value());
  CHECK(place_of("diagnosis", *division) == 0);  // the program's name, at least
}

TEST_CASE("a crash in a thread of a task is told") {
  const manyhands_test::leak_check leaks;
  const auto lost = loss_by([] { std::thread([] { library::use_handle(0xdead0); }).join(); });
  REQUIRE(lost);
  CHECK(lost->signal() == SIGSEGV);
  CHECK(lost->fault_address() == std::uintptr_t{0xdead0 + 16});
  CHECK(place_of("library::use_handle", *lost) == 1);
}

TEST_CASE("a crash in a call that a task makes is told as its own") {
  const manyhands_test::leak_check leaks;
  const Parallel two({.n_jobs = 2, .backend = "processes"});
  std::vector<int> input{0, 1, 2, 3};
  try {
    two(input | delayed([&](int i) {
          if (i != 2) return 0;
          const Parallel inner({.n_jobs = 2});
          inner(input | delayed([](int k) {
                  if (k == 1) library::use_handle(0xdead0);
                  return k;
                }));
          return 0;
        }));
    FAIL("no error");
  } catch (const worker_lost& lost) {
    CHECK(lost.signal() == SIGSEGV);
    CHECK(lost.index() == 2);
    CHECK(lost.fault_address() == std::uintptr_t{0xdead0 + 16});
    CHECK(place_of("library::write_to", lost) == 0);
  }
}

TEST_CASE("where the host program has collected the worker, it still tells what it died of") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::signal(SIGCHLD, SIG_IGN);
    manyhands::detail::injected_fault = [](manyhands::detail::os_call call) noexcept {
      return call == manyhands::detail::os_call::pidfd_info ? ENOTTY : 0;
    };
    const auto lost = loss_by([] { library::use_handle(0xdead0); });
    return lost && lost->signal() == SIGSEGV && lost->fault_address().has_value() && !lost->backtrace().empty();
  }));
}

TEST_CASE("a core dump is still written for a crash, or would be") {
  // Whether one is written depends on the system; that the system would is in the status, where limits allow one.
  CHECK(manyhands_test::holds_in_subprocess([] {
    for (const int signal : crash_signals) {
      const auto lost = loss_by([signal] {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
        ::raise(signal);
      });
      if (!lost || lost->signal() != signal || lost->exit_code() != -1) return false;
    }
    return true;
  }));
}

#endif

#if MANYHANDS_ASAN && defined(__SANITIZE_ADDRESS__) && !defined(__clang__)  // with clang its runtime is a part of the program
namespace {

// AddressSanitizer's: taken before the test framework has put its own in the place.
const struct sigaction before_main = handler_of(SIGSEGV);

}  // namespace

TEST_CASE("in a build with AddressSanitizer it reports a worker's crash itself") {
  const manyhands_test::leak_check leaks;
  char path[] = "/tmp/manyhands-test-XXXXXX";
  const int file = ::mkstemp(path);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    ::sigaction(SIGSEGV, &before_main, nullptr);
    ::dup2(file, STDERR_FILENO);
    const auto lost = loss_by([] { library::use_handle(0xdead0); });
    return lost && lost->exit_code() == 1;
  }));
  ::close(file);
  std::ifstream report(path);
  const std::string text{std::istreambuf_iterator<char>(report), std::istreambuf_iterator<char>()};
  ::unlink(path);
  CHECK_THAT(text, Contains("AddressSanitizer: SEGV") && Contains("library::write_to"));
}
#endif

TEST_CASE("a worker that is killed from outside, or exits, has no address and no backtrace") {
  const manyhands_test::leak_check leaks;
  const auto killed = loss_by([] { std::raise(SIGKILL); });
  REQUIRE(killed);
  CHECK(killed->signal() == SIGKILL);
  CHECK(killed->fault_address() == std::nullopt);
  CHECK(killed->backtrace().empty());
  const auto gone = loss_by([] { ::_exit(3); });
  REQUIRE(gone);
  CHECK(gone->exit_code() == 3);
  CHECK(gone->backtrace().empty());
}

TEST_CASE("a call leaves the program's own handlers and its stack for them as they were") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    static std::atomic<int> handled = 0;
    for (const int signal : crash_signals) {
      struct sigaction own {};
      own.sa_handler = [](int) { ++handled; };
      ::sigaction(signal, &own, nullptr);
    }
    stack_t before{};
    ::sigaltstack(nullptr, &before);
    std::vector<struct sigaction> own;
    for (const int signal : crash_signals) own.push_back(handler_of(signal));
    if (!loss_by([] { std::raise(SIGSEGV); }) || handled != 0) return false;
    stack_t after{};
    ::sigaltstack(nullptr, &after);
    for (const int signal : crash_signals) {
      if (handler_of(signal).sa_handler != own.front().sa_handler) return false;
      ::raise(signal);
    }
    return handled == static_cast<int>(std::size(crash_signals)) && after.ss_sp == before.ss_sp && after.ss_flags == before.ss_flags;
  }));
}

TEST_CASE("a handler that an initializer or a task installs in the worker is the one that runs") {
  const manyhands_test::leak_check leaks;
  // As a library does that finds out by SIGSEGV which of its pages are wanted.
  static void* page = nullptr;
  page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  const auto mend = [](int, siginfo_t*, void*) { ::mprotect(page, 4096, PROT_READ | PROT_WRITE); };
  const auto install = [mend] {
    struct sigaction own {};
    own.sa_sigaction = mend;
    own.sa_flags = SA_SIGINFO;
    ::sigaction(SIGSEGV, &own, nullptr);
  };
  const bool by_initializer = GENERATE(false, true);
  std::vector<int> input{0, 1, 2, 3, 4, 5};
  manyhands::options how{.n_jobs = 2, .backend = "processes"};
  if (by_initializer) how.initializer = install;
  const auto results = Parallel(how)(input | delayed([&](int i) {
                                       if (!by_initializer) install();
                                       *static_cast<volatile int*>(page) = i;
                                       return *static_cast<volatile int*>(page);
                                     }));
  CHECK(results == input);
  ::munmap(page, 4096);
}
