// Compiled once for each ONETBB_PARTITIONER: auto_partitioner, static_partitioner, simple_partitioner.

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

class onetbb {
 public:
  static constexpr benchmark::limits can =
      std::is_same_v<tbb::ONETBB_PARTITIONER, tbb::simple_partitioner> ? benchmark::limits{.tasks = 1'000'000} : benchmark::limits{};

  explicit onetbb(int workers)
      : most_(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(workers)),
        arena_(workers),
        needs_arena_(workers > tbb::info::default_concurrency()) {}

  template <class F>
  void for_each(std::size_t n, F f) {
    const auto loop = [&] { tbb::parallel_for(std::size_t{0}, n, f, tbb::ONETBB_PARTITIONER()); };
    if (needs_arena_) {  // which is dearer to enter than the one that is there anyway
      arena_.execute(loop);
    } else {
      loop();
    }
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
    for_each(n, [&](std::size_t i) { results[i] = f(i); });
    return results;
  }

 private:
  tbb::global_control most_;
  tbb::task_arena arena_;
  bool needs_arena_;
};

int main(int argc, char** argv) { return benchmark::answer<onetbb>(argc, argv); }
