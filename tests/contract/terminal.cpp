// Calls on worker processes in a program that a terminal controls: what Ctrl-C and Ctrl-Z do.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

using flags = shared_array<std::atomic<int>>;

template <class Condition>
void wait_until(Condition&& holds) {
  while (!holds()) std::this_thread::sleep_for(std::chrono::microseconds(200));
}

/// A terminal, and a shell in it that has started one job in the foreground: a copy of this program. The job's process group gets what keys
/// send.
class terminal {
 public:
  /// `job` returns the exit code of the job.
  explicit terminal(const std::function<int()>& job) {
    keyboard_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(keyboard_ >= 0);
    REQUIRE(::grantpt(keyboard_) == 0);
    REQUIRE(::unlockpt(keyboard_) == 0);
    const std::string name = ::ptsname(keyboard_);
    shell_ = ::fork();
    if (shell_ == 0) ::_exit(be_shell(name, job));
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;
  ~terminal() {
    if (shell_ > 0) {
      ::kill(shell_, SIGKILL);
      ::waitpid(shell_, nullptr, 0);
    }
    ::close(keyboard_);
  }

  void press(char key) const { static_cast<void>(!::write(keyboard_, &key, 1)); }
  /// What the shell says of its job at the end: its exit code, 128 and the signal that ended it, or what is in `trouble`.
  int end() {
    int status = 0;
    while (::waitpid(shell_, &status, 0) < 0) {
    }
    shell_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : trouble;
  }
  static constexpr int trouble = 255;
  static constexpr int terminal_has_changed = 254;

  [[nodiscard]] bool was_stopped() const { return stopped_[0] != 0; }

 private:
  int be_shell(const std::string& name, const std::function<int()>& job) const {
    ::alarm(60);
    ::setsid();
    const int screen = ::open(name.c_str(), O_RDWR);
    if (screen < 0 || ::ioctl(screen, TIOCSCTTY, 0) != 0) return trouble;
    std::signal(SIGTTOU, SIG_IGN);
    termios before{};
    ::tcgetattr(screen, &before);
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      ::tcsetpgrp(screen, ::getpid());
      for (const int signal : {SIGINT, SIGTTOU, SIGTERM}) std::signal(signal, SIG_DFL);  // not the test framework's
      ::dup2(screen, STDIN_FILENO);
      ::alarm(60);
      ::_exit(job());
    }
    int status = 0;
    for (;;) {
      if (::waitpid(child, &status, WUNTRACED) < 0) continue;
      if (!WIFSTOPPED(status)) break;
      stopped_[0] = 1;
      ::tcsetpgrp(screen, child);  // `fg`
      ::kill(-child, SIGCONT);
    }
    termios after{};
    ::tcgetattr(screen, &after);
    const bool is_same = before.c_iflag == after.c_iflag && before.c_oflag == after.c_oflag && before.c_lflag == after.c_lflag &&
                         before.c_cflag == after.c_cflag && std::memcmp(before.c_cc, after.c_cc, sizeof before.c_cc) == 0;
    if (!is_same || ::tcgetpgrp(screen) != child) return terminal_has_changed;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  int keyboard_ = -1;
  pid_t shell_ = -1;
  flags stopped_{1};
};

constexpr char ctrl_c = 3;
constexpr char ctrl_z = 26;

/// Becomes end of file once nobody holds it any more who was started while it was open.
struct lifeline {
  lifeline() { REQUIRE(::pipe(ends) == 0); }
  lifeline(const lifeline&) = delete;
  lifeline& operator=(const lifeline&) = delete;
  ~lifeline() { ::close(ends[0]); }
  /// Blocks until then.
  bool has_ended() {
    ::close(ends[1]);
    char byte = 0;
    return ::read(ends[0], &byte, 1) == 0;
  }
  int ends[2] = {-1, -1};
};

}  // namespace

TEST_CASE("Ctrl-C ends the program and its workers, and the terminal is as it was") {
  const manyhands_test::leak_check leaks;
  lifeline line;
  const flags begun(1);
  terminal shell([&] {
    Parallel({.n_jobs = 2, .backend = "processes"})(numbers(10) | delayed([&](int) {
                                                      ++begun[0];
                                                      for (;;) ::pause();
                                                    }));
    return 0;
  });
  wait_until([&] { return begun[0] == 2; });
  shell.press(ctrl_c);
  CHECK(shell.end() == 128 + SIGINT);
  CHECK(line.has_ended());
}

TEST_CASE("a program that handles Ctrl-C itself decides, and its call goes on") {
  const manyhands_test::leak_check leaks;
  lifeline line;
  const flags begun(1);
  const flags interrupted(1);
  static const flags* handled = nullptr;
  handled = &interrupted;
  terminal shell([&] {
    std::signal(SIGINT, [](int) { ++(*handled)[0]; });
    const auto results = Parallel({.n_jobs = 2, .backend = "processes"})(numbers(10) | delayed([&](int i) {
                                                                           ++begun[0];
                                                                           wait_until([&] { return interrupted[0] != 0; });
                                                                           return i;
                                                                         }));
    return results == numbers(10) && interrupted[0] == 1 ? 7 : 1;  // in the program, and in no worker
  });
  wait_until([&] { return begun[0] == 2; });
  shell.press(ctrl_c);
  CHECK(shell.end() == 7);
  CHECK(line.has_ended());
}

TEST_CASE("a program that ignores Ctrl-C has workers that do") {
  const manyhands_test::leak_check leaks;
  lifeline line;
  const flags begun(1);
  const flags go_on(1);
  terminal shell([&] {
    std::signal(SIGINT, SIG_IGN);
    const auto results = Parallel({.n_jobs = 2, .backend = "processes"})(numbers(10) | delayed([&](int i) {
                                                                           ++begun[0];
                                                                           wait_until([&] { return go_on[0] != 0; });
                                                                           return i;
                                                                         }));
    return results == numbers(10) ? 7 : 1;
  });
  wait_until([&] { return begun[0] == 2; });
  shell.press(ctrl_c);
  // The echo of the key is written after the signal was sent.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  go_on[0] = 1;
  CHECK(shell.end() == 7);
  CHECK(line.has_ended());
}

TEST_CASE("Ctrl-Z stops the program with its workers, and in the foreground again its call goes on") {
  const manyhands_test::leak_check leaks;
  lifeline line;
  const flags begun(1);
  const flags go_on(1);
  terminal shell([&] {
    const auto results = Parallel({.n_jobs = 2, .backend = "processes"})(numbers(10) | delayed([&](int i) {
                                                                           ++begun[0];
                                                                           wait_until([&] { return go_on[0] != 0; });
                                                                           return i;
                                                                         }));
    return results == numbers(10) ? 7 : 1;
  });
  wait_until([&] { return begun[0] == 2; });
  shell.press(ctrl_z);
  wait_until([&] { return shell.was_stopped(); });
  go_on[0] = 1;
  CHECK(shell.end() == 7);
  CHECK(line.has_ended());
}

TEST_CASE("a terminal that goes away takes the program and its workers with it") {
  const manyhands_test::leak_check leaks;
  lifeline line;
  const flags begun(1);
  {
    terminal shell([&] {
      Parallel({.n_jobs = 2, .backend = "processes"})(numbers(10) | delayed([&](int) {
                                                        ++begun[0];
                                                        for (;;) ::pause();
                                                      }));
      return 0;
    });
    wait_until([&] { return begun[0] == 2; });
  }  // its leader is killed: the foreground group gets SIGHUP
  CHECK(line.has_ended());
}
