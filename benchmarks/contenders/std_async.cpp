#include <future>
#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

// A thread for each task, whatever the number of workers.
class std_async {
 public:
  static constexpr benchmark::limits can{.tasks = 5'000, .nested = false};

  explicit std_async(int) {}

  template <class F>
  void for_each(std::size_t n, F f) {
    std::vector<std::future<void>> running;
    running.reserve(n);
    for (std::size_t i = 0; i < n; ++i) running.push_back(std::async(std::launch::async, f, i));
    for (std::future<void>& one : running) one.get();
  }

  template <class F>
  auto map(std::size_t n, F f) {
    using result = std::invoke_result_t<F, std::size_t>;
    std::vector<std::future<result>> running;
    running.reserve(n);
    for (std::size_t i = 0; i < n; ++i) running.push_back(std::async(std::launch::async, f, i));
    std::vector<result> results;
    results.reserve(n);
    for (std::future<result>& one : running) results.push_back(one.get());
    return results;
  }
};

int main(int argc, char** argv) { return benchmark::answer<std_async>(argc, argv); }
