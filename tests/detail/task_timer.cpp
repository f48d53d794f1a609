#include <manyhands/detail/task_timer.hpp>

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <stop_token>
#include <thread>

#include <support/catch.hpp>

using namespace manyhands::detail;
using namespace std::chrono_literals;

namespace {

/// Makes the thread one that runs tasks of a call with this timeout, until the end of the scope.
class working {
 public:
  explicit working(std::chrono::nanoseconds timeout, const std::stop_token* stop = nullptr)
      : facts_{.timeout = timeout, .stop = stop}, outer_(here) {
    here = context{.call = &facts_, .stop = stop};
  }
  working(const working&) = delete;
  working& operator=(const working&) = delete;
  ~working() { here = outer_; }

 private:
  call_facts facts_;
  context outer_;
};

bool is_asked() { return manyhands::this_task::stop_token().stop_requested(); }
void wait_until_asked() {
  while (!is_asked()) std::this_thread::sleep_for(1ms);
}

}  // namespace

TEST_CASE("a task that takes too long is asked to stop, and is late") {
  const working me(20ms);
  task_timer timer(20ms, 1, nullptr);
  attempt_watch& watch = *timer.of(0);
  watch.begin(0);
  CHECK(manyhands::this_task::stop_token().stop_possible());
  wait_until_asked();
  CHECK(watch.end());
  CHECK_FALSE(manyhands::this_task::stop_token().stop_possible());
}

TEST_CASE("a task that ends in time is neither, and tasks together may take longer") {
  const working me(5s);
  task_timer timer(5s, 1, nullptr);
  for (int task = 0; task < 3; ++task) {
    timer.of(0)->begin(0);
    CHECK_FALSE(is_asked());
    CHECK_FALSE(timer.of(0)->end());
  }
  const working strict(50ms);
  task_timer short_timer(50ms, 1, nullptr);
  for (int task = 0; task < 20; ++task) {
    short_timer.of(0)->begin(0);
    std::this_thread::sleep_for(5ms);
    static_cast<void>(short_timer.of(0)->end());
  }
  short_timer.of(0)->begin(0);
  CHECK_FALSE(is_asked());
  static_cast<void>(short_timer.of(0)->end());
}

TEST_CASE("a token stays asked, and the next attempt has a new one") {
  const working me(5ms);
  task_timer timer(5ms, 1, nullptr);
  timer.of(0)->begin(0);
  const std::stop_token first = manyhands::this_task::stop_token();
  wait_until_asked();
  CHECK(timer.of(0)->end());
  timer.of(0)->begin(1);
  CHECK(first.stop_requested());
  CHECK(manyhands::this_task::stop_token() != first);
  static_cast<void>(timer.of(0)->end());
}

TEST_CASE("each worker has a clock of its own, and there are no others") {
  task_timer timer(1h, 2, nullptr);
  REQUIRE(timer.of(1) != nullptr);
  CHECK(timer.of(0) != timer.of(1));
  CHECK(timer.of(2) == nullptr);
  CHECK(timer.of(-1) == nullptr);
}

TEST_CASE("what the task has registered is called once, and the timer's end waits for nobody else") {
  std::atomic<int> called = 0;
  {
    const working me(5ms);
    task_timer timer(5ms, 1, nullptr);
    timer.of(0)->begin(0);
    const std::stop_callback callback(manyhands::this_task::stop_token(), [&] { ++called; });
    wait_until_asked();
    std::this_thread::sleep_for(20ms);
    CHECK(timer.of(0)->end());
  }
  CHECK(called == 1);
}

TEST_CASE("tasks are asked when the task around their call is, before they begin or while they run") {
  std::stop_source outer;
  const std::stop_token token = outer.get_token();
  const working me(1h, &token);
  task_timer timer(1h, 1, &token);
  const bool before = GENERATE(true, false);
  if (before) outer.request_stop();
  timer.of(0)->begin(0);
  CHECK(is_asked() == before);
  outer.request_stop();
  wait_until_asked();
  CHECK_FALSE(timer.of(0)->end());  // it is not late
  CHECK(is_asked());
}

TEST_CASE("the longest and the shortest timeout are timeouts like any other") {
  constexpr auto longest = std::chrono::nanoseconds::max();
  {
    const working me(longest);
    task_timer timer(longest, 1, nullptr);
    timer.of(0)->begin(0);
    std::this_thread::sleep_for(5ms);
    CHECK_FALSE(is_asked());
    CHECK_FALSE(timer.of(0)->end());
  }
  const working me(1ns);
  task_timer timer(1ns, 1, nullptr);
  timer.of(0)->begin(0);
  wait_until_asked();
  CHECK(timer.of(0)->end());
}

TEST_CASE("there is a timer only for a call with a timeout") {
  CHECK(timer_for(0ns, 4, nullptr) == nullptr);
  CHECK(timer_for(1s, 4, nullptr) != nullptr);
}
