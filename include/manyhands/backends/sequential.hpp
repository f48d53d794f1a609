#pragma once

#include <string_view>

#include <manyhands/backend.hpp>

namespace manyhands {

/// Runs every task in the calling thread, in order, each right after it was read. No worker, no copy: the reference for all others.
template <class>
class basic_sequential_backend final : public backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "sequential"; }
  [[nodiscard]] backend_traits traits() const noexcept override { return {.shares_memory = true, .streams = true}; }

  void run(jobs& work, const plan&) override {
    if (work.waiting() == 0 && !work.complete()) static_cast<void>(work.read(1));
    if (work.waiting() == 0 && work.complete()) return;
    const worker_scope me(work, 0);
    do {
      while (const index_range tasks = work.next(no_index)) work.run(tasks);
    } while (!work.complete() && work.read(1));
    while (const index_range tasks = work.next(no_index)) work.run(tasks);
  }
};
using sequential_backend = basic_sequential_backend<void>;

}  // namespace manyhands
