#include <manyhands/detail/placement.hpp>

#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::pin;
using manyhands::detail::located_processor;
using manyhands::detail::places_on;

using places = std::vector<std::vector<int>>;

/// Two sockets of two cores each, whose second hardware threads come after all first ones, as most PCs number them.
const std::vector<located_processor> two_sockets = {{0, 0, 0}, {1, 1, 0}, {2, 2, 1}, {3, 3, 1}, {4, 0, 0}, {5, 1, 0}, {6, 2, 1}, {7, 3, 1}};

std::vector<located_processor> only(const std::vector<int>& allowed) {
  std::vector<located_processor> left;
  for (const int number : allowed) left.push_back(two_sockets.at(static_cast<std::size_t>(number)));
  return left;
}

}  // namespace

TEST_CASE("a place is a core with all its hardware threads") {
  CHECK(places_on(two_sockets, pin::cores) == places{{0, 4}, {1, 5}, {2, 6}, {3, 7}});
}

TEST_CASE("a place is a node with all its processors") { CHECK(places_on(two_sockets, pin::numa) == places{{0, 1, 4, 5}, {2, 3, 6, 7}}); }

TEST_CASE("processors that are not allowed are in no place, and cores and nodes without any are none") {
  CHECK(places_on(only({1, 2, 6, 7}), pin::cores) == places{{1}, {2, 6}, {7}});
  CHECK(places_on(only({1, 2, 6, 7}), pin::numa) == places{{1}, {2, 6, 7}});
  CHECK(places_on(only({6}), pin::cores) == places{{6}});
  CHECK(places_on(only({6}), pin::numa) == places{{6}});
}

TEST_CASE("numbers may have holes, and cores may come in any order") {
  const std::vector<located_processor> odd = {{3, 3, 8}, {64, 64, 2}, {65, 64, 2}, {200, 3, 8}};
  CHECK(places_on(odd, pin::cores) == places{{3, 200}, {64, 65}});
  CHECK(places_on(odd, pin::numa) == places{{64, 65}, {3, 200}});
}

TEST_CASE("where nobody knows cores and nodes, each processor is a core, and all are one node") {
  const std::vector<located_processor> unknown = {{.number = 1}, {.number = 2}, {.number = 5}};
  CHECK(places_on(unknown, pin::cores) == places{{1}, {2}, {5}});
  CHECK(places_on(unknown, pin::numa) == places{{1, 2, 5}});
}

TEST_CASE("no processors, no places") {
  CHECK(places_on({}, pin::cores).empty());
  CHECK(places_on({}, pin::numa).empty());
}
