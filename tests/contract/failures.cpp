#include <manyhands.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <list>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

struct own_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct stranger : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

/// What a call threw: its type and message.
template <class Call>
std::string thrown_by(Call&& call) {
  try {
    call();
    return "nothing";
  } catch (const std::out_of_range& e) {
    return std::string("out_of_range: ") + e.what();
  } catch (const std::system_error& e) {
    return "system_error: " + std::to_string(e.code().value());
  } catch (const std::bad_alloc&) {
    return "bad_alloc";
  } catch (const own_error& e) {
    return std::string("own_error: ") + e.what();
  } catch (const stranger& e) {
    return std::string("stranger: ") + e.what();
  } catch (const manyhands::worker_lost& e) {
    return "worker_lost: " + std::to_string(e.index());
  } catch (const manyhands::remote_error& e) {
    return std::string("remote_error: ") + e.what();
  } catch (const manyhands::error& e) {
    return std::string("error: ") + e.what();
  } catch (const std::exception& e) {
    return std::string("exception: ") + e.what();
  } catch (int number) {
    return "int: " + std::to_string(number);
  }
}

/// Gives 0, 1, 2, ... and throws where `fails_at` should be.
struct broken_range {
  struct iterator {
    using value_type = std::function<int()>;
    using difference_type = std::ptrdiff_t;
    value_type operator*() const {
      if (owner->at == owner->fails_at) throw own_error("the range broke at " + std::to_string(owner->at));
      return [owner = owner, at = owner->at] {
        owner->run[static_cast<std::size_t>(at)] = 1;
        if (at == owner->task_fails_at) throw std::out_of_range(std::to_string(at));
        return at;
      };
    }
    iterator& operator++() {
      if (++owner->at == owner->fails_at) throw own_error("the range broke at " + std::to_string(owner->at));
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return owner->at == 1000; }
    broken_range* owner = nullptr;
  };
  iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }

  int fails_at = -1;
  int task_fails_at = -1;
  int at = 0;
  shared_array<std::atomic<int>> run{1000};
};

}  // namespace

TEST_CASE("a task's exception keeps its type and message, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  manyhands::register_exception<own_error>();
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto failing = [&](auto fail) {
    return thrown_by([&] { par(numbers(3) | delayed([fail](int i) { return i == 1 ? fail() : i; })); });
  };
  REQUIRE(failing([]() -> int { throw std::out_of_range("far away"); }) == "out_of_range: far away");
  REQUIRE(failing([]() -> int { throw std::system_error(std::make_error_code(std::errc::no_such_device)); }) ==
          "system_error: " + std::to_string(static_cast<int>(std::errc::no_such_device)));
  REQUIRE(failing([]() -> int { throw std::bad_alloc(); }) == "bad_alloc");
  REQUIRE(failing([]() -> int { throw own_error("mine"); }) == "own_error: mine");
  const bool travels = backend == "processes" && n_jobs > 1;
  const std::string foreign = failing([]() -> int { throw stranger("unknown here"); });
  if (travels) {
    REQUIRE_THAT(foreign, Catch::Matchers::StartsWith("remote_error: "));
    REQUIRE_THAT(foreign, Catch::Matchers::Contains("stranger"));
    REQUIRE_THAT(foreign, Catch::Matchers::Contains("unknown here"));
  } else {
    REQUIRE(foreign == "stranger: unknown here");
  }
  const std::string plain = failing([]() -> int { throw 17; });
  if (travels) {
    REQUIRE_THAT(plain, Catch::Matchers::StartsWith("remote_error: int"));
  } else {
    REQUIRE(plain == "int: 17");
  }
}

TEST_CASE("of several errors the caller gets that of the lowest index, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const bool streamed = GENERATE(false, true);
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(5));
  CAPTURE(backend, n_jobs, streamed, batch.count());
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = batch});
  // Task 3 fails last of all, long after those behind it have failed.
  const auto fail = delayed([](int i) {
    if (i == 3) nap(30);
    if (i >= 3) throw std::out_of_range(std::to_string(i));
  });
  const std::vector<int> input = numbers(100);
  for (int round = 0; round < 5; ++round) {
    REQUIRE(thrown_by([&] { streamed ? par(std::list<int>(input.begin(), input.end()) | fail) : par(input | fail); }) == "out_of_range: 3");
  }
}

TEST_CASE("once a failure is known no task with a higher index starts, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const bool streamed = GENERATE(false, true);
  CAPTURE(backend, n_jobs, streamed);
  const shared_array<std::atomic<int>> runs(10000);
  const auto work = delayed([&](int i) {
    runs[static_cast<std::size_t>(i)] = 1;
    if (i == 0) throw std::out_of_range("first");
    nap(1);  // 10,000 of them would take seconds
  });
  const std::vector<int> input = numbers(10000);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  REQUIRE(thrown_by([&] { streamed ? par(std::list<int>(input.begin(), input.end()) | work) : par(input | work); }) ==
          "out_of_range: first");
  const int ran = static_cast<int>(std::count(runs.begin(), runs.end(), 1));
  REQUIRE(ran >= 1);
  REQUIRE(ran < 500);
  if (n_jobs == 1) REQUIRE(ran == 1);
}

TEST_CASE("tasks before the failed one all run, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> runs(2000);
  const Parallel par({.n_jobs = 3, .backend = backend});
  REQUIRE(thrown_by([&] {
            par(numbers(2000) | delayed([&](int i) {
                  ++runs[static_cast<std::size_t>(i)];
                  if (i == 1500) throw std::out_of_range("late");
                }));
          }) == "out_of_range: late");
  for (std::size_t i = 0; i <= 1500; ++i) REQUIRE(runs[i] == 1);
}

TEST_CASE("when a call has thrown, no task of it runs, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> running(1);
  const Parallel par({.n_jobs = 4, .backend = backend});
  for (int round = 0; round < 20; ++round) {
    REQUIRE_THROWS(par(numbers(40) | delayed([&](int i) {
                         ++running[0];
                         nap(i % 3);
                         // A killed worker cannot count itself out: only the one that fails and those below it must have ended.
                         --running[0];
                         if (i == 5) throw std::runtime_error("enough");
                       })));
    if (shares_memory(backend)) REQUIRE(running[0] == 0);
    const int after = running[0];
    nap(5);
    REQUIRE(running[0] == after);
  }
}

TEST_CASE("outcomes keep every value and every error, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const bool streamed = GENERATE(false, true);
  CAPTURE(backend, n_jobs, streamed);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto work = delayed([](int i) {
    if (i % 7 == 3) throw std::out_of_range(std::to_string(i));
    return std::to_string(i);
  });
  const std::vector<int> input = numbers(200);
  auto all = streamed ? par.outcomes(std::list<int>(input.begin(), input.end()) | work) : par.outcomes(input | work);
  REQUIRE(all.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) {
    REQUIRE(all[i].index() == i);
    REQUIRE(all[i].has_value() == (i % 7 != 3));
    REQUIRE(thrown_by([&] { static_cast<void>(all[i].value()); }) == (i % 7 == 3 ? "out_of_range: " + std::to_string(i) : "nothing"));
    REQUIRE(all[i].value_or("none") == (i % 7 == 3 ? "none" : std::to_string(i)));
  }
  const auto done = par.outcomes(input | delayed([](int i) {
                                   if (i == 4) throw 4;
                                 }));
  REQUIRE(done[3].has_value());
  REQUIRE(done[4].error() != nullptr);
}

TEST_CASE("a broken range gives its exception after the tasks before it, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  broken_range range{.fails_at = 300};
  REQUIRE(thrown_by([&] { par(range); }) == "own_error: the range broke at 300");
  REQUIRE(std::count(range.run.begin(), range.run.end(), 1) == 300);
  broken_range again{.fails_at = 300};
  REQUIRE(thrown_by([&] { static_cast<void>(par.outcomes(again)); }) == "own_error: the range broke at 300");
}

TEST_CASE("a task that fails before the range breaks is met first") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  broken_range range{.fails_at = 300, .task_fails_at = 299};
  const Parallel par({.n_jobs = 3, .backend = backend, .pre_dispatch = "all"});
  REQUIRE(thrown_by([&] { par(range); }) == "out_of_range: 299");
}

TEST_CASE("a range that breaks at once gives its exception and runs nothing, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  broken_range range{.fails_at = 0};
  REQUIRE(thrown_by([&] { Parallel({.n_jobs = 3, .backend = backend})(range); }) == "own_error: the range broke at 0");
  REQUIRE(std::count(range.run.begin(), range.run.end(), 1) == 0);
}

TEST_CASE("an initializer that throws fails the call with its error, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const shared_array<std::atomic<int>> runs(1);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .initializer = [] { throw std::out_of_range("no licence"); }});
  const auto work = delayed([&](int) { ++runs[0]; });
  REQUIRE(thrown_by([&] { par(numbers(50) | work); }) == "out_of_range: no licence");
  REQUIRE(thrown_by([&] { static_cast<void>(par.outcomes(numbers(50) | work)); }) == "out_of_range: no licence");
  REQUIRE(thrown_by([&] { par(std::list<int>(50) | work); }) == "out_of_range: no licence");
  REQUIRE(runs[0] == 0);
}

TEST_CASE("a result that cannot travel is refused before any task runs") {
  const shared_array<std::atomic<int>> runs(1);
  const Parallel par({.n_jobs = 2, .backend = "processes"});
  static int somewhere = 0;
  const auto message = [&](auto task) { return thrown_by([&] { static_cast<void>(par(numbers(5) | delayed(task))); }); };
  const std::string pointer = message([&](int) {
    ++runs[0];
    return &somewhere;
  });
  REQUIRE_THAT(pointer, Catch::Matchers::StartsWith("error: "));
  REQUIRE_THAT(pointer, Catch::Matchers::Contains("int*") || Catch::Matchers::Contains("int *"));
  const std::string reference = message([&](int) -> int& {
    ++runs[0];
    return somewhere;
  });
  REQUIRE_THAT(reference, Catch::Matchers::Contains("reference"));
  const std::string thread = message([&](int) {
    ++runs[0];
    return std::thread();
  });
  REQUIRE_THAT(thread, Catch::Matchers::Contains("std::thread") && Catch::Matchers::Contains("codec"));
  REQUIRE_THROWS_AS(par([] { return &somewhere; }, [] { return 1; }), manyhands::not_transportable);
  REQUIRE(runs[0] == 0);
  // With one worker tasks run in the caller, and nothing travels.
  REQUIRE(Parallel({.n_jobs = 1, .backend = "processes"})(numbers(1) | delayed([](int) { return &somewhere; })).at(0) == &somewhere);
}

TEST_CASE("a worker that dies costs the one task that it ran") {
  const std::string how = GENERATE("kill", "_exit(0)", "exit(5)", "abort");
  CAPTURE(how);
  const Parallel par({.n_jobs = 2, .backend = "processes"});
  const auto work = delayed([&](int i) {
    if (i % 50 == 20) {
      std::signal(SIGABRT, SIG_DFL);
      if (how == "kill") ::kill(::getpid(), SIGKILL);
      if (how == "_exit(0)") ::_exit(0);
      if (how == "exit(5)") std::exit(5);
      if (how == "abort") std::abort();
    }
    return i;
  });
  const auto all = par.outcomes(numbers(200) | work);
  for (std::size_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    if (i % 50 != 20) {
      REQUIRE(all[i].value() == static_cast<int>(i));
      continue;
    }
    try {
      static_cast<void>(all[i].value());
      FAIL("the task has a value");
    } catch (const manyhands::worker_lost& lost) {
      REQUIRE(lost.index() == i);
      REQUIRE(lost.signal() == (how == "kill" ? SIGKILL : how == "abort" ? SIGABRT : 0));
      REQUIRE(lost.exit_code() == (how == "_exit(0)" ? 0 : how == "exit(5)" ? 5 : -1));
      REQUIRE((lost.worker() == 0 || lost.worker() == 1));
    }
  }
  REQUIRE(thrown_by([&] { par(numbers(200) | work); }) == "worker_lost: 20");
}
