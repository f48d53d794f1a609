#include <manyhands/detail/stream_watch.hpp>

#include <atomic>
#include <cstddef>
#include <thread>

#include <support/catch.hpp>

using manyhands::detail::stream_waker;
using manyhands::detail::stream_watch;

namespace {

struct counter final : stream_waker {
  void wake() noexcept override { ++count; }
  std::atomic<int> count = 0;
};

}  // namespace

TEST_CASE("only what is waited for wakes") {
  counter woken;
  stream_watch watch;
  watch.woken_by(woken);
  watch.arrived(0, 1);
  REQUIRE(woken.count == 0);
  watch.expect(5);
  watch.arrived(4, 5);
  watch.arrived(6, 8);
  REQUIRE(woken.count == 0);
  watch.arrived(5, 6);
  watch.arrived(3, 9);
  REQUIRE(woken.count == 2);
  watch.expect(stream_watch::anything);
  watch.arrived(77, 78);
  watch.arrived(80, 80);
  REQUIRE(woken.count == 3);
  watch.expect_nothing();
  watch.arrived(5, 6);
  REQUIRE(woken.count == 3);
}

TEST_CASE("an interruption wakes, whatever is waited for") {
  stream_watch watch;
  watch.interrupt();  // nobody can wait yet
  counter woken;
  watch.woken_by(woken);
  watch.interrupt();
  watch.expect(5);
  watch.interrupt();
  REQUIRE(woken.count == 2);
}

TEST_CASE("a result that comes while somebody goes to sleep is seen, or wakes") {
  for (std::size_t round = 0; round < 2000; ++round) {
    counter woken;
    stream_watch watch;
    watch.woken_by(woken);
    std::atomic<bool> there = false;
    std::atomic<bool> go = false;
    std::thread worker([&] {
      while (!go) {
      }
      there.store(true, std::memory_order_release);
      watch.arrived(0, 1);
    });
    go = true;
    watch.expect(0);
    const bool seen = there.load(std::memory_order_acquire);
    worker.join();
    REQUIRE((seen || woken.count == 1));
  }
}
