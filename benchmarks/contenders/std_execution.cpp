#include <tbb/global_control.h>  // libstdc++ runs on oneTBB, and has no knob of its own for the number of threads

#include <algorithm>
#include <boost/iterator/counting_iterator.hpp>
#include <execution>
#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

class std_execution {
 public:
  static constexpr benchmark::limits can{.more_workers = false};

  explicit std_execution(int workers) : most_(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(workers)) {}

  // The iterators of std::views::iota are input iterators to the parallel algorithms; those of Boost can be taken apart.
  template <class F>
  void for_each(std::size_t n, F f) {
    std::for_each(std::execution::par, boost::counting_iterator<std::size_t>(0), boost::counting_iterator<std::size_t>(n), f);
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
    std::transform(std::execution::par, boost::counting_iterator<std::size_t>(0), boost::counting_iterator<std::size_t>(n), results.begin(),
                   f);
    return results;
  }

 private:
  tbb::global_control most_;
};

int main(int argc, char** argv) { return benchmark::answer<std_execution>(argc, argv); }
