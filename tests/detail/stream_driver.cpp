#include <manyhands/detail/stream_driver.hpp>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <support/catch.hpp>
#include <support/plain_jobs.hpp>
#include <support/vector_jobs.hpp>

using manyhands::index_range;
using manyhands::plan;
using manyhands::detail::part_of_jobs;
using manyhands::detail::stream_goal;
using manyhands::detail::stream_in_caller;
using manyhands::detail::stream_in_turns;
using manyhands::detail::stream_on_team;
using manyhands::detail::stream_watch;
using manyhands_test::vector_jobs;

namespace {

/// Reached when so many tasks have run.
struct count_goal final : stream_goal {
  count_goal(const std::atomic<int>& a_counter, int its_count) : counter(a_counter), count(its_count) {}
  [[nodiscard]] bool is_reached() const noexcept override { return counter >= count; }
  void expects(bool any) noexcept override {
    if (any) {
      watch.expect(stream_watch::anything);
    } else {
      watch.expect_nothing();
    }
  }
  const std::atomic<int>& counter;
  int count;
  stream_watch watch;
};

struct failing final : manyhands::backend {
  [[nodiscard]] std::string_view name() const noexcept override { return "failing"; }
  void run(manyhands::jobs&, const plan&) override { throw std::runtime_error("no worker"); }
};
struct lazy final : manyhands::backend {
  [[nodiscard]] std::string_view name() const noexcept override { return "lazy"; }
  void run(manyhands::jobs&, const plan&) override {}
};

}  // namespace

TEST_CASE("in the caller, what was read runs when somebody asks for a result") {
  std::vector<std::size_t> ran;
  plain_jobs work(
      3, [&](std::size_t i) { ran.push_back(i); }, 1);
  stream_in_caller driver(work);
  std::atomic<int> none = 0;
  count_goal goal(none, 1);
  driver.feed(true);
  REQUIRE(ran.empty());
  driver.attend(goal);
  REQUIRE(ran == std::vector<std::size_t>{0});
  static_cast<void>(work.read(1));
  driver.attend(goal);
  REQUIRE(ran == std::vector<std::size_t>{0, 1});
  REQUIRE_FALSE(driver.is_eager());
}

TEST_CASE("a team runs tasks as they are read, and whoever waits is woken") {
  std::atomic<int> count = 0;
  count_goal goal(count, 1);
  plain_jobs work(
      200,
      [&](std::size_t i) {
        ++count;
        goal.watch.arrived(i, i + 1);
      },
      1);
  const plan how{.workers = 2};
  stream_on_team driver(work, how, goal.watch, nullptr);
  for (int read = 1; read < 200; ++read) {
    while (!goal.is_reached()) driver.attend(goal);
    static_cast<void>(work.read(1));
    driver.feed(true);
    ++goal.count;
  }
  driver.close();
  REQUIRE(count == 200);
  driver.close();
}

TEST_CASE("a team on an executor that nobody runs has the consumer do the work") {
  boost::asio::io_context context;
  struct nobody final : manyhands::detail::outside_helpers {
    void invite(std::shared_ptr<manyhands::detail::invitation>) override {}
  } outside;
  std::atomic<int> count = 0;
  count_goal goal(count, 50);
  plain_jobs work(
      50, [&](std::size_t) { ++count; }, 49);
  const plan how{.workers = 3};
  stream_on_team driver(work, how, goal.watch, &outside);
  static_cast<void>(work.read(1));
  driver.feed(true);
  while (!goal.is_reached()) driver.attend(goal);
  driver.close();
  REQUIRE(count == 50);
}

TEST_CASE("a part of a call's tasks runs them under the call's indices, and shares its limit") {
  std::vector<std::size_t> ran;
  plain_jobs work(10, [&](std::size_t i) { ran.push_back(i); });
  part_of_jobs part(work, {4, 8});
  REQUIRE(part.known() == 4);
  REQUIRE(part.complete());
  REQUIRE(part.index_in_call(2) == 6);
  part.run({1, 3});
  REQUIRE(ran == std::vector<std::size_t>{5, 6});
  REQUIRE(part.limit() == manyhands::no_index);
  part.fail(3, nullptr);
  REQUIRE(work.limit() == 7);
  REQUIRE(part.limit() == 3);
  work.fail(2, nullptr);
  part.heed_limit();
  REQUIRE(part.limit() == 0);
}

TEST_CASE("a part of a call's tasks ends with a result that cannot be read") {
  vector_jobs<int> work(std::vector<std::function<int()>>(10, [] { return 0; }), true);
  work.refuse_to_load = 6;
  part_of_jobs part(work, {4, 8});
  const std::array<int, 2> results{5, 6};
  part.load_all({1, 3}, std::as_bytes(std::span(results)));
  CHECK(work.results[5] == 5);
  CHECK(work.failed() == std::vector<std::size_t>{6});
  CHECK(part.limit() == 2);
}

TEST_CASE("a backend that cannot run, or does not, gives the call up") {
  failing no_worker;
  lazy nothing_done;
  for (manyhands::backend* const who : {static_cast<manyhands::backend*>(&no_worker), static_cast<manyhands::backend*>(&nothing_done)}) {
    plain_jobs work(3, [](std::size_t) {});
    const plan how{.workers = 2};
    stream_in_turns driver(work, how, *who);
    std::atomic<int> none = 0;
    count_goal goal(none, 1);
    driver.attend(goal);
    REQUIRE(work.aborted() != nullptr);
  }
}
