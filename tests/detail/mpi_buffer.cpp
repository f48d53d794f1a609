#include <manyhands/detail/mpi_buffer.hpp>

#include <cstddef>
#include <utility>

#include <support/catch.hpp>

using manyhands::detail::mpi_buffer;

namespace {

const std::byte* begin_of(std::size_t size) { return mpi_buffer(size).data(); }

}  // namespace

TEST_CASE("a large buffer takes the memory that an earlier one has left") {
  const std::byte* first = begin_of(1'000'000);
  mpi_buffer next(900'000);
  CHECK(next.data() == first);
  CHECK(next.size() == 900'000);
  CHECK(next.bytes().size() == 900'000);
  CHECK(begin_of(900'000) != first);
}

TEST_CASE("of what earlier ones have left it takes the smallest that will do") {
  const std::byte* small = nullptr;
  const std::byte* middle = nullptr;
  const std::byte* large = nullptr;
  {
    mpi_buffer three(3'000'000);
    mpi_buffer one(1'100'000);
    mpi_buffer two(2'000'000);
    small = one.data();
    middle = two.data();
    large = three.data();
  }
  CHECK(begin_of(1'100'001) == middle);
  CHECK(begin_of(2'000'001) == large);
  CHECK(begin_of(1'099'999) == small);
}

TEST_CASE("a buffer moves with its bytes") {
  mpi_buffer large(1'000'000);
  const std::byte* place = large.data();
  mpi_buffer moved = std::move(large);
  CHECK(moved.data() == place);
  CHECK(moved.size() == 1'000'000);
  mpi_buffer other(10);
  other = std::move(moved);
  CHECK(other.data() == place);
  CHECK(other.size() == 1'000'000);
}
