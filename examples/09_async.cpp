// Calls that do not block: a coroutine starts five maps, which run at the same time, and goes on when it has all their results.

#include <exception>
#include <iostream>
#include <numeric>
#include <string>
#include <utility>  // awaitable.hpp of Boost 1.74 needs it
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <manyhands.hpp>
#include <manyhands/async.hpp>

namespace asio = boost::asio;

asio::awaitable<void> gather(int& running, long& total) {
  std::vector<int> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);
  const int factor = ++running;  // before the first co_await all run one after the other

  const std::vector<long> products = co_await manyhands::Parallel(2).async(
      numbers | manyhands::delayed([factor](int i) { return long{i} * factor; }), asio::use_awaitable);

  total += std::accumulate(products.begin(), products.end(), 0L);  // no lock: the context has one thread
  if (--running == 0) std::cout << "all five are done: " << total << '\n';
}

int main() {
  asio::io_context context;
  int running = 0;
  long total = 0;
  for (int map = 0; map < 5; ++map) asio::co_spawn(context, gather(running, total), asio::detached);
  context.run();

  const auto after = [&](std::exception_ptr error, const std::vector<int>& lengths) {
    std::cout << (error ? "failed" : "a callback: " + std::to_string(lengths.at(1)) + " letters") << '\n';
  };
  const std::vector<std::string> words{"one", "three"};
  manyhands::Parallel().async(words | manyhands::delayed([](const std::string& word) { return static_cast<int>(word.size()); }),
                              asio::bind_executor(context, after));
  context.restart();
  context.run();
}
