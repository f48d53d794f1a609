// What else a call may ask for, asked of a generator: limits, attempts, an end from outside, observers, a journal.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/files.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>

namespace {

using namespace manyhands;
using namespace std::chrono_literals;
using manyhands_test::leak_check;

struct setting {
  const char* backend;
  int n_jobs;
};
const std::vector<setting> settings{{"sequential", 1}, {"threads", 1}, {"threads", 3}, {"processes", 2}};

/// Counts what it is told, of one call.
class counter : public observer {
 public:
  std::set<std::size_t> started, finished, failed;
  std::set<int> lost;
  std::vector<int> attempts;  // of tasks that finished
  std::vector<std::size_t> totals;
  int begun = 0, retried = 0, replaced = 0, ended = 0, ended_badly = 0;
  bool sane = true;

  void call_begun(const observed_call&) override { ++begun; }
  void input_ended(const observed_call&, std::size_t tasks) override { totals.push_back(tasks); }
  void batch_dispatched(const observed_call& call, std::size_t first, std::size_t last, int worker) override {
    sane = sane && first < last && (!call.tasks || last <= *call.tasks) && worker >= 0 && worker < call.workers;
  }
  void task_started(const observed_call&, const observed_task& task) override {
    sane = sane && ended + ended_badly == 0;
    started.insert(task.index);
  }
  void task_finished(const observed_call& call, const observed_task& task) override {
    sane = sane && ended + ended_badly == 0 && task.worker >= 0 && task.worker < call.workers;
    finished.insert(task.index);
    attempts.push_back(task.attempt);
  }
  void task_failed(const observed_call&, const observed_task& task) override {
    sane = sane && ended + ended_badly == 0;
    failed.insert(task.index);
  }
  void task_retried(const observed_call&, const observed_task&) override { ++retried; }
  void worker_lost(const observed_call&, int worker) override { lost.insert(worker); }
  void worker_replaced(const observed_call&, int) override { ++replaced; }
  void call_ended(const observed_call&, std::exception_ptr error) override { ++(error != nullptr ? ended_badly : ended); }
};

/// Long enough that a test which has to wait for its end fails by its time limit.
void wait_to_be_asked() {
  const auto end = std::chrono::steady_clock::now() + 100s;
  while (!this_task::stop_token().stop_requested() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
}

TEST_CASE("results before a task that takes too long come first, then the generator throws task_timeout") {
  const leak_check leaks;
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = 1, .timeout = 2s});
    auto results = par.generator(std::views::iota(0) | delayed([](int i) {
                                   if (i == 5) wait_to_be_asked();
                                   return i;
                                 }));
    int next = 0;
    const auto begin = std::chrono::steady_clock::now();
    try {
      for (const int value : results) {
        REQUIRE(value == next);
        ++next;
      }
      FAIL("no timeout");
    } catch (const task_timeout& late) {
      CHECK(late.index() == 5);
    }
    CHECK(next == 5);
    CHECK(std::chrono::steady_clock::now() - begin < 60s);
  }
}

TEST_CASE("tasks of a generator that failed are run again, on every backend") {
  const leak_check leaks;
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<counter>();
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .retries = 2, .observer = watch});
    const auto task = [](std::string text) {
      if (this_task::attempt() < 2 && this_task::index() % 10 == 3) throw std::runtime_error("not yet");
      return text + "!";
    };
    std::vector<std::string> texts;
    for (int i = 0; i < 100; ++i) texts.push_back("a text too long to be kept in place " + std::to_string(i));
    std::size_t next = 0;
    for (const std::string& text : par.generator(texts | delayed(task))) REQUIRE(text == texts[next++] + "!");
    CHECK(next == 100);
    CHECK(watch->sane);
    CHECK(watch->retried == 20);
    CHECK(watch->finished.size() == 100);
    CHECK(watch->ended == 1);

    std::vector<int> seen(100);
    for (const auto& one : par.generator_unordered(texts | delayed(task))) {
      REQUIRE(one.value == texts[one.index] + "!");
      ++seen[one.index];
    }
    CHECK(seen == std::vector<int>(100, 1));

    // Tasks that are kept from the time when they were read.
    next = 0;
    auto kept = texts | std::views::filter([](const std::string&) { return true; }) |
                std::views::transform([&](const std::string& text) { return delayed(task)(text); });
    for (const std::string& text : par.generator(kept)) REQUIRE(text == texts[next++] + "!");
    CHECK(next == 100);

    int given = 0;
    CHECK_THROWS_AS(
        [&] {
          for (const int value : par.generator(std::views::iota(0) | delayed([](int i) {
                                                 if (i == 7) throw std::out_of_range("seven");
                                                 return i;
                                               }))) {
            if (value != given) throw std::logic_error("out of order");
            ++given;
          }
        }(),
        std::out_of_range);
    CHECK(given == 7);
  }
}

TEST_CASE("a task of a generator whose worker died or was late is run again in another process") {
  const leak_check leaks;
  const auto watch = std::make_shared<counter>();
  const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = 5, .timeout = 3s, .retries = 1, .observer = watch});
  auto results = par.generator(std::views::iota(0, 60) | delayed([](int i) {
                                 if (this_task::attempt() == 0 && i == 21) std::abort();
                                 if (this_task::attempt() == 0 && i == 38) std::this_thread::sleep_for(100s);
                                 return i;
                               }));
  int next = 0;
  for (const int value : results) {
    REQUIRE(value == next);
    ++next;
  }
  CHECK(next == 60);
  CHECK(watch->sane);
  CHECK(watch->finished.size() == 60);
  CHECK(watch->failed.empty());
  CHECK_FALSE(watch->lost.empty());
  CHECK(watch->replaced >= 1);
  for (const int worker : watch->lost) CHECK((worker == 0 || worker == 1));
  CHECK(watch->ended == 1);
}

TEST_CASE("a worker that is lost or late is told by the indices and numbers of the generator's call") {
  const leak_check leaks;
  for (const bool crashes : {true, false}) {
    CAPTURE(crashes);
    const auto watch = std::make_shared<counter>();
    const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = 3, .timeout = 2s, .observer = watch});
    auto results = par.generator(std::views::iota(0) | delayed([crashes](int i) {
                                   if (i == 40 && crashes) std::abort();
                                   if (i == 40) std::this_thread::sleep_for(100s);
                                   return i;
                                 }));
    int next = 0;
    try {
      for (const int value : results) {
        REQUIRE(value == next);
        ++next;
      }
    } catch (const worker_lost& lost) {
      CHECK(crashes);
      CHECK(lost.index() == 40);
      CHECK(lost.signal() == SIGABRT);
      CHECK((lost.worker() == 0 || lost.worker() == 1));
      CHECK(watch->lost == std::set<int>{lost.worker()});
    } catch (const task_timeout& late) {
      CHECK_FALSE(crashes);
      CHECK(late.index() == 40);
    }
    CHECK(next == 40);
    CHECK(watch->failed.count(40) == 1);
    CHECK(watch->ended_badly == 1);
  }
}

TEST_CASE("a generator that is stopped asks its tasks, starts no other, and throws cancelled") {
  const leak_check leaks;
  for (const auto& [backend, n_jobs] : settings) {
    for (const bool timed : {false, true}) {
      CAPTURE(backend, n_jobs, timed);
      std::stop_source source;
      const auto watch = std::make_shared<counter>();
      options asked{.n_jobs = n_jobs, .backend = backend, .batch_size = 1, .stop = source.get_token(), .observer = watch};
      if (timed) asked.timeout = 90s;
      const Parallel par(asked);
      auto results = par.generator(std::views::iota(0) | delayed([](int i) {
                                     if (i >= 4) wait_to_be_asked();
                                     return i;
                                   }));
      std::thread stopper;
      int given = 0;
      const auto begin = std::chrono::steady_clock::now();
      CHECK_THROWS_AS(
          [&] {
            for (const int value : results) {
              ++given;
              if (value == 3) {
                stopper = std::thread([&] {
                  std::this_thread::sleep_for(50ms);
                  source.request_stop();
                });
              }
            }
          }(),
          cancelled);
      stopper.join();
      CHECK(given >= 4);
      CHECK(std::chrono::steady_clock::now() - begin < 60s);
      CHECK(watch->ended_badly == 1);
      CHECK(watch->sane);
      // It is at its end.
      CHECK(results.begin() == results.end());
    }
  }
}

TEST_CASE("a generator that is made after its stop was asked for runs nothing") {
  std::stop_source source;
  source.request_stop();
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const shared_array<std::atomic<int>> runs(1);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .stop = source.get_token()});
    auto results = par.generator_unordered(std::views::iota(0) | delayed([&](int) { ++runs[0]; }));
    CHECK_THROWS_AS(results.begin(), cancelled);
    CHECK(runs[0] == 0);
  }
}

TEST_CASE("the scope's stop, timeout and observer hold for a generator that outlives the scope") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    auto watch = std::make_shared<counter>();
    std::stop_source source;
    auto results = [&, backend = backend, n_jobs = n_jobs] {
      const parallel_backend guard(backend,
                                   {.n_jobs = n_jobs, .timeout = 80s, .retries = 1, .stop = source.get_token(), .observer = watch});
      return Parallel().generator(std::views::iota(0) | delayed([](int i) {
                                    if (this_task::attempt() == 0 && i == 2) throw std::runtime_error("once");
                                    return i;
                                  }));
    }();
    int next = 0;
    CHECK_THROWS_AS(
        [&] {
          for (const int value : results) {
            if (value != next) throw std::logic_error("out of order");
            if (++next == 10) source.request_stop();
          }
        }(),
        cancelled);
    CHECK(next >= 10);
    CHECK(watch->retried == 1);
    CHECK(watch->ended_badly == 1);
  }
}

TEST_CASE("observers of a generator are told of its begin at once, and of its end when it is exhausted or left") {
  const leak_check leaks;
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<counter>();
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .observer = watch});
    {
      auto results = par.generator(std::views::iota(0, 50) | delayed([](int i) { return i; }));
      CHECK(watch->begun == 1);
      int sum = 0;
      for (const int value : results) sum += value;
      CHECK(sum == 1225);
      CHECK(watch->ended == 1);
      CHECK(watch->finished.size() == 50);
      CHECK(watch->totals == std::vector<std::size_t>{50});
    }
    CHECK(watch->ended == 1);
    {
      const auto other = std::make_shared<counter>();
      {
        auto results = Parallel({.n_jobs = n_jobs, .backend = backend, .observer = other})
                           .generator_unordered(std::views::iota(0) | delayed([](int i) { return i; }));
        static_cast<void>(results.begin());
        CHECK(other->begun == 1);
        CHECK(other->ended == 0);
      }
      CHECK(other->ended == 1);
      CHECK(other->ended_badly == 0);
      CHECK(other->sane);
    }
    CHECK(watch->ended == 1);
    CHECK(watch->ended_badly == 0);
    CHECK(watch->sane);
  }
}

TEST_CASE("an observer that fails lets a generator give all its results, and then it throws") {
  struct failing final : observer {
    void task_finished(const observed_call&, const observed_task&) override { throw observer_error("the disk is full"); }
  };
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .observer = std::make_shared<failing>()});
    int given = 0;
    CHECK_THROWS_AS(
        [&] {
          for (const int value : par.generator(std::views::iota(0, 30) | delayed([](int i) { return i; }))) given += value >= 0;
        }(),
        observer_error);
    CHECK(given == 30);
    CHECK_NOTHROW([&] {
      auto left = par.generator(std::views::iota(0, 30) | delayed([](int i) { return i; }));
      static_cast<void>(left.begin());
    }());
  }
}

TEST_CASE("a generator takes what an earlier run has left in its checkpoint, on every backend") {
  const leak_check leaks;
  for (const auto& [backend, n_jobs] : settings) {
    for (const bool ordered : {true, false}) {
      CAPTURE(backend, n_jobs, ordered);
      const manyhands_test::temporary_folder folder;
      const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = 2, .checkpoint = folder / "journal"});
      const shared_array<std::atomic<int>> runs(40);
      auto tasks = std::views::iota(0, 40) | delayed([&](int i) {
                     ++runs[static_cast<std::size_t>(i)];
                     return std::to_string(i);
                   });
      int given = 0;
      for (const std::string& text : par.generator(tasks)) {
        REQUIRE(text == std::to_string(given));
        if (++given == 25) break;
      }
      std::vector<int> seen(40);
      if (ordered) {
        std::size_t next = 0;
        for (const std::string& text : par.generator(tasks)) {
          REQUIRE(text == std::to_string(next));
          ++seen[next++];
        }
      } else {
        for (const auto& [index, text] : par.generator_unordered(tasks)) {
          REQUIRE(text == std::to_string(index));
          ++seen[index];
        }
      }
      CHECK(seen == std::vector<int>(40, 1));
      for (std::size_t i = 0; i < 25; ++i) CHECK(runs[i] == 1);
      // Other calls know the journal, too.
      CHECK(par(tasks).size() == 40);
      CHECK(runs[39] == 1);
    }
  }
}

TEST_CASE("a journal that an endless generator keeps is continued") {
  const manyhands_test::temporary_folder folder;
  const shared_array<std::atomic<int>> runs(1000);
  for (int round = 1; round <= 3; ++round) {
    const Parallel par({.n_jobs = 3, .checkpoint = folder / "journal"});
    auto results = par.generator(std::views::iota(0) | delayed([&](int i) {
                                   if (i < 1000) ++runs[static_cast<std::size_t>(i)];
                                   return i;
                                 }));
    int next = 0;
    for (const int value : results) {
      REQUIRE(value == next);
      if (++next == 100 * round) break;
    }
  }
  for (std::size_t i = 0; i < 300; ++i) CHECK(runs[i] == 1);
}

TEST_CASE("worker processes of a generator are replaced after so many tasks, and keep their numbers") {
  const leak_check leaks;
  for (const std::size_t batch : {std::size_t{1}, std::size_t{4}}) {
    CAPTURE(batch);
    const auto watch = std::make_shared<counter>();
    const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = batch, .max_tasks_per_worker = 2, .observer = watch});
    auto results = par.generator(std::views::iota(0, 40) | delayed([](int i) { return std::pair(i, this_worker::index()); }));
    int next = 0;
    for (const auto& [value, worker] : results) {
      REQUIRE(value == next);
      REQUIRE((worker == 0 || worker == 1));
      ++next;
    }
    CHECK(next == 40);
    CHECK(watch->sane);
  }
}

TEST_CASE("a generator inside a task is stopped with it") {
  for (const int inner_jobs : {1, 2}) {
    CAPTURE(inner_jobs);
    std::stop_source source;
    std::atomic<int> given = 0;
    std::atomic<bool> was_cancelled = false;
    const Parallel outer({.n_jobs = 2, .backend = "threads", .stop = source.get_token()});
    CHECK_THROWS_AS(
        outer(std::views::iota(0, 2) | delayed([&](int) {
                try {
                  for (const int value : Parallel(inner_jobs).generator(std::views::iota(0) | delayed([](int i) { return i; }))) {
                    if (value == 20 && ++given == 2) source.request_stop();
                  }
                } catch (const cancelled&) {
                  was_cancelled = true;
                  throw;
                }
              })),
        cancelled);
    CHECK(was_cancelled);
  }
}

}  // namespace
