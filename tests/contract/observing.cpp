// What observers are told, on every backend.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>

namespace {

using namespace manyhands;

/// Everything that it is told, by number of the call.
class recorder : public observer {
 public:
  struct run {
    std::size_t index;
    int worker;
    int attempt;
  };
  std::vector<observed_call> begun;
  std::vector<run> started, finished, failed, retried;
  std::vector<std::exception_ptr> errors;
  std::vector<std::size_t> totals;
  std::set<std::size_t> dispatched;
  int lost = 0, replaced = 0, ended = 0, ended_badly = 0;
  bool sane = true;  // Catch's assertions are not for worker threads

  void call_begun(const observed_call& call) override {
    begun.push_back(call);
    backend = call.backend;
    description = call.description;
  }
  void input_ended(const observed_call&, std::size_t tasks) override { totals.push_back(tasks); }
  void batch_dispatched(const observed_call&, std::size_t first, std::size_t last, int worker) override {
    sane = sane && first < last && worker >= 0;
    for (std::size_t i = first; i < last; ++i) dispatched.insert(i);
  }
  void task_started(const observed_call& call, const observed_task& task) override {
    sane = sane && task.begin >= call.begin && task.error == nullptr && ended == 0;
    started.push_back({task.index, task.worker, task.attempt});
  }
  void task_finished(const observed_call&, const observed_task& task) override {
    sane = sane && task.end >= task.begin && task.error == nullptr && has_started(task);
    finished.push_back({task.index, task.worker, task.attempt});
  }
  void task_failed(const observed_call&, const observed_task& task) override {
    sane = sane && task.error != nullptr;
    failed.push_back({task.index, task.worker, task.attempt});
    errors.push_back(task.error);
  }
  void task_retried(const observed_call&, const observed_task& task) override {
    sane = sane && has_started(task);
    retried.push_back({task.index, task.worker, task.attempt});
  }
  void worker_lost(const observed_call&, int) override { ++lost; }
  void worker_replaced(const observed_call&, int) override { ++replaced; }
  void call_ended(const observed_call&, std::exception_ptr error) override { ++(error != nullptr ? ended_badly : ended); }

  std::string backend, description;

 private:
  [[nodiscard]] bool has_started(const observed_task& task) const {
    return std::any_of(started.begin(), started.end(),
                       [&](const run& each) { return each.index == task.index && each.attempt == task.attempt; });
  }
};

struct setting {
  const char* backend;
  int n_jobs;
};
const std::vector<setting> settings{{"sequential", 1}, {"threads", 1}, {"threads", 3}, {"processes", 2}};

int twice(int i) { return 2 * i; }

TEST_CASE("every task is told of once, with its worker and its times") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<recorder>();
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .description = "doubling", .observer = watch});
    const auto doubled = par(std::views::iota(0, 200) | delayed(twice));
    CHECK(doubled.size() == 200);
    CHECK(doubled[199] == 398);

    REQUIRE(watch->begun.size() == 1);
    CHECK(watch->description == "doubling");
    CHECK(watch->begun[0].workers == n_jobs);
    CHECK(watch->begun[0].depth == 0);
    CHECK(watch->begun[0].tasks == 200U);
    CHECK(watch->totals == std::vector<std::size_t>{200});
    CHECK(watch->dispatched.size() == 200);
    CHECK(watch->started.size() == 200);
    CHECK(watch->finished.size() == 200);
    std::set<std::size_t> indices;
    bool known_workers = true;
    for (const auto& each : watch->finished) {
      indices.insert(each.index);
      known_workers = known_workers && each.worker >= 0 && each.worker < n_jobs;
    }
    CHECK(indices.size() == 200);
    CHECK(known_workers);
    CHECK(watch->failed.empty());
    CHECK(watch->ended == 1);
    CHECK(watch->sane);
  }
}

TEST_CASE("a task's time is that of its work") {
  using namespace std::chrono_literals;
  class longest final : public observer {
   public:
    std::chrono::nanoseconds time{0};
    void task_finished(const observed_call&, const observed_task& task) override { time = std::max(time, task.end - task.begin); }
  };
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<longest>();
    Parallel({.n_jobs = n_jobs, .backend = backend, .observer = watch})(std::views::iota(0, 4) | delayed([](int i) {
                                                                          std::this_thread::sleep_for(i == 2 ? 60ms : 1ms);
                                                                          return i;
                                                                        }));
    CHECK(watch->time >= 60ms);
    CHECK(watch->time < 10s);
  }
}

TEST_CASE("results that vary in size come home beside what is told of them") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<recorder>();
    const auto texts = Parallel({.n_jobs = n_jobs, .backend = backend, .observer = watch})(
        std::views::iota(std::size_t{0}, std::size_t{50}) | delayed([](std::size_t i) { return std::string(i * 1000, 'x'); }));
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts[i].size() == i * 1000);
    CHECK(watch->finished.size() == 50);
    CHECK(watch->sane);
  }
}

TEST_CASE("a failure is told with its error, and that the call has failed") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<recorder>();
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .observer = watch});
    const auto tasks = std::views::iota(0, 20) | delayed([](int i) {
                         if (i == 7) throw std::out_of_range("seven");
                         return i;
                       });
    CHECK_THROWS_AS(par(tasks), std::out_of_range);
    REQUIRE(watch->failed.size() == 1);
    CHECK(watch->failed[0].index == 7);
    CHECK_THROWS_WITH(std::rethrow_exception(watch->errors[0]), "seven");
    CHECK(watch->ended_badly == 1);
    CHECK(watch->ended == 0);

    const auto outcomes = par.outcomes(tasks);
    CHECK(outcomes.size() == 20);
    CHECK(watch->failed.size() == 2);
    CHECK(watch->ended == 1);
    CHECK(watch->begun.size() == 2);
    CHECK(watch->begun[0].number != watch->begun[1].number);
    CHECK(watch->sane);
  }
}

TEST_CASE("attempts that failed are told as such") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<recorder>();
    Parallel({.n_jobs = n_jobs, .backend = backend, .retries = 3, .observer = watch})(std::views::iota(0, 10) | delayed([](int i) {
                                                                                        if (i == 4 && this_task::attempt() < 2) throw i;
                                                                                        return i;
                                                                                      }));
    REQUIRE(watch->retried.size() == 2);
    CHECK(watch->retried[0].attempt == 0);
    CHECK(watch->retried[1].attempt == 1);
    CHECK(watch->retried[1].index == 4);
    CHECK(watch->started.size() == 12);
    CHECK(watch->finished.size() == 10);
    CHECK(watch->failed.empty());
    CHECK(watch->sane);
  }
}

TEST_CASE("a worker that dies is told of, its task, and the one that takes its place") {
  const auto watch = std::make_shared<recorder>();
  const auto tasks = std::views::iota(0, 100) | delayed([](int i) {
                       if (i == 3) ::_exit(5);
                       std::this_thread::sleep_for(std::chrono::milliseconds(2));  // one alone would not be done before another comes
                       return i;
                     });
  const auto outcomes = Parallel({.n_jobs = 2, .backend = "processes", .observer = watch}).outcomes(tasks);
  CHECK(outcomes.size() == 100);
  CHECK(watch->lost == 1);
  CHECK(watch->replaced == 1);
  REQUIRE(watch->failed.size() == 1);
  CHECK(watch->failed[0].index == 3);
  CHECK(watch->failed[0].worker >= 0);
  CHECK(watch->finished.size() == 99);
  CHECK_THROWS_AS(std::rethrow_exception(watch->errors[0]), worker_lost);
}

TEST_CASE("of an input without a known size, the number of tasks is told when it has ended") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto watch = std::make_shared<recorder>();
    auto odd = std::views::iota(0, 30) | std::views::filter([](int i) { return i % 2 == 1; }) | delayed(twice);
    CHECK(Parallel({.n_jobs = n_jobs, .backend = backend, .observer = watch})(odd).size() == 15);
    CHECK_FALSE(watch->begun.at(0).tasks.has_value());
    CHECK(watch->totals == std::vector<std::size_t>{15});
    CHECK(watch->finished.size() == 15);
    CHECK(watch->sane);
  }
}

TEST_CASE("a list knows how many tasks it has from the beginning") {
  const std::list<int> numbers{1, 2, 3};
  const auto watch = std::make_shared<recorder>();
  CHECK(Parallel({.n_jobs = 2, .observer = watch})(numbers | delayed(twice)) == std::vector<int>{2, 4, 6});
  CHECK(watch->begun.at(0).tasks == 3U);
}

TEST_CASE("calls inside tasks are watched too where the observer is a scope's, and know how deep they are") {
  const auto watch = std::make_shared<recorder>();
  {
    const parallel_config guard({.observer = watch});
    const Parallel par(2);
    par(std::views::iota(0, 3) | delayed([](int) { return Parallel(2)(std::views::iota(0, 5) | delayed(twice)).size(); }));
  }
  CHECK(watch->begun.size() == 4);
  CHECK(std::count_if(watch->begun.begin(), watch->begun.end(), [](const observed_call& call) { return call.depth == 1; }) == 3);
  CHECK(watch->finished.size() == 3 + 3 * 5);
  CHECK(watch->ended == 4);
}

TEST_CASE("what an observer runs itself is not watched") {
  class curious final : public observer {
   public:
    int calls = 0;
    std::size_t results = 0;
    void call_begun(const observed_call&) override {
      ++calls;
      results +=
          Parallel(2)(std::views::iota(0, 5) | delayed([](int i) { return Parallel(2)(std::views::iota(0, i) | delayed(twice)).size(); }))
              .size();
    }
  };
  const auto watch = std::make_shared<curious>();
  const parallel_config guard({.observer = watch});
  CHECK(Parallel(2)(std::views::iota(0, 5) | delayed(twice)).size() == 5);
  CHECK(watch->calls == 1);
  CHECK(watch->results == 5);
}

TEST_CASE("an observer that throws costs no results") {
  class thrower final : public observer {
   public:
    void task_finished(const observed_call&, const observed_task&) override { throw std::runtime_error("no"); }
  };
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .observer = std::make_shared<thrower>()});
    CHECK(par(std::views::iota(0, 30) | delayed(twice)).size() == 30);
  }
}

TEST_CASE("an observer that cannot do its work says so once all results are complete") {
  class full_disk final : public observer {
   public:
    std::size_t finished = 0;
    void task_finished(const observed_call&, const observed_task&) override {
      if (++finished == 30) throw observer_error("the disk is full");
    }
  };
  const auto watch = std::make_shared<full_disk>();
  CHECK_THROWS_AS(Parallel({.n_jobs = 2, .observer = watch})(std::views::iota(0, 30) | delayed(twice)), observer_error);
  CHECK(watch->finished == 30);
}

TEST_CASE("no tasks: begun and ended") {
  const auto watch = std::make_shared<recorder>();
  CHECK(Parallel({.n_jobs = 2, .observer = watch})(std::vector<int>() | delayed(twice)).empty());
  CHECK(watch->begun.size() == 1);
  CHECK(watch->ended == 1);
  CHECK(watch->started.empty());
}

TEST_CASE("one observer for calls of several threads") {
  const auto watch = std::make_shared<recorder>();
  const Parallel par({.n_jobs = 2, .observer = watch});
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < 20; ++call) static_cast<void>(par(std::views::iota(0, 50) | delayed(twice)));
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(watch->begun.size() == 60);
  CHECK(watch->ended == 60);
  CHECK(watch->finished.size() == 60 * 50);
}

}  // namespace
