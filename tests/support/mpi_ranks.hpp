#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include <manyhands/detail/mpi_letter.hpp>
#include <manyhands/detail/mpi_post.hpp>

namespace manyhands_test {

/// A communicator of a test's own.
struct rank_group {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 0;

  rank_group() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
  }
  rank_group(const rank_group&) = delete;
  rank_group& operator=(const rank_group&) = delete;
  ~rank_group() {
    MPI_Barrier(comm);
    MPI_Comm_free(&comm);
  }
};

/// The next letter of that kind to a bare post; those of other kinds are dropped. Nothing after half a minute.
inline std::optional<manyhands::detail::mpi_post::letter> wait_for_letter(manyhands::detail::mpi_post& post,
                                                                          manyhands::detail::mpi_letter_kind kind) {
  const auto last_moment = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < last_moment) {
    static_cast<void>(post.is_sending());
    manyhands::detail::mpi_post::letter next;
    if (!post.receive(next)) {
      std::this_thread::yield();
      continue;
    }
    manyhands::reader bytes(next.content.bytes());
    if (manyhands::detail::mpi_take_head(bytes).kind == kind) return next;
  }
  return std::nullopt;
}

inline manyhands::detail::mpi_letter_head head_of(const manyhands::detail::mpi_post::letter& letter) {
  manyhands::reader bytes(letter.content.bytes());
  return manyhands::detail::mpi_take_head(bytes);
}

}  // namespace manyhands_test
