#include <manyhands/backend.hpp>

#include <atomic>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::index_range;
using manyhands::no_index;
using manyhands::worker_scope;
using manyhands::detail::call_facts;
using manyhands::detail::here;

/// Jobs that only write down what was asked of them.
class noted_jobs final : public manyhands::jobs {
 public:
  explicit noted_jobs(const call_facts& facts, std::size_t known = 0, bool all = true) : jobs(facts) { publish(known, all); }

  void abort(std::exception_ptr cause) noexcept override {
    if (aborted_ == nullptr) aborted_ = std::move(cause);
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return aborted_; }
  void run(index_range tasks) noexcept override {
    for (std::size_t index = tasks.first; index != tasks.last && index < limit(); ++index) ran.push_back(index);
  }
  void fail(std::size_t index, std::exception_ptr) noexcept override { stop_at(index); }
  void load(std::size_t, manyhands::reader&) override {}
  void load_error(std::size_t, manyhands::reader&) noexcept override {}
  manyhands::task_result execute(std::size_t, manyhands::writer&) noexcept override { return manyhands::task_result::value; }
  [[nodiscard]] manyhands::result_transport transport() const override { return {}; }
  bool read(std::size_t) noexcept override { return false; }

  void has_read(std::size_t known, bool all) { publish(known, all); }
  void stop(std::size_t index) { stop_at(index); }

  std::vector<std::size_t> ran;

 private:
  std::exception_ptr aborted_;
};

const call_facts no_facts;

}  // namespace

// --- index_range

TEST_CASE("a range of tasks goes up to its end, and not further") {
  const index_range some{3, 7};
  CHECK(some.size() == 4);
  CHECK_FALSE(some.empty());
  CHECK(static_cast<bool>(some));
  CHECK(some == index_range{3, 7});
  CHECK(some != index_range{3, 8});
  const index_range none{5, 5};
  CHECK(none.empty());
  CHECK(none.size() == 0);
  CHECK_FALSE(static_cast<bool>(none));
  CHECK(index_range{}.empty());
}

TEST_CASE("no index is larger than any") { STATIC_REQUIRE(no_index == std::numeric_limits<std::size_t>::max()); }

TEST_CASE("results can travel unless there is an obstacle") {
  CHECK(manyhands::result_transport{}.possible());
  CHECK(manyhands::result_transport{.fixed_size = 8}.possible());
  CHECK_FALSE(manyhands::result_transport{.type_name = "int*", .obstacle = "it is a pointer"}.possible());
}

TEST_CASE("a plan has one worker, automatic batches and no limit until it is told otherwise") {
  const manyhands::plan how;
  CHECK(how.workers == 1);
  CHECK(how.batch.is_automatic());
  CHECK(how.read_ahead == no_index);
  CHECK(how.description.empty());
}

TEST_CASE("a backend shares memory, does not stream and does not nest until it says otherwise") {
  class plain final : public manyhands::backend {
    [[nodiscard]] std::string_view name() const noexcept override { return "plain"; }
    void run(manyhands::jobs&, const manyhands::plan&) override {}
  };
  const plain one;
  CHECK(static_cast<const manyhands::backend&>(one).traits().shares_memory);
  CHECK_FALSE(static_cast<const manyhands::backend&>(one).traits().streams);
  CHECK_FALSE(static_cast<const manyhands::backend&>(one).traits().nests);
}

// --- handing out

TEST_CASE("tasks are handed out in order, each once, as many as are asked for") {
  noted_jobs work(no_facts, 10);
  CHECK(work.waiting() == 10);
  CHECK(work.next(1) == index_range{0, 1});
  CHECK(work.next(4) == index_range{1, 5});
  CHECK(work.waiting() == 5);
  CHECK(work.next(100) == index_range{5, 10});
  CHECK(work.next(1).empty());
  CHECK(work.next(no_index).empty());
  CHECK(work.waiting() == 0);
}

TEST_CASE("all that waits can be asked for at once") {
  noted_jobs work(no_facts, 10);
  CHECK(work.next(no_index) == index_range{0, 10});
}

TEST_CASE("the only one who knows of the tasks takes them all, once") {
  noted_jobs work(no_facts, 10);
  CHECK(work.take_all() == index_range{0, 10});
  CHECK(work.waiting() == 0);
  CHECK(work.take_all().empty());
  CHECK(work.next(1).empty());
}

TEST_CASE("no task is handed out where none is asked for, and where there is none") {
  noted_jobs work(no_facts, 10);
  CHECK(work.next(0).empty());
  CHECK(work.waiting() == 10);
  noted_jobs empty(no_facts);
  CHECK(empty.next(1).empty());
  CHECK(empty.waiting() == 0);
  CHECK(empty.complete());
}

TEST_CASE("what is read later is handed out later") {
  noted_jobs work(no_facts, 2, false);
  CHECK_FALSE(work.complete());
  CHECK(work.next(no_index) == index_range{0, 2});
  CHECK(work.next(1).empty());
  work.has_read(5, true);
  CHECK(work.known() == 5);
  CHECK(work.complete());
  CHECK(work.waiting() == 3);
  CHECK(work.next(no_index) == index_range{2, 5});
}

TEST_CASE("no task is handed out from a failed one on, those before still are") {
  noted_jobs work(no_facts, 10);
  CHECK_FALSE(work.stopped());
  CHECK(work.limit() == no_index);
  work.stop(4);
  CHECK(work.stopped());
  CHECK(work.waiting() == 4);
  CHECK(work.next(3) == index_range{0, 3});
  CHECK(work.next(no_index) == index_range{3, 4});
  CHECK(work.next(1).empty());
  CHECK(work.waiting() == 0);
}

TEST_CASE("of several limits the lowest counts") {
  noted_jobs work(no_facts, 10);
  work.stop(7);
  work.stop(3);
  work.stop(5);
  CHECK(work.limit() == 3);
  work.stop(no_index);
  CHECK(work.limit() == 3);
}

TEST_CASE("a limit below what was handed out leaves nothing waiting") {
  noted_jobs work(no_facts, 10);
  CHECK(work.next(5) == index_range{0, 5});
  work.stop(2);
  CHECK(work.waiting() == 0);
  CHECK(work.next(1).empty());
}

TEST_CASE("several threads are handed every task once between them") {
  constexpr std::size_t tasks = 100'000;
  noted_jobs work(no_facts, tasks);
  std::vector<std::atomic<int>> times(tasks);
  std::vector<std::thread> threads;
  for (std::size_t most : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{50}}) {
    threads.emplace_back([&, most] {
      while (const index_range mine = work.next(most)) {
        for (std::size_t index = mine.first; index < mine.last; ++index) times[index].fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t wrong = 0;
  for (const std::atomic<int>& one : times) wrong += one.load() == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("a batch from which nobody takes runs task by task, in order") {
  noted_jobs work(no_facts, 10);
  manyhands::detail::splittable_range batch;
  batch.open(3, 7, {});
  static_cast<manyhands::jobs&>(work).run_splittable(batch);
  CHECK(work.ran == std::vector<std::size_t>{3, 4, 5, 6});
  CHECK(batch.close() == 4);
}

// --- worker_scope

TEST_CASE("a worker sees the call's facts as long as its scope lives") {
  const call_facts facts{.seed = 5};
  noted_jobs work(facts);
  {
    const worker_scope me(work, 3);
    CHECK(here.call == &facts);
    CHECK(manyhands::this_worker::index() == 3);
    CHECK(manyhands::this_task::index() == 0);
    CHECK(manyhands::this_task::seed() == manyhands::detail::mixed(5, 0));
    {
      const call_facts inner{.seed = 6};
      noted_jobs nested(inner);
      here.task = 9;
      const worker_scope in_it(nested, 1);
      CHECK(manyhands::this_worker::index() == 1);
      CHECK(manyhands::this_task::index() == 0);
    }
    CHECK(here.call == &facts);
    CHECK(manyhands::this_worker::index() == 3);
    CHECK(manyhands::this_task::index() == 9);
  }
  CHECK(here.call == nullptr);
  CHECK(manyhands::this_worker::index() == 0);
  CHECK(manyhands::this_task::index() == 0);
}

TEST_CASE("the initializer runs when a worker comes for the first time, and sees who it is") {
  std::vector<int> seen;
  const call_facts facts{.initializer = [&] { seen.push_back(manyhands::this_worker::index()); }};
  noted_jobs work(facts, 1);
  { const worker_scope me(work, 2); }
  { const worker_scope again(work, 2, false); }
  { const worker_scope other(work, 5); }
  CHECK(seen == std::vector<int>{2, 5});
  CHECK(work.aborted() == nullptr);
}

TEST_CASE("an initializer that throws gives the call up: nothing is handed out any more") {
  const call_facts facts{.initializer = [] { throw std::out_of_range("no licence"); }};
  noted_jobs work(facts, 10);
  const worker_scope me(work, 0);
  CHECK(work.stopped());
  CHECK(work.next(1).empty());
  CHECK(work.waiting() == 0);
  REQUIRE(work.aborted() != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(work.aborted()), std::out_of_range);
}
