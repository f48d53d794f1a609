#pragma once

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <manyhands/detail/affinity.hpp>
#include <manyhands/detail/cgroup.hpp>
#include <manyhands/detail/function_identity.hpp>
#include <manyhands/detail/mpi_far_tasks.hpp>
#include <manyhands/detail/mpi_post.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/topology.hpp>

namespace manyhands::detail {

/// What a rank tells all others of itself when the session begins.
struct mpi_card {
  std::array<char, 256> host{};
  std::array<char, 512> program{};
  std::array<char, 64> boot{};  // the same for all ranks of a machine, and no others
  std::uint64_t build = 0;
  std::array<std::uint64_t, 64> processors{};  // those that it may use, a bit each
  std::int32_t processor_count = 1;            // of these, what control groups leave
  std::int32_t unused = 0;

  [[nodiscard]] bool may_use(std::size_t processor) const noexcept { return (processors[processor / 64] >> (processor % 64) & 1U) != 0; }
};

/// This rank's. Throws `error` where the program has no build-id.
template <class = void>
[[nodiscard]] mpi_card own_mpi_card() {
  mpi_card mine;
  const auto put = [](auto& field, std::string_view text) {
    std::memcpy(field.data(), text.data(), std::min(text.size(), field.size() - 1));
  };
  if (::gethostname(mine.host.data(), mine.host.size() - 1) != 0) put(mine.host, "unknown host");
  const ::ssize_t length = ::readlink("/proc/self/exe", mine.program.data(), mine.program.size() - 1);
  if (length <= 0) put(mine.program, "unknown program");
  const auto boot = read_text_file("/proc/sys/kernel/random/boot_id");
  put(mine.boot, boot ? *boot : std::string(mine.host.data()));
  mine.build = program_identity();
  for (const int processor : affinity_mask().processors()) {
    const auto number = static_cast<std::size_t>(processor);
    if (number / 64 < mine.processors.size()) mine.processors[number / 64] |= std::uint64_t{1} << (number % 64);
  }
  mine.processor_count = cpu_count();
  return mine;
}

/// How many processors a rank has for itself, beside the others of its machine that run tasks; at least 1. Ranks that are bound to
/// different ones share none.
template <class = void>
[[nodiscard]] int mpi_processors_of(const std::vector<mpi_card>& cards, std::size_t rank) {
  const mpi_card& mine = cards[rank];
  double share = 0;
  int own = 0;
  int neighbours = 0;
  for (std::size_t other = 1; other < cards.size(); ++other) neighbours += cards[other].boot == mine.boot;
  for (std::size_t processor = 0; processor < 64 * mine.processors.size(); ++processor) {
    if (!mine.may_use(processor)) continue;
    ++own;
    int users = 0;
    for (std::size_t other = 1; other < cards.size(); ++other) {
      users += cards[other].boot == mine.boot && cards[other].may_use(processor);
    }
    share += 1.0 / std::max(users, 1);
  }
  // Control groups, or the environment, leave less than the mask: then that is what all of them share.
  if (own == 0 || mine.processor_count < own) return std::max(mine.processor_count / std::max(neighbours, 1), 1);
  return std::max(static_cast<int>(share + 1e-6), 1);
}

/// Who takes part: every rank knows this of all.
template <class>
class basic_mpi_roster {
 public:
  /// All ranks at the same time. Throws `error` on every rank where one of them runs another build of the program than rank 0.
  explicit basic_mpi_roster(MPI_Comm comm) {
    mpi_check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
    mpi_check(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
    const mpi_card mine = own_mpi_card();
    std::vector<mpi_card> cards(static_cast<std::size_t>(size_));
    mpi_check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, cards.data(), sizeof mine, MPI_BYTE, comm), "MPI_Allgather");
    for (std::size_t rank = 0; rank < cards.size(); ++rank) {
      hosts_.emplace_back(cards[rank].host.data());
      if (cards[rank].build != cards[0].build) {
        throw error("rank " + std::to_string(rank) + " on " + hosts_.back() + " runs another build of the program, " +
                    cards[rank].program.data() + " (build-id hash " + hexadecimal(cards[rank].build) + "), than rank 0 on " + hosts_[0] +
                    ", " + cards[0].program.data() + " (build-id hash " + hexadecimal(cards[0].build) +
                    "): start the same file on all ranks");
      }
    }
    mine_.processors = mpi_processors_of(cards, static_cast<std::size_t>(rank_));
    for (std::size_t rank = 1; rank < cards.size(); ++rank) {
      if (cards[rank].boot != cards[0].boot) compare_clocks(comm, static_cast<int>(rank));
    }
  }

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] const std::string& host_of(int rank) const noexcept { return hosts_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] mpi_share share() const noexcept { return mine_; }

 private:
  /// Rank 0 tells `other` its time, some times; that which came soonest is nearest to the truth.
  void compare_clocks(MPI_Comm comm, int other) {
    constexpr int rounds = 5;
    constexpr int tag = 7;
    const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
    std::int64_t theirs = 0;
    std::int64_t best = 0;
    for (int round = 0; round < rounds; ++round) {
      if (rank_ == 0) {
        mpi_check(MPI_Recv(&theirs, sizeof theirs, MPI_BYTE, other, tag, comm, MPI_STATUS_IGNORE), "MPI_Recv");
        theirs = now();
        mpi_check(MPI_Send(&theirs, sizeof theirs, MPI_BYTE, other, tag, comm), "MPI_Send");
      } else if (rank_ == other) {
        const std::int64_t asked = now();
        mpi_check(MPI_Send(&asked, sizeof asked, MPI_BYTE, 0, tag, comm), "MPI_Send");
        mpi_check(MPI_Recv(&theirs, sizeof theirs, MPI_BYTE, 0, tag, comm, MPI_STATUS_IGNORE), "MPI_Recv");
        const std::int64_t took = now() - asked;
        if (best == 0 || took < best) mine_.clock_ahead = std::chrono::nanoseconds(theirs - (asked + took / 2));
        if (best == 0 || took < best) best = took;
      }
    }
  }

  int rank_ = 0;
  int size_ = 1;
  std::vector<std::string> hosts_;
  mpi_share mine_;
};
using mpi_roster = basic_mpi_roster<void>;

}  // namespace manyhands::detail
