// A rank of an MPI job: support/on_ranks.sh starts three.

#include <cstddef>
#include <ranges>
#include <vector>

#include <manyhands.hpp>
#include <manyhands/backends/mpi.hpp>

#include "../questions/cluster.hpp"
#include "../support/dispatch.hpp"

class many_hands {
 public:
  /// So many tasks travel together; 0: as many as the library likes.
  template <class F>
  auto map(std::size_t n, std::size_t batch, F f) {
    manyhands::options asked{.backend = "mpi"};
    if (batch != 0) asked.batch_size = batch;
    return manyhands::Parallel(asked)(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f));
  }
  template <class F, class Use>
  void stream(std::size_t n, F f, Use use) {
    for (auto&& result : manyhands::Parallel({.backend = "mpi"}).generator(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f))) {
      use(result);
    }
  }
};

int main(int argc, char** argv) {
  manyhands::mpi_session session;
  constexpr benchmark::question questions[] = {
      {"cluster/batch_1", benchmark::cluster_batches<many_hands, 20'000, 1>},
      {"cluster/batch_256", benchmark::cluster_batches<many_hands, 500'000, 256>},
      {"cluster/batch_auto", benchmark::cluster_batches<many_hands, 500'000, 0>},
      {"cluster/one_task", benchmark::cluster_one_task<many_hands>},
      {"cluster/1_MiB_kept", benchmark::cluster_large_kept<many_hands>},
      {"cluster/1_MiB_streamed", benchmark::cluster_large_streamed<many_hands>},
      {"hosts/batch_1", benchmark::cluster_batches<many_hands, 20'000, 1>},
      {"hosts/batch_256", benchmark::cluster_batches<many_hands, 500'000, 256>},
      {"hosts/1_MiB_streamed", benchmark::cluster_large_streamed<many_hands>},
  };
  return benchmark::dispatch(questions, argc, argv);
}
