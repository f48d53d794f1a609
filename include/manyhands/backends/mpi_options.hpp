#pragma once

#include <chrono>
#include <cstdint>

namespace manyhands {

/// What becomes of the run when a rank is lost: it was killed, or its machine vanished.
enum class on_lost : std::uint8_t {
  stop,     ///< the run ends, with a message and a status that is not zero
  resubmit  ///< the other ranks run its tasks: each is run at least once, and perhaps twice
};

/// How the ranks of an MPI job serve calls: `mpi_session session({.on_lost = on_lost::resubmit});`.
struct mpi_options {
  /// `resubmit` needs a launcher that does not end the run itself: `mpirun --enable-recovery` of Open MPI, `mpirun -disable-auto-cleanup`
  /// of MPICH with the ranks on several machines, `srun --no-kill --kill-on-bad-exit=0`. Under Open MPI's, the run's status is always 0.
  /// The loss of rank 0 ends the run in any case.
  manyhands::on_lost on_lost = manyhands::on_lost::stop;
  /// For `resubmit`: how often a task is begun again that ran on a rank that was lost. Then it fails with `worker_lost`.
  int max_retries = 1;
  /// A rank that has tasks, and says nothing for so long, is lost. At least 1 s. It answers while it runs a task, too, but not where the
  /// whole process is stopped.
  std::chrono::milliseconds silence = std::chrono::seconds(5);
};

}  // namespace manyhands
