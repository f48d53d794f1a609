// Calls of every kind, at random, from several threads at a time. Whatever happens, each gives what a plain loop would have.

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <numeric>
#include <random>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>

using manyhands::delayed;
using manyhands::Parallel;

namespace {

using engine = std::mt19937;
using value = std::uint64_t;

/// A tree of calls. What it comes to depends on its seed alone.
class tree {
 public:
  explicit tree(std::shared_ptr<manyhands::backend> other) : other_(std::move(other)) {}

  /// What a plain loop makes of it: the sum, or the failure that it meets first.
  struct outcome {
    value sum = 0;
    value failure = 0;  // 0: none
    friend bool operator==(const outcome&, const outcome&) = default;
  };
  struct failure {
    value what;
  };

  [[nodiscard]] outcome plainly(value seed, int depth) const {
    const plan made(seed, depth);
    outcome all;
    for (std::size_t i = 0; i < made.width; ++i) {
      if (made.fails(i)) return {.sum = 0, .failure = made.name(i)};
      if (!made.has_call(i)) {
        all.sum += made.name(i);
        continue;
      }
      const outcome inner = plainly(made.name(i), depth - 1);
      if (inner.failure != 0) return {.sum = 0, .failure = inner.failure};
      all.sum += inner.sum;
    }
    return all;
  }
  [[nodiscard]] outcome in_parallel(value seed, int depth) const {
    const plan made(seed, depth);
    try {
      const auto task = [&](std::size_t i) -> value {
        if (made.fails(i)) throw failure{made.name(i)};
        if (made.is_long(i)) std::this_thread::sleep_for(std::chrono::microseconds(made.name(i) % 300));
        if (!made.has_call(i)) return made.name(i);
        const outcome inner = in_parallel(made.name(i), depth - 1);
        if (inner.failure != 0) throw failure{inner.failure};
        return inner.sum;
      };
      std::atomic<int> workers = 0;
      manyhands::options asked{.n_jobs = made.workers};
      if (made.kind % 5 == 0) asked.backend = other_;
      if (made.kind % 7 == 0) asked.batch_size = 1 + made.kind % 4;
      if (made.kind % 11 == 0) asked.initializer = [&] { ++workers; };
      const auto indices = std::views::iota(std::size_t{0}, made.width);
      std::vector<value> results;
      if (made.kind % 3 == 0) {
        std::list<std::size_t> read;
        for (const std::size_t index : indices) read.push_back(index);
        results = Parallel(asked)(read | delayed(task));
      } else {
        results = Parallel(asked)(indices | delayed(task));
      }
      if (workers > made.workers) throw std::logic_error("more initialized than workers");
      return {.sum = std::accumulate(results.begin(), results.end(), value{0})};
    } catch (const failure& met) {
      return {.sum = 0, .failure = met.what};
    }
  }

 private:
  struct plan {
    plan(value seed, int depth) : random(static_cast<engine::result_type>(seed)), calls(depth > 0) {
      kind = random();
      workers = 1 + static_cast<int>(random() % 5);
      // Most calls are short, a few very long.
      const auto size = random() % 100;
      width = size < 60 ? random() % 9 : size < 97 ? random() % 300 : depth == 0 ? 60'000 : 20;
      failing = random() % 4 == 0 ? random() % (2 * width + 1) : width;
      salt = random() | 1U;
    }
    [[nodiscard]] bool fails(std::size_t i) const { return i == failing; }
    [[nodiscard]] bool has_call(std::size_t i) const { return calls && i < 20 && name(i) % 8 < 3; }
    [[nodiscard]] bool is_long(std::size_t i) const { return name(i) % 500 == 499; }
    [[nodiscard]] value name(std::size_t i) const { return (i + 1) * salt % 1'000'003 + 1; }

    engine random;
    bool calls;
    engine::result_type kind = 0;
    int workers = 1;
    std::size_t width = 0;
    std::size_t failing = 0;
    value salt = 1;
  };

  std::shared_ptr<manyhands::backend> other_;
};

void play(std::chrono::milliseconds time) {
  boost::asio::thread_pool pool(2);
  const tree calls(manyhands::asio_backend(pool));
  const auto end = std::chrono::steady_clock::now() + time;
  std::atomic<long> played = 0;
  std::atomic<long> wrong = 0;
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      engine random(caller);
      while (std::chrono::steady_clock::now() < end) {
        const value seed = random();
        const int depth = static_cast<int>(random() % 3);
        try {
          if (calls.in_parallel(seed, depth) != calls.plainly(seed, depth)) ++wrong;
        } catch (const std::exception&) {
          ++wrong;
        }
        ++played;
        // Now and then time for the helpers to fall asleep.
        if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  pool.join();
  CAPTURE(played.load());
  REQUIRE(played > 10);
  REQUIRE(wrong == 0);
}

}  // namespace

TEST_CASE("calls of every kind, nested, from several threads, give what plain loops would have") { play(std::chrono::seconds(2)); }

TEST_CASE("the same for longer", "[slow]") { play(std::chrono::seconds(20)); }
