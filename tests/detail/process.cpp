#include <manyhands/detail/process.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;

namespace {

template <class Body>
child_process child(Body body) {
  return child_process::fork([&](const sigset_t& mask) noexcept {
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    body();
    ::_exit(99);
  });
}

void wait_for_ever() {
  for (;;) ::pause();
}

int no_fork(os_call call) noexcept { return call == os_call::fork ? EAGAIN : 0; }
int no_pidfd(os_call call) noexcept { return call == os_call::pidfd_open ? ENOSYS : 0; }
int no_info(os_call call) noexcept { return call == os_call::pidfd_info ? ENOTTY : 0; }

void without_faults() { injected_fault = nullptr; }

}  // namespace

TEST_CASE("the end of a child is told by its exit code or its signal") {
  const manyhands_test::leak_check leaks;
  const bool with_pidfd = GENERATE(true, false);
  if (!with_pidfd) injected_fault = no_pidfd;
  child_process exits = child([] { ::_exit(3); });
  child_process dies = child([] {
    std::signal(SIGTERM, SIG_DFL);
    std::raise(SIGTERM);
  });
  without_faults();
  CHECK((exits.fd() >= 0) == with_pidfd);
  CHECK(exits.runs());
  CHECK(exits.collect() == exit_status{0, 3});
  CHECK(dies.collect() == exit_status{SIGTERM, -1});
  CHECK_FALSE(exits.runs());
  CHECK_FALSE(exit_status{}.known());
}

TEST_CASE("a child that still runs cannot be collected, and can be killed") {
  const manyhands_test::leak_check leaks;
  const bool with_pidfd = GENERATE(true, false);
  if (!with_pidfd) injected_fault = no_pidfd;
  child_process busy = child(wait_for_ever);
  without_faults();
  CHECK_FALSE(busy.try_collect().has_value());
  busy.kill();
  CHECK(busy.collect() == exit_status{SIGKILL, -1});
  busy.kill();  // nobody there: nobody killed
}

TEST_CASE("a child can be asked to end, and it shows where it is stopped") {
  const manyhands_test::leak_check leaks;
  const bool with_pidfd = GENERATE(true, false);
  if (!with_pidfd) injected_fault = no_pidfd;
  const shared_array<std::atomic<int>> ready(1);
  child_process busy = child([&] {
    std::signal(SIGTERM, SIG_DFL);
    ready[0] = 1;
    wait_for_ever();
  });
  without_faults();
  while (ready[0] == 0) ::usleep(1000);
  CHECK_FALSE(busy.is_stopped());
  busy.kill(SIGSTOP);
  while (!busy.is_stopped()) ::usleep(1000);
  busy.kill(SIGTERM);
  CHECK_FALSE(busy.try_collect().has_value());  // it does not even hear it
  busy.kill(SIGCONT);
  CHECK(busy.collect() == exit_status{SIGTERM, -1});
  CHECK_FALSE(busy.is_stopped());
}

TEST_CASE("a child does not outlive its owner") {
  const manyhands_test::leak_check leaks;
  child_process first = child(wait_for_ever);
  { const child_process second = child(wait_for_ever); }
  first = child(wait_for_ever);
  const child_process third = std::move(first);
  CHECK_FALSE(first.runs());
}

TEST_CASE("a fork that the system refuses is a system error, and the signal mask is as it was") {
  const manyhands_test::leak_check leaks;
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  injected_fault = no_fork;
  CHECK_THROWS_AS(child([] {}), std::system_error);
  without_faults();
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < SIGRTMIN; ++signal) CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

TEST_CASE("a child starts with all signals blocked and learns the mask of its parent") {
  const manyhands_test::leak_check leaks;
  child_process asked = child_process::fork([](const sigset_t& mask) noexcept {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    ::_exit(::sigismember(&now, SIGTERM) == 1 && ::sigismember(&mask, SIGTERM) == 0 ? 0 : 1);
  });
  CHECK(asked.collect() == exit_status{0, 0});
}

TEST_CASE("a host that ignores SIGCHLD takes nothing away but, on old kernels, the status") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::signal(SIGCHLD, SIG_IGN);
    child_process killed = child(wait_for_ever);
    if (killed.try_collect()) return false;
    killed.kill();
    const exit_status status = killed.collect();
    return !status.known() || status == exit_status{SIGKILL, -1};
  }));
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::signal(SIGCHLD, SIG_IGN);
    injected_fault = no_info;
    child_process exits = child([] { ::_exit(3); });
    return !exits.collect().known();
  }));
}

TEST_CASE("a host that collects every child takes nothing away but, on old kernels, the status") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    struct sigaction action {};
    action.sa_handler = [](int) {
      const int error = errno;
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      errno = error;
    };
    ::sigaction(SIGCHLD, &action, nullptr);
    for (int i = 0; i < 20; ++i) {
      child_process exits = child([] { ::_exit(3); });
      const exit_status status = exits.collect();
      if (status.known() && status != exit_status{0, 3}) return false;
    }
    return true;
  }));
}

TEST_CASE("a host that collects every child takes nothing away where there are no pidfds") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    std::signal(SIGCHLD, SIG_IGN);
    injected_fault = no_pidfd;
    child_process killed = child(wait_for_ever);
    if (killed.try_collect()) return false;
    killed.kill();
    static_cast<void>(killed.collect());
    return !killed.runs();
  }));
}

TEST_CASE("signals do not disturb the collecting of a child") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    const pid_t self = ::getpid();
    child_process noisy = child([self] {
      for (int i = 0; i < 200; ++i) ::kill(self, SIGUSR1);
      ::_exit(4);
    });
    return noisy.collect() == exit_status{0, 4};
  }));
}

TEST_CASE("where memory runs out a child can be made to go before its parent") {
  const manyhands_test::leak_check leaks;
  const auto score_of = [](pid_t pid) {
    int score = -2000;
    std::ifstream("/proc/" + std::to_string(pid) + "/oom_score_adj") >> score;
    return score;
  };
  const int own = score_of(::getpid());
  child_process child = child_process::fork([](const sigset_t&) noexcept { ::pause(); });
  child.goes_first();
  CHECK(score_of(child.pid()) == std::max(own, 500));
  CHECK(score_of(::getpid()) == own);
  child.kill();
  child.collect();
  child.goes_first();  // is gone
}
