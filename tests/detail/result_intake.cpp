#include <manyhands/detail/result_intake.hpp>

#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/scribble.hpp>
#include <support/vector_jobs.hpp>

using manyhands::automatic;
using manyhands::no_index;
using namespace manyhands::detail;
using manyhands_test::vector_jobs;

namespace {

/// One worker that was given all tasks, and the intake that hears it.
template <class R>
struct hearing {
  explicit hearing(vector_jobs<R>& jobs) : work(jobs), records(1, jobs.known(), jobs.known()), intake(jobs, records) {
    while (const auto wanted = records.next()) {
      switch (wanted->what) {
        case action::kind::start:
          link().start(work, 0, parent, work.transport().fixed_size, bell, links);
          records.started(0);
          break;
        case action::kind::fetch:
          records.fetched(work.next(wanted->most));
          break;
        default:
          link().board().post(link().posted++, wanted->tasks);
      }
    }
  }

  worker_link& link() { return links[0]; }
  /// Takes in what the worker leaves, until its range is finished or what it says cannot be. Whether all was well.
  bool listen() {
    for (;;) {
      const bool ended = link().try_collect().has_value();
      if (!intake.take(0, link())) return false;
      if (ended || link().finished == 1) return true;
      std::this_thread::yield();
    }
  }

  vector_jobs<R>& work;
  parent_facts parent;
  doorbell bell;
  supervisor records;
  result_intake intake;
  std::array<worker_link, 1> links;
};

/// In a worker: changes the header of the frame that it sent last, whose payload is of `length` bytes.
void forge_last_header(std::size_t length, std::uint64_t index, frame_kind kind) {
  std::byte* const memory = manyhands_test::memory_shared_with_caller();
  const auto& positions = *reinterpret_cast<ring_positions*>(memory + sizeof(worker_board));
  std::byte* const where = memory + manyhands_test::ring_at + positions.tail - length - sizeof(frame_header);
  frame_header header;
  std::memcpy(&header, where, sizeof header);
  header.index = index;
  header.kind = kind;
  header.check = header.expected_check();
  std::memcpy(where, &header, sizeof header);
}

}  // namespace

TEST_CASE("results and errors settle their tasks, from places and from frames") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return 1; }, []() -> int { throw std::out_of_range("two"); }, [] { return 3; }});
  hearing<int> call(work);
  CHECK(call.link().places().size() == sizeof(int));
  CHECK(call.listen());
  CHECK(work.results[0] == 1);
  CHECK(work.results[2] == 3);
  CHECK_THROWS_AS(std::rethrow_exception(work.errors[1]), std::out_of_range);
  CHECK(call.records.is_finished());
}

TEST_CASE("results of any size settle their tasks") {
  const manyhands_test::leak_check leaks;
  vector_jobs<std::string> work({[] { return std::string("small"); }, [] { return std::string(5'000'000, 'x'); }});
  hearing<std::string> call(work);
  CHECK(call.link().places().size() == 0);
  CHECK(call.listen());
  CHECK(work.results[0] == "small");
  CHECK(work.results[1] == std::string(5'000'000, 'x'));
}

TEST_CASE("a result that cannot be read fails its task alone") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return 1; }, [] { return 2; }, [] { return 3; }});
  work.refuse_to_load = 1;
  hearing<int> call(work);
  CHECK(call.listen());
  CHECK(work.results[0] == 1);
  CHECK(work.results[2] == 3);
  CHECK_THROWS_AS(std::rethrow_exception(work.errors[1]), manyhands::codec_error);
}

TEST_CASE("what has no place, as the range has more tasks than places, comes as a frame") {
  const manyhands_test::leak_check leaks;
  const std::size_t places = direct_results::capacity_for(sizeof(int));
  std::vector<std::function<int()>> tasks;
  for (std::size_t index = 0; index < places + 1000; ++index) tasks.emplace_back([index] { return static_cast<int>(index); });
  vector_jobs<int> work(std::move(tasks));
  hearing<int> call(work);
  CHECK(call.listen());
  std::size_t wrong = 0;
  for (std::size_t index = 0; index < work.results.size(); ++index) wrong += work.results[index] != static_cast<int>(index);
  CHECK(wrong == 0);
  CHECK(call.records.is_finished());
}

TEST_CASE("a frame that has begun comes before what was put in a place behind it") {
  const manyhands_test::leak_check leaks;
  // The first task sends the head of a frame by itself, and has a result in its place, too; the second sends the rest.
  constexpr int forged = 777;
  const auto memory = [] { return reinterpret_cast<manyhands_test::control*>(manyhands_test::memory_shared_with_caller()); };
  const auto ring = [=] { return reinterpret_cast<std::byte*>(memory()) + manyhands_test::ring_at; };
  vector_jobs<int> work({[=] {
                           frame_header header{0, frame_kind::value, 0, sizeof forged, digest_of<>(std::as_bytes(std::span(&forged, 1)))};
                           header.check = header.expected_check();
                           std::memcpy(ring(), &header, sizeof header);
                           memory()->positions.tail = sizeof header;
                           while (memory()->positions.head != sizeof header) std::this_thread::yield();
                           return 1;
                         },
                         [=] {
                           std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the caller looks at the place meanwhile
                           std::memcpy(ring() + sizeof(frame_header), &forged, sizeof forged);
                           memory()->positions.tail = sizeof(frame_header) + sizeof forged;
                           return 2;
                         },
                         [] { return 3; }});
  hearing<int> call(work);
  static_cast<void>(call.listen());
  CHECK(work.results[0] == forged);
  CHECK(work.results[1] == 2);
  CHECK(work.results[2] == 3);
}

TEST_CASE("an initializer's error ends the call") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return 1; }}, false, [] { throw std::domain_error("not today"); });
  hearing<int> call(work);
  CHECK(call.listen());
  REQUIRE(work.aborted() != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(work.aborted()), std::domain_error);
}

TEST_CASE("what follows an error that ends the call is of no interest") {
  const manyhands_test::leak_check leaks;
  std::vector<std::function<int()>> tasks(100, [] { return 1; });
  tasks[10] = []() -> int { throw std::out_of_range("ten"); };
  tasks[12] = []() -> int { throw std::domain_error("twelve"); };
  vector_jobs<int> work(std::move(tasks), true);
  hearing<int> call(work);
  CHECK(call.listen());
  CHECK(work.failed() == std::vector<std::size_t>{10});
  CHECK(work.limit() == 10);
  CHECK(call.records.is_finished());
}

TEST_CASE("a frame for a task that is not the worker's is refused") {
  const manyhands_test::leak_check leaks;
  const auto index = GENERATE(as<std::uint64_t>{}, 0, 1, 2, 1000, no_index);
  vector_jobs<std::string> work({[] { return std::string("zero"); },
                                 [index] {
                                   forge_last_header(12, index, frame_kind::value);
                                   return std::string();
                                 },
                                 [] { return std::string(); }});
  hearing<std::string> call(work);
  while (call.link().board().finished() != 1) std::this_thread::yield();
  // Index 0 is the true one: that the forgery alone is not what is refused.
  CHECK(call.listen() == (index == 0));
  CHECK(work.succeeded() == (index == 0 ? 3 : 0));
  CHECK(work.failed().empty());
}

TEST_CASE("a frame of a kind that there is not, or at a time that cannot be, is refused") {
  const manyhands_test::leak_check leaks;
  const auto kind = GENERATE(frame_kind::no_worker, frame_kind{0}, frame_kind{77});
  vector_jobs<std::string> work({[] { return std::string("zero"); },
                                 [kind] {
                                   forge_last_header(12, 0, kind);
                                   return std::string();
                                 }});
  hearing<std::string> call(work);
  while (call.link().board().finished() != 1) std::this_thread::yield();
  call.link().is_ready = true;
  CHECK_FALSE(call.listen());
  CHECK(work.aborted() == nullptr);
}

TEST_CASE("a worker that claims to have finished more than it was given is refused") {
  const manyhands_test::leak_check leaks;
  const std::uint32_t claimed = GENERATE(2u, 3u, 0xffffffffu);
  vector_jobs<int> work({[] { return 1; }});
  hearing<int> call(work);
  while (call.link().board().finished() != 1) std::this_thread::yield();
  call.link().board().finish_range(claimed - 1, 0);
  CHECK_FALSE(call.intake.take(0, call.link()));
}

TEST_CASE("a worker that claims to have finished what has no result is refused") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[]() -> int {
    for (;;) ::pause();
  }});
  hearing<int> call(work);
  call.link().board().finish_range(0, 0);
  CHECK_FALSE(call.intake.take(0, call.link()));
}
