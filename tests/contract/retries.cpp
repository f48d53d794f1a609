#include <manyhands.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands::worker_lost;
namespace this_task = manyhands::this_task;

using manyhands_test::numbers;

namespace {

[[noreturn]] void fail() { throw std::out_of_range("attempt " + std::to_string(this_task::attempt())); }

/// What a call threw.
template <class Call>
std::string thrown_by(Call&& call) {
  try {
    call();
  } catch (const worker_lost& lost) {
    return "worker_lost: " + std::to_string(lost.index()) + ", signal " + std::to_string(lost.signal());
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

template <class R>
std::string error_of(const manyhands::outcome<R>& result) {
  return thrown_by([&] { static_cast<void>(result.value()); });
}

/// As many classes have one: it says that it can be copied.
struct pretender {
  std::vector<std::unique_ptr<int>> parts;
};
pretender made_of(int number) {
  pretender made;
  made.parts.push_back(std::make_unique<int>(number));
  return made;
}

}  // namespace

TEST_CASE("a task that failed is run again, and knows how often, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const bool streamed = GENERATE(false, true);
  CAPTURE(backend, n_jobs, streamed);
  const shared_array<std::atomic<int>> runs(60);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = 2});
  // Tasks 0, 3, 6, ... succeed at once, 1, 4, 7, ... when they are run again, 2, 5, 8, ... at the last attempt.
  const auto work = delayed([&](int i) {
    ++runs[static_cast<std::size_t>(i)];
    if (this_task::attempt() < i % 3) fail();
    return i * 10 + this_task::attempt();
  });
  const std::vector<int> input = numbers(60);
  const auto results = streamed ? par(std::list<int>(input.begin(), input.end()) | work) : par(input | work);
  for (int i = 0; i < 60; ++i) {
    REQUIRE(results[static_cast<std::size_t>(i)] == i * 10 + i % 3);
    REQUIRE(runs[static_cast<std::size_t>(i)] == i % 3 + 1);
  }
}

TEST_CASE("after the last attempt its error is the call's, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  const int retries = GENERATE(0, 1, 4);
  CAPTURE(backend, n_jobs, retries);
  const shared_array<std::atomic<int>> runs(30);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = retries});
  const auto work = delayed([&](int i) {
    ++runs[static_cast<std::size_t>(i)];
    if (i == 7) fail();
    return std::to_string(i);
  });
  const std::string last = "attempt " + std::to_string(retries);
  REQUIRE(thrown_by([&] { par(numbers(30) | work); }) == last);
  REQUIRE(runs[7] == retries + 1);
  for (int i = 0; i < 7; ++i) REQUIRE(runs[static_cast<std::size_t>(i)] == 1);
  for (auto& each : runs) each = 0;

  const auto all = par.outcomes(numbers(30) | work);
  for (std::size_t i = 0; i < 30; ++i) {
    REQUIRE(error_of(all[i]) == (i == 7 ? last : "nothing"));
    REQUIRE(runs[i] == (i == 7 ? retries + 1 : 1));
  }
}

TEST_CASE("tasks of different types, without results and with references are run again, too") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = 1});
  const auto once = [](auto value) {
    if (this_task::attempt() == 0) fail();
    return value;
  };
  const auto nothing = [] {
    if (this_task::attempt() == 0) fail();
  };
  const auto [number, text, none] = par(delayed(once)(17), delayed(once)(std::string("seventeen")), nothing);
  REQUIRE(number == 17);
  REQUIRE(text == "seventeen");
  static_cast<void>(none);
  REQUIRE(thrown_by([&] {
            par(
                nothing, [] { fail(); }, nothing);
          }) == "attempt 1");
  REQUIRE_NOTHROW(par(std::vector<std::function<void()>>(9, nothing)));
  const auto outcomes = par.outcomes(std::list<std::function<void()>>(9, nothing));
  REQUIRE(std::all_of(outcomes.begin(), outcomes.end(), [](const auto& each) { return each.has_value(); }));
  if (!shares_memory(backend) && n_jobs > 1) return;
  std::vector<int> place(5);
  const auto places = par(place | delayed([](int& i) -> int& {
                            if (this_task::attempt() == 0) fail();
                            return i;
                          }));
  REQUIRE(&places[3].get() == &place[3]);
}

TEST_CASE("a task that is run again has the arguments that it had at first, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = 2});
  const auto by_value = [](std::vector<std::string> words) {
    const std::vector<std::string> mine = std::move(words);
    if (this_task::attempt() < 2) fail();
    return mine.at(0) + mine.at(1);
  };
  const std::vector<std::string> words{std::string(50, 'a'), std::string(50, 'b')};
  const std::string all = words[0] + words[1];
  REQUIRE(std::get<0>(par(delayed(by_value)(words), [] {})) == all);
  const auto task = delayed(by_value)(words);
  REQUIRE(par(std::vector{task, task}) == std::vector{all, all});
  REQUIRE(par(std::list{task, task}) == std::vector{all, all});
  const std::vector<std::vector<std::string>> elements{words, words};
  REQUIRE(par(elements | delayed(by_value)) == std::vector{all, all});
  REQUIRE(par(std::vector(elements) | delayed(by_value)) == std::vector{all, all});
#if !defined(__clang__) || __clang_major__ > 15
  REQUIRE(par(std::views::iota(0, 2) | std::views::transform([&](int) { return words; }) | delayed(by_value)) == std::vector{all, all});
#endif
  // A part of what the program keeps is the program's: a task that empties it finds it empty.
  const auto by_reference = [](const std::unique_ptr<int>& number) {
    if (this_task::attempt() < 2) fail();
    return *number;
  };
  REQUIRE(std::get<0>(par(delayed(by_reference)(std::make_unique<int>(5)), [] {})) == 5);
  const auto knows_its_parts = [](const pretender& one) {
    if (this_task::attempt() < 2) fail();
    return *one.parts.at(0);
  };
  REQUIRE(std::get<0>(par(delayed(knows_its_parts)(made_of(6)), [] {})) == 6);
}

TEST_CASE("a task that can only be called once is not run again after an error, and says what it was") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const shared_array<std::atomic<int>> runs(1);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = 3});
  const auto takes = [&](std::unique_ptr<int> number) {
    ++runs[0];
    const std::unique_ptr<int> mine = std::move(number);
    if (mine == nullptr) throw std::logic_error("moved from");
    fail();
  };
  REQUIRE(thrown_by([&] { par(delayed(takes)(std::make_unique<int>(5)), [] {}); }) == "attempt 0");
  REQUIRE(runs[0] == 1);
  std::vector<std::unique_ptr<int>> several;
  several.push_back(std::make_unique<int>(6));
  REQUIRE(thrown_by([&] { par(std::move(several) | delayed(takes)); }) == "attempt 0");
  REQUIRE(runs[0] == 2);
  const auto takes_parts = [&](pretender one) {
    ++runs[0];
    const pretender mine = std::move(one);
    if (mine.parts.empty()) throw std::logic_error("moved from");
    fail();
  };
  REQUIRE(thrown_by([&] { par(delayed(takes_parts)(made_of(7)), [] {}); }) == "attempt 0");
  REQUIRE(runs[0] == 3);
}

TEST_CASE("a nested call has retries of its own, and the task around it keeps its attempt") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const Parallel outer({.n_jobs = 2, .backend = backend, .retries = 1});
  const auto results = outer(numbers(4) | delayed([](int i) {
                               const auto inner = Parallel({.n_jobs = 2, .retries = 2})(numbers(6) | delayed([](int k) {
                                                                                          if (this_task::attempt() < k % 3) fail();
                                                                                          return this_task::attempt();
                                                                                        }));
                               if (this_task::attempt() == 0) fail();
                               return std::accumulate(inner.begin(), inner.end(), 100 * i + 10 * this_task::attempt());
                             }));
  REQUIRE(results == std::vector{16, 116, 216, 316});
  REQUIRE(this_task::attempt() == 0);
}

TEST_CASE("a scope's retries hold for calls that do not say otherwise") {
  const manyhands::parallel_config scope({.retries = 1});
  const auto work = delayed([](int) {
    if (this_task::attempt() < 1) fail();
  });
  REQUIRE(thrown_by([&] { Parallel({.n_jobs = 2})(numbers(3) | work); }) == "nothing");
  REQUIRE(thrown_by([&] { Parallel({.n_jobs = 2, .retries = 0})(numbers(3) | work); }) == "attempt 0");
}

TEST_CASE("every attempt sees the same seed and index") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<std::uint64_t>> seeds(20);
  const Parallel par({.n_jobs = 2, .backend = backend, .retries = 1, .seed = 5});
  const auto work = delayed([&](int i) {
    const std::size_t index = this_task::index();
    if (this_task::attempt() == 0) {
      seeds[index] = this_task::seed();
      fail();
    }
    return index == static_cast<std::size_t>(i) && seeds[index] == this_task::seed();
  });
  const std::vector<bool> same = par(numbers(20) | work);
  REQUIRE(std::count(same.begin(), same.end(), true) == 20);
}

TEST_CASE("once a failure is final, no task above it is tried again, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  if (backend == "sequential") return;  // there is none above
  CAPTURE(backend);
  const shared_array<std::atomic<int>> runs(1);
  const Parallel par({.n_jobs = 2, .backend = backend, .retries = 1000});
  REQUIRE(thrown_by([&] {
            par(numbers(2) | delayed([&](int i) {
                  if (i == 1) {
                    ++runs[0];
                    ::usleep(2000);
                  } else {
                    while (runs[0] < 5) ::usleep(1000);
                  }
                  fail();
                }));
          }) == "attempt 1000");
  REQUIRE(runs[0] < 1000);
}

// --- where a task can take its worker with it

TEST_CASE("a task that crashes is run again in another worker, and costs its batch-mates nothing") {
  const manyhands_test::leak_check leaks;
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(40));
  const shared_array<std::atomic<int>> runs(40);
  const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = batch, .retries = 2});
  const auto results = par(numbers(40) | delayed([&](int i) {
                             ++runs[static_cast<std::size_t>(i)];
                             if (i % 10 == 3 && this_task::attempt() < 2) ::kill(::getpid(), SIGKILL);
                             return i * 10 + this_task::attempt();
                           }));
  for (int i = 0; i < 40; ++i) {
    CHECK(results[static_cast<std::size_t>(i)] == i * 10 + (i % 10 == 3 ? 2 : 0));
    CHECK(runs[static_cast<std::size_t>(i)] == (i % 10 == 3 ? 3 : 1));
  }
}

TEST_CASE("a task that kills every worker it meets costs its own attempts only") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> runs(40);
  const Parallel par({.n_jobs = 2, .backend = "processes", .retries = 3});
  const auto work = delayed([&](int i) {
    ++runs[static_cast<std::size_t>(i)];
    // The last attempt ends in another way than the others.
    if (i == 17) ::kill(::getpid(), this_task::attempt() == 3 ? SIGUSR1 : SIGKILL);
    return std::to_string(i);
  });
  const auto all = par.outcomes(numbers(40) | work);
  for (std::size_t i = 0; i < 40; ++i) {
    CHECK(error_of(all[i]) == (i == 17 ? "worker_lost: 17, signal " + std::to_string(SIGUSR1) : "nothing"));
    CHECK(runs[i] == (i == 17 ? 4 : 1));
  }
  CHECK(thrown_by([&] { par(numbers(40) | work); }) == "worker_lost: 17, signal " + std::to_string(SIGUSR1));
}

TEST_CASE("an exception and a crash each use one attempt") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> runs(10);
  const Parallel par({.n_jobs = 2, .backend = "processes", .retries = 4});
  const auto results = par(numbers(10) | delayed([&](int i) {
                             ++runs[static_cast<std::size_t>(i)];
                             const int attempt = this_task::attempt();
                             if (i == 6 && attempt % 2 == 0 && attempt < 4) fail();
                             if (i == 6 && attempt % 2 == 1) ::_exit(attempt);
                             return attempt;
                           }));
  CHECK(results[6] == 4);
  CHECK(runs[6] == 5);
  CHECK(std::accumulate(results.begin(), results.end(), 0) == 4);
}

TEST_CASE("attempts that are left break no pool") {
  const manyhands_test::leak_check leaks;
  const Parallel par({.n_jobs = 2, .backend = "processes", .retries = 1});
  // Every task crashes once, which is more often than a pool stands without one task completed.
  const auto all = par.outcomes(numbers(80) | delayed([](int i) {
                                  if (this_task::attempt() == 0) ::_exit(1);
                                  return i;
                                }));
  for (int i = 0; i < 80; ++i) CHECK(all[static_cast<std::size_t>(i)].value_or(-1) == i);
  const auto stubborn = Parallel({.n_jobs = 2, .backend = "processes", .retries = 99}).outcomes(numbers(2) | delayed([](int i) {
                                                                                                  if (i == 1) ::_exit(7);
                                                                                                }));
  CHECK(stubborn[0].has_value());
  CHECK_THROWS_AS(stubborn[1].value(), worker_lost);
}

TEST_CASE("an initializer runs before an attempt in a new worker, and where it fails nothing is tried again") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> initialized(2);
  const auto crash_once = delayed([](int i) {
    if (i == 2 && this_task::attempt() == 0) ::_exit(1);
    return this_task::attempt();
  });
  const auto results =
      Parallel({.n_jobs = 2, .backend = "processes", .retries = 1, .initializer = [&] { ++initialized[0]; }})(numbers(4) | crash_once);
  CHECK(results == std::vector{0, 0, 1, 0});
  CHECK(initialized[0] >= 2);
  CHECK(initialized[0] <= 3);
  const Parallel broken({.n_jobs = 2, .backend = "processes", .retries = 50, .initializer = [&] {
                           ++initialized[1];
                           throw std::domain_error("no licence");
                         }});
  CHECK(thrown_by([&] { broken(numbers(4) | crash_once); }) == "no licence");
  CHECK(initialized[1] <= 2);
}

TEST_CASE("a task that can only be called once is run again after a crash: no other worker has called it") {
  const manyhands_test::leak_check leaks;
  const Parallel par({.n_jobs = 2, .backend = "processes", .retries = 1});
  const auto takes = [](std::unique_ptr<int> number) {
    const std::unique_ptr<int> mine = std::move(number);
    if (this_task::attempt() == 0) ::_exit(1);
    return *mine;
  };
  CHECK(std::get<0>(par(delayed(takes)(std::make_unique<int>(5)), [] {})) == 5);
}
