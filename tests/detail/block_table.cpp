#include <manyhands/detail/block_table.hpp>

#include <atomic>
#include <cstddef>
#include <set>
#include <thread>

#include <support/catch.hpp>

using manyhands::detail::block_table;

namespace {

struct block {
  std::atomic<std::size_t> value{0};
};

}  // namespace

TEST_CASE("blocks keep their numbers and places while others come and go") {
  block_table<block> table;
  for (std::size_t number = 0; number < 5000; ++number) {
    table.add().value = number;
    if (number >= 20 && number != 1020) table.drop(number - 20);
  }
  // One that stays does not keep those behind it.
  REQUIRE(table.begin() == 1000);
  REQUIRE(table.end() == 5000);
  REQUIRE(table[1000].value == 1000);
  REQUIRE(table.find(1001) == nullptr);
  REQUIRE(table.find(999) == nullptr);
  for (std::size_t number = 4980; number < 5000; ++number) REQUIRE(table[number].value == number);
  table.drop(1000);
  REQUIRE(table.begin() == 4980);
}

TEST_CASE("an endless row takes the memory of those that are there") {
  block_table<block> table;
  std::set<block*> seen;
  for (std::size_t number = 0; number < 10000; ++number) {
    seen.insert(&table.add());
    if (number >= 3) table.drop(number - 3);
  }
  REQUIRE(seen.size() <= 5);
}

TEST_CASE("a block is found by another thread while the table grows") {
  block_table<block> table;
  std::atomic<std::size_t> told{0};
  std::atomic<std::size_t> wrong{0};
  std::thread other([&] {
    for (std::size_t last = 0; last != 3000;) {
      last = told.load(std::memory_order_acquire);
      for (std::size_t number = last - std::min<std::size_t>(last, 8); number != last; ++number) {
        if (table[number].value.load(std::memory_order_relaxed) != number) ++wrong;
      }
    }
  });
  for (std::size_t number = 0; number < 3000; ++number) {
    table.add().value.store(number, std::memory_order_relaxed);
    told.store(number + 1, std::memory_order_release);
  }
  other.join();
  REQUIRE(wrong == 0);
}
