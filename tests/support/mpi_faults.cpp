// What goes wrong, and ways to leave: contract/mpi.cpp runs this under mpirun and looks at what comes of it.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands.hpp>
#include <manyhands/backends/mpi.hpp>

using manyhands::delayed;
using manyhands::Parallel;

namespace {

/// A task's input: its number, what it does, and a file by which it can tell whether it was run before.
using input = std::pair<int, std::pair<std::string, std::string>>;

int misbehave(const input& what) {
  const auto& [index, names] = what;
  const auto& [mode, path] = names;
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  if (index != 20) return index;
  if (mode == "kill" || mode == "poison") ::raise(SIGKILL);
  if (mode == "crash") ::raise(SIGSEGV);
  if (mode == "exit") std::exit(0);
  if (mode == "_exit") ::_exit(0);
  if (mode == "freeze") ::raise(SIGSTOP);
  if (mode == "kill_once" || mode == "freeze_once") {
    const bool first = !std::ifstream(path + ".once").good();
    std::ofstream(path + ".once") << "here";
    if (first) ::raise(mode == "kill_once" ? SIGKILL : SIGSTOP);
  }
  if (mode == "orphan") std::this_thread::sleep_for(std::chrono::seconds(2));
  return index;
}

int call(const std::string& mode, const std::string& path) {
  const manyhands::parallel_backend guard("mpi");
  std::vector<input> inputs;
  for (int i = 0; i < 60; ++i) inputs.push_back({i, {mode, path}});
  const auto results = Parallel({.batch_size = 2}).outcomes(inputs | delayed(misbehave));
  for (const auto& each : results) {
    try {
      if (each.value() != static_cast<int>(each.index())) std::puts("a wrong result");
    } catch (const manyhands::worker_lost& lost) {
      std::printf("worker_lost for task %zu: %s\n", lost.index(), lost.what());
    } catch (const std::exception& other) {
      std::printf("error: %s\n", other.what());
    }
  }
  std::printf("all %zu tasks were settled\n", results.size());
  std::fflush(stdout);
  return 0;
}

}  // namespace

// faults MODE [resubmit] [PATH]
int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const bool resubmits = argc > 2 && std::strcmp(argv[2], "resubmit") == 0;
  const std::string path = argc > 3 ? argv[3] : "";
#ifdef ANOTHER_BUILD
  std::fprintf(stderr, "another build\n");
#endif

  if (mode == "no session") {
    try {
      const manyhands::parallel_backend guard("mpi");
    } catch (const manyhands::error& error) {
      std::printf("error: %s\n", error.what());
    }
    return 0;
  }
  if (mode == "own init" || mode == "own init, and end" || mode == "single") {
    int level = 0;
    MPI_Init_thread(nullptr, nullptr, mode == "single" ? MPI_THREAD_SINGLE : MPI_THREAD_MULTIPLE, &level);
  }
  const manyhands::mpi_session session({.on_lost = resubmits ? manyhands::on_lost::resubmit : manyhands::on_lost::stop,
                                        .max_retries = 1,
                                        .silence = std::chrono::milliseconds(1'500)});
  std::printf("rank 0 goes on with %d workers\n", session.workers());
  std::fflush(stdout);
  call("", "");
  if (mode == "return 6") return 6;
  if (mode == "exit 5") std::exit(5);
  if (mode == "_Exit 7") std::_Exit(7);
  if (mode == "throw") throw std::runtime_error("nobody catches this");
  if (mode == "orphans") {
    // The others are at work, and the launcher does not end them.
    std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      ::_exit(3);
    }).detach();
    call("orphan", "");
  }
  if (mode == "hosts") {
    const manyhands::parallel_backend guard("mpi");
    const auto names = Parallel({.batch_size = 1})(std::views::iota(0, 100) | delayed([](int) {
                                                     std::string name(256, '\0');
                                                     ::gethostname(name.data(), name.size());
                                                     std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                                     return std::string(name.c_str());
                                                   }));
    for (const std::string& each : std::set<std::string>(names.begin(), names.end())) std::printf("tasks ran on %s\n", each.c_str());
  }
  if (mode == "own init, and end") {
    MPI_Finalize();
    return 0;
  }
  return call(mode, path);
}
