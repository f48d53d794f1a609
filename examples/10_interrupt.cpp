// Ctrl-C ends the call, not the program: the first press stops it, what is finished is printed, and a second press kills.
// With an argument the program presses Ctrl-C itself, after so many results.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <manyhands.hpp>

namespace asio = boost::asio;

int main(int argc, char** argv) {
  std::optional<int> presses_at;
  if (argc > 1) presses_at = std::atoi(argv[1]);
  std::vector<int> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);

  std::stop_source stop;
  asio::io_context context;
  asio::signal_set signals(context, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) stop.request_stop();
    signals.clear();  // the next one does what it always did
  });
  std::jthread listener([&] { context.run(); });

  const auto slow_square = [&](int i) {
    if (i == presses_at) std::raise(SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(presses_at ? 1 : 20));
    return i * i;
  };
  const auto results = manyhands::Parallel({.n_jobs = 2, .stop = stop.get_token()}).outcomes(numbers | manyhands::delayed(slow_square));
  context.stop();

  const auto finished = std::count_if(results.begin(), results.end(), [](const auto& each) { return each.has_value(); });
  std::cout << (finished < 1000 ? "stopped: some of" : "finished: all of") << " the 1000 squares are there, the first is "
            << results.front().value() << '\n';
  std::cerr << finished << " finished\n";
}
