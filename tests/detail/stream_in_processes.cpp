#include <manyhands/detail/stream_in_processes.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <ranges>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::plan;
using manyhands::detail::call_facts;
using manyhands::detail::slot_jobs;
using manyhands::detail::stream_goal;
using manyhands::detail::stream_in_processes;
using manyhands::detail::stream_slots;

namespace {

template <class Slots>
struct next_result final : stream_goal {
  explicit next_result(const Slots& its_slots) : slots(its_slots) {}
  [[nodiscard]] bool is_reached() const noexcept override { return slots.has_next(); }
  void expects(bool) noexcept override {}
  const Slots& slots;
};

}  // namespace

TEST_CASE("tasks that are read after others were forked for run, too") {
  const manyhands_test::leak_check leaks;
  auto tasks = std::views::iota(0) | delayed([](int i) { return i * i; });
  stream_slots<decltype(tasks), true> slots(tasks);
  const call_facts facts;
  slot_jobs<decltype(slots)> work(facts, slots, false);
  const plan how{.workers = 2, .batch = 1};
  next_result goal(slots);
  stream_in_processes driver(work, how, slots.transport().fixed_size);
  for (int next = 0; next < 30; ++next) {
    static_cast<void>(work.read(static_cast<std::size_t>(next % 4)));
    if (work.known() == static_cast<std::size_t>(next)) static_cast<void>(work.read(1));
    driver.feed(false);
    while (!slots.has_next()) driver.attend(goal);
    REQUIRE(*slots.next(1).first == next * next);
    slots.consume(1);
  }
  driver.close();
}

TEST_CASE("a call that is cancelled kills the workers that run tasks, and leaves none") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> begun(1);
  auto tasks = std::views::iota(0) | delayed([&](int) {
                 ++begun[0];
                 std::this_thread::sleep_for(std::chrono::minutes(5));
               });
  stream_slots<decltype(tasks), false> slots(tasks);
  const call_facts facts;
  slot_jobs<decltype(slots)> work(facts, slots, false);
  const plan how{.workers = 2, .batch = 1};
  stream_in_processes driver(work, how, slots.transport().fixed_size);
  static_cast<void>(work.read(2));
  driver.feed(false);
  while (begun[0] < 2) std::this_thread::yield();
  work.cancel();
  const auto start = std::chrono::steady_clock::now();
  driver.close();
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::minutes(1));
}
