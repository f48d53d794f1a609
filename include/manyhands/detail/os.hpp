#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <system_error>
#include <utility>

// With prefault.hpp, shared_memory.hpp, process.hpp and worker_process.hpp the only places that call the system: EINTR, CLOEXEC and partial
// reads end here.

#if defined(__GLIBC__)
// What at_quick_exit() calls. It gives the function the code, too, behind the other argument of this.
extern "C" int __cxa_at_quick_exit(void (*)(void*, int), void*);
#endif

namespace manyhands::detail {

/// Functions of the C library that a worker calls and its program does not, found when the program is loaded. A usual call finds the
/// function when it is first made: every worker would do that anew, and the loader's pages, which it has to map for the first of them, take
/// longer than all else that it does before its first task. `look_up_what_workers_call` is for those that may be called before a fork.
struct found_at_load {
  static inline const volatile auto exit = &::_exit;
  static inline const volatile auto purge = &::__fpurge;
  static inline const volatile auto set_buffer = &::setvbuf;
#if defined(__GLIBC__)
  static inline const volatile auto tune_memory = &::mallopt;
  static inline const volatile auto on_exit = &::on_exit;
  static inline const volatile auto on_quick_exit = &::__cxa_at_quick_exit;
#endif
};

/// The system calls that a test can make fail.
enum class os_call : std::uint8_t { doorbell, fork, memory, pidfd_open, pidfd_info };

/// For tests: returns the `errno` that a call shall fail with, 0 to let it through. Called by every thread that makes such a call.
using os_fault = int (*)(os_call) noexcept;
inline std::atomic<os_fault> injected_fault{nullptr};

/// True, with `errno` set, where a test makes this call fail.
[[nodiscard]] inline bool fails_on_purpose(os_call call) noexcept {
  const os_fault fault = injected_fault.load(std::memory_order_relaxed);
  if (fault == nullptr) return false;
  const int error = fault(call);
  if (error != 0) errno = error;
  return error != 0;
}

[[noreturn]] inline void throw_system_error(int error, const char* what) { throw std::system_error(error, std::generic_category(), what); }

/// Repeats a system call for as long as a signal cuts it short.
template <class Call>
auto retried(Call&& call) noexcept(noexcept(call())) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

/// An open file descriptor, closed at the end.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~descriptor() { close(); }

  void close() noexcept {
    // Not retried: Linux has let go of the descriptor when close() reports EINTR, and another thread may have it by now.
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// What any process of a call rings to wake its caller. Rings add up to one until they are answered.
class doorbell {
 public:
  /// Throws `std::system_error`.
  doorbell() : fd_(fails_on_purpose(os_call::doorbell) ? -1 : ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!fd_) throw_system_error(errno, "manyhands: eventfd");
    known_ = ::fstat(fd_.get(), &made_) == 0;
  }

  /// Never blocks: a counter that is full, by whatever worker, is a bell that rings already. A worker whose task closed the descriptor
  /// rings nothing, and writes into no file that has its number now; the caller looks by itself from time to time.
  void ring() const noexcept {
    struct stat now {};
    if (known_ && (::fstat(fd_.get(), &now) != 0 || now.st_dev != made_.st_dev || now.st_ino != made_.st_ino)) return;
    const std::uint64_t one = 1;
    static_cast<void>(retried([&] { return ::write(fd_.get(), &one, sizeof one); }));
  }
  void silence() const noexcept {
    std::uint64_t rings = 0;
    static_cast<void>(retried([&] { return ::read(fd_.get(), &rings, sizeof rings); }));
  }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  descriptor fd_;
  struct stat made_ {};
  bool known_ = false;
};

/// Waits until one of the descriptors has something to say, a signal came, or the time is over. Entries with a negative descriptor are left
/// out.
inline void wait_for_any(std::span<pollfd> descriptors, std::chrono::milliseconds at_most) noexcept {
  for (pollfd& entry : descriptors) entry.revents = 0;
  // Not repeated after a signal: the caller looks around and comes back.
  if (::poll(descriptors.data(), static_cast<nfds_t>(descriptors.size()), static_cast<int>(at_most.count())) < 0) {
    for (pollfd& entry : descriptors) entry.revents = 0;
  }
}

/// Sleeps while `word` is `seen`, in memory that processes share. May return early.
inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen) noexcept {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
}

/// Wakes who sleeps in `futex_wait` on this word.
inline void futex_wake(const std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, 0x7fffffff, nullptr, nullptr, 0);
}

/// For a process that runs tasks, or has others run them, and does little else: has the memory of a large result that went home, or was
/// used, wait for the next one. The C library would give it back to the system each time, and to get it again, page by page, takes longer
/// than to send the result. Up to 64 MiB wait so. Not where the user has tuned the C library.
inline void keep_freed_memory() noexcept {
#if defined(__GLIBC__)
  for (const char* const tuned : {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"}) {
    if (std::getenv(tuned) != nullptr) return;
  }
  found_at_load::tune_memory(M_MMAP_THRESHOLD, 32 << 20);
  found_at_load::tune_memory(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

}  // namespace manyhands::detail
