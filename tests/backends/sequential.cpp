#include <manyhands/backends/sequential.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <manyhands/detail/slots.hpp>

#include <support/catch.hpp>

namespace {

using manyhands::sequential_backend;
using manyhands::detail::call_facts;
using manyhands::detail::input_for;
using manyhands::detail::range_slots;
using manyhands::detail::slot_jobs;
using manyhands::detail::value_results;

using tasks_in_vector = std::vector<std::function<int()>>;
using notes = std::vector<std::string>;

/// Tasks that are read one by one; notes what is read and what runs.
class noisy_range {
 public:
  noisy_range(int size, notes& log, int fails_at = -1, int breaks_at = -1)
      : size_(size), log_(log), fails_at_(fails_at), breaks_at_(breaks_at) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::function<int()>;
    using difference_type = std::ptrdiff_t;

    explicit iterator(noisy_range& range) : range_(&range) {}
    value_type operator*() const {
      if (at_ == range_->breaks_at_) throw std::domain_error("broken input");
      range_->log_.push_back("read " + std::to_string(at_));
      return [range = range_, at = at_] {
        range->log_.push_back("run " + std::to_string(at));
        if (at == range->fails_at_) throw std::out_of_range(std::to_string(at));
        return at;
      };
    }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    bool operator==(std::default_sentinel_t) const { return at_ == range_->size_; }

   private:
    noisy_range* range_;
    int at_ = 0;
  };

  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  int size_;
  notes& log_;
  int fails_at_;
  int breaks_at_;
};

/// Runs a range through the backend, as Parallel does.
template <class Range>
auto run(Range& range, call_facts facts = {}) {
  using input = input_for<Range>;
  range_slots<input, value_results<typename input::result_type, !input::reads_ahead>> slots(range);
  slot_jobs work(facts, slots, true);
  if (!work.complete() && !input::reads_ahead) {
    while (work.read(manyhands::no_index)) {
    }
  }
  sequential_backend().run(work, {});
  work.rethrow();
  return slots.take();
}

}  // namespace

TEST_CASE("the sequential backend shares memory, reads its input itself, and needs no one") {
  const sequential_backend backend;
  CHECK(backend.name() == "sequential");
  CHECK(backend.traits().shares_memory);
  CHECK(backend.traits().streams);
}

TEST_CASE("tasks run in order, in the calling thread, as worker 0") {
  std::vector<int> order;
  const std::thread::id me = std::this_thread::get_id();
  tasks_in_vector tasks;
  for (int i = 0; i < 100; ++i) {
    tasks.emplace_back([i, me, &order] {
      order.push_back(i);
      CHECK(std::this_thread::get_id() == me);
      CHECK(manyhands::this_worker::index() == 0);
      CHECK(manyhands::this_task::index() == static_cast<std::size_t>(i));
      return i;
    });
  }
  const std::vector<int> results = run(tasks);
  CHECK(results == order);
  CHECK(results.size() == 100);
  CHECK(results.back() == 99);
}

TEST_CASE("one task is read and run, and then the next") {
  notes log;
  noisy_range range(3, log);
  CHECK(run(range) == std::vector{0, 1, 2});
  CHECK(log == notes{"read 0", "run 0", "read 1", "run 1", "read 2", "run 2"});
}

TEST_CASE("after a failure nothing is read and nothing runs") {
  notes log;
  noisy_range range(5, log, 1);
  CHECK_THROWS_AS(run(range), std::out_of_range);
  CHECK(log == notes{"read 0", "run 0", "read 1", "run 1"});
}

TEST_CASE("after a failure in a range with random access nothing runs") {
  int ran = 0;
  tasks_in_vector tasks(5, [&ran] { return ++ran; });
  tasks[2] = []() -> int { throw std::out_of_range("2"); };
  CHECK_THROWS_AS(run(tasks), std::out_of_range);
  CHECK(ran == 2);
}

TEST_CASE("a range that breaks has run what it gave before, and its error comes out") {
  notes log;
  noisy_range range(5, log, -1, 2);
  CHECK_THROWS_AS(run(range), std::domain_error);
  CHECK(log == notes{"read 0", "run 0", "read 1", "run 1"});
}

TEST_CASE("an endless range may be ended by a task that throws") {
  notes log;
  noisy_range range(-1, log, 1000);
  CHECK_THROWS_AS(run(range), std::out_of_range);
  CHECK(log.size() == 2002);
}

TEST_CASE("an empty range runs nothing") {
  notes log;
  noisy_range range(0, log);
  CHECK(run(range).empty());
  CHECK(log.empty());
  tasks_in_vector none;
  CHECK(run(none).empty());
  std::list<std::function<int()>> list;
  CHECK(run(list).empty());
}

TEST_CASE("the initializer runs once, before the first task") {
  notes log;
  noisy_range range(3, log);
  const call_facts facts{.initializer = [&] { log.push_back("init"); }};
  CHECK(run(range, facts).size() == 3);
  CHECK(std::count(log.begin(), log.end(), "init") == 1);
  CHECK(std::find(log.begin(), log.end(), "init") < std::find(log.begin(), log.end(), "run 0"));
}

TEST_CASE("the initializer of a call without tasks does not run") {
  int calls = 0;
  const call_facts facts{.initializer = [&] { ++calls; }};
  notes log;
  noisy_range range(0, log);
  CHECK(run(range, facts).empty());
  CHECK(calls == 0);
}

TEST_CASE("an initializer that throws fails the call, and no task runs") {
  notes log;
  noisy_range range(3, log);
  const call_facts facts{.initializer = [] { throw std::underflow_error("no licence"); }};
  CHECK_THROWS_AS(run(range, facts), std::underflow_error);
  CHECK(std::find(log.begin(), log.end(), "run 0") == log.end());
  int ran = 0;
  tasks_in_vector tasks(5, [&ran] { return ++ran; });
  CHECK_THROWS_AS(run(tasks, facts), std::underflow_error);
  CHECK(ran == 0);
}

TEST_CASE("the thread is what it was before when the call has ended, also when it has failed") {
  const auto& here = manyhands::detail::here;
  notes log;
  noisy_range good(3, log);
  static_cast<void>(run(good));
  CHECK(here.call == nullptr);
  CHECK(here.task == 0);
  noisy_range bad(3, log, 1);
  CHECK_THROWS_AS(run(bad), std::out_of_range);
  CHECK(here.call == nullptr);
  CHECK(here.task == 0);
}

TEST_CASE("a call inside a task runs inside it, and the task goes on as itself") {
  tasks_in_vector inner(3, [] { return static_cast<int>(manyhands::this_task::index()); });
  tasks_in_vector outer(4, [&] {
    const auto before = manyhands::this_task::index();
    int sum = 0;
    for (const int one : run(inner)) sum += one;
    CHECK(manyhands::this_task::index() == before);
    return 10 * static_cast<int>(before) + sum;
  });
  CHECK(run(outer) == std::vector{3, 13, 23, 33});
}
