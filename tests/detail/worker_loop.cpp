#include <manyhands/detail/worker_loop.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/places.hpp>
#include <support/vector_jobs.hpp>

using manyhands::index_range;
using manyhands::no_index;
using namespace manyhands::detail;
using manyhands_test::has_result;
using manyhands_test::result_in;
using manyhands_test::vector_jobs;

namespace {

/// A worker's loop without a process: the test is its caller.
struct far_side {
  explicit far_side(manyhands::jobs& jobs, bool has_places = false)
      : work(jobs),
        memory(direct_results::memory_size),
        places(memory, has_places ? sizeof(int) : 0),
        ring(1 << 16),
        reader(positions, ring) {}

  void run(int number = 0) { worker_loop(work, number, board, frame_writer(positions, ring), places, bell, mark).run(); }
  /// Runs these ranges and ends.
  void run_all(std::vector<index_range> ranges, int number = 0, int attempt = 0) {
    for (std::uint32_t i = 0; i < ranges.size(); ++i) board.post(i, ranges[i], attempt);
    board.dismiss();
    run(number);
  }
  bool next() {
    return reader.next([](const frame_header&) { return true; }, [](const auto&) {}) == frame_reader::state::frame;
  }

  manyhands::jobs& work;
  worker_board board;
  doorbell bell;
  process_mark mark;
  std::vector<std::byte> memory;
  direct_results places;
  ring_positions positions;
  std::vector<std::byte> ring;
  frame_reader reader;
};

template <class R>
std::vector<std::function<R()>> tasks_of(std::size_t count, R (*make)(std::size_t)) {
  std::vector<std::function<R()>> tasks;
  for (std::size_t index = 0; index < count; ++index) tasks.push_back([=] { return make(index); });
  return tasks;
}

int squared(std::size_t index) { return static_cast<int>(index * index); }

}  // namespace

TEST_CASE("results of a fixed size are put in their places, and no frame is sent") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(10, squared));
  far_side far(work, true);
  far.run_all({{2, 4}, {7, 8}});
  for (std::size_t task = 0; task < 10; ++task) {
    CHECK(has_result(far.places, 0, task) == (task < 2));
    CHECK(has_result(far.places, 1, task) == (task == 0));
  }
  const auto result = result_in(far.places, 1, 0);
  manyhands::reader bytes(result);
  CHECK(bytes.get<int>() == 49);
  CHECK_FALSE(far.next());
  CHECK(far.board.finished() == 2);
  CHECK(far.board.is_ready());
  CHECK(far.board.is_leaving());
  CHECK(far.board.running() == no_index);
}

TEST_CASE("results of any size travel as frames, in the order of the tasks") {
  vector_jobs<std::string> work(tasks_of<std::string>(10, [](std::size_t index) { return std::string(index, 'x'); }));
  far_side far(work);
  far.run_all({{2, 4}, {7, 8}});
  for (const std::size_t index : {2u, 3u, 7u}) {
    REQUIRE(far.next());
    CHECK(far.reader.header().index == index);
    CHECK(far.reader.header().kind == frame_kind::value);
    manyhands::reader bytes(far.reader.payload());
    CHECK(bytes.get<std::string>() == std::string(index, 'x'));
  }
  CHECK_FALSE(far.next());
}

TEST_CASE("an error is a frame, beside results in their places") {
  vector_jobs<int> work(tasks_of<int>(3, [](std::size_t index) { return index == 1 ? throw std::out_of_range("one") : 5; }));
  far_side far(work, true);
  far.run_all({{0, 3}});
  CHECK(has_result(far.places, 0, 0));
  CHECK_FALSE(has_result(far.places, 0, 1));
  CHECK(has_result(far.places, 0, 2));
  REQUIRE(far.next());
  CHECK(far.reader.header().index == 1);
  CHECK(far.reader.header().kind == frame_kind::error);
  manyhands::reader bytes(far.reader.payload());
  CHECK_THROWS_AS(std::rethrow_exception(load_exception(bytes)), std::out_of_range);
}

TEST_CASE("no task at or above the limit begins") {
  std::vector<std::size_t> ran;
  std::vector<std::function<int()>> tasks;
  far_side* self = nullptr;
  for (std::size_t index = 0; index < 10; ++index) {
    tasks.push_back([&, index] {
      ran.push_back(index);
      if (index == 6) self->board.limit(7);
      return 0;
    });
  }
  vector_jobs<int> work(std::move(tasks));
  far_side far(work, true);
  self = &far;
  far.run_all({{5, 10}, {1, 3}});
  CHECK(ran == std::vector<std::size_t>{5, 6, 1, 2});
  CHECK(far.board.finished() == 2);
}

TEST_CASE("tasks see their worker and their index") {
  vector_jobs<int> work(tasks_of<int>(
      10, [](std::size_t) { return manyhands::this_worker::index() * 100 + static_cast<int>(manyhands::this_task::index()); }));
  far_side far(work);
  far.run_all({{4, 5}}, 3);
  REQUIRE(far.next());
  manyhands::reader bytes(far.reader.payload());
  CHECK(bytes.get<int>() == 304);
}

TEST_CASE("the initializer runs before the first task, and where it throws its error is all that comes") {
  int initialized = 0;
  const bool fails = GENERATE(false, true);
  vector_jobs<int> work({[&] { return initialized; }}, false, [&] {
    ++initialized;
    if (fails) throw std::domain_error("not today");
  });
  far_side far(work);
  far.run_all({{0, 1}});
  CHECK(initialized == 1);
  REQUIRE(far.next());
  manyhands::reader bytes(far.reader.payload());
  if (fails) {
    CHECK(far.reader.header().kind == frame_kind::no_worker);
    CHECK_FALSE(far.board.is_ready());
    CHECK_THROWS_AS(std::rethrow_exception(load_exception(bytes)), std::domain_error);
  } else {
    CHECK(bytes.get<int>() == 1);
  }
  CHECK_FALSE(far.next());
  CHECK(far.board.is_leaving());
}

TEST_CASE("a range of tasks that there are not is left alone") {
  vector_jobs<int> work(tasks_of<int>(4, squared));
  far_side far(work, true);
  far.run_all({{3, 5}, {std::size_t{1} << 60, (std::size_t{1} << 60) + 1}});
  CHECK_FALSE(has_result(far.places, 0, 0));
  CHECK_FALSE(far.next());
  CHECK(far.board.finished() == 2);
}

TEST_CASE("while a task runs the board says which") {
  far_side* self = nullptr;
  std::size_t seen = no_index;
  vector_jobs<int> work({[] { return 0; },
                         [&] {
                           seen = self->board.running();
                           return 0;
                         }});
  far_side far(work);
  self = &far;
  far.run_all({{0, 2}});
  CHECK(seen == 1);
}

TEST_CASE("a caller that sleeps is rung for, once") {
  vector_jobs<int> work(tasks_of<int>(4, squared));
  far_side far(work, true);
  std::uint64_t rings = 0;
  far.board.caller_sleeps();
  far.run_all({{0, 2}, {2, 4}});
  REQUIRE(::read(far.bell.fd(), &rings, sizeof rings) == sizeof rings);
  CHECK(rings == 1);
}

TEST_CASE("a result that is larger than the ring waits for its reader") {
  vector_jobs<std::string> work({[] { return std::string(1'000'000, 'y'); }});
  far_side far(work);
  std::thread worker([&] { far.run_all({{0, 1}}); });
  while (far.reader.next([](const frame_header&) { return true; }, [](const auto& word) { futex_wake(word); }) !=
         frame_reader::state::frame) {
    std::this_thread::yield();
  }
  worker.join();
  manyhands::reader bytes(far.reader.payload());
  CHECK(bytes.get<std::string>() == std::string(1'000'000, 'y'));
}

TEST_CASE("tasks see how often they were begun before, and never more than there can have been") {
  vector_jobs<int> work(tasks_of<int>(2, [](std::size_t) { return manyhands::this_task::attempt(); }));
  work.own_facts().retries = 3;
  const int told = GENERATE(0, 2, 3, 1'000'000, -1);
  far_side far(work, true);
  far.run_all({{0, 1}, {1, 2}}, 0, told);
  for (const std::uint32_t range : {0u, 1u}) {
    const auto result = result_in(far.places, range, 0);
    manyhands::reader bytes(result);
    CHECK(bytes.get<int>() == std::clamp(told, 0, 3));
  }
}

TEST_CASE("where the call has a timeout or retries, each attempt is on the board") {
  const bool timed = GENERATE(false, true);
  far_side* self = nullptr;
  int seen = -1;
  std::uint64_t began = 0;
  vector_jobs<int> work({[&] {
    attempt_watch* const watch = here.watch;
    REQUIRE(watch != nullptr);
    watch->begin(2);
    seen = self->board.attempt();
    began = self->board.began();
    CHECK_FALSE(watch->end());
    CHECK(self->board.began() == 0);
    return 0;
  }});
  work.own_facts().retries = 3;
  if (timed) work.own_facts().timeout = std::chrono::hours(1);
  far_side far(work);
  self = &far;
  far.run_all({{0, 1}});
  CHECK(seen == 2);
  CHECK((began != 0) == timed);
}

TEST_CASE("a worker judges itself whether an attempt took too long") {
  bool late = false;
  vector_jobs<int> work({[&] {
    here.watch->begin(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    late = here.watch->end();
    return 0;
  }});
  work.own_facts().timeout = std::chrono::milliseconds(1);
  far_side far(work);
  far.run_all({{0, 1}});
  CHECK(late);
}

TEST_CASE("without a timeout and retries nobody watches") {
  vector_jobs<int> work({[] { return here.watch == nullptr ? 1 : 0; }});
  far_side far(work, true);
  far.run_all({{0, 1}});
  const auto result = result_in(far.places, 0, 0);
  manyhands::reader bytes(result);
  CHECK(bytes.get<int>() == 1);
}
