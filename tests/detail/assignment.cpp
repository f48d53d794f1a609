#include <manyhands/detail/assignment.hpp>

#include <support/catch.hpp>

using manyhands::index_range;
using manyhands::no_index;
using namespace manyhands::detail;

namespace {

constexpr last_sign idle{last_sign::kind::idle, 0};
constexpr last_sign corrupt{last_sign::kind::corrupt, 0};
constexpr last_sign ended{last_sign::kind::ended, 0};
constexpr last_sign running(std::size_t task) { return {last_sign::kind::running, task}; }
constexpr last_sign late(std::size_t task) { return {last_sign::kind::late, task}; }

}  // namespace

TEST_CASE("results are expected range by range, in order") {
  assignment given;
  CHECK(given.expected(no_index).empty());
  CHECK(given.add({10, 12}) == 0);
  CHECK(given.add({5, 6}) == 1);
  CHECK(given.expected(no_index) == index_range{10, 12});
  given.complete(1, no_index);
  CHECK(given.expected(no_index) == index_range{11, 12});
  CHECK(given.unfinished() == 2);
  given.complete(1, no_index);
  CHECK(given.expected(no_index) == index_range{5, 6});
}

TEST_CASE("the range that results are expected of is known as a whole, up to the limit") {
  assignment given;
  CHECK(given.current(no_index).done == given.current(no_index).last);
  given.add({10, 12});
  given.add({20, 30});
  given.complete(2, no_index);
  given.complete(3, no_index);
  const assignment::range second = given.current(no_index);
  CHECK(second.number == 1);
  CHECK(second.first == 20);
  CHECK(second.done == 23);
  CHECK(second.last == 30);
  CHECK(given.current(25).last == 25);
}

TEST_CASE("a range with missing results is not finished") {
  assignment given;
  CHECK_FALSE(given.finish_oldest(no_index).has_value());
  given.add({10, 12});
  given.complete(1, no_index);
  CHECK_FALSE(given.finish_oldest(no_index).has_value());
  given.complete(1, no_index);
  const auto oldest = given.finish_oldest(no_index);
  REQUIRE(oldest.has_value());
  CHECK(oldest->first == 10);
  CHECK(oldest->done == 12);
  CHECK(given.ranges().empty());
}

TEST_CASE("tasks at or above the limit are owed by nobody") {
  assignment given;
  given.add({10, 20});
  given.add({3, 5});
  CHECK(given.expected(15) == index_range{10, 15});
  CHECK_FALSE(given.has_unwanted(15));
  CHECK(given.expected(10) == index_range{3, 5});
  CHECK(given.has_unwanted(10));
  CHECK(given.finish_oldest(10).has_value());
  CHECK_FALSE(given.has_unwanted(10));
}

TEST_CASE("a range that was shortened ends earlier") {
  assignment given;
  given.add({10, 20});
  given.shorten(0, 11);
  CHECK(given.expected(no_index) == index_range{10, 11});
  CHECK(given.drop_newest(no_index) == index_range{10, 11});
}

TEST_CASE("what is left of a range is what has no result and is wanted") {
  assignment given;
  given.add({10, 20});
  given.complete(4, no_index);
  CHECK(given.drop_newest(18) == index_range{14, 18});
  given.add({10, 20});
  CHECK(given.drop_newest(3).empty());
}

TEST_CASE("the task that a dead worker ran is the first without a result") {
  assignment given;
  given.add({10, 20});
  given.complete(2, no_index);
  CHECK(given.culprit(running(12), no_index) == 12);
  SECTION("also where it was ended for being late") {
    CHECK(given.culprit(late(12), no_index) == 12);
    CHECK_FALSE(given.culprit(late(11), no_index).has_value());
    CHECK_FALSE(given.culprit(late(12), 12).has_value());
  }
  SECTION("unless it had left the result already") { CHECK_FALSE(given.culprit(running(11), no_index).has_value()); }
  SECTION("unless it ran none") { CHECK_FALSE(given.culprit(idle, no_index).has_value()); }
  SECTION("unless it was ended") { CHECK_FALSE(given.culprit(ended, no_index).has_value()); }
  SECTION("even where it says something else") {
    CHECK(given.culprit(running(19), no_index) == 12);
    CHECK(given.culprit(corrupt, no_index) == 12);
  }
  SECTION("unless nobody wants that") {
    CHECK_FALSE(given.culprit(running(12), 12).has_value());
    given.add({3, 5});
    CHECK_FALSE(given.culprit(running(12), 12).has_value());
    CHECK(given.culprit(running(3), 12) == 3);
  }
}

TEST_CASE("a worker that owes nothing takes no task with it") {
  const assignment given;
  CHECK_FALSE(given.culprit(running(3), no_index).has_value());
  CHECK_FALSE(given.culprit(corrupt, no_index).has_value());
}
