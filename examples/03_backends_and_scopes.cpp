// A library uses Parallel inside; its user says from outside who runs it. joblib: parallel_backend, parallel_config.

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <ranges>
#include <string>
#include <vector>

#include <manyhands.hpp>

namespace library {

// Knows nothing of threads or processes.
std::string report() {
  const auto ids = manyhands::Parallel()(std::views::iota(0, 8) | manyhands::delayed([](int) { return ::getpid(); }));
  const bool here = std::count(ids.begin(), ids.end(), ::getpid()) == 8;
  const int workers = manyhands::effective_n_jobs();
  return std::to_string(workers) + (workers == 1 ? " worker, in " : " workers, in ") + (here ? "this process" : "other processes");
}

// This one writes to the caller's memory, so it insists on that. Everything else is still its user's choice.
std::string report_from_shared_memory() {
  std::vector<int> ids(8);
  const manyhands::Parallel parallel({.require = manyhands::require::shared_memory});
  parallel(std::views::iota(std::size_t{0}, ids.size()) | manyhands::delayed([&](std::size_t i) { ids[i] = ::getpid(); }));
  return std::count(ids.begin(), ids.end(), ::getpid()) == 8 ? "all were written" : "some are missing";
}

}  // namespace library

int main() {
  using manyhands::parallel_backend, manyhands::parallel_config;

  std::cout << "by default: " << library::report() << '\n';
  {
    const parallel_backend scope("threads", {.n_jobs = 3});
    std::cout << "threads: " << library::report() << '\n';
    {
      const parallel_config inner({.n_jobs = 2});  // who runs it is still the outer scope's choice
      std::cout << "threads, inside: " << library::report() << '\n';
    }
    {
      const parallel_backend inner("processes");  // how many is still the outer scope's choice
      std::cout << "processes, inside: " << library::report() << '\n';
      std::cout << "processes, but memory must be shared: " << library::report_from_shared_memory() << '\n';
    }
    std::cout << "threads again: " << library::report() << '\n';
  }
  {
    const parallel_backend scope("sequential");
    std::cout << "sequential: " << library::report() << '\n';
  }
  {
    const parallel_config scope({.n_jobs = 2, .prefer = manyhands::prefer::processes});  // a hint: for where nobody chose
    std::cout << "processes preferred: " << library::report() << '\n';
  }

  std::cout << "there are:";
  for (const std::string& name : manyhands::registered_backends()) std::cout << ' ' << name;
  std::cout << '\n';
  try {
    manyhands::Parallel unknown({.backend = "goblins"});
  } catch (const std::invalid_argument& error) {
    std::cout << error.what() << '\n';
  }
}
