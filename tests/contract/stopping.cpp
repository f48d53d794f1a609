// What stops a call from outside, on every backend.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <list>
#include <ranges>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/shared.hpp>

namespace {

using namespace manyhands;
using namespace std::chrono_literals;

struct setting {
  const char* backend;
  int n_jobs;
};
const std::vector<setting> settings{{"sequential", 1}, {"threads", 1}, {"threads", 3}, {"processes", 2}};

/// Long enough that a test which has to wait for its end fails by its time limit.
void wait_to_be_asked() {
  const auto end = std::chrono::steady_clock::now() + 100s;
  while (!this_task::stop_token().stop_requested() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
}

/// Asks a call to stop after a while.
class stopper {
 public:
  explicit stopper(std::chrono::milliseconds after)
      : thread_([this, after] {
          std::this_thread::sleep_for(after);
          source_.request_stop();
        }) {}
  ~stopper() { thread_.join(); }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::thread thread_;
};

TEST_CASE("a call that is stopped asks its tasks, starts no other, and throws cancelled") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const stopper stop(50ms);
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(Parallel({.n_jobs = n_jobs, .backend = backend, .stop = stop.token()})(std::views::iota(0, 1000) | delayed([](int i) {
                                                                                             wait_to_be_asked();
                                                                                             return i;
                                                                                           })),
                    cancelled);
    CHECK(std::chrono::steady_clock::now() - begin < 30s);
  }
}

TEST_CASE("stopped before it begins, a call runs nothing") {
  std::stop_source source;
  source.request_stop();
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .stop = source.get_token()});
    const shared_array<std::atomic<int>> ran(1);
    const auto count = delayed([&](int) { ++ran[0]; });
    CHECK_THROWS_AS(par(std::views::iota(0, 100) | count), cancelled);
    std::list<int> list{1, 2, 3};
    CHECK_THROWS_AS(par(list | count), cancelled);
    CHECK_THROWS_AS(par(delayed([&] { ++ran[0]; })(), delayed([&] { ++ran[0]; })()), cancelled);
    const auto outcomes = par.outcomes(std::views::iota(0, 100) | count);
    CHECK(outcomes.size() == 100);
    CHECK(ran[0] == 0);
  }
}

TEST_CASE("outcomes keep what was finished, and say of the others that they were cancelled") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const stopper stop(200ms);
    const auto outcomes =
        Parallel({.n_jobs = n_jobs, .backend = backend, .stop = stop.token()}).outcomes(std::views::iota(0, 200) | delayed([](int i) {
                                                                                          if (i >= 20) wait_to_be_asked();
                                                                                          if (i >= 20) throw cancelled("as I was told");
                                                                                          return i;
                                                                                        }));
    REQUIRE(outcomes.size() == 200);
    // Of several workers one may have come to its long tasks before another has done the short ones: these need not all have run.
    const auto finished = std::count_if(outcomes.begin(), outcomes.end(), [](const auto& each) { return each.has_value(); });
    CHECK(finished >= 1);
    CHECK(finished <= 20);
    CHECK(outcomes[0].value() == 0);
    for (std::size_t i = 20; i < 200; ++i) CHECK_THROWS_AS(outcomes[i].value(), cancelled);
  }
}

TEST_CASE("an endless input is read no further") {
  const stopper stop(50ms);
  for (const auto& [backend, n_jobs] : settings) {
    if (std::string_view(backend) == "processes") continue;  // reads all of it first
    CAPTURE(backend, n_jobs);
    auto odd = std::views::iota(0) | std::views::filter([](int i) { return i % 2 != 0; }) | delayed([](int i) { return i; });
    CHECK_THROWS_AS(Parallel({.n_jobs = n_jobs, .backend = backend, .stop = stop.token()})(odd), cancelled);
  }
}

TEST_CASE("a token that is never asked costs nothing but itself") {
  const std::stop_source source;
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto results = Parallel({.n_jobs = n_jobs, .backend = backend, .stop = source.get_token()})(std::views::iota(0, 100) |
                                                                                                      delayed([](int i) { return i; }));
    CHECK(results.size() == 100);
  }
}

TEST_CASE("a scope's token stops the calls in it") {
  std::stop_source source;
  source.request_stop();
  const parallel_config guard({.stop = source.get_token()});
  CHECK_THROWS_AS(Parallel(2)(std::views::iota(0, 3) | delayed([](int i) { return i; })), cancelled);
}

TEST_CASE("calls inside tasks are stopped, too") {
  for (const int n_jobs : {1, 3}) {
    CAPTURE(n_jobs);
    const stopper stop(50ms);
    CHECK_THROWS_AS(Parallel({.n_jobs = n_jobs, .stop = stop.token()})(
                        std::views::iota(0, 4) | delayed([](int) {
                          Parallel(2)(std::views::iota(0, 100'000'000) | delayed([](int) { std::this_thread::sleep_for(1ms); }));
                        })),
                    cancelled);
  }
}

TEST_CASE("a failure that came first is not thrown in the place of cancelled") {
  std::stop_source source;
  CHECK_THROWS_AS(Parallel({.n_jobs = 1, .stop = source.get_token()})(std::views::iota(0, 4) | delayed([&](int) {
                                                                        source.request_stop();
                                                                        throw 1;
                                                                      })),
                  cancelled);
}

TEST_CASE("calls that are stopped at any moment leave nothing behind") {
  for (int round = 0; round < 200; ++round) {
    std::stop_source source;
    std::atomic<int> running = 0;
    std::thread asks([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(round * 5));
      source.request_stop();
    });
    try {
      Parallel({.n_jobs = 3, .stop = source.get_token()})(std::views::iota(0, 2000) | delayed([&](int i) {
                                                            ++running;
                                                            std::this_thread::yield();
                                                            --running;
                                                            return i;
                                                          }));
    } catch (const cancelled&) {
    }
    CHECK(running == 0);
    asks.join();
  }
}

}  // namespace
