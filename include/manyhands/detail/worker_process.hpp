#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <new>
#include <streambuf>
#if defined(__GLIBCXX__)
#include <ext/stdio_sync_filebuf.h>
#endif

#include <manyhands/config.hpp>
#include <manyhands/detail/crash_record.hpp>
#include <manyhands/detail/hwloc.hpp>
#include <manyhands/detail/inner_pools.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/shared_memory.hpp>

// How a forked copy of the program becomes a worker, and how it ends without doing anything that is the program's to do.

extern "C" {
// There in a program that measures its coverage, null in any other: _exit() would lose what a worker has measured.
void __gcov_dump(void) __attribute__((weak));
int __llvm_profile_write_file(void) __attribute__((weak));
}

namespace manyhands::detail {

/// Which streams are to be written out.
enum class streams : std::uint8_t {
  own,     ///< those whose buffers are the library's of C or C++
  foreign  ///< those that the program has given buffers of its own, which may wait for a lock
};

template <class Char>
void flush_stream(std::basic_ostream<Char>& stream, streams which) {
  const auto* const buffer = stream.rdbuf();
  if (buffer == nullptr) return;
  bool own = dynamic_cast<const std::basic_filebuf<Char>*>(buffer) != nullptr;
#if defined(__GLIBCXX__)
  if (const auto* const synced = dynamic_cast<const __gnu_cxx::stdio_sync_filebuf<Char>*>(buffer)) {
    // What goes straight to C's streams is written out with those.
    std::FILE* const file = const_cast<__gnu_cxx::stdio_sync_filebuf<Char>*>(synced)->file();
    if (file == stdout || file == stderr) return;
    own = true;
  }
#endif
  if (own == (which == streams::own)) stream.flush();
}

/// Writes out what waits in the standard streams. Leaves out a stream that another thread holds, which may never let go of it.
template <class = void>
void flush_standard_streams(streams which = streams::own) noexcept {
  if (which == streams::own && ::ftrylockfile(stderr) == 0) {
    std::fflush(stderr);
    ::funlockfile(stderr);
  }
  if (::ftrylockfile(stdout) != 0) return;
  if (which == streams::own) std::fflush(stdout);
  try {
    // They have buffers of their own after sync_with_stdio(false).
    flush_stream(std::cout, which);
    flush_stream(std::clog, which);
    flush_stream(std::wcout, which);
    flush_stream(std::wclog, which);
  } catch (...) {  // the user may have asked for exceptions; a full disk is no reason to lose a worker
  }
  ::funlockfile(stdout);
}

/// The same for what tasks usually print with, at next to no cost where they have printed nothing.
template <class = void>
void flush_if_written() noexcept {
  if (::__fpending(stdout) != 0) flush_standard_streams();
}

/// Has lines that are printed in the process reach a file or a pipe one by one, as a terminal gets them: a buffer that is written when it
/// is full ends somewhere in a line, and what another worker prints comes next. Not where the program wants no buffer, or a thread that is
/// not here holds the stream.
template <class = void>
void keep_lines_whole() noexcept {
  static std::array<char, std::size_t{1} << 16U> buffer;
  if (::ftrylockfile(stdout) != 0) return;
  const bool is_unbuffered = ::__fbufsize(stdout) == 1;
  if (!is_unbuffered) static_cast<void>(found_at_load::set_buffer(stdout, buffer.data(), _IOLBF, buffer.size()));
  ::funlockfile(stdout);
}

/// The signals whose handlers are a sanitizer's, which reports crashes better than we do. Found where its runtime is a library of its own,
/// as g++ links it: else it cannot be told from the program.
[[nodiscard]] inline sigset_t signals_of_sanitizer() noexcept {
  sigset_t found;
  ::sigemptyset(&found);
  if constexpr (MANYHANDS_ASAN != 0 || MANYHANDS_TSAN != 0) {
    const auto home_of = [](void* address) {
      Dl_info info{};
      return ::dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
    };
    void* const runtime = ::dlsym(RTLD_DEFAULT, "__sanitizer_print_stack_trace");
    if (runtime == nullptr || home_of(runtime) == home_of(reinterpret_cast<void*>(&signals_of_sanitizer))) return found;
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction action {};
      if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
      if (home_of(reinterpret_cast<void*>(action.sa_handler)) == home_of(runtime)) ::sigaddset(&found, signal);
    }
  }
  return found;
}

/// Calls what a worker calls and its program may not have called yet, in ways that do nothing: what is found before a fork need not be
/// found by every worker anew. For the others there is `found_at_load`.
template <class = void>
void look_up_what_workers_call() {
  const int error = errno;
  const auto ignore = [](const auto&... results) { (static_cast<void>(results), ...); };
  ignore(::prctl(PR_GET_DUMPABLE), ::getppid(), ::dup2(-1, -1), ::close(-1), ::pread(-1, nullptr, 0, 0), ::write(-1, nullptr, 0));
  ignore(::__fpending(stdout), ::__fbufsize(stdout), ::signal(NSIG, SIG_DFL), std::getenv("MALLOC_TOP_PAD_"));
  stack_t stack{};
  ignore(::sigaltstack(nullptr, &stack));
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigdelset(&signals, SIGTERM);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ::pthread_mutex_lock(&mutex);
  ::pthread_mutex_unlock(&mutex);
  ::operator delete[](::operator new[](1));
  const descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::ios narrow(nullptr);
  std::wios wide(nullptr);
  narrow.rdbuf(nullptr);
  wide.rdbuf(nullptr);
  errno = error;
}

/// The signals that a worker is to take as a program does that knows nothing of them, but for `kept`.
[[nodiscard]] inline sigset_t handled_signals(const sigset_t& kept) noexcept {
  sigset_t found;
  ::sigemptyset(&found);
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || ::sigismember(&kept, signal) == 1) continue;
    const bool ignored = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
    const bool handled = (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
    if (handled || (ignored && signal == SIGCHLD)) ::sigaddset(&found, signal);
  }
  return found;
}

/// What a worker needs to know of its parent. Made before the fork: looking symbols up after it might wait for a lock forever.
struct parent_facts {
  /// To be called again before a later fork: the program may have got other handlers.
  void look_at_signals() noexcept { handled = handled_signals(kept); }

  /// Gives nothing.
  template <class Char>
  struct empty_buffer : std::basic_streambuf<Char> {};

  pid_t pid = ::getpid();
  // Made before the fork, too: to make one asks for the global locale.
  mutable empty_buffer<char> no_input = {};
  mutable empty_buffer<wchar_t> no_wide_input = {};
  /// Their handlers stay.
  sigset_t kept = signals_of_sanitizer();
  /// Those of the others do not.
  sigset_t handled = handled_signals(kept);
  /// A worker's crash can be told.
  bool crash_handler_is_warm = (crash_handler::warm_up(), true);
  bool functions_are_known = [] {
    static const bool once = (look_up_what_workers_call(), true);
    return once;
  }();
  /// The calling thread leaves no threads of libgomp behind.
  bool openmp_rests = (inner_pools::refresh(), inner_pools::rest());
};

/// Turns a freshly forked process, with all signals blocked, into a worker. `mask` is the signal mask of the thread that forked it.
template <class = void>
void become_worker(const parent_facts& parent, const sigset_t& mask) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const pid_t now = ::getppid();
  if (now != parent.pid && now != 0) ::_exit(0);  // it died before the line above; 0 is a parent in another pid namespace

  for (int signal = 1; signal < NSIG; ++signal) {
    if (::sigismember(&parent.handled, signal) == 1) ::signal(signal, SIG_DFL);
  }
  // Ctrl-C is for the program; when it ends, so do we. Not ignored, which programs that a task starts would do, too.
  struct sigaction interrupted {};
  ::sigaction(SIGINT, nullptr, &interrupted);
  if ((interrupted.sa_flags & SA_SIGINFO) != 0 || interrupted.sa_handler != SIG_IGN) {
    interrupted = {};
    interrupted.sa_handler = [](int) {};
    interrupted.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &interrupted, nullptr);
  }
  sigset_t own = mask;
  for (const int signal : {SIGTERM, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP}) ::sigdelset(&own, signal);

  // Not only its descriptor: what the program had read ahead is the program's. And what it had not written yet it will write itself.
  for (std::FILE* const stream : {stdin, stdout, stderr}) found_at_load::purge(stream);
  keep_lines_whole();
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing > 0) {
    ::dup2(nothing, STDIN_FILENO);
    ::close(nothing);
  }

  try {
    std::cin.rdbuf(&parent.no_input);
    std::wcin.rdbuf(&parent.no_wide_input);
  } catch (...) {  // the user may have asked for exceptions
  }

  inner_pools::become_worker(parent.openmp_rests);
  hwloc_never_load();
  ::pthread_sigmask(SIG_SETMASK, &own, nullptr);
}

/// Lets this process allocate so many bytes more than it has: beyond that allocations fail. Nothing happens where the system does not tell
/// how much it has.
inline void limit_memory(std::size_t bytes) noexcept {
  const descriptor status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  if (!status || ::pread(status.get(), text.data(), text.size() - 1, 0) <= 0) return;
  // What RLIMIT_DATA counts. Not RLIMIT_AS: that also counts memory that is shared, and what is only reserved.
  const char* const found = std::strstr(text.data(), "\nVmData:");
  if (found == nullptr) return;
  const rlim_t now = std::strtoull(found + std::strlen("\nVmData:"), nullptr, 10) * 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0 || bytes >= RLIM_INFINITY - now) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_cur, now + bytes);
  ::setrlimit(RLIMIT_DATA, &limit);
}

/// Ends a worker: what it printed is written, and no destructor of a static object and no exit handler of the program is run.
[[noreturn]] inline void end_worker(int code) noexcept {
  flush_standard_streams();
  if (__gcov_dump != nullptr) __gcov_dump();
  if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
  found_at_load::exit(code);
  std::abort();  // for the compiler, which does not see that it has ended
}

/// Makes `exit()` and `quick_exit()` in this process, by whatever thread, end it as `end_worker` does. Calls `tell(data, code)` first, in
/// the worker itself and not in copies of it.
class exit_guard {
 public:
  using listener = void (*)(void* data, int code) noexcept;

  /// The guard must live until the process ends.
  exit_guard(const process_mark& mark, listener tell, void* data) noexcept : mark_(mark), tell_(tell), data_(data) {
#if defined(__GLIBC__)
    // Runs before whatever the program registered, and unlike an atexit() handler it learns the code.
    found_at_load::on_exit([](int code, void* self) { static_cast<exit_guard*>(self)->leave(code); }, this);
    own = this;
    found_at_load::on_quick_exit([](void*, int code) { own->leave(code); }, nullptr);
#endif
  }
  exit_guard(const exit_guard&) = delete;
  exit_guard& operator=(const exit_guard&) = delete;

 private:
  void leave(int code) noexcept {
    if (mark_.is_original()) tell_(data_, code);
    end_worker(code);
  }

  static inline exit_guard* own = nullptr;
  const process_mark& mark_;
  listener tell_;
  void* data_;
};

}  // namespace manyhands::detail
