#include <manyhands/detail/pooled_worker.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <manyhands/detail/slots.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/places.hpp>

using manyhands::codec_error;
using manyhands::delayed;
using manyhands::index_range;
using manyhands::reader;
using manyhands::writer;
using namespace manyhands::detail;
using manyhands_test::has_result;
using manyhands_test::result_in;

namespace {

thread_local int initialized = 0;

/// A worker that lives on in a thread, and a caller's side for it.
struct far_side {
  far_side()
      : results(1 << 16),
        places(direct_results::memory_size),
        tasks(1 << 12),
        frames(result_positions, results),
        parcels(task_positions, tasks) {
    thread = std::thread([this] { pooled_worker(board, result_positions, results, places, task_positions, tasks, bell, mark).run(); });
  }
  far_side(const far_side&) = delete;
  far_side& operator=(const far_side&) = delete;
  ~far_side() {
    board.dismiss();
    thread.join();
  }

  void send(std::uint64_t number, std::span<const std::byte> bytes) {
    const parcel_header header{number, bytes.size()};
    append(std::as_bytes(std::span(&header, 1)));
    append(bytes);
  }
  void append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      bytes = bytes.subspan(parcels.append(bytes));
      parcels.publish();
      board.nudge();
      std::this_thread::yield();
    }
  }
  void begin(std::uint32_t call, const manyhands::jobs& work, const call_opening& opening = {}) {
    board.begin_call(call);
    writer bytes;
    save_opening(opening, bytes);
    save_call(work, bytes);
    send(parcel_header::of_call(call), bytes.bytes());
  }
  void send_task(manyhands::jobs& work, std::size_t index) {
    writer bytes;
    work.pack(index, bytes);
    send(index, bytes.bytes());
  }
  /// Waits for the next frame.
  frame_header next() {
    for (;;) {
      const auto what = frames.next([](const frame_header&) { return true; }, [](const auto& word) { futex_wake(word); });
      if (what == frame_reader::state::frame) return frames.header();
      std::this_thread::yield();
    }
  }
  int value() {
    const frame_header header = next();
    reader in(frames.payload());
    return header.kind == frame_kind::value ? in.get<int>() : -1;
  }
  void finish(std::uint32_t ranges) const {
    while (board.finished() != ranges) std::this_thread::yield();
  }

  worker_board board;
  doorbell bell;
  process_mark mark;
  ring_positions result_positions;
  ring_positions task_positions;
  std::vector<std::byte> results;
  std::vector<std::byte> places;
  std::vector<std::byte> tasks;
  frame_reader frames;
  parcel_sender parcels;
  std::thread thread;
};

/// A call that a worker like this can serve.
template <class Tasks>
struct near_side {
  using input = input_for<Tasks>;
  using result = typename input::result_type;

  explicit near_side(Tasks a_range, const call_facts& some_facts = {}) : facts(some_facts), range(std::move(a_range)) {}

  call_facts facts;
  Tasks range;
  range_slots<input, value_results<result, true>> slots{range};
  slot_jobs<range_slots<input, value_results<result, true>>> work{facts, slots, false};
};

const std::vector<int> numbers{1, 2, 3, 4, 5, 6, 7, 8};
auto squares() {
  return near_side(numbers | delayed([](int x) { return x * x + 1000 * manyhands::this_worker::index(); }));
}

}  // namespace

TEST_CASE("the opening of a call travels as bytes") {
  writer out;
  save_opening({.worker = 3, .processors = {0, 2}, .result_size = 16, .ranges_before = 77}, out);
  reader in(out.bytes());
  const call_opening back = load_opening(in);
  CHECK(back.worker == 3);
  CHECK(back.processors == std::vector<int>{0, 2});
  CHECK(back.result_size == 16);
  CHECK(back.ranges_before == 77);
  CHECK(in.remaining() == 0);
  reader cut(out.bytes().first(out.size() - 1));
  CHECK_THROWS_AS(load_opening(cut), codec_error);
}

TEST_CASE("a worker serves one call after another, of tasks that come as bytes") {
  const manyhands_test::leak_check leaks;
  far_side far;
  auto first = squares();
  far.begin(1, first.work, {.worker = 2});
  for (std::size_t index = 0; index < 3; ++index) far.send_task(first.work, index);
  far.board.post(0, {0, 2});
  far.board.post(1, {2, 3});
  CHECK(far.value() == 2001);
  CHECK(far.value() == 2004);
  CHECK(far.value() == 2009);
  far.finish(2);

  auto second = near_side(numbers | delayed([](int x) { return -x; }));
  far.begin(2, second.work);
  far.board.post(0, {7, 8});
  // It may also wait for its tasks.
  std::this_thread::yield();
  far.send_task(second.work, 7);
  CHECK(far.value() == -8);
  far.finish(1);
}

TEST_CASE("results that all have the same size are put in their places, call after call") {
  const manyhands_test::leak_check leaks;
  far_side far;
  auto first = squares();
  far.begin(1, first.work, {.result_size = sizeof(int)});
  for (std::size_t index = 0; index < 3; ++index) far.send_task(first.work, index);
  far.board.post(0, {0, 2});
  far.board.post(1, {2, 3});
  far.finish(2);
  const direct_results places(far.places, sizeof(int));
  for (const auto& [range, task, expected] : {std::tuple(0U, 0U, 1), std::tuple(0U, 1U, 4), std::tuple(1U, 0U, 9)}) {
    REQUIRE(has_result(places, range, task));
    const auto result = result_in(places, range, task);
    reader in(result);
    CHECK(in.get<int>() == expected);
  }

  auto second = near_side(numbers | delayed([](int x) { return -x; }));
  far.begin(2, second.work, {.result_size = sizeof(int), .ranges_before = 2});
  far.send_task(second.work, 7);
  const direct_results next(far.places, sizeof(int), 2);
  CHECK_FALSE(has_result(next, 0, 0));
  far.board.post(0, {7, 8});
  far.finish(1);
  REQUIRE(has_result(next, 0, 0));
  const auto result = result_in(next, 0, 0);
  reader in(result);
  CHECK(in.get<int>() == -8);
}

TEST_CASE("tasks that were taken back are passed over, and so is a call that never came to anything") {
  far_side far;
  auto call = squares();
  far.begin(1, call.work);
  far.begin(2, call.work);
  for (const std::size_t index : {0U, 1U, 2U, 3U, 2U, 3U, 4U}) far.send_task(call.work, index);
  far.board.post(0, {0, 2});
  far.board.post(1, {2, 5});
  for (const int expected : {1, 4, 9, 16, 25}) CHECK(far.value() == expected);
  far.finish(2);
  far.send_task(call.work, 6);  // not wanted after all
  far.begin(3, call.work);
  far.send_task(call.work, 0);
  far.board.post(0, {0, 1});
  CHECK(far.value() == 1);
  far.finish(1);
}

TEST_CASE("a worker that waits for a task which nobody wants any more goes on") {
  far_side far;
  auto call = squares();
  far.begin(1, call.work);
  far.board.post(0, {3, 4});
  far.board.limit(2);
  far.board.nudge();
  far.finish(1);
  far.send_task(call.work, 1);
  far.board.post(1, {1, 2});
  CHECK(far.value() == 4);
}

TEST_CASE("an initializer runs in the first of a worker's calls, and one that throws ends the worker") {
  far_side far;
  const auto counts = [](int) { return initialized; };
  auto call = near_side(numbers | delayed(counts), {.initializer = +[] { ++initialized; }});
  for (std::uint32_t number = 1; number < 4; ++number) {
    far.begin(number, call.work);
    far.send_task(call.work, 0);
    far.board.post(0, {0, 1});
    CHECK(far.value() == 1);
    far.finish(1);
  }
  far_side other;
  auto failing = near_side(numbers | delayed(counts), {.initializer = +[] { throw std::domain_error("no"); }});
  other.begin(1, failing.work);
  CHECK(other.next().kind == frame_kind::no_worker);
  reader in(other.frames.payload());
  CHECK_THROWS_AS(std::rethrow_exception(load_exception(in)), std::domain_error);
  while (!other.board.is_leaving()) std::this_thread::yield();
}

TEST_CASE("a worker that cannot make sense of a call says why, and ends") {
  far_side far;
  far.board.begin_call(1);
  const std::array<std::byte, 30> rubbish{};
  far.send(parcel_header::of_call(1), rubbish);
  CHECK(far.next().kind == frame_kind::no_worker);
  reader in(far.frames.payload());
  CHECK_THROWS_AS(std::rethrow_exception(load_exception(in)), manyhands::error);
  while (!far.board.is_leaving()) std::this_thread::yield();
}
