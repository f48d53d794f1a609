#include <manyhands.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/config.hpp>
#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands::task_timeout;
namespace this_task = manyhands::this_task;
using namespace std::chrono_literals;
using manyhands_test::numbers;

namespace {

void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

/// Runs until it is asked to stop, or killed.
void dawdle() {
  while (!this_task::stop_token().stop_requested()) nap(1);
}

/// The index and the limit of the timeout that this outcome is, "nothing" for a value.
template <class R>
std::string told_by(const manyhands::outcome<R>& result) {
  try {
    static_cast<void>(result.value());
  } catch (const task_timeout& late) {
    return "task " + std::to_string(late.index()) + ", " + std::to_string(late.limit() / 1ms) + " ms";
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

/// A task that stops its worker process when it has run and its object ends.
class stops_at_its_end {
 public:
  stops_at_its_end(int number, pid_t program) : number_(number), program_(program) {}
  stops_at_its_end(stops_at_its_end&& other) noexcept : number_(other.number_), program_(std::exchange(other.program_, 0)) {}
  stops_at_its_end& operator=(stops_at_its_end&&) = delete;
  ~stops_at_its_end() {
    if (number_ == 5 && program_ != 0 && ::getpid() != program_) ::kill(::getpid(), SIGSTOP);
  }
  int operator()() const { return number_; }

 private:
  int number_;
  pid_t program_;
};

/// Gives ten of them, which then belong to the call.
struct ten_that_stop {
  struct iterator {
    using value_type = stops_at_its_end;
    using difference_type = std::ptrdiff_t;
    value_type operator*() const { return {at, ::getpid()}; }
    iterator& operator++() {
      ++at;
      return *this;
    }
    void operator++(int) { ++at; }
    bool operator==(std::default_sentinel_t) const { return at == 10; }
    int at = 0;
  };
  iterator begin() const { return {}; }
  std::default_sentinel_t end() const { return {}; }
};

/// Runs tasks 0 to 39, of which task 17 does `misdeed` for too long, and looks at all others: each ran once and has its result.
void only_the_late_one_fails(std::function<void()> misdeed, manyhands::batch_size batch = manyhands::automatic) {
  const manyhands_test::leak_check leaks;
  constexpr int count = 40;
  const shared_array<std::atomic<int>> runs(count);
  const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = batch, .timeout = 600ms});
  const auto all = par.outcomes(numbers(count) | delayed([&](int i) {
                                  ++runs[static_cast<std::size_t>(i)];
                                  if (i == 17) misdeed();
                                  return i * i;
                                }));
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    CHECK(runs[index] == 1);
    CHECK(told_by(all[index]) == (i == 17 ? "task 17, 600 ms" : "nothing"));
    CHECK(all[index].value_or(i * i) == i * i);
  }
}

}  // namespace

TEST_CASE("of tasks of different length, those that take longer than the timeout fail alone, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const bool streamed = GENERATE(false, true);
  CAPTURE(backend, streamed);
  const Parallel par({.n_jobs = 2, .backend = backend, .timeout = 1s});
  const auto work = delayed([](int i) {
    nap(i == 1 ? 1200 : 300);
    return i;
  });
  const std::vector<int> input = numbers(4);
  const auto all = streamed ? par.outcomes(std::list<int>(input.begin(), input.end()) | work) : par.outcomes(input | work);
  for (std::size_t i = 0; i < 4; ++i) CHECK(told_by(all[i]) == (i == 1 ? "task 1, 1000 ms" : "nothing"));
}

TEST_CASE("the clock of a task starts with the task, and not with its batch or its call, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  // All of a worker's tasks together take longer than one may.
  const Parallel par({.n_jobs = 2, .backend = backend, .batch_size = 30, .timeout = 1s});
  CHECK(par(numbers(60) | delayed([](int i) {
              nap(50);
              return i;
            })) == numbers(60));
}

TEST_CASE("a plain call throws the timeout, and says which task and how long it had") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .timeout = 400ms});
  const auto work = delayed([](int i) {
    if (i == 3) dawdle();
    return i;
  });
  CHECK_THROWS_AS(par(numbers(6) | work), task_timeout);
  CHECK_THROWS_WITH(par(numbers(6) | work), "task 3 ran longer than its timeout of 400 ms");
  CHECK_THROWS_WITH(par([] { return 1; }, [] { dawdle(); }), "task 1 ran longer than its timeout of 400 ms");
}

TEST_CASE("a call with a timeout that no task reaches is a call like any other") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 5);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .timeout = 1h});
  CHECK(par(numbers(5000) | delayed([](int i) { return i; })) == numbers(5000));
  CHECK_THROWS_AS(par(numbers(9) | delayed([](int i) {
                        if (i == 5) throw std::out_of_range("five");
                      })),
                  std::out_of_range);
  CHECK(par(std::vector<std::function<int()>>()).empty());
  const Parallel for_ever({.n_jobs = n_jobs, .backend = backend, .timeout = std::chrono::nanoseconds::max()});
  CHECK(for_ever(numbers(500) | delayed([](int i) { return i; })) == numbers(500));
}

TEST_CASE("every attempt has a clock of its own, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const shared_array<std::atomic<int>> runs(6);
  const auto healed =
      Parallel({.n_jobs = n_jobs, .backend = backend, .timeout = 500ms, .retries = 2})(numbers(6) | delayed([&](int i) {
                                                                                         ++runs[static_cast<std::size_t>(i)];
                                                                                         if (i == 4 && this_task::attempt() < 2) dawdle();
                                                                                         return this_task::attempt();
                                                                                       }));
  CHECK(healed == std::vector{0, 0, 0, 0, 2, 0});
  for (std::size_t i = 0; i < 6; ++i) CHECK(runs[i] == (i == 4 ? 3 : 1));
}

TEST_CASE("attempts may take longer together than one may, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const Parallel par({.n_jobs = 2, .backend = backend, .timeout = 700ms, .retries = 3});
  CHECK(par(numbers(2) | delayed([](int) {
              nap(250);
              if (this_task::attempt() < 3) throw std::out_of_range("again");
              return this_task::attempt();
            })) == std::vector{3, 3});
}

TEST_CASE("a task that is late at every attempt has used them all, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> runs(8);
  const auto all =
      Parallel({.n_jobs = 2, .backend = backend, .timeout = 400ms, .retries = 2}).outcomes(numbers(8) | delayed([&](int i) {
                                                                                             ++runs[static_cast<std::size_t>(i)];
                                                                                             if (i == 5) dawdle();
                                                                                           }));
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(told_by(all[i]) == (i == 5 ? "task 5, 400 ms" : "nothing"));
    CHECK(runs[i] == (i == 5 ? 3 : 1));
  }
}

// --- where memory is shared: the task is asked, and waited for

TEST_CASE("a late task is asked to stop, and the call waits for it") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2);
  if (!shares_memory(backend) && n_jobs > 1) return;
  CAPTURE(backend, n_jobs);
  std::atomic<int> running = 0;
  std::atomic<int> told = 0;
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .timeout = 150ms});
  const auto all = par.outcomes(numbers(6) | delayed([&](int i) {
                                  ++running;
                                  const std::stop_callback callback(this_task::stop_token(), [&] { ++told; });
                                  if (i % 2 == 1) dawdle();
                                  if (i % 2 == 1) nap(30);
                                  --running;
                                  if (i == 3) throw std::out_of_range("stopped");
                                  return std::string(100, 'x');
                                }));
  CHECK(running == 0);
  CHECK(told == 3);
  for (std::size_t i = 0; i < 6; ++i) CHECK(told_by(all[i]) == (i % 2 == 1 ? "task " + std::to_string(i) + ", 150 ms" : "nothing"));
}

TEST_CASE("a task that does not ask is waited for, and fails even so") {
  const std::string backend = GENERATE("threads", "sequential");
  const auto all = Parallel({.n_jobs = 2, .backend = backend, .timeout = 150ms}).outcomes(numbers(2) | delayed([](int i) {
                                                                                            if (i == 0) nap(300);
                                                                                            return i;
                                                                                          }));
  CHECK(told_by(all[0]) == "task 0, 150 ms");
  CHECK(all[1].value() == 1);
}

TEST_CASE("the token of one attempt is not that of another") {
  const std::string backend = GENERATE("threads", "sequential");
  const shared_array<std::atomic<int>> asked(3);
  const auto all =
      Parallel({.n_jobs = 1, .backend = backend, .timeout = 150ms, .retries = 1})(numbers(3) | delayed([&](int i) {
                                                                                    if (this_task::stop_token().stop_requested())
                                                                                      ++asked[2];
                                                                                    if (i == 0 && this_task::attempt() == 0) dawdle();
                                                                                    return this_task::attempt();
                                                                                  }));
  CHECK(all == std::vector{1, 0, 0});
  CHECK(asked[2] == 0);
}

TEST_CASE("without a timeout nothing asks a task to stop") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const auto possible = Parallel({.n_jobs = 2, .backend = backend, .retries = 1})(
      numbers(4) | delayed([](int) { return static_cast<int>(this_task::stop_token().stop_possible()); }));
  CHECK(possible == std::vector{0, 0, 0, 0});
  CHECK_FALSE(this_task::stop_token().stop_possible());
}

TEST_CASE("tasks of a nested call are asked to stop when the task around it is") {
  const std::string backend = GENERATE("threads", "sequential");
  const bool own_timeout = GENERATE(false, true);
  CAPTURE(backend, own_timeout);
  std::atomic<int> stopped = 0;
  const auto all =
      Parallel({.n_jobs = 2, .backend = backend, .timeout = 400ms}).outcomes(numbers(2) | delayed([&](int i) {
                                                                               if (i == 0) return;
                                                                               const auto inner = delayed([&](int) {
                                                                                 dawdle();
                                                                                 ++stopped;
                                                                               });
                                                                               if (own_timeout) {
                                                                                 Parallel({.n_jobs = 2, .timeout = 1h})(numbers(3) | inner);
                                                                               } else {
                                                                                 Parallel({.n_jobs = 2})(numbers(3) | inner);
                                                                               }
                                                                             }));
  CHECK(told_by(all[0]) == "nothing");
  CHECK(told_by(all[1]) == "task 1, 400 ms");
  CHECK(stopped >= 1);  // the nested call is stopped, too: tasks that have not begun by then do not begin
}

TEST_CASE("a nested call has a timeout of its own, in a worker process, too") {
  const std::string backend = GENERATE(from_range(all_backends()));
  if (MANYHANDS_TSAN != 0 && backend == "processes") return;  // it takes a thread of a forked copy for one of the original's
  CAPTURE(backend);
  const auto late = Parallel({.n_jobs = 2, .backend = backend})(numbers(2) | delayed([](int i) {
                                                                  const Parallel inner({.n_jobs = 2, .timeout = 150ms});
                                                                  const auto all = inner.outcomes(numbers(4) | delayed([i](int k) {
                                                                                                    if (k == i) dawdle();
                                                                                                  }));
                                                                  int found = 0;
                                                                  for (const auto& each : all)
                                                                    found = found * 10 + (each.has_value() ? 0 : 1);
                                                                  return found;
                                                                }));
  CHECK(late == std::vector{1000, 100});
}

// --- worker processes: the task is killed, and nothing else is lost

TEST_CASE("a late task is killed in its worker process, whatever it does, and nothing else is lost") {
  SECTION("it waits") {
    only_the_late_one_fails([] {
      for (;;) ::pause();
    });
  }
  SECTION("it works") {
    only_the_late_one_fails([] {
      for (std::atomic<unsigned> i = 0;; ++i) {
      }
    });
  }
  SECTION("it blocks every signal") {
    only_the_late_one_fails([] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      for (;;) ::pause();
    });
  }
  SECTION("it handles SIGTERM, and goes on") {
    only_the_late_one_fails([] {
      std::signal(SIGTERM, [](int) {});
      for (;;) ::pause();
    });
  }
  SECTION("it is stopped") {
    only_the_late_one_fails([] { ::kill(::getpid(), SIGSTOP); });
  }
  SECTION("it ends well after the first signal") {
    only_the_late_one_fails([] {
      static std::atomic<int> asked = 0;
      std::signal(SIGTERM, [](int) { asked = 1; });
      while (asked == 0) nap(1);
    });
  }
  SECTION("it ends the process at the first signal") {
    only_the_late_one_fails([] {
      std::signal(SIGTERM, [](int) { ::_exit(0); });
      for (;;) ::pause();
    });
  }
  SECTION("it is in one batch with all others") {
    only_the_late_one_fails(
        [] {
          for (;;) ::pause();
        },
        40);
  }
}

TEST_CASE("late tasks break no pool, and every worker is replaced") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> initialized(1);
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = 10ms, .initializer = [&] { ++initialized[0]; }});
  // More in a row than worker processes may die.
  const auto all = par.outcomes(numbers(72) | delayed([](int i) {
                                  if (i != 71) dawdle();
                                }));
  for (std::size_t i = 0; i < 71; ++i) CHECK(told_by(all[i]) == "task " + std::to_string(i) + ", 10 ms");
  CHECK(initialized[0] >= 71);  // the last one may have been run by a worker that was late after it
}

TEST_CASE("an error, a crash and a timeout each use one attempt") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> runs(12);
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = 500ms, .retries = 4});
  const auto results = par(numbers(12) | delayed([&](int i) {
                             ++runs[static_cast<std::size_t>(i)];
                             if (i != 5) return this_task::attempt();
                             if (this_task::attempt() == 0) dawdle();
                             if (this_task::attempt() == 1) throw std::out_of_range("one");
                             if (this_task::attempt() == 2) ::_exit(2);
                             if (this_task::attempt() == 3) nap(600);
                             return this_task::attempt();
                           }));
  CHECK(results[5] == 4);
  for (std::size_t i = 0; i < 12; ++i) CHECK(runs[i] == (i == 5 ? 5 : 1));
}

TEST_CASE("the initializer's time is no task's") {
  const manyhands_test::leak_check leaks;
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = 300ms, .initializer = [] { nap(600); }});
  CHECK(par(numbers(10) | delayed([](int i) { return i; })) == numbers(10));
}

TEST_CASE("with a timeout, a worker that is stopped between two tasks is replaced, too") {
  if (MANYHANDS_TSAN != 0) return;  // it takes a thread of a forked copy for one of the original's
  const manyhands_test::leak_check leaks;
  // Tasks are so short that most of a worker's time is between them.
  constexpr int count = 300'000;
  const shared_array<std::atomic<int>> stops(1);
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = 200ms});
  for (int round = 0; round < 5; ++round) {
    stops[0] = 0;
    const auto all = par.outcomes(numbers(count) | delayed([&](int i) {
                                    if (i == 1000 && stops[0]++ == 0) {
                                      std::thread([pid = ::getpid(), round] {
                                        std::this_thread::sleep_for(std::chrono::microseconds(300 * round));
                                        ::kill(pid, SIGSTOP);
                                      }).detach();
                                    }
                                    return i;
                                  }));
    int late = 0;
    for (int i = 0; i < count; ++i) {
      const auto& each = all[static_cast<std::size_t>(i)];
      if (!each.has_value()) {
        ++late;
        REQUIRE_THROWS_AS(each.value(), task_timeout);
      } else if (*each != i) {
        FAIL("a wrong result");
      }
    }
    CHECK(late <= 1);
  }
}

TEST_CASE("with a timeout, a worker that is stopped while it ends a task is replaced, too") {
  const manyhands_test::leak_check leaks;
  // With a retry its object ends after the attempt, without one before: so both happens.
  const auto all = Parallel({.n_jobs = 2, .backend = "processes", .timeout = 200ms, .retries = 1}).outcomes(ten_that_stop());
  REQUIRE(all.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(told_by(all[i]) == (i == 5 ? "task 5, 200 ms" : "nothing"));
}

TEST_CASE("a timeout of one task holds up no other") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> done(1);
  const Parallel par({.n_jobs = 2, .backend = "processes", .timeout = 2s});
  // The last one of the others ends the wait, long before the timeout could.
  const auto all = par.outcomes(numbers(200) | delayed([&](int i) {
                                  if (i == 20) {
                                    while (done[0] != 199) nap(1);
                                  } else {
                                    ++done[0];
                                  }
                                }));
  CHECK(std::all_of(all.begin(), all.end(), [](const auto& each) { return each.has_value(); }));
}
