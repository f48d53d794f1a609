#include <manyhands/detail/direct_results.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include <manyhands/detail/shared_memory.hpp>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/places.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;
using manyhands_test::has_result;
using manyhands_test::result_in;

namespace {

std::span<std::byte> all_of(const shared_memory& memory) { return {memory.data(), memory.size()}; }
std::span<const std::byte> bytes_of(const std::size_t& value) { return std::as_bytes(std::span(&value, 1)); }

}  // namespace

TEST_CASE("a result that a worker has put is there for its caller, after the worker's death, too") {
  const manyhands_test::leak_check leaks;
  const shared_memory memory(direct_results::memory_size);
  const direct_results places(all_of(memory), 3);
  CHECK(places.size() == 3);
  memory.open_to_children();
  const auto end = manyhands_test::in_subprocess([&]() -> bool {
    const std::array<std::byte, 3> result{std::byte{1}, std::byte{2}, std::byte{3}};
    places.of_range(1).put(0, result);
    places.of_range(1).put(999, result);
    ::raise(SIGKILL);
    return false;
  });
  CHECK(end.signal == SIGKILL);
  for (std::size_t task = 0; task < 1000; ++task) {
    CHECK(has_result(places, 1, task) == (task == 0 || task == 999));
    CHECK_FALSE(has_result(places, 0, task));
  }
  CHECK(result_in(places, 1, 999)[2] == std::byte{3});
}

TEST_CASE("without places there is no size, and no task has one") {
  const shared_memory memory(direct_results::memory_size);
  const std::size_t size = GENERATE(std::size_t{0}, direct_results::largest + 1);
  for (const direct_results& none : {direct_results(), direct_results(all_of(memory), size)}) {
    CHECK(none.size() == 0);
    CHECK(none.of_range(0).capacity() == 0);
    CHECK(none.of_range(1).capacity() == 0);
  }
}

TEST_CASE("there are as many places as there is memory for") {
  const shared_memory memory(direct_results::memory_size);
  const auto size = GENERATE(as<std::size_t>{}, 1, 3, 8, 100, direct_results::largest);
  const direct_results places(all_of(memory), size);
  const std::size_t capacity = direct_results::capacity_for(size);
  CHECK(capacity * (size + 8) <= direct_results::memory_size / 2);
  CHECK((capacity + 32) * (size + 8) > direct_results::memory_size / 2);
  CHECK(places.of_range(0).capacity() == capacity);
  // The last one of one range and the first one of the other do not overlap, nor does the last one reach beyond the memory.
  const std::vector<std::byte> ones(size, std::byte{1});
  const std::vector<std::byte> twos(size, std::byte{2});
  places.of_range(0).put(capacity - 1, ones);
  places.of_range(1).put(0, twos);
  places.of_range(1).put(capacity - 1, twos);
  CHECK(result_in(places, 0, capacity - 1) == ones);
  CHECK(result_in(places, 1, 0) == twos);
  CHECK(result_in(places, 1, capacity - 1) == twos);
}

TEST_CASE("results are taken together: those that are there, of which there is room, and not beyond the end") {
  const shared_memory memory(direct_results::memory_size);
  const direct_results places(all_of(memory), sizeof(std::size_t));
  const direct_results::row row = places.of_range(0);
  const std::size_t last = row.capacity() - 1;
  std::array<std::size_t, 4> taken{};
  const auto take = [&](std::size_t task, std::size_t end) { return row.take(task, end, std::as_writable_bytes(std::span(taken))); };
  CHECK(take(0, 10) == 0);
  for (const std::size_t task :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{6}, last - 1, last})
    row.put(task, bytes_of(task));
  CHECK(take(0, 10) == 4);
  CHECK(taken == std::array<std::size_t, 4>{0, 1, 2, 3});
  CHECK(take(0, 2) == 2);
  CHECK(take(3, 10) == 2);
  CHECK(taken[1] == 4);
  CHECK(take(5, 10) == 0);
  CHECK(take(6, 10) == 1);
  CHECK(take(last - 1, last + 100) == 2);
  CHECK(taken[1] == last);
}

TEST_CASE("results that are expected are put as others are, and none of them is there before") {
  const shared_memory memory(direct_results::memory_size);
  const direct_results places(all_of(memory), sizeof(std::size_t));
  const direct_results::row row = places.of_range(0);
  const std::size_t tasks = GENERATE_COPY(std::size_t{1}, std::size_t{9}, row.capacity(), row.capacity() + 5);
  row.expect(tasks);
  for (std::size_t task = 0; task < row.capacity(); ++task) REQUIRE_FALSE(has_result(places, 0, task));
  for (std::size_t task = 0; task < std::min(tasks, row.capacity()); ++task) row.put(task, bytes_of(task));
  for (std::size_t task = 0; task < row.capacity(); ++task) {
    const std::vector<std::byte> bytes = result_in(places, 0, task);
    REQUIRE(bytes.empty() == (task >= tasks));
    if (task < tasks) REQUIRE(std::memcmp(bytes.data(), &task, sizeof task) == 0);
  }
}

TEST_CASE("a result is none of a later range, nor of a later call, in the same place") {
  const shared_memory memory(direct_results::memory_size);
  const std::size_t value = 7;
  const direct_results places(all_of(memory), sizeof value);
  for (std::uint32_t range = 0; range < 1000; ++range) {
    REQUIRE_FALSE(has_result(places, range, 5));
    places.of_range(range).put(5, bytes_of(value));
    REQUIRE(has_result(places, range, 5));
    if (range >= 2) REQUIRE_FALSE(has_result(places, range - 2, 5));
  }
  const direct_results next(all_of(memory), sizeof value, 1000);
  for (std::uint32_t range = 0; range < 1000; ++range) REQUIRE_FALSE(has_result(next, range, 5));
  // Numbers begin again some time.
  const direct_results last(all_of(memory), sizeof value, 0xffffffff);
  for (std::uint32_t range = 0; range < 4; ++range) {
    CHECK_FALSE(has_result(last, range, 5));
    last.of_range(range).put(5, bytes_of(value));
    CHECK(has_result(last, range, 5));
  }
}

TEST_CASE("a result over which something was written is none any more") {
  const shared_memory memory(direct_results::memory_size);
  const std::vector<std::byte> value(13, std::byte{1});
  const direct_results places(all_of(memory), value.size());
  std::byte* const bytes = memory.data() + 32 * sizeof(std::uint64_t) + 3 * value.size();
  for (std::size_t at = 0; at < value.size(); ++at) {
    places.of_range(0).put(3, value);
    REQUIRE(result_in(places, 0, 3) == value);
    bytes[at] ^= std::byte{0x10};
    CHECK_FALSE(has_result(places, 0, 3));
  }
}

TEST_CASE("what is taken is what was put, though somebody writes over it meanwhile") {
  if (MANYHANDS_TSAN != 0) return;  // it is a race, of a worker that went mad with its caller
  const shared_memory memory(direct_results::memory_size);
  const direct_results places(all_of(memory), sizeof(std::size_t));
  const direct_results::row row = places.of_range(0);
  constexpr std::size_t tasks = 32;
  std::atomic<bool> ends{false};
  std::thread mad([&] {
    volatile std::byte* const bytes = memory.data() + tasks * sizeof(std::uint64_t);
    for (std::size_t at = 0; !ends; at = (at + 103) % (tasks * sizeof(std::size_t))) bytes[at] = std::byte{0xaa};
  });
  std::size_t wrong = 0;
  std::array<std::size_t, tasks> taken{};
  for (int round = 0; round < 20'000; ++round) {
    for (std::size_t task = 0; task < tasks; ++task) row.put(task, bytes_of(task));
    const std::size_t count = row.take(0, tasks, std::as_writable_bytes(std::span(taken)));
    for (std::size_t task = 0; task < count; ++task) wrong += taken[task] != task;
  }
  ends = true;
  mad.join();
  CHECK(wrong == 0);
}
