#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <manyhands.hpp>

/// The smallest backend that a user might write: a thread for each worker, made for the call.
class plain_threads final : public manyhands::backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "plain"; }

  void run(manyhands::jobs& work, const manyhands::plan& how) override {
    std::vector<std::thread> workers;
    for (int index = 0; index < how.workers && index < static_cast<int>(work.known()); ++index) {
      workers.emplace_back([&work, index] {
        const manyhands::worker_scope me(work, index);
        while (const manyhands::index_range tasks = work.next(1)) work.run(tasks);
      });
    }
    for (std::thread& worker : workers) worker.join();
  }
};

/// Every backend that the contract's promises are tested on: the built-in ones, and one of a user. Not those to which tasks travel as
/// bytes: what these tests count by reference they could not. They have tests of their own: tests/backends/loky.cpp.
inline std::vector<std::string> all_backends() {
  manyhands::register_parallel_backend("plain", [] { return std::make_shared<plain_threads>(); });
  std::vector<std::string> names = manyhands::registered_backends();
  std::erase_if(names, [](const std::string& name) { return manyhands::detail::make_backend(name)->traits().packs_tasks; });
  return names;
}

inline bool shares_memory(const std::string& name) { return name != "processes"; }
