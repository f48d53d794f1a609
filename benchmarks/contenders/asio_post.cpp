#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <latch>
#include <type_traits>
#include <vector>

#include "../support/answer.hpp"

class asio_post {
 public:
  static constexpr benchmark::limits can{.tasks = 1'000'000, .nested = false};

  explicit asio_post(int workers) : pool_(static_cast<std::size_t>(workers)) {}

  template <class F>
  void for_each(std::size_t n, F f) {
    std::latch done(static_cast<std::ptrdiff_t>(n));
    for (std::size_t i = 0; i < n; ++i) {
      boost::asio::post(pool_, [&, i] {
        f(i);
        done.count_down();
      });
    }
    done.wait();
  }

  template <class F>
  auto map(std::size_t n, F f) {
    std::vector<std::invoke_result_t<F, std::size_t>> results(n);
    for_each(n, [&](std::size_t i) { results[i] = f(i); });
    return results;
  }

 private:
  boost::asio::thread_pool pool_;
};

int main(int argc, char** argv) { return benchmark::answer<asio_post>(argc, argv); }
