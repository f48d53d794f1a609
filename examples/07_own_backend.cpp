// A backend of one's own, used by its name: here plain threads, made anew for each call.

#include <exception>
#include <iostream>
#include <memory>
#include <ranges>
#include <string_view>
#include <thread>
#include <vector>

#include <manyhands.hpp>

class plain_threads final : public manyhands::backend {
 public:
  std::string_view name() const noexcept override { return "plain_threads"; }

  void run(manyhands::jobs& work, const manyhands::plan& how) override {
    const auto serve = [&work](int index) {
      const manyhands::worker_scope me(work, index);
      while (const manyhands::index_range tasks = work.next(1)) work.run(tasks);
    };
    std::vector<std::jthread> helpers;  // joined where the function ends
    try {
      for (int index = 1; index < how.workers && work.waiting() > 1; ++index) helpers.emplace_back(serve, index);
    } catch (const std::exception&) {  // no more threads: those that there are do the work
    }
    serve(0);
  }
};

int main() {
  manyhands::register_parallel_backend("plain_threads", std::make_shared<plain_threads>);
  const manyhands::parallel_backend scope("plain_threads", {.n_jobs = 3});
  const auto squares = manyhands::Parallel()(std::views::iota(0, 10) | manyhands::delayed([](int i) { return i * i; }));
  for (const int square : squares) std::cout << square << ' ';
  std::cout << '\n';
}
