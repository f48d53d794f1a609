#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <manyhands/config.hpp>
#include <manyhands/detail/shared_memory.hpp>

namespace manyhands::detail {

/// What a worker leaves of its crash, in memory that it shares with its caller. It may hold rubbish: it is told to people, and nothing is
/// decided by it.
class crash_record {
 public:
  static constexpr std::size_t most_frames = 48;

  // --- the worker, in a signal handler

  void note(int signal, std::optional<std::uintptr_t> address) noexcept {
    address_.store(address.value_or(0), std::memory_order_relaxed);
    has_address_.store(address ? 1 : 0, std::memory_order_relaxed);
    signal_.store(signal, std::memory_order_release);
  }
  void add_frame(std::uintptr_t address) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (count >= most_frames) return;
    frames_[count].store(address, std::memory_order_relaxed);
    count_.store(count + 1, std::memory_order_release);
  }

  // --- the caller, once the worker is gone

  /// The signal that the worker was about to die of, 0 if it did not say so.
  [[nodiscard]] int signal() const noexcept { return signal_.load(std::memory_order_acquire); }
  /// What the worker has accessed, or run, in vain.
  [[nodiscard]] std::optional<std::uintptr_t> address() const noexcept {
    if (has_address_.load(std::memory_order_relaxed) != 1) return std::nullopt;
    return address_.load(std::memory_order_relaxed);
  }
  /// Addresses inside the instructions that were at work, the innermost first.
  [[nodiscard]] std::vector<std::uintptr_t> frames() const {
    const std::uint32_t count = count_.load(std::memory_order_acquire);
    std::vector<std::uintptr_t> all;
    for (std::size_t i = 0; i < count && i < most_frames; ++i) all.push_back(frames_[i].load(std::memory_order_relaxed));
    return all;
  }

 private:
  std::atomic<int> signal_{0};
  std::atomic<std::uint32_t> has_address_{0};
  std::atomic<std::uintptr_t> address_{0};
  std::atomic<std::uint32_t> count_{0};
  std::array<std::atomic<std::uintptr_t>, most_frames> frames_{};

  static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);
};

/// In a worker: notes a fatal signal before that ends the process as it would have without us, core dump included.
class crash_handler {
 public:
  /// For who is about to fork workers: the unwinder does now what it does once, and what is not safe in a signal handler.
  static void warm_up() noexcept {
    static const bool is_warm = [] {
      crash_record none;
      walk(none, 0);
      return true;
    }();
    static_cast<void>(is_warm);
  }

  /// For a worker that has all its signals at their defaults. Both must live until the process ends.
  static void install(crash_record& record, const process_mark& mark) noexcept {
    if constexpr (MANYHANDS_ASAN != 0 || MANYHANDS_TSAN != 0) return;  // they have handlers and reports of their own
    state.record = &record;
    state.mark = &mark;
    // Where the stack is full there is no room for a handler. A thread that a task starts has none of these: its signal is known all the
    // same.
    constexpr std::size_t size = std::size_t{64} << 10;
    void* const where = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (where != MAP_FAILED) {
      stack_t stack{};
      stack.ss_sp = where;
      stack.ss_size = size;
      ::sigaltstack(&stack, nullptr);
    }
    struct sigaction action {};
    action.sa_sigaction = &handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP}) {
      struct sigaction now {};
      if (::sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) continue;
      ::sigaction(signal, &action, nullptr);
    }
  }

 private:
  struct worker_state {
    crash_record* record = nullptr;
    const process_mark* mark = nullptr;
    std::atomic<long> crashing_thread = 0;
    std::atomic<int> signal = 0;
  };
  static worker_state state;

  static void handle(int signal, siginfo_t* info, void*) noexcept {
    if (!state.mark->is_original()) {  // a copy that a task has made: it does not have the memory
      die_on_return(signal);
      return;
    }
    const long self = ::syscall(SYS_gettid);
    long nobody = 0;
    if (!state.crashing_thread.compare_exchange_strong(nobody, self)) {
      if (nobody == self) die_now();  // of what is told below
      for (;;) ::pause();             // the other thread will end us all
    }
    state.signal = signal;
    const bool by_the_processor = info->si_code > 0 && info->si_code != SI_KERNEL && signal != SIGABRT && signal != SIGSYS;
    state.record->note(signal, by_the_processor ? std::optional(reinterpret_cast<std::uintptr_t>(info->si_addr)) : std::nullopt);

    // Another thread may hold a lock that the unwinder wants, for ever: then we die without it.
    struct sigaction late {};
    late.sa_handler = [](int) { die_now(); };
    ::sigaction(SIGALRM, &late, nullptr);
    unblock(SIGALRM);
    ::alarm(1);
    if (!walk(*state.record, reinterpret_cast<std::uintptr_t>(__builtin_extract_return_addr(__builtin_return_address(0))))) {
      walk(*state.record, 0);
    }
    ::alarm(0);
    die_on_return(signal);
  }

  struct walk_state {
    crash_record* record;
    std::uintptr_t after;
    bool is_behind;
  };

  /// Adds the callers of this function. Those only that stand behind the return address `after`, which is where the kernel called the
  /// handler from; 0 for all. False where it was not met.
  static bool walk(crash_record& record, std::uintptr_t after) noexcept {
    walk_state all{&record, after, after == 0};
    ::_Unwind_Backtrace(
        [](_Unwind_Context* context, void* data) {
          walk_state& to = *static_cast<walk_state*>(data);
          int is_exact = 0;
          const auto address = static_cast<std::uintptr_t>(::_Unwind_GetIPInfo(context, &is_exact));
          // Where a call returns to may be the next function.
          if (to.is_behind && address != 0) to.record->add_frame(is_exact != 0 ? address : address - 1);
          to.is_behind = to.is_behind || address == to.after;
          return _URC_NO_REASON;
        },
        &all);
    return all.is_behind;
  }

  /// The signal is blocked while its handler runs, and ends us where it came: there a core dump shows what was.
  static void die_on_return(int signal) noexcept {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  [[noreturn]] static void die_now() noexcept {
    const int signal = state.signal;
    ::signal(signal, SIG_DFL);
    unblock(signal);
    ::raise(signal);
    ::_exit(128 + signal);
  }
  static void unblock(int signal) noexcept {
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  }
};

inline constinit crash_handler::worker_state crash_handler::state{};

}  // namespace manyhands::detail
