#include <manyhands/detail/crash_record.hpp>

#include <link.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using manyhands::detail::crash_handler;
using manyhands::detail::crash_record;
using manyhands::detail::process_mark;

TEST_CASE("a record says what was noted") {
  crash_record record;
  CHECK(record.signal() == 0);
  CHECK(record.address() == std::nullopt);
  CHECK(record.frames().empty());
  record.note(SIGSEGV, 0);
  CHECK(record.signal() == SIGSEGV);
  CHECK(record.address() == std::uintptr_t{0});
  record.note(SIGABRT, std::nullopt);
  CHECK(record.address() == std::nullopt);
}

TEST_CASE("a record keeps as many frames as it has room for") {
  crash_record record;
  for (std::uintptr_t frame = 1; frame <= crash_record::most_frames + 5; ++frame) record.add_frame(frame);
  REQUIRE(record.frames().size() == crash_record::most_frames);
  CHECK(record.frames().front() == 1);
  CHECK(record.frames().back() == crash_record::most_frames);
}

TEST_CASE("a record that is rubbish is read all the same") {
  for (const int with : {0x5a, 0xff}) {
    alignas(crash_record) std::byte bytes[sizeof(crash_record)];
    std::memset(bytes, with, sizeof bytes);
    const auto* const record = reinterpret_cast<const crash_record*>(bytes);
    CHECK(record->address() == std::nullopt);
    CHECK(record->frames().size() == crash_record::most_frames);
  }
}

#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // there it leaves crashes to them
namespace {

/// How a process ended that crashed with a handler for it, and what it left.
struct crash {
  explicit crash(const std::function<void()>& misdeed) {
    crash_handler::warm_up();
    end = manyhands_test::in_subprocess([&] {
      for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP}) std::signal(signal, SIG_DFL);
      static const process_mark mark;
      crash_handler::install(records[0], mark);
      misdeed();
      return true;
    });
  }

  shared_array<crash_record> records{1};
  crash_record& record = records[0];
  manyhands_test::subprocess_end end;
};

[[gnu::noinline]] void write_to(std::uintptr_t address) { *reinterpret_cast<volatile int*>(address) = 1; }

std::function<int(int)> deep = [](int n) {
  volatile char frame[4096] = {};
  frame[n % 4096] = static_cast<char>(n);
  return deep(n + 1) + frame[0];
};

}  // namespace

TEST_CASE("a wild pointer is noted with its address and the functions that used it") {
  const crash seen([] { write_to(0xdead0); });
  CHECK(seen.end.signal == SIGSEGV);
  CHECK(seen.record.signal() == SIGSEGV);
  CHECK(seen.record.address() == std::uintptr_t{0xdead0});
  REQUIRE(seen.record.frames().size() > 2);
  const std::uintptr_t at = seen.record.frames().front();
  const auto begin = reinterpret_cast<std::uintptr_t>(&write_to);
  CHECK(at >= begin);
  CHECK(at < begin + 256);
}

TEST_CASE("a signal that somebody sent has no address") {
  const int signal = GENERATE(SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP);
  const crash seen([signal] { std::raise(signal); });
  CHECK(seen.end.signal == signal);
  CHECK(seen.record.signal() == signal);
  CHECK(seen.record.address() == std::nullopt);
  CHECK_FALSE(seen.record.frames().empty());
}

TEST_CASE("a full stack is noted") {
  const crash seen([] { deep(0); });
  CHECK(seen.end.signal == SIGSEGV);
  CHECK(seen.record.signal() == SIGSEGV);
  CHECK(seen.record.address().has_value());
  CHECK(seen.record.frames().size() == crash_record::most_frames);
}

TEST_CASE("a call of nothing is noted") {
  const crash seen([] {
    void (*volatile nothing)() = nullptr;
    nothing();
  });
  CHECK(seen.end.signal == SIGSEGV);
  CHECK(seen.record.signal() == SIGSEGV);
  CHECK(seen.record.address() == std::uintptr_t{0});
}

TEST_CASE("the signal of a thread that crashes is known, and of several that crash at once, one") {
  CHECK(crash([] { std::thread([] { write_to(0xdead0); }).join(); }).record.address() == std::uintptr_t{0xdead0});
  const crash several([] {
    std::vector<std::thread> all;
    for (int i = 0; i < 8; ++i) all.emplace_back([] { write_to(0xdead0); });
    for (std::thread& each : all) each.join();
  });
  CHECK(several.end.signal == SIGSEGV);
  CHECK(several.record.signal() == SIGSEGV);
}

TEST_CASE("a copy of the process that crashes is nobody's crash") {
  const crash seen([] {
    const pid_t copy = ::fork();
    if (copy == 0) write_to(0xdead0);
    int status = 0;
    ::waitpid(copy, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) std::abort();
  });
  CHECK(seen.end.exit_code == 0);
  CHECK(seen.record.signal() == 0);
}

TEST_CASE("a signal that is ignored, or has a handler, stays so") {
  const crash seen([] {
    static crash_record unused;
    static const process_mark mark;
    std::signal(SIGABRT, SIG_IGN);
    std::signal(SIGSEGV, [](int) { ::_exit(42); });
    crash_handler::install(unused, mark);
    std::raise(SIGABRT);
    std::raise(SIGSEGV);
  });
  CHECK(seen.end.exit_code == 42);
}

TEST_CASE("a crash while the unwinder is locked for ever ends the process all the same") {
  // As where another thread has died, or was not copied, in the middle of dlopen().
  const crash seen([] {
    static std::atomic<bool> is_locked = false;
    std::thread([] {
      ::dl_iterate_phdr(
          [](dl_phdr_info*, std::size_t, void*) {
            is_locked = true;
            for (;;) ::pause();
            return 0;
          },
          nullptr);
    }).detach();
    while (!is_locked) std::this_thread::yield();
    write_to(0xdead0);
  });
  CHECK(seen.end.signal == SIGSEGV);
  CHECK(seen.record.signal() == SIGSEGV);
}
#endif
