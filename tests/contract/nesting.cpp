#include <manyhands.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <list>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands::parallel_backend;
using manyhands::parallel_config;
using manyhands_test::numbers;

namespace {

void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

/// Counts the threads that are inside of tasks, each once however deep it is.
class crowd {
 public:
  struct visit {
    explicit visit(crowd& a_crowd) : inside(a_crowd), outer(depth()++ > 0) {
      if (outer) return;
      const int now = ++inside.now_;
      int seen = inside.most_;
      while (now > seen && !inside.most_.compare_exchange_weak(seen, now)) {
      }
    }
    ~visit() {
      --depth();
      if (!outer) --inside.now_;
    }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    crowd& inside;
    bool outer;
  };
  [[nodiscard]] int most() const { return most_; }

 private:
  static int& depth() {
    static thread_local int levels = 0;
    return levels;
  }
  std::atomic<int> now_ = 0;
  std::atomic<int> most_ = 0;
};

int tree(crowd& people, int depth, int width, bool streamed) {
  const crowd::visit here(people);
  if (depth == 0) {
    std::this_thread::yield();
    return 1;
  }
  const auto below = delayed([&people, depth, width, streamed](int) { return tree(people, depth - 1, width, streamed); });
  const std::vector<int> input = numbers(width);
  const std::vector<int> leaves = streamed ? Parallel()(std::list<int>(input.begin(), input.end()) | below) : Parallel(8)(input | below);
  return std::accumulate(leaves.begin(), leaves.end(), 0);
}

}  // namespace

TEST_CASE("on threads at most n_jobs threads run tasks, whatever the depth") {
  const int n_jobs = GENERATE(1, 2, 3, 6);
  const bool streamed = GENERATE(false, true);
  CAPTURE(n_jobs, streamed);
  crowd people;
  const auto leaves =
      Parallel({.n_jobs = n_jobs, .backend = "threads"})(numbers(6) | delayed([&](int) { return tree(people, 3, 5, streamed); }));
  REQUIRE(leaves == std::vector<int>(6, 125));
  REQUIRE(people.most() <= n_jobs);
}

TEST_CASE("calls made by an initializer keep to the workers of the call it belongs to") {
  crowd people;
  const auto inside = [&people] {
    Parallel(3)(numbers(12) | delayed([&people](int) {
                  const crowd::visit here(people);
                  nap(1);
                }));
  };
  Parallel({.n_jobs = 3, .initializer = inside})(numbers(30) | delayed([&](int) {
                                                   const crowd::visit here(people);
                                                   nap(1);
                                                 }));
  REQUIRE(people.most() <= 3);
}

TEST_CASE("a scope's initializer is not run for the calls that it makes itself, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> runs(1);
  const auto initializer = [&] {
    ++runs[0];
    const auto deep = [](int i) { return Parallel(2)(numbers(i) | delayed([](int k) { return k; })).size(); };
    if (Parallel(2)(numbers(4) | delayed(deep)) != std::vector<std::size_t>{0, 1, 2, 3}) throw std::logic_error("wrong results");
  };
  const parallel_backend scope(backend, {.n_jobs = 2, .initializer = initializer});
  REQUIRE(Parallel()(numbers(10) | delayed([](int i) { return i; })) == numbers(10));
  REQUIRE(runs[0] >= 1);
  REQUIRE(runs[0] <= 2);
}

TEST_CASE("a backend that does not know the workers around it gets none of its own inside of threads") {
  static_cast<void>(all_backends());
  crowd people;
  const auto inner = [&](int) {
    const parallel_backend scope("plain", {.n_jobs = 3});
    if (manyhands::effective_n_jobs() != 1) throw std::logic_error("more than the caller");
    Parallel()(numbers(5) | delayed([&](int) {
                 const crowd::visit here(people);
                 nap(1);
                 // What is called further in knows them again.
                 Parallel({.n_jobs = 3, .backend = "threads"})(numbers(5) | delayed([&](int) {
                                                                 const crowd::visit there(people);
                                                                 nap(1);
                                                               }));
               }));
  };
  Parallel({.n_jobs = 3, .backend = "threads"})(numbers(9) | delayed(inner));
  REQUIRE(people.most() <= 3);
}

TEST_CASE("a nested call with fewer workers of its own keeps to them") {
  crowd people;
  Parallel(6)(numbers(1) | delayed([&](int) {
                const auto leaves = Parallel({.n_jobs = 2})(numbers(20) | delayed([&](int) {
                                                              const crowd::visit here(people);
                                                              nap(1);
                                                              return tree(people, 2, 3, false);
                                                            }));
                REQUIRE(leaves == std::vector<int>(20, 9));
              }));
  REQUIRE(people.most() <= 2);
}

TEST_CASE("an idle worker helps a nested call") {
  // One outer task: whoever else is there has nothing to do but help. Each inner task waits until the other one runs, too.
  std::atomic<int> arrived = 0;
  Parallel(2)(delayed([&] {
    Parallel{2}(numbers(2) | delayed([&](int) {
                  ++arrived;
                  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
                  while (arrived < 2 && std::chrono::steady_clock::now() < patience) nap(1);
                }));
    REQUIRE(arrived == 2);
  })());
}

TEST_CASE("who has nothing to do begins a task of the outer call rather than help with one that is begun") {
  // The first outer task makes a call of its own at once, and its tasks take until the other outer tasks have begun.
  std::atomic<int> begun = 0;
  std::atomic<int> in_vain = 0;
  const auto wait_for_all = [&] {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (begun < 3 && std::chrono::steady_clock::now() < patience) nap(1);
    if (begun < 3) ++in_vain;
  };
  Parallel(3)(numbers(3) | delayed([&](int i) {
                ++begun;
                if (i == 0) Parallel{3}(numbers(3) | delayed([&](int) { wait_for_all(); }));
                wait_for_all();
              }));
  CHECK(in_vain == 0);
}

TEST_CASE("nested calls do not deadlock at any depth") {
  const int n_jobs = GENERATE(1, 2, 4);
  CAPTURE(n_jobs);
  struct recursive {
    static int descend(int depth) {
      if (depth == 0) return 1;
      const auto [left, right] = Parallel(4)(delayed(descend)(depth - 1), delayed([](int d) { return d; })(depth));
      return left + right - depth;
    }
  };
  REQUIRE(Parallel{n_jobs}(numbers(4) | delayed([](int) { return recursive::descend(40); })) == std::vector<int>(4, 1));
}

TEST_CASE("an exception in a nested call goes up through the outer one, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const auto inner = [](int i) {
    Parallel(2)(numbers(10) | delayed([i](int j) {
                  if (i == 2 && j == 5) throw std::out_of_range("deep down");
                }));
    return i;
  };
  try {
    Parallel({.n_jobs = 2, .backend = backend})(numbers(4) | delayed(inner));
    FAIL("nothing was thrown");
  } catch (const std::out_of_range& e) {
    REQUIRE(std::string(e.what()) == "deep down");
  }
}

TEST_CASE("inside a worker process a nested call uses its share of the processors, as threads") {
  const int cpus = manyhands::cpu_count();
  for (const int n_jobs : {2, 2 * cpus}) {
    const int share = std::max(cpus / n_jobs, 1);
    const std::string inner = GENERATE("threads", "processes");
    CAPTURE(n_jobs, share, inner);
    const auto pids = Parallel({.n_jobs = n_jobs, .backend = "processes"})(
        numbers(2 * n_jobs) | delayed([&](int) {
          if (manyhands::effective_n_jobs() != share || manyhands::effective_n_jobs(1000) != share)
            throw std::runtime_error("not the share");
          const auto ids = Parallel({.n_jobs = 8, .backend = inner})(numbers(8) | delayed([](int) { return ::getpid(); }));
          return std::set<int>(ids.begin(), ids.end()) == std::set<int>{::getpid()};
        }));
    REQUIRE(pids == std::vector<bool>(static_cast<std::size_t>(2 * n_jobs), true));
  }
}

TEST_CASE("a process backend asked for inside a thread worker becomes threads") {
  const parallel_backend guard("processes");
  const auto same =
      Parallel({.n_jobs = 2, .backend = "threads"})(numbers(4) | delayed([](int) {
                                                      const auto ids = Parallel(2)(numbers(4) | delayed([](int) { return ::getpid(); }));
                                                      return std::set<int>(ids.begin(), ids.end()) == std::set<int>{::getpid()};
                                                    }));
  REQUIRE(same == std::vector<bool>(4, true));
}

TEST_CASE("a task sees the scope of the call that started it, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto seed_inside = delayed([](int) {
    const auto [seed] = Parallel(1)([] { return manyhands::this_task::seed(); });
    return seed;
  });
  const auto with = [&](std::uint64_t seed) {
    const parallel_config guard({.seed = seed});
    return par(numbers(20) | seed_inside);
  };
  REQUIRE(with(1) == with(1));
  REQUIRE(with(1) != with(2));
  REQUIRE(with(0) == par(numbers(20) | seed_inside));
  // A scope inside of a task ends with it, and is nobody else's.
  const auto changed = par(numbers(20) | delayed([](int i) {
                             const parallel_config guard({.seed = static_cast<std::uint64_t>(i)});
                             const auto [seed] = Parallel(1)([] { return manyhands::this_task::seed(); });
                             return seed;
                           }));
  REQUIRE(changed[3] == with(3)[0]);
  REQUIRE(std::set<std::uint64_t>(changed.begin(), changed.end()).size() == 20);
}

TEST_CASE("calls nested in a backend that does not share its workers run in their caller") {
  static_cast<void>(all_backends());
  const auto alone = Parallel({.n_jobs = 3, .backend = "plain"})(numbers(6) | delayed([](int) {
                                                                   std::set<std::thread::id> threads;
                                                                   std::mutex mutex;
                                                                   Parallel(4)(numbers(50) | delayed([&](int) {
                                                                                 const std::lock_guard lock(mutex);
                                                                                 threads.insert(std::this_thread::get_id());
                                                                               }));
                                                                   return threads == std::set{std::this_thread::get_id()};
                                                                 }));
  REQUIRE(alone == std::vector<bool>(6, true));
}
