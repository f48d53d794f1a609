#pragma once

#include "../questions/process_latency.hpp"
#include "../questions/process_startup.hpp"
#include "../questions/result_transport.hpp"
#include "dispatch.hpp"

namespace benchmark {

/// The main function of a contender whose workers are processes.
///
/// `Contender(workers)` makes it ready, as far as a program would keep it ready between calls, and its destructor returns when no worker
/// is left. `map(n, f)` gives the `std::vector` of `f(0)` to `f(n - 1)`; `f` has no captures, so that it can be named in any process of the
/// program. `warm` says whether workers outlive the call. A contender that survives the loss of a worker has `map_with_losses(n, f)`: how
/// many of the tasks were lost with theirs.
template <class Contender>
int process_answer(int argc, char** argv) {
  constexpr question questions[] = {
      {"process_startup", process_startup<Contender>},
      {"result_transport/8_bytes", result_transport_8_bytes<Contender>},
      {"result_transport/strings", result_transport_strings<Contender>},
      {"result_transport/1_MiB", result_transport_1_mib<Contender>},
      {"process_latency/2", process_latency_2<Contender>},
      {"process_latency/million", process_latency_million<Contender>},
      {"process_latency/after_kill", process_latency_after_kill<Contender>},
  };
  return dispatch(questions, argc, argv);
}

}  // namespace benchmark
