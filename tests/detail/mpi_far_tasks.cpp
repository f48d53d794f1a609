#include <manyhands/detail/mpi_far_tasks.hpp>

#include <chrono>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include <manyhands/detail/slots.hpp>
#include <manyhands/scope.hpp>
#include <support/catch.hpp>

using namespace manyhands;
using namespace manyhands::detail;
using namespace std::chrono_literals;

namespace {

/// A call over these numbers, and its far side in this same process.
template <class Fn>
struct both_sides {
  using range = decltype(std::declval<std::vector<int>&>() | delayed(std::declval<Fn>()));
  using input = input_for<range>;
  using results = outcome_results<typename input::result_type>;

  both_sides(std::vector<int> some, Fn fn, const call_facts& facts, mpi_share share)
      : numbers(std::move(some)), tasks(numbers | delayed(fn)), slots(tasks), near(facts, slots, false) {
    writer bytes;
    save_call(near, bytes);
    reader call(bytes.bytes());
    far = std::make_unique<mpi_far_tasks>(3, call, stop.get_token(), share);
  }
  task_result run(std::size_t index, writer& result) {
    writer task;
    near.pack(index, task);
    return far->run(index, task.bytes(), result);
  }

  std::vector<int> numbers;
  range tasks;
  range_slots<input, results> slots;
  slot_jobs<range_slots<input, results>> near;
  std::stop_source stop;
  std::unique_ptr<mpi_far_tasks> far;
};

}  // namespace

TEST_CASE("a rank's tasks see their worker's number, and the processors that are its own") {
  const call_facts facts{.seed = 4};
  both_sides call({1, 2}, [](int i) { return std::vector<int>{i, this_worker::index(), effective_n_jobs()}; }, facts, {.processors = 7});
  call.far->enter();
  writer result;
  REQUIRE(call.run(1, result) == task_result::value);
  call.far->leave();
  reader bytes(result.bytes());
  CHECK(bytes.get<std::vector<int>>() == std::vector<int>{2, 3, 7});
  CHECK(this_worker::index() == 0);
}

TEST_CASE("a late task is asked to stop, and has failed") {
  const call_facts facts{.timeout = 20ms};
  both_sides call({1},
                  [](int i) {
                    while (!this_task::stop_token().stop_requested()) std::this_thread::sleep_for(1ms);
                    return i;
                  },
                  facts, {});
  call.far->enter();
  writer result;
  CHECK(call.run(0, result) == task_result::error);
  reader bytes(result.bytes());
  CHECK_THROWS_AS(std::rethrow_exception(load_exception(bytes)), task_timeout);
  call.far->leave();
}

TEST_CASE("the call's stop reaches its tasks") {
  const call_facts facts;
  both_sides call({1}, [](int) { return this_task::stop_token().stop_requested(); }, facts, {});
  call.far->enter();
  writer result;
  static_cast<void>(call.run(0, result));
  CHECK_FALSE(reader(result.bytes()).get<bool>());
  call.stop.request_stop();
  static_cast<void>(call.run(0, result));
  CHECK(reader(result.bytes()).get<bool>());
  call.far->leave();
}

namespace {
int begun = 0;
}

TEST_CASE("the initializer runs when the call is entered for the first time") {
  const call_facts facts{.initializer = +[] {
    if (++begun == 2) throw std::length_error("twice");
  }};
  both_sides call({1}, [](int i) { return i; }, facts, {});
  call.far->enter();
  call.far->leave();
  call.far->enter();
  CHECK(begun == 1);
  CHECK(call.far->broken() == nullptr);
  call.far->leave();
  both_sides other({1}, [](int i) { return i; }, facts, {});
  other.far->enter();
  CHECK(other.far->broken() != nullptr);
  other.far->leave();
}

TEST_CASE("times are told in rank 0's") {
  observed_call watched;
  observation seen(watched, {});
  const call_facts facts{.observed = &seen};
  both_sides call({1}, [](int i) { return i; }, facts, {.clock_ahead = 1000h});
  call.far->enter();
  writer result;
  REQUIRE(call.run(0, result) == task_result::value);
  call.far->leave();
  reader bytes(result.bytes());
  static_cast<void>(bytes.take(bytes.remaining() - sizeof(far_run)));
  const far_run run = load_far_run(bytes, 0);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  CHECK(std::chrono::nanoseconds(run.begin) > now + 999h);
  CHECK(std::chrono::nanoseconds(run.end) < now + 1001h);
}
