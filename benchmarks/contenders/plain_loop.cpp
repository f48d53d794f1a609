// No contender but the measure of all: what one thread does without any library.

#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

class plain_loop {
 public:
  static constexpr benchmark::limits can{.more_workers = false};

  explicit plain_loop(int) {}

  template <class F>
  void for_each(std::size_t n, F f) {
    for (std::size_t i = 0; i < n; ++i) f(i);
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
    for (std::size_t i = 0; i < n; ++i) results[i] = f(i);
    return results;
  }
};

int main(int argc, char** argv) { return benchmark::answer<plain_loop>(argc, argv); }
