#include <manyhands/detail/os.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/config.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

bool rings(const doorbell& bell) {
  std::array<pollfd, 1> one{pollfd{bell.fd(), POLLIN, 0}};
  wait_for_any(one, std::chrono::milliseconds(0));
  return one[0].revents != 0;
}

int no_doorbell(os_call call) noexcept { return call == os_call::doorbell ? EMFILE : 0; }

}  // namespace

TEST_CASE("a descriptor is closed once, by its last owner") {
  const manyhands_test::leak_check leaks;
  descriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int fd = first.get();
  REQUIRE(fd >= 0);
  {
    descriptor second(std::move(first));
    CHECK(second.get() == fd);
    CHECK_FALSE(first);
    first = std::move(second);
  }
  CHECK(is_open(fd));
  first = descriptor();
  CHECK_FALSE(is_open(fd));
}

TEST_CASE("a doorbell rings until it is silenced, however often it was rung") {
  const manyhands_test::leak_check leaks;
  const doorbell bell;
  CHECK_FALSE(rings(bell));
  bell.ring();
  bell.ring();
  CHECK(rings(bell));
  bell.silence();
  CHECK_FALSE(rings(bell));
  bell.silence();  // does not wait for a ring
}

TEST_CASE("a doorbell that somebody has filled up does not block") {
  const doorbell bell;
  const std::uint64_t full = 0xfffffffffffffffe;
  REQUIRE(::write(bell.fd(), &full, sizeof full) == sizeof full);
  bell.ring();
  CHECK(rings(bell));
  bell.silence();
  CHECK_FALSE(rings(bell));
}

TEST_CASE("a doorbell is closed when the program runs another") {
  const doorbell bell;
  CHECK((::fcntl(bell.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a doorbell that cannot be had is a system error") {
  injected_fault = no_doorbell;
  CHECK_THROWS_AS(doorbell(), std::system_error);
  injected_fault = nullptr;
}

TEST_CASE("waiting leaves out negative descriptors and ends at a signal") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval soon{{0, 0}, {0, 20'000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    std::array<pollfd, 1> none{pollfd{-1, POLLIN, 7}};
    wait_for_any(none, std::chrono::hours(1));
    return none[0].revents == 0;
  }));
}

TEST_CASE("a sleeper in another process wakes when the word has changed") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<std::uint32_t>> words(2);
  std::thread waker([&] {
    while (words[1].load() == 0) std::this_thread::yield();
    words[0].store(1);
    futex_wake(words[0]);
  });
  CHECK(manyhands_test::holds_in_subprocess([&] {
    words[1].store(1);
    while (words[0].load() == 0) futex_wait(words[0], 0);
    futex_wait(words[0], 0);  // the word differs: no sleep
    return true;
  }));
  waker.join();
}

#if defined(__GLIBC__) && !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they have their own malloc
TEST_CASE("memory that was freed waits for who wants so much again, unless the user has other ideas") {
  const bool tuned = GENERATE(false, true);
  CHECK(manyhands_test::holds_in_subprocess([&] {
    if (tuned) ::setenv("MALLOC_TRIM_THRESHOLD_", "131072", 1);
    keep_freed_memory();
    const auto faults = [] {
      rusage usage{};
      ::getrusage(RUSAGE_SELF, &usage);
      return usage.ru_minflt;
    };
    const auto fill = [] {
      std::vector<std::vector<char>> all;
      for (int i = 0; i < 6; ++i) all.emplace_back(std::size_t{1} << 20U, 1);
      return all.back().back() == 1;
    };
    if (!fill()) return false;
    const long before = faults();
    for (int i = 0; i < 20; ++i) {
      if (!fill()) return false;
    }
    // 6 MiB are 1536 pages.
    return (faults() - before > 15'000) == tuned;
  }));
}
#endif
