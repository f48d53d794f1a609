#include <manyhands/detail/mpi_roster.hpp>

#include <string>
#include <vector>

#include <support/catch.hpp>
#include <support/mpi_ranks.hpp>

using manyhands::detail::mpi_card;
using manyhands::detail::mpi_processors_of;
using manyhands::detail::mpi_roster;
using manyhands_test::rank_group;

namespace {

mpi_card card(char machine, std::uint64_t processors, int count) {
  mpi_card made;
  made.boot[0] = machine;
  made.processors[0] = processors;
  made.processor_count = count;
  return made;
}

}  // namespace

TEST_CASE("ranks of a machine share its processors, and rank 0 has no part in them") {
  const std::vector<mpi_card> cards(5, card('a', 0xff, 8));
  CHECK(mpi_processors_of(cards, 1) == 2);
  CHECK(mpi_processors_of(cards, 4) == 2);
  const std::vector<mpi_card> many(20, card('a', 0xff, 8));
  CHECK(mpi_processors_of(many, 1) == 1);
}

TEST_CASE("ranks of different machines, and those that are bound to different processors, share nothing") {
  std::vector<mpi_card> cards(3, card('a', 0xff, 8));
  cards[2] = card('b', 0xff, 8);
  CHECK(mpi_processors_of(cards, 1) == 8);
  CHECK(mpi_processors_of(cards, 2) == 8);
  const std::vector<mpi_card> bound{card('a', 0xff, 8), card('a', 0x0f, 4), card('a', 0xf0, 4)};
  CHECK(mpi_processors_of(bound, 1) == 4);
  CHECK(mpi_processors_of(bound, 2) == 4);
}

TEST_CASE("where a quota leaves less than the mask, all ranks share the quota") {
  const std::vector<mpi_card> cards(3, card('a', 0xffff, 6));
  CHECK(mpi_processors_of(cards, 1) == 3);
}

TEST_CASE("every rank knows the hosts of all") {
  const rank_group here;
  const mpi_roster roster(here.comm);
  CHECK(roster.rank() == here.rank);
  CHECK(roster.size() == here.size);
  for (int rank = 0; rank < here.size; ++rank) CHECK(roster.host_of(rank) == std::string(manyhands::detail::own_mpi_card().host.data()));
  CHECK(roster.share().processors >= 1);
  CHECK(roster.share().clock_ahead.count() == 0);
}
