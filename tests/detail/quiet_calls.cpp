#include <manyhands/detail/quiet_calls.hpp>

#include <atomic>
#include <thread>

#include <support/catch.hpp>

using manyhands::detail::quiet_call;
using manyhands::detail::quiet_calls;
using activity = quiet_calls::activity;

namespace {

class counted_call final : public quiet_call {
 public:
  void make_known() noexcept override { ++times; }

  std::atomic<int> times = 0;
};

}  // namespace

TEST_CASE("a call that ends before anybody looks twice stays quiet") {
  quiet_calls calls;
  counted_call call;
  CHECK(calls.look(false) == activity::none);
  CHECK(calls.open(call));
  CHECK(calls.look(false) == activity::going_on);
  CHECK(calls.close());
  CHECK(calls.look(false) == activity::none);
  CHECK(call.times == 0);
}

TEST_CASE("a call that was there at the last look is made known, once") {
  quiet_calls calls;
  counted_call call;
  CHECK(calls.open(call));
  CHECK(calls.look(false) == activity::going_on);
  CHECK(calls.look(false) == activity::made_known);
  CHECK(calls.look(false) == activity::none);
  CHECK_FALSE(calls.close());
  CHECK(call.times == 1);
}

TEST_CASE("calls that follow one another go on, and a single one that has ended is over") {
  quiet_calls calls;
  counted_call call;
  for (int each = 0; each < 2; ++each) {
    CHECK(calls.open(call));
    CHECK(calls.close());
  }
  CHECK(calls.look(false) == activity::going_on);
  CHECK(calls.look(false) == activity::none);
  CHECK(calls.open(call));
  CHECK(calls.close());
  CHECK(calls.look(false) == activity::over);
}

TEST_CASE("whoever leaves makes everything known") {
  quiet_calls calls;
  counted_call call;
  CHECK(calls.open(call));
  CHECK(calls.look(true) == activity::made_known);
  CHECK_FALSE(calls.close());
}

TEST_CASE("calls that follow one another are not taken for one that goes on for long") {
  quiet_calls calls;
  counted_call call;
  for (int round = 0; round < 10; ++round) {
    CHECK(calls.open(call));
    CHECK(calls.look(false) == activity::going_on);
    CHECK(calls.close());
  }
}

TEST_CASE("a long call is seen whatever short ones are made inside of it") {
  quiet_calls calls;
  counted_call outer;
  counted_call inner;
  CHECK(calls.open(outer));
  CHECK(calls.look(false) == activity::going_on);
  CHECK(calls.open(inner));
  CHECK(calls.look(false) == activity::made_known);
  CHECK(outer.times == 1);
  CHECK(calls.close());
  CHECK(inner.times == 0);
  CHECK_FALSE(calls.close());
}

TEST_CASE("one call in eight is timed") {
  quiet_calls calls;
  int timed = 0;
  for (int call = 0; call < 800; ++call) timed += calls.times_next() ? 1 : 0;
  CHECK(timed == 100);
}

TEST_CASE("there is room for a few calls inside of each other, and again when they have ended") {
  quiet_calls calls;
  counted_call call;
  int depth = 0;
  while (calls.open(call)) ++depth;
  CHECK(depth >= 2);
  for (; depth > 0; --depth) CHECK(calls.close());
  CHECK(calls.open(call));
  CHECK(calls.close());
}

TEST_CASE("a call is quiet to its end or made known, never both", "[slow]") {
  quiet_calls calls;
  std::atomic<bool> over = false;
  std::thread looker([&] {
    for (int round = 0; !over; ++round) static_cast<void>(calls.look(round % 2 == 0));
  });
  long wrong = 0;
  for (int round = 0; round < 200'000; ++round) {
    counted_call call;
    static_cast<void>(calls.open(call));
    const bool quiet = calls.close();
    // It may be made known for as long as it takes to say so.
    while (!quiet && call.times == 0) std::this_thread::yield();
    wrong += quiet == (call.times == 0) ? 0 : 1;
  }
  over = true;
  looker.join();
  CHECK(wrong == 0);
}
