#include <manyhands/detail/mpi_post.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include <manyhands/codec.hpp>
#include <support/catch.hpp>

using manyhands::writer;
using manyhands::detail::mpi_check;
using manyhands::detail::mpi_post;

namespace {

struct world {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 0;
  world() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
  }
  ~world() { MPI_Comm_free(&comm); }
  world(const world&) = delete;
  world& operator=(const world&) = delete;
};

writer of_size(std::size_t size, unsigned first) {
  std::vector<unsigned char> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(first + i * 7);
  writer made;
  made.write(bytes.data(), bytes.size());
  return made;
}
bool is_right(const mpi_post::letter& got, std::size_t size, unsigned first) {
  if (got.content.size() != size) return false;
  for (std::size_t i = 0; i < size; ++i) {
    if (got.content.bytes()[i] != static_cast<std::byte>(first + i * 7)) return false;
  }
  return true;
}

/// Each rank sends letters of these sizes to each, itself among them, and gets them all in order.
void exchange(std::size_t largest_part, const std::vector<std::size_t>& sizes) {
  const world here;
  mpi_post post(here.comm, largest_part);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (int to = 0; to < here.size; ++to) post.send(to, of_size(sizes[i], static_cast<unsigned>(here.rank + static_cast<int>(i))));
  }
  std::vector<std::size_t> got(static_cast<std::size_t>(here.size));
  bool right = true;
  std::size_t left = sizes.size() * got.size();
  const auto last_moment = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((left > 0 || post.is_sending()) && std::chrono::steady_clock::now() < last_moment) {
    mpi_post::letter next;
    if (!post.receive(next)) {
      std::this_thread::yield();
      continue;
    }
    std::size_t& count = got[static_cast<std::size_t>(next.from)];
    right = right && count < sizes.size() && is_right(next, sizes[count], static_cast<unsigned>(next.from + static_cast<int>(count)));
    ++count;
    --left;
  }
  CHECK(right);
  CHECK(left == 0);
  CHECK_FALSE(post.is_sending());
  MPI_Barrier(here.comm);
}

}  // namespace

TEST_CASE("letters of all sizes arrive in order, and whole") {
  exchange(mpi_post::usual_part, {0, 1, 100, 5'000, 0, 70'000, 3, 1'000'000, 4'096, 4'097, 2'000'000, 8});
}

TEST_CASE("what is larger than a message may be travels in parts, between others that do not") {
  exchange(1'000, {10, 1'000, 1'001, 0, 25'000, 7, 2'000, 999'999, 1});
  exchange(50'000, {200'000, 200'001, 3, 49'999, 50'000, 50'001, 1'000'000});
}

TEST_CASE("what is enclosed arrives with its letter, whatever the size of both") {
  for (const std::size_t largest : {std::size_t{1'000}, mpi_post::usual_part}) {
    const world here;
    mpi_post post(here.comm, largest);
    for (int to = 0; to < here.size; ++to) {
      post.send(to, of_size(100, 1), of_size(5'000'000, 2));
      post.send(to, of_size(3, 3));
      post.send(to, of_size(2'000, 4), of_size(0, 5));
    }
    std::vector<int> got(static_cast<std::size_t>(here.size));
    bool right = true;
    int left = 3 * here.size;
    const auto last_moment = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while ((left > 0 || post.is_sending()) && std::chrono::steady_clock::now() < last_moment) {
      mpi_post::letter next;
      if (!post.receive(next)) {
        std::this_thread::yield();
        continue;
      }
      mpi_post::letter inside;
      inside.content = std::move(next.enclosed);
      switch (got[static_cast<std::size_t>(next.from)]++) {
        case 0:
          right = right && is_right(next, 100, 1) && is_right(inside, 5'000'000, 2);
          break;
        case 1:
          right = right && is_right(next, 3, 3) && inside.content.size() == 0;
          break;
        default:
          right = right && is_right(next, 2'000, 4) && inside.content.size() == 0;
      }
      --left;
    }
    CHECK(right);
    CHECK(left == 0);
    MPI_Barrier(here.comm);
  }
}

TEST_CASE("an MPI error is told in words") {
  try {
    mpi_check(MPI_ERR_RANK, "MPI_Something");
    FAIL("no error");
  } catch (const manyhands::error& error) {
    CHECK_THAT(error.what(), Catch::Matchers::Contains("MPI_Something has failed: "));
  }
  CHECK_NOTHROW(mpi_check(MPI_SUCCESS, "MPI_Something"));
}

TEST_CASE("what is on its way to a rank that is given up is forgotten") {
  const world here;
  if (here.size == 1) return;
  mpi_post post(here.comm);
  if (here.rank == 0) {
    post.send(1, of_size(10'000'000, 1));
    post.forget(1);
    CHECK_FALSE(post.is_sending());
  }
  MPI_Barrier(here.comm);
  if (here.rank == 1) {  // it is not, for MPI: or there would be no end of it
    mpi_post::letter next;
    while (!post.receive(next)) std::this_thread::yield();
    CHECK(is_right(next, 10'000'000, 1));
  }
  // MPI goes on with it only while somebody calls it.
  MPI_Request all = MPI_REQUEST_NULL;
  MPI_Ibarrier(here.comm, &all);
  MPI_Wait(&all, MPI_STATUS_IGNORE);
}
