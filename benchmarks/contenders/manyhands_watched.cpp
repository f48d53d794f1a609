// Compiled once for each MANYHANDS_WAY of making a call.

#include <unistd.h>
#include <filesystem>
#include <memory>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

#include <manyhands.hpp>

#include "../questions/watching.hpp"
#include "../support/dispatch.hpp"

/// Results in a vector.
class call {
 public:
  explicit call(int workers) : parallel_({.n_jobs = workers, .backend = "threads"}) {}

  template <class F>
  auto run(std::size_t n, F f) {
    return parallel_(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f));
  }
  static std::size_t sum(const std::vector<std::size_t>& results) {
    return std::accumulate(results.begin(), results.end(), std::size_t{0});
  }

 protected:
  explicit call(manyhands::options asked) : parallel_(std::move(asked)) {}

  manyhands::Parallel parallel_;
};

class generator : public call {
 public:
  using call::call;

  template <class F>
  std::size_t run(std::size_t n, F f) {
    std::size_t total = 0;
    for (const std::size_t result : parallel_.generator(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f))) total += result;
    return total;
  }
  static std::size_t sum(std::size_t total) { return total; }
};

class generator_unordered : public generator {
 public:
  using generator::generator;

  template <class F>
  std::size_t run(std::size_t n, F f) {
    std::size_t total = 0;
    for (const auto& result : parallel_.generator_unordered(std::views::iota(std::size_t{0}, n) | manyhands::delayed(f)))
      total += result.value;
    return total;
  }
};

class observed : public call {
 public:
  explicit observed(int workers) : call({.n_jobs = workers, .backend = "threads", .observer = std::make_shared<manyhands::observer>()}) {}
};

class checkpoint : public call {
 public:
  explicit checkpoint(int workers) : call({.n_jobs = workers, .backend = "threads", .checkpoint = path()}) {}
  ~checkpoint() { std::filesystem::remove(path()); }
  checkpoint(const checkpoint&) = delete;
  checkpoint& operator=(const checkpoint&) = delete;

  template <class F>
  auto run(std::size_t n, F f) {
    std::filesystem::remove(path());
    return call::run(n, f);
  }

 private:
  static std::string path() {
    return (std::filesystem::temp_directory_path() / ("manyhands_benchmark." + std::to_string(getpid()))).string();
  }
};

int main(int argc, char** argv) {
  using contender = MANYHANDS_WAY;
  constexpr benchmark::question questions[] = {
      {"watching/stream", benchmark::watching_results<contender>},
      {"watching/tasks", benchmark::watching_tasks<contender>},
      {"watching/journal", benchmark::watching_results<contender>},
  };
  return benchmark::dispatch(questions, argc, argv);
}
