#include <manyhands/backends/threads.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

/// Waits until so many have come; false if they do not within a generous time.
class meeting {
 public:
  explicit meeting(int size) : size_(size) {}
  bool join() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    all_here_.notify_all();
    return all_here_.wait_for(lock, std::chrono::seconds(30), [this] { return arrived_ >= size_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  int arrived_ = 0;
  int size_;
};

/// Counts how far it was read.
struct counted_range {
  struct iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int operator*() const {
      ++owner->read;
      return at;
    }
    iterator& operator++() {
      ++at;
      return *this;
    }
    void operator++(int) { ++at; }
    bool operator==(std::default_sentinel_t) const { return at == owner->size; }
    counted_range* owner = nullptr;
    int at = 0;
  };
  iterator begin() { return {this, 0}; }
  std::default_sentinel_t end() const { return {}; }

  int size = 0;
  std::atomic<int> read = 0;
};

}  // namespace

TEST_CASE("the backend says what it is") {
  const manyhands::threads_backend threads;
  REQUIRE(threads.name() == "threads");
  REQUIRE(threads.traits().shares_memory);
}

TEST_CASE("as many tasks run at the same time as there are workers, many more than processors, too") {
  const int n_jobs = GENERATE(2, 5, 200);
  const bool streamed = GENERATE(false, true);
  CAPTURE(n_jobs, streamed);
  meeting all(n_jobs);
  const auto meet = delayed([&](int) { return all.join(); });
  const std::vector<int> input = numbers(n_jobs);
  // Read ahead of the window of 2 * n_jobs batches they all are.
  const auto met = streamed ? Parallel{n_jobs}(std::list<int>(input.begin(), input.end()) | meet) : Parallel{n_jobs}(input | meet);
  REQUIRE(std::count(met.begin(), met.end(), true) == n_jobs);
}

TEST_CASE("the caller takes part") {
  std::set<std::thread::id> threads;
  std::mutex mutex;
  meeting all(3);
  Parallel(3)(numbers(3) | delayed([&](int) {
                all.join();
                const std::lock_guard lock(mutex);
                threads.insert(std::this_thread::get_id());
              }));
  REQUIRE(threads.size() == 3);
  REQUIRE(threads.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("helper threads are kept for later calls") {
  std::set<std::thread::id> threads;
  std::mutex mutex;
  for (int call = 0; call < 50; ++call) {
    meeting all(3);
    Parallel(3)(numbers(3) | delayed([&](int) {
                  all.join();
                  const std::lock_guard lock(mutex);
                  threads.insert(std::this_thread::get_id());
                }));
  }
  // This test runs alone or after those above, which have started more.
  REQUIRE(threads.size() <= 210);
  REQUIRE(threads.size() < 100);
}

TEST_CASE("two long tasks side by side run side by side, wherever they stand among short ones") {
  const int position = GENERATE(0, 1, 50, 333, 998);
  CAPTURE(position);
  // Each waits for the other: if one worker held both in one batch, this would not end well.
  meeting both(2);
  const auto met = Parallel(2)(numbers(1000) | delayed([&](int i) { return i == position || i == position + 1 ? both.join() : true; }));
  REQUIRE(std::count(met.begin(), met.end(), true) == 1000);
}

TEST_CASE("no batch-mate waits for a task that waits for it") {
  // The last task of all lets every other one go that waits. With batches that could not be split this would hang.
  std::atomic<bool> go = false;
  std::atomic<int> waiting = 0;
  const auto done = Parallel(3)(numbers(5000) | delayed([&](int i) {
                                  if (i == 4999) go = true;
                                  if (i != 2500 && i != 4000) return true;
                                  ++waiting;
                                  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
                                  while (!go && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
                                  return go.load();
                                }));
  REQUIRE(std::count(done.begin(), done.end(), true) == 5000);
}

TEST_CASE("tasks that were cheap in all calls before and now wait for each other still run at the same time") {
  // One type of task for all calls: what is remembered of it says that nobody need be woken.
  const auto run = [](const std::function<bool(int)>& task, int workers) {
    return Parallel(workers)(numbers(workers) | delayed([&task](int i) { return task(i); }));
  };
  const int workers = GENERATE(2, 3);
  CAPTURE(workers);
  for (int round = 0; round < 20; ++round) {
    for (int call = 0; call < 50; ++call) REQUIRE(run([](int i) { return i >= 0; }, workers).size() == static_cast<std::size_t>(workers));
    meeting all(workers);
    const auto met = run([&](int) { return all.join(); }, workers);
    REQUIRE(std::count(met.begin(), met.end(), true) == workers);
  }
}

TEST_CASE("a call that turns out to be long while its caller runs it alone loses no task to those who come") {
  const auto run = [](const std::function<int(int)>& task) {
    return Parallel(3)(numbers(12) | delayed([&task](int i) { return task(i); }));
  };
  for (int round = 0; round < 20; ++round) {
    for (int call = 0; call < 50; ++call) REQUIRE(run([](int i) { return i; }) == numbers(12));
    // The first keeps the caller until others have come, who are still at work when it goes on.
    REQUIRE(run([](int i) {
              if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(4));
              if (i > 6) std::this_thread::sleep_for(std::chrono::milliseconds(1));
              return i;
            }) == numbers(12));
  }
}

TEST_CASE("a call in a call in a call that seems to be short, and is not, finds helpers") {
  const auto nest = [](const std::function<bool(int)>& task) {
    return Parallel(2)(numbers(2) | delayed([&](int) {
                         const auto inner = Parallel(2)(numbers(2) | delayed([&](int i) { return task(i); }));
                         return inner[0] && inner[1];
                       }));
  };
  for (int round = 0; round < 10; ++round) {
    for (int call = 0; call < 50; ++call) REQUIRE(nest([](int) { return true; }).size() == 2);
    // Of four inner tasks two meet at a time, whoever they are.
    std::atomic<int> arrived = 0;
    const auto met = nest([&](int) {
      const int mine = ++arrived;
      const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (arrived < (mine + 1) / 2 * 2 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
      return std::chrono::steady_clock::now() < patience;
    });
    REQUIRE((met[0] && met[1]));
  }
}

TEST_CASE("calls made while a thread ends are as good as any") {
  struct last_call {
    ~last_call() {
      *result = Parallel(2)(numbers(100) | delayed([](int i) { return i; })) == numbers(100);
    }
    bool* result = nullptr;
  };
  for (int round = 0; round < 20; ++round) {
    bool right = false;
    std::thread([&] {
      static thread_local last_call at_end;
      at_end.result = &right;
      for (int call = 0; call < 20; ++call) static_cast<void>(Parallel(2)(numbers(4) | delayed([](int i) { return i; })));
    }).join();
    REQUIRE(right);
  }
}

TEST_CASE("a million tasks that take next to nothing all run, once, in their places") {
  const auto results = Parallel(3)(std::views::iota(0, 1000000) | delayed([](int i) { return i + 1; }));
  REQUIRE(results.size() == 1000000);
  for (int i = 0; i < 1000000; ++i) {
    if (results[static_cast<std::size_t>(i)] != i + 1) FAIL(i);
  }
  const auto own = Parallel(3)(std::views::iota(std::size_t{0}, std::size_t{300000}) |
                               delayed([](std::size_t i) { return manyhands::this_task::index() == i; }));
  REQUIRE(std::count(own.begin(), own.end(), true) == 300000);
}

TEST_CASE("a failure among very many tasks that take next to nothing is found, and the lowest wins") {
  const int position = GENERATE(0, 16383, 16384, 16390, 70001, 299999);
  CAPTURE(position);
  try {
    Parallel(2)(std::views::iota(0, 300000) | delayed([&](int i) {
                  if (i == position || i == 299999) throw i;
                  return i;
                }));
    FAIL("nothing was thrown");
  } catch (int thrown) {
    REQUIRE(thrown == position);
  }
  const auto outcomes = Parallel(2).outcomes(std::views::iota(0, 300000) | delayed([&](int i) {
                                               if (i == position || i == position + 1) throw i;
                                               return i;
                                             }));
  for (int i = 0; i < 300000; ++i) {
    const auto& one = outcomes[static_cast<std::size_t>(i)];
    if (one.has_value() ? *one != i : i != position && i != position + 1) FAIL(i);
  }
}

TEST_CASE("as many workers as are asked for start, and no more than are of use") {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  const auto join = [&] {
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
  };
  meeting all(150);
  const auto met = Parallel(150)(numbers(150) | delayed([&](int) {
                                   join();
                                   return all.join();
                                 }));
  REQUIRE(std::count(met.begin(), met.end(), true) == 150);
  REQUIRE(threads.size() == 150);
}

TEST_CASE("a fixed batch stays with one worker") {
  std::vector<std::thread::id> ran(100);
  Parallel({.n_jobs = 4, .batch_size = 10})(numbers(100) | delayed([&](int i) {
                                              ran[static_cast<std::size_t>(i)] = std::this_thread::get_id();
                                              if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                            }));
  for (std::size_t i = 0; i < 100; ++i) REQUIRE(ran[i] == ran[i / 10 * 10]);
}

TEST_CASE("input without random access is read no further ahead than it is asked to") {
  struct rule {
    manyhands::pre_dispatch ahead;
    int batch;
    int most;
  };
  const rule rules[] = {{1, 1, 1}, {3, 1, 3}, {"2*n_jobs", 1, 4}, {2, 5, 10}, {"n_jobs+1", 2, 6}};
  for (const rule& one : rules) {
    CAPTURE(one.batch, one.most);
    counted_range range{.size = 300};
    std::mutex mutex;
    std::set<int> unfinished_or_unread;
    for (int i = 0; i < 300; ++i) unfinished_or_unread.insert(i);
    std::atomic<int> furthest = 0;
    const Parallel par({.n_jobs = 2, .batch_size = one.batch, .pre_dispatch = one.ahead});
    par(range | delayed([&](int i) {
          const std::lock_guard lock(mutex);
          furthest = std::max(furthest.load(), range.read - *unfinished_or_unread.begin());
          unfinished_or_unread.erase(i);
        }));
    REQUIRE(range.read == 300);
    // A task is finished a little after it says so, and what is read next a little later than that.
    REQUIRE(furthest <= one.most);
    REQUIRE(furthest >= 1);
  }
}

TEST_CASE("reading stands still at a task that does not end") {
  counted_range range{.size = 1000};
  int seen = 0;
  const Parallel par({.n_jobs = 3, .batch_size = 1, .pre_dispatch = 6});
  par(range | delayed([&](int i) {
        if (i != 0) return;
        // Until nothing more comes: then the window must be full.
        for (int before = -1; before != range.read;) {
          before = range.read;
          std::this_thread::sleep_for(std::chrono::milliseconds(30));
        }
        seen = range.read;
      }));
  REQUIRE(seen <= 6);
  REQUIRE(range.read == 1000);
}

TEST_CASE("pre_dispatch all reads everything ahead") {
  counted_range range{.size = 500};
  int seen = 0;
  const Parallel par({.n_jobs = 2, .pre_dispatch = "all"});
  par(range | delayed([&](int i) {
        if (i != 0) return;
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (range.read < 500 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
        seen = range.read;
      }));
  REQUIRE(seen == 500);
}

TEST_CASE("what was read can start before the next is there, however quick the tasks were up to now") {
  // A source that answers questions: the next element comes when the one before was dealt with.
  struct dialogue {
    struct iterator {
      using value_type = int;
      using difference_type = std::ptrdiff_t;
      int operator*() const { return at; }
      iterator& operator++() {
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (at >= 5000 && owner->answered <= at && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
        owner->stuck = owner->stuck || (at >= 5000 && owner->answered <= at);
        ++at;
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return at == 5200 || owner->stuck; }
      dialogue* owner = nullptr;
      int at = 0;
    };
    iterator begin() { return {this, 0}; }
    std::default_sentinel_t end() const { return {}; }
    std::atomic<int> answered = 0;
    bool stuck = false;
  };
  dialogue source;
  Parallel(2)(source | delayed([&](int i) { source.answered = std::max(source.answered.load(), i + 1); }));
  REQUIRE_FALSE(source.stuck);
}

TEST_CASE("long tasks at the end of what was read run side by side") {
  const int quick = GENERATE(0, 10, 200, 20000);
  CAPTURE(quick);
  meeting all(4);
  const std::vector<int> input = numbers(quick + 4);
  const auto met = Parallel(4)(std::list<int>(input.begin(), input.end()) | delayed([&](int i) { return i < quick || all.join(); }));
  REQUIRE(std::count(met.begin(), met.end(), true) == quick + 4);
}

TEST_CASE("who reads a nested call's input takes part, too") {
  meeting both(2);
  const auto met = Parallel(2)(delayed([&] {
    const manyhands::options asked{.batch_size = 1, .pre_dispatch = 4};
    return Parallel(asked)(std::list<int>(40) | delayed([&](int) { return both.join(); }));
  })());
  REQUIRE(std::get<0>(met) == std::vector<bool>(40, true));
}

TEST_CASE("calls with an initializer run it once in each of their workers, whoever else calls") {
  const bool streamed = GENERATE(false, true);
  CAPTURE(streamed);
  std::atomic<int> wrong = 0;
  const auto play = [&] {
    for (int round = 0; round < 20; ++round) {
      std::mutex mutex;
      std::map<std::thread::id, std::set<int>> seats;
      std::multiset<std::thread::id> initialized;
      const Parallel par({.n_jobs = 2, .initializer = [&] {
                            const std::lock_guard lock(mutex);
                            initialized.insert(std::this_thread::get_id());
                          }});
      const auto task = delayed([&](int i) {
        if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        const std::lock_guard lock(mutex);
        seats[std::this_thread::get_id()].insert(manyhands::this_worker::index());
        if (initialized.count(std::this_thread::get_id()) != 1) ++wrong;
      });
      const std::vector<int> input = numbers(100);
      if (streamed) {
        par(std::list<int>(input.begin(), input.end()) | task);
      } else {
        par(input | task);
      }
      if (initialized.size() > 2) ++wrong;
      for (const auto& [thread, indices] : seats) wrong += indices.size() == 1 ? 0 : 1;
    }
  };
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) callers.emplace_back(play);
  for (std::thread& caller : callers) caller.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("workers that a call depends on do not take a stranger's long tasks") {
  // The first call has run its initializer in both of its workers when the second one comes, whose tasks wait for the first.
  struct gated_range {
    struct iterator {
      using value_type = int;
      using difference_type = std::ptrdiff_t;
      int operator*() const { return at; }
      iterator& operator++() {
        owner->before(++at);
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return at == 8; }
      gated_range* owner = nullptr;
      int at = 0;
    };
    iterator begin() { return {this, 0}; }
    std::default_sentinel_t end() const { return {}; }

    std::function<void(int)> before;
  };
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto wait_for = [&](const auto& condition) {
    while (!condition() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
    return condition();
  };
  std::atomic<int> initialized = 0;
  std::atomic<int> strangers = 0;
  std::atomic<bool> first_is_done = false;
  std::thread second;
  gated_range input;
  input.before = [&](int at) {
    if (at != 4) return;
    static_cast<void>(wait_for([&] { return initialized == 2; }));
    second = std::thread([&] {
      Parallel(3)(numbers(3) | delayed([&](int) {
                    ++strangers;
                    return wait_for([&] { return first_is_done.load(); });
                  }));
    });
    static_cast<void>(wait_for([&] { return strangers == 3; }));
  };
  meeting both(2);
  const auto results = Parallel({.n_jobs = 2, .initializer = [&] { ++initialized; }})(input | delayed([&](int i) {
                                                                                        if (i < 2) both.join();
                                                                                        return i;
                                                                                      }));
  first_is_done = true;
  second.join();
  REQUIRE(strangers == 3);
  REQUIRE(initialized == 2);
  REQUIRE(results == numbers(8));
  REQUIRE(std::chrono::steady_clock::now() < patience);
}

TEST_CASE("any number of workers may be asked for, by several calls at the same time") {
  const int n_jobs = std::numeric_limits<int>::max();
  std::vector<std::thread> callers;
  std::atomic<int> sum = 0;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (const int i : Parallel(n_jobs)(numbers(4) | delayed([](int k) { return k; }))) sum += i;
      for (const int i : Parallel(n_jobs)(std::list<int>(4, 1) | delayed([](int k) { return k; }))) sum += i;
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(sum == 3 * (6 + 4));
}

TEST_CASE("an idle crew uses no processor") {
  Parallel(4)(numbers(1000) | delayed([](int i) { return i; }));
  const auto used = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
  };
  const auto switches = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
  };
  const auto time_before = used();
  const auto switches_before = switches();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  REQUIRE(used() - time_before < 100000);
  REQUIRE(switches() - switches_before < 50);
}

TEST_CASE("calls from many threads, nested at random, with random failures, all end right", "[slow-ish]") {
  const auto play = [](unsigned seed) {
    std::mt19937 random(seed);
    struct node {
      static int run(std::mt19937::result_type state, int depth) {
        std::mt19937 own(state);
        const int width = static_cast<int>(own() % 7);
        const int failing = own() % 5 == 0 && width > 0 ? static_cast<int>(own() % static_cast<unsigned>(width)) : -1;
        const auto branch = [&](int i) {
          if (i == failing) throw i;
          return depth == 0 ? 1 : run(state * 31 + static_cast<unsigned>(i), depth - 1);
        };
        int expected = 0;
        int expected_error = -1;
        try {
          for (int i = 0; i < width; ++i) expected += branch(i);
        } catch (int error) {
          expected_error = error;
        }
        int sum = 0;
        int error = -1;
        const std::vector<int> input = numbers(width);
        try {
          const manyhands::options asked{.n_jobs = 1 + static_cast<int>(own() % 5)};
          const auto results = own() % 2 == 0 ? Parallel(asked)(input | delayed(branch))
                                              : Parallel(asked)(std::list<int>(input.begin(), input.end()) | delayed(branch));
          sum = std::accumulate(results.begin(), results.end(), 0);
        } catch (int thrown) {
          error = thrown;
        }
        if (error != expected_error) throw std::logic_error("another error than the plain loop");
        if (error >= 0) throw error;
        if (sum != expected) throw std::logic_error("another sum than the plain loop");
        return sum;
      }
    };
    for (int round = 0; round < 30; ++round) {
      try {
        node::run(random(), 2);
      } catch (int) {
      }
    }
  };
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (unsigned caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      try {
        play(caller);
      } catch (const std::exception&) {
        ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(wrong == 0);
}
