#include <manyhands/detail/observation.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::observed_call;
using manyhands::observed_task;
using manyhands::observer;
using manyhands::observer_error;
using manyhands::detail::observation;
using manyhands::detail::occurrence;

class notes final : public observer {
 public:
  std::vector<std::string> heard;
  std::atomic<int> inside = 0;
  bool overlapped = false;

  void call_begun(const observed_call&) override { note("begun"); }
  void input_ended(const observed_call&, std::size_t tasks) override { note("read " + std::to_string(tasks)); }
  void batch_dispatched(const observed_call&, std::size_t first, std::size_t last, int worker) override {
    note("batch " + std::to_string(first) + " " + std::to_string(last) + " " + std::to_string(worker));
  }
  void task_started(const observed_call&, const observed_task& task) override { note("started " + std::to_string(task.index)); }
  void task_finished(const observed_call&, const observed_task& task) override { note("finished " + std::to_string(task.index)); }
  void task_failed(const observed_call&, const observed_task& task) override { note("failed " + std::to_string(task.index)); }
  void task_retried(const observed_call&, const observed_task& task) override { note("retried " + std::to_string(task.index)); }
  void worker_joined(const observed_call&, int worker, std::string_view host, int rank) override {
    note("joined " + std::to_string(worker) + " " + std::string(host) + " " + std::to_string(rank));
  }
  void worker_lost(const observed_call&, int worker) override { note("lost " + std::to_string(worker)); }
  void worker_replaced(const observed_call&, int worker) override { note("replaced " + std::to_string(worker)); }
  void call_ended(const observed_call&, std::exception_ptr error) override { note(error != nullptr ? "ended badly" : "ended"); }

 private:
  void note(std::string what) {
    overlapped = overlapped || inside.fetch_add(1) != 0;
    heard.push_back(std::move(what));
    inside.fetch_sub(1);
  }
};

occurrence task(occurrence::kind what, std::size_t index) { return {.what = what, .task = {.index = index}}; }

TEST_CASE("an observer is told where a worker is") {
  const auto watch = std::make_shared<notes>();
  observation seen({}, {watch});
  const std::string host = "node7";
  seen.report({.what = occurrence::kind::joined, .task = {.worker = 2}, .last = 3, .host = &host});
  CHECK(watch->heard == std::vector<std::string>{"joined 2 node7 3"});
}

TEST_CASE("an observer is told everything in order") {
  const auto watch = std::make_shared<notes>();
  observation seen({.tasks = 3}, {watch});
  seen.begin();
  seen.report({.what = occurrence::kind::dispatched, .task = {.index = 1, .worker = 2}, .last = 3});
  seen.report(task(occurrence::kind::started, 1));
  seen.report(task(occurrence::kind::retried, 1));
  seen.report(task(occurrence::kind::failed, 1));
  seen.report(task(occurrence::kind::finished, 2));
  seen.report({.what = occurrence::kind::lost, .task = {.worker = 1}});
  seen.report({.what = occurrence::kind::replaced, .task = {.worker = 1}});
  seen.report({.what = occurrence::kind::all_read, .last = 9});
  seen.end(nullptr);
  CHECK(watch->heard == std::vector<std::string>{"begun", "read 3", "batch 1 3 2", "started 1", "retried 1", "failed 1", "finished 2",
                                                 "lost 1", "replaced 1", "read 9", "ended"});
}

TEST_CASE("what one observer is told never overlaps, whoever reports, and in how many calls") {
  const auto watch = std::make_shared<notes>();
  {
    std::vector<std::thread> calls;
    for (int call = 0; call < 2; ++call) {
      calls.emplace_back([&] {
        observation seen({}, {watch});
        seen.begin();
        std::vector<std::thread> workers;
        for (std::size_t worker = 0; worker < 3; ++worker) {
          workers.emplace_back([&, worker] {
            for (std::size_t i = 0; i < 500; ++i) seen.report(task(occurrence::kind::finished, worker * 1000 + i));
          });
        }
        for (auto& worker : workers) worker.join();
        seen.end(nullptr);
      });
    }
    for (auto& call : calls) call.join();
  }
  CHECK_FALSE(watch->overlapped);
  CHECK(watch->heard.size() == 2 * (1 + 3 * 500 + 1));
}

TEST_CASE("the others go on while a slow observer is told") {
  class slow final : public observer {
   public:
    std::atomic<bool> held = false, go = false;
    int told = 0;
    void task_finished(const observed_call&, const observed_task&) override {
      held = true;
      while (!go) std::this_thread::yield();
      ++told;
    }
  };
  const auto watch = std::make_shared<slow>();
  observation seen({}, {watch});
  seen.begin();
  std::thread first([&] { seen.report(task(occurrence::kind::finished, 0)); });
  while (!watch->held) std::this_thread::yield();
  for (std::size_t i = 1; i < 1000; ++i) seen.report(task(occurrence::kind::finished, i));  // would hang if it waited
  watch->go = true;
  first.join();
  seen.end(nullptr);
  CHECK(watch->told == 1000);
}

TEST_CASE("one that lags far behind is waited for, and told everything") {
  class slow final : public observer {
   public:
    std::atomic<bool> go = false;
    std::size_t told = 0;
    void task_finished(const observed_call&, const observed_task&) override {
      while (!go) std::this_thread::yield();
      ++told;
    }
  };
  const auto watch = std::make_shared<slow>();
  observation seen({}, {watch});
  seen.begin();
  std::atomic<std::size_t> reported = 0;
  constexpr std::size_t each = 100'000;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 2; ++worker) {
    workers.emplace_back([&] {
      for (std::size_t i = 0; i < each; ++i) {
        seen.report(task(occurrence::kind::finished, i));
        ++reported;
      }
    });
  }
  while (reported < 60'000) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(reported < each);  // the memory is bounded
  watch->go = true;
  for (auto& worker : workers) worker.join();
  seen.end(nullptr);
  CHECK(watch->told == 2 * each);
}

TEST_CASE("an observer that throws is told no more, others are") {
  class thrower final : public observer {
   public:
    int told = 0;
    void task_started(const observed_call&, const observed_task&) override {
      ++told;
      throw std::runtime_error("no");
    }
  };
  const auto bad = std::make_shared<thrower>();
  const auto good = std::make_shared<notes>();
  observation seen({}, {bad, good});
  seen.begin();
  seen.report(task(occurrence::kind::started, 0));
  seen.report(task(occurrence::kind::started, 1));
  seen.end(nullptr);  // throws nothing: the results count
  CHECK(bad->told == 1);
  CHECK(good->heard == std::vector<std::string>{"begun", "started 0", "started 1", "ended"});
}

TEST_CASE("an observer_error is thrown at the end, unless the call has failed itself") {
  class full_disk final : public observer {
   public:
    void call_begun(const observed_call&) override { throw observer_error("the disk is full"); }
  };
  {
    observation seen({}, {std::make_shared<full_disk>()});
    seen.begin();
    seen.report(task(occurrence::kind::started, 0));
    CHECK_THROWS_WITH(seen.end(nullptr), "the disk is full");
  }
  {
    observation seen({}, {std::make_shared<full_disk>()});
    seen.begin();
    CHECK_NOTHROW(seen.end(std::make_exception_ptr(1)));
  }
}

TEST_CASE("while it tells something, a thread knows") {
  class asks final : public observer {
   public:
    bool knew = false;
    void call_begun(const observed_call&) override { knew = observation::is_telling(); }
  };
  const auto watch = std::make_shared<asks>();
  observation seen({}, {watch});
  seen.begin();
  seen.end(nullptr);
  CHECK(watch->knew);
  CHECK_FALSE(observation::is_telling());
}

}  // namespace
