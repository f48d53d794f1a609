#pragma once

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <utility>

#include <manyhands/detail/os.hpp>

namespace manyhands::detail {

/// How a process ended. `signal` is 0 where it exited, `code` -1 where a signal ended it; both so where nobody can tell.
struct exit_status {
  int signal = 0;
  int code = -1;

  [[nodiscard]] bool known() const noexcept { return signal != 0 || code >= 0; }
  friend bool operator==(const exit_status&, const exit_status&) = default;
};

/// Blocks all signals of the calling thread for as long as it lives: a child that is forked meanwhile runs no handler of its parent.
template <class>
class basic_signals_blocked {
 public:
  basic_signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  basic_signals_blocked(const basic_signals_blocked&) = delete;
  basic_signals_blocked& operator=(const basic_signals_blocked&) = delete;
  ~basic_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// The thread's own mask.
  [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

 private:
  sigset_t before_;
};
using signals_blocked = basic_signals_blocked<void>;

/// A child process. Killed and collected at the end, if it still runs.
///
/// Its end is seen through a pidfd, which neither a reused process number nor a grandchild can fool, and never through SIGCHLD, which
/// belongs to the host program. Where there are no pidfds (old kernels, some containers) one has to ask from time to time.
template <class>
class basic_child_process {
 public:
  basic_child_process() = default;
  basic_child_process(basic_child_process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  basic_child_process& operator=(basic_child_process&& other) noexcept {
    if (this != &other) {
      end();
      pid_ = std::exchange(other.pid_, -1);
      pidfd_ = std::move(other.pidfd_);
    }
    return *this;
  }
  ~basic_child_process() { end(); }

  /// Forks a child that calls `body` with the calling thread's signal mask, all signals blocked; `body` must not return nor throw. Throws
  /// `std::system_error` where the system refuses.
  ///
  /// The plain fork() of the C library: any other way leaves its locks as they were in threads that the child does not have.
  template <class Body>
  [[nodiscard]] static basic_child_process fork(Body&& body) {
    const signals_blocked quiet;
    basic_child_process child;
    child.pid_ = fails_on_purpose(os_call::fork) ? -1 : ::fork();
    if (child.pid_ == 0) {
      body(quiet.before());
      ::_exit(127);
    }
    if (child.pid_ < 0) throw_system_error(errno, "manyhands: a worker process cannot be started");
    child.pidfd_ = descriptor(fails_on_purpose(os_call::pidfd_open) ? -1 : static_cast<int>(::syscall(pidfd_open_call, child.pid_, 0)));
    return child;
  }

  /// True from the fork until the end was collected.
  [[nodiscard]] bool runs() const noexcept { return pid_ > 0; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Readable once the process has ended; negative where the end shows only to those who ask.
  [[nodiscard]] int fd() const noexcept { return pidfd_.get(); }

  /// The process may have ended by the time that this returns, or end a little later; with another signal than SIGKILL perhaps never.
  void kill(int signal = SIGKILL) const noexcept {
    if (!runs()) return;
    if (pidfd_) {
      ::syscall(pidfd_send_signal_call, pidfd_.get(), signal, nullptr, 0);
    } else {
      ::kill(pid_, signal);
    }
  }

  /// Whether a signal has stopped the process, which neither runs nor ends then.
  [[nodiscard]] bool is_stopped() const noexcept {
    siginfo_t info{};
    const auto look = [&](idtype_t kind, id_t id) { return ::waitid(kind, id, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0; };
    const bool known = (pidfd_ && look(by_pidfd, static_cast<id_t>(pidfd_.get()))) || (runs() && look(P_PID, static_cast<id_t>(pid_)));
    return known && info.si_code == CLD_STOPPED;
  }

  /// Where memory runs out the system shall take this process before its parent.
  void goes_first() const noexcept {
    std::array<char, 40> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/oom_score_adj", static_cast<int>(pid_));
    const descriptor score(::open(path.data(), O_RDWR | O_CLOEXEC));
    // Its number is somebody else's once the host program has collected it.
    if (!score || has_ended()) return;
    std::array<char, 16> text{};
    if (::pread(score.get(), text.data(), text.size() - 1, 0) > 0 && std::atoi(text.data()) < 500) {
      static_cast<void>(!::write(score.get(), "500", 3));
    }
  }

  /// Collects the process if it has ended. Never blocks.
  [[nodiscard]] std::optional<exit_status> try_collect() noexcept { return collect(WNOHANG); }
  /// Collects the process, waiting for its end. Only after `kill`, or where it is known to be about to end.
  exit_status collect() noexcept {
    for (;;) {
      if (const auto status = collect(0)) return *status;
    }
  }
  /// In a forked copy of the process that owns this: lets go of the descriptor and of nothing else.
  void disown() noexcept {
    pid_ = -1;
    pidfd_.close();
  }

 private:
  // Spelled out: the headers of glibc 2.36 and of kernels before 6.15 lack some of them. The same on all architectures.
  static constexpr long pidfd_open_call = 434;
  static constexpr long pidfd_send_signal_call = 424;
  static constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD

  /// As much of the kernel's struct pidfd_info as Linux 6.15 has.
  struct pidfd_info {
    std::uint64_t mask;
    std::uint64_t cgroup;
    std::uint32_t ids[11];
    std::int32_t exit_code;
  };
  static constexpr std::uint64_t has_exit_code = 8;

  void end() noexcept {
    if (!runs()) return;
    kill();
    collect();
  }

  std::optional<exit_status> collect(int flags) noexcept {
    if (!runs()) return exit_status{};
    siginfo_t info{};
    auto wait = [&](idtype_t kind, id_t id) { return retried([&] { return ::waitid(kind, id, &info, WEXITED | flags); }); };
    int result = pidfd_ ? wait(by_pidfd, static_cast<id_t>(pidfd_.get())) : -1;
    // EINVAL: Linux 5.3 has pidfds and cannot wait for them.
    if (!pidfd_ || (result != 0 && errno != ECHILD)) result = wait(P_PID, static_cast<id_t>(pid_));
    if (result == 0 && info.si_pid == 0) return std::nullopt;
    exit_status status;
    if (result == 0) {
      status = info.si_code == CLD_EXITED ? exit_status{0, info.si_status} : exit_status{info.si_status, -1};
    } else if (pidfd_) {  // the host ignores SIGCHLD, or collects whatever child ends
      if (!has_ended()) return std::nullopt;
      status = asked_by_pidfd();
    }
    pid_ = -1;
    pidfd_.close();
    return status;
  }

  [[nodiscard]] bool has_ended() const noexcept {
    pollfd entry{pidfd_.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) > 0;
  }

  /// What Linux 6.15 keeps for holders of a pidfd when someone else collected the child.
  [[nodiscard]] exit_status asked_by_pidfd() const noexcept {
    static_assert(sizeof(pidfd_info) == 64);
    if (fails_on_purpose(os_call::pidfd_info)) return {};
    // The kernel files the status a moment after it has woken us: 20 ms are far more than that takes.
    for (int attempt = 0; attempt < 20; ++attempt) {
      pidfd_info info{};
      info.mask = has_exit_code;
      const bool answered = ::ioctl(pidfd_.get(), _IOWR(0xFF, 11, pidfd_info), &info) == 0;
      if (!answered && errno != ESRCH) return {};  // an older kernel
      if (answered && (info.mask & has_exit_code) != 0) {
        return WIFSIGNALED(info.exit_code) ? exit_status{WTERMSIG(info.exit_code), -1} : exit_status{0, WEXITSTATUS(info.exit_code)};
      }
      const timespec moment{0, 1'000'000};
      ::nanosleep(&moment, nullptr);
    }
    return {};
  }

  pid_t pid_ = -1;
  descriptor pidfd_;
};
using child_process = basic_child_process<void>;

}  // namespace manyhands::detail
