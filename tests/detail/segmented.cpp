#include <manyhands/detail/segmented.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::segmented;

struct counts {
  int begun = 0;
  int ended = 0;
};

class tracked {
 public:
  explicit tracked(counts& all, bool fails = false) : all_(&all) {
    if (fails) throw std::runtime_error("no");
    ++all_->begun;
  }
  tracked(const tracked&) = delete;
  tracked& operator=(const tracked&) = delete;
  ~tracked() { ++all_->ended; }

 private:
  counts* all_;
};

struct alignas(128) wide {
  std::array<char, 200> bytes;
};

bool is_aligned(const void* at, std::size_t to) { return reinterpret_cast<std::uintptr_t>(at) % to == 0; }

}  // namespace

TEST_CASE("values are found where they were put, also beyond every border between segments") {
  segmented<std::size_t> values;
  constexpr std::size_t size = 5000;
  values.grow(size);
  for (std::size_t index = 0; index < size; ++index) values.emplace(index, [=] { return index * 3; });
  std::size_t wrong = 0;
  for (std::size_t index = 0; index < size; ++index) wrong += values[index] == index * 3 ? 0 : 1;
  CHECK(wrong == 0);
  for (const std::size_t border : {std::size_t{16}, std::size_t{48}, std::size_t{112}, std::size_t{240}, std::size_t{4080}}) {
    CHECK(values[border - 1] == (border - 1) * 3);
    CHECK(values[border] == border * 3);
  }
}

TEST_CASE("growing moves nothing") {
  segmented<std::string> values;
  std::vector<std::string*> addresses;
  for (std::size_t index = 0; index < 1000; ++index) {
    values.grow(index + 1);
    values.emplace(index, [=] { return std::to_string(index); });
    addresses.push_back(&values[index]);
  }
  for (std::size_t index = 0; index < 1000; ++index) {
    REQUIRE(addresses[index] == &values[index]);
    REQUIRE(values[index] == std::to_string(index));
  }
}

TEST_CASE("every place is empty until it is filled, and after it was emptied") {
  segmented<std::string> values;
  values.grow(100);
  for (std::size_t index = 0; index < 100; ++index) REQUIRE_FALSE(values.holds(index));
  values.emplace(50, [] { return "x"; });
  CHECK(values.holds(50));
  CHECK_FALSE(values.holds(49));
  values.reset(50);
  CHECK_FALSE(values.holds(50));
  values.emplace(50, [] { return "again"; });
  CHECK(values[50] == "again");
}

TEST_CASE("every value that began ends exactly once") {
  counts all;
  {
    segmented<tracked> values;
    values.grow(100);
    for (std::size_t index = 0; index < 100; index += 2) values.emplace(index, [&]() -> tracked { return tracked(all); });
    CHECK(all.begun == 50);
    CHECK(all.ended == 0);
    values.reset(10);
    CHECK(all.ended == 1);
    values.reset(10);
    values.reset(11);
    CHECK(all.ended == 1);
  }
  CHECK(all.ended == 50);
}

TEST_CASE("a value is made in its place: it is neither moved nor copied") {
  counts all;
  segmented<tracked> values;
  values.grow(1);
  values.emplace(0, [&]() -> tracked { return tracked(all); });
  CHECK(all.begun == 1);
  CHECK(all.ended == 0);
}

TEST_CASE("a value that could not be made leaves its place empty") {
  counts all;
  {
    segmented<tracked> values;
    values.grow(2);
    CHECK_THROWS_AS(values.emplace(0, [&]() -> tracked { return tracked(all, true); }), std::runtime_error);
    CHECK_FALSE(values.holds(0));
    CHECK_THROWS_AS(values.emplace(1, []() -> tracked { throw 1; }), int);
    CHECK_FALSE(values.holds(1));
    values.emplace(0, [&]() -> tracked { return tracked(all); });
  }
  CHECK(all.begun == 1);
  CHECK(all.ended == 1);
}

TEST_CASE("values that need a wide alignment get it") {
  segmented<wide> values;
  values.grow(100);
  for (std::size_t index = 0; index < 100; ++index) {
    values.emplace(index, [] { return wide(); });
    REQUIRE(is_aligned(&values[index], 128));
  }
}

TEST_CASE("small values get their own alignment, and do not overlap") {
  segmented<char> chars;
  chars.grow(300);
  for (std::size_t index = 0; index < 300; ++index) chars.emplace(index, [=] { return static_cast<char>(index); });
  for (std::size_t index = 0; index < 300; ++index) REQUIRE(chars[index] == static_cast<char>(index));
  segmented<long double> numbers;
  numbers.grow(3);
  numbers.emplace(2, [] { return 1.5L; });
  CHECK(is_aligned(&numbers[2], alignof(long double)));
}

TEST_CASE("growing to nothing, or to what is there already, does nothing") {
  segmented<int> values;
  values.grow(0);
  values.grow(10);
  values.emplace(9, [] { return 9; });
  int* const before = &values[9];
  values.grow(0);
  values.grow(10);
  values.grow(16);
  CHECK(&values[9] == before);
  CHECK(values[9] == 9);
}

TEST_CASE("it can grow at one go as well as step by step") {
  segmented<int> values;
  values.grow(1'000'000);
  values.emplace(999'999, [] { return 7; });
  CHECK(values[999'999] == 7);
}

TEST_CASE("values that can only be moved out of are at home") {
  segmented<std::unique_ptr<int>> values;
  values.grow(3);
  values.emplace(1, [] { return std::make_unique<int>(5); });
  const std::unique_ptr<int> taken = std::move(values[1]);
  CHECK(*taken == 5);
  CHECK(values.holds(1));
  CHECK(values[1] == nullptr);
}

TEST_CASE("one thread may grow it while others fill the places that they were told of") {
  constexpr std::size_t size = 20'000;
  segmented<std::size_t> values;
  std::atomic<std::size_t> known{0};
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (std::size_t index = next++; index < size; index = next++) {
        while (known.load(std::memory_order_acquire) <= index) std::this_thread::yield();
        values.emplace(index, [=] { return index + 1; });
      }
    });
  }
  for (std::size_t index = 0; index < size; ++index) {
    values.grow(index + 1);
    known.store(index + 1, std::memory_order_release);
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t wrong = 0;
  for (std::size_t index = 0; index < size; ++index) wrong += values[index] == index + 1 ? 0 : 1;
  CHECK(wrong == 0);
}
