#include <manyhands.hpp>

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>

using manyhands::delayed;
using manyhands::generator;
using manyhands::indexed;
using manyhands::Parallel;
using manyhands_test::leak_check;

namespace {

std::vector<std::string> backends() {
  manyhands::register_parallel_backend("asio", [] {
    // Never ended: forked workers have a copy of it.
    static auto& pool = *new boost::asio::thread_pool(2);
    return manyhands::asio_backend(pool);
  });
  return all_backends();
}
/// Those whose tasks go on while the consumer does something else.
bool is_eager(const std::string& backend, int n_jobs) { return n_jobs != 1 && backend != "sequential" && backend != "plain"; }

/// A value that only has what a result needs.
class move_only {
 public:
  explicit move_only(int value) : value_(std::make_unique<int>(value)) {}
  [[nodiscard]] int value() const { return *value_; }

 private:
  std::unique_ptr<int> value_;
};

/// Numbers that can be read once, in the order of reading and by whoever reads; endless where `size` is negative.
struct source {
  struct iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int operator*() const {
      owner->readers.insert(std::this_thread::get_id());
      return owner->at;
    }
    iterator& operator++() {
      owner->readers.insert(std::this_thread::get_id());
      if (++owner->at == owner->breaks_at) throw std::runtime_error("the source is broken");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return owner->at == owner->size; }
    source* owner = nullptr;
  };
  iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }

  int size = -1;
  int breaks_at = -1;
  int at = 0;
  std::set<std::thread::id> readers = {};
};

/// Waits for something that another thread or process will do, for as long as it takes.
template <class Condition>
void wait_until(Condition&& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("waited in vain");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

template <>
struct manyhands::codec<move_only> {
  static void save(const move_only& value, writer& to) { to.put(value.value()); }
  static move_only load(reader& from) { return move_only(from.get<int>()); }
};

TEST_CASE("a generator gives the results in input order, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2, 5);
  const int count = GENERATE(0, 1, 3, 700);
  CAPTURE(backend, n_jobs, count);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  std::vector<int> input;
  for (int i = 0; i < count; ++i) input.push_back(i);

  int next = 0;
  for (const int square : par.generator(input | delayed([](int i) { return i * i; }))) {
    REQUIRE(square == next * next);
    ++next;
  }
  REQUIRE(next == count);

  next = 0;
  source once{.size = count};
  for (const std::string& text : par.generator(once | delayed([](int i) { return std::to_string(i); }))) {
    REQUIRE(text == std::to_string(next));
    ++next;
  }
  REQUIRE(next == count);
  REQUIRE(once.readers.size() == (count == 0 ? 0 : 1));
}

TEST_CASE("an unordered generator gives each result once, with its index, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  std::vector<int> seen(900);
  for (auto [index, value] : par.generator_unordered(source{.size = 900} | delayed([](int i) { return std::to_string(i); }))) {
    REQUIRE(value == std::to_string(index));
    ++seen.at(index);
  }
  REQUIRE(seen == std::vector<int>(900, 1));
}

TEST_CASE("results that need only be movable, references, truth values and tasks without a result come, on every backend") {
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto numbers = std::views::iota(0, 200);

  int next = 0;
  for (move_only one : par.generator(numbers | delayed([](int i) { return move_only(i); }))) REQUIRE(one.value() == next++);
  for (auto [index, one] : par.generator_unordered(numbers | delayed([](int i) { return move_only(i); }))) {
    REQUIRE(one.value() == static_cast<int>(index));
  }
  next = 0;
  for (const bool third : par.generator(numbers | delayed([](int i) { return i % 3 == 0; }))) REQUIRE(third == (next++ % 3 == 0));

  const shared_array<std::atomic<int>> runs(200);
  const auto note = delayed([&](int i) { ++runs[static_cast<std::size_t>(i)]; });
  std::size_t done = 0;
  for (const std::size_t index : par.generator(numbers | note)) {
    REQUIRE(index == done++);
    REQUIRE(runs[index] == 1);
  }
  std::vector<int> seen(200);
  for (const indexed<void> one : par.generator_unordered(numbers | note)) ++seen.at(one.index);
  REQUIRE(seen == std::vector<int>(200, 1));

  if (!shares_memory(backend)) return;
  std::vector<int> values(200);
  for (const std::reference_wrapper<int> value : par.generator(values | delayed([](int& v) -> int& { return v; }))) value.get() = 7;
  REQUIRE(values == std::vector<int>(200, 7));
}

TEST_CASE("a generator keeps a temporary range and refers to an lvalue, on every backend") {
  const std::string backend = GENERATE(from_range(backends()));
  CAPTURE(backend);
  const Parallel par({.n_jobs = 2, .backend = backend});
  const auto twice = [](const std::string& text) { return text + text; };
  // A view, a container of tasks that ends before the generator, and one of a view that is an lvalue.
  auto of_container = par.generator(std::vector<std::string>{"a", "b", "c"} | delayed(twice));
  auto of_tasks = par.generator(std::vector<std::function<int()>>{[] { return 4; }, [] { return 5; }});
  auto of_view = [&] {
    auto tasks = std::views::iota(0, 3) | delayed([text = std::string(50, 'x')](int i) { return text + std::to_string(i); });
    return par.generator(tasks);
  }();
  std::string all;
  for (const std::string& text : of_container) all += text;
  REQUIRE(all == "aabbcc");
  int sum = 0;
  for (const int value : of_tasks) sum = sum * 10 + value;
  REQUIRE(sum == 45);
  int next = 0;
  for (const std::string& text : of_view) REQUIRE(text == std::string(50, 'x') + std::to_string(next++));

  std::vector<std::function<const void*()>> tasks(3);
  for (auto& task : tasks) task = [at = &task] { return static_cast<const void*>(at); };
  if (!shares_memory(backend)) return;
  std::size_t index = 0;
  for (const void* at : par.generator(tasks)) REQUIRE(at == &tasks[index++]);
}

TEST_CASE("endless input that can be read once is read by the consumer alone, and never too far ahead, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2, 3);
  const bool ordered = GENERATE(true, false);
  struct bound {
    manyhands::pre_dispatch ahead;
    int batches;
  };
  const bound most = GENERATE_REF(bound{1, 1}, bound{5, 5}, bound{"3 * n_jobs", 3 * n_jobs});
  const int batch = GENERATE(1, 4);
  CAPTURE(backend, n_jobs, ordered, most.batches, batch);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = batch, .pre_dispatch = most.ahead});
  source numbers;
  int consumed = 0;
  int farthest = 0;
  const auto look = [&] {
    // The one that is being looked at is not consumed.
    farthest = std::max(farthest, numbers.at + 1 - consumed);
    return ++consumed < 100;
  };
  if (ordered) {
    for (const int value : par.generator(numbers | delayed([](int i) { return -i; }))) {
      REQUIRE(value == -consumed);
      if (!look()) break;
    }
  } else {
    for (const auto& [index, value] : par.generator_unordered(numbers | delayed([](int i) { return -i; }))) {
      REQUIRE(value == -static_cast<int>(index));
      if (!look()) break;
    }
  }
  REQUIRE(farthest <= (is_eager(backend, n_jobs) || backend == "plain" ? most.batches * batch : 1));
  REQUIRE(numbers.readers == std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST_CASE("a generator hands out as many batches as pre_dispatch permits without being asked for a result, where there are workers") {
  const std::string backend = GENERATE(from_range(backends()));
  if (!is_eager(backend, 2)) return;
  CAPTURE(backend);
  const shared_array<std::atomic<int>> begun(1);
  source numbers;
  const Parallel par({.n_jobs = 2, .backend = backend, .batch_size = 1, .pre_dispatch = 6});
  auto results = par.generator(numbers | delayed([&](int i) {
                                 ++begun[0];
                                 return i;
                               }));
  REQUIRE(numbers.at == 5);
  // On processes they were shared out from the start: two to each of the two workers, before anybody looks after them again.
  wait_until([&] { return begun[0] == (backend == "processes" ? 4 : 6); });
  int next = 0;
  for (const int value : results) {
    REQUIRE(value == next++);
    REQUIRE(numbers.at <= value + 6);
    if (next == 50) break;
  }
}

TEST_CASE("pre_dispatch \"all\" reads everything at once, and takes no more") {
  const std::string backend = GENERATE("threads", "processes");
  CAPTURE(backend);
  source numbers{.size = 500};
  auto results = Parallel({.n_jobs = 2, .backend = backend, .batch_size = 8, .pre_dispatch = "all"}).generator(numbers | delayed([](int i) {
                                                                                                                 return i;
                                                                                                               }));
  REQUIRE(numbers.at == 500);
  int next = 0;
  for (const int value : results) REQUIRE(value == next++);
  REQUIRE(next == 500);
}

TEST_CASE("with one worker, and on sequential, a task runs in the consumer when its result is asked for") {
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 4);
  if (n_jobs != 1 && backend != "sequential") return;
  CAPTURE(backend, n_jobs);
  source numbers;
  std::vector<int> ran;
  std::set<std::thread::id> runners;
  auto results =
      Parallel({.n_jobs = n_jobs, .backend = backend, .pre_dispatch = "all"}).generator(numbers | delayed([&](int i) {
                                                                                          ran.push_back(i);
                                                                                          runners.insert(std::this_thread::get_id());
                                                                                          return i;
                                                                                        }));
  REQUIRE(numbers.readers.empty());
  REQUIRE(ran.empty());
  auto at = results.begin();
  REQUIRE(ran == std::vector<int>{0});
  REQUIRE(*at == 0);
  REQUIRE(numbers.at == 0);
  ++at;
  REQUIRE(*at == 1);
  REQUIRE(ran == std::vector<int>{0, 1});
  REQUIRE(runners == std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST_CASE("results before a failure come first, then the error that a plain loop would have met, and no more, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const int batch = GENERATE(1, 7);
  CAPTURE(backend, n_jobs, batch);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = batch});
  source numbers;
  auto results = par.generator(numbers | delayed([](int i) {
                                 if (i >= 40) throw std::out_of_range(std::to_string(i));
                                 return i;
                               }));
  int next = 0;
  std::string error;
  try {
    for (const int value : results) REQUIRE(value == next++);
  } catch (const std::out_of_range& thrown) {
    error = thrown.what();
  }
  REQUIRE(next == 40);
  REQUIRE(error == "40");
  REQUIRE(results.begin() == results.end());
}

TEST_CASE("an unordered generator gives the results of all that had begun before it throws, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .batch_size = 1});
  std::set<std::size_t> came;
  std::string error;
  try {
    for (const auto& one : par.generator_unordered(source() | delayed([](int i) {
                                                     if (i == 60) throw std::out_of_range("60");
                                                     return i;
                                                   }))) {
      came.insert(one.index);
    }
  } catch (const std::out_of_range& thrown) {
    error = thrown.what();
  }
  REQUIRE(error == "60");
  for (std::size_t index = 0; index < 60; ++index) REQUIRE(came.count(index) == 1);
}

TEST_CASE("an input that breaks has the results of what was read come first, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 3);
  const bool ordered = GENERATE(true, false);
  CAPTURE(backend, n_jobs, ordered);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  source numbers{.breaks_at = 25};
  int count = 0;
  if (ordered) {
    auto results = par.generator(numbers | delayed([](int i) { return i; }));
    REQUIRE_THROWS_WITH(
        [&] {
          for (const int value : results) count += value == count ? 1 : 0;
        }(),
        "the source is broken");
  } else {
    auto results = par.generator_unordered(numbers | delayed([](int i) { return i; }));
    REQUIRE_THROWS_WITH(
        [&] {
          for ([[maybe_unused]] const auto& one : results) ++count;
        }(),
        "the source is broken");
  }
  REQUIRE(count == 25);
}

TEST_CASE("an initializer that fails ends a generator with its error, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .initializer = [] { throw std::domain_error("not today"); }});
  auto results = par.generator(source() | delayed([](int i) { return i; }));
  REQUIRE_THROWS_AS(results.begin(), std::domain_error);
  REQUIRE(results.begin() == results.end());
}

TEST_CASE("a generator that is destroyed early cancels the rest, and returns when nothing of it runs, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2, 4);
  const int taken = GENERATE(0, 1, 20);
  CAPTURE(backend, n_jobs, taken);
  const shared_array<std::atomic<int>> counts(2);
  {
    auto results = Parallel({.n_jobs = n_jobs, .backend = backend, .batch_size = 1, .pre_dispatch = 8})
                       .generator(source() | delayed([&](int i) {
                                    ++counts[0];
                                    std::this_thread::sleep_for(std::chrono::microseconds(300));
                                    ++counts[1];
                                    return std::to_string(i);
                                  }));
    int left = taken;
    if (left > 0) {
      for (auto at = results.begin(); --left > 0;) ++at;
    }
  }
  const int begun = counts[0];
  // A worker process that runs a task is killed in it.
  if (shares_memory(backend)) REQUIRE(counts[1] == begun);
  REQUIRE(begun <= taken + 8);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  REQUIRE(counts[0] == begun);
}

TEST_CASE("two generators of one object are gone through in turns by one thread, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  auto evens = par.generator(source() | delayed([](int i) { return 2 * i; }));
  auto odds = par.generator_unordered(source{.size = 200} | delayed([](int i) { return 2 * i + 1; }));
  auto even = evens.begin();
  std::set<int> seen;
  int next = 0;
  for (const auto& odd : odds) {
    REQUIRE(*even == 2 * next++);
    ++even;
    seen.insert(odd.value);
  }
  REQUIRE(seen.size() == 200);
  REQUIRE(*even == 400);
}

TEST_CASE("generators inside tasks do not deadlock, on every backend") {
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2, 3);
  const bool inside_a_generator = GENERATE(true, false);
  CAPTURE(backend, n_jobs, inside_a_generator);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto inner_sum = [&](int i) {
    int sum = 0;
    auto first = par.generator(std::views::iota(0, 20) | delayed([i](int j) { return i * j; }));
    auto second = par.generator_unordered(std::views::iota(0) | delayed([i](int j) { return i + j; }));
    auto at = second.begin();
    for (const int value : first) {
      sum += value;
      ++at;
      // A call inside of it, too.
      if (value == i) par(std::views::iota(0, 3) | delayed([](int) {}));
    }
    return sum;
  };
  int next = 0;
  const auto check = [&](int sum) {
    REQUIRE(sum == next * 190);
    ++next;
  };
  if (inside_a_generator) {
    for (const int sum : par.generator(std::views::iota(0, 30) | delayed(inner_sum))) check(sum);
  } else {
    for (const int sum : par(std::views::iota(0, 30) | delayed(inner_sum))) check(sum);
  }
  REQUIRE(next == 30);
}

TEST_CASE("with generators inside tasks no more threads run tasks than the outermost call has workers") {
  const Parallel par({.n_jobs = 3, .backend = "threads"});
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  const auto counted = [&](int i) {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    --running;
    return i;
  };
  par(std::views::iota(0, 12) | delayed([&](int) {
        for ([[maybe_unused]] const int value : par.generator(std::views::iota(0, 20) | delayed(counted))) {
        }
      }));
  REQUIRE(most <= 3);
}

TEST_CASE("a consumer that is slower or faster than the workers gets everything, on every backend") {
  const std::string backend = GENERATE(from_range(backends()));
  const bool slow = GENERATE(true, false);
  CAPTURE(backend, slow);
  const Parallel par({.n_jobs = 2, .backend = backend});
  int next = 0;
  for (const int value : par.generator(source{.size = 40} | delayed([slow](int i) {
                                         if (!slow) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                         return i;
                                       }))) {
    REQUIRE(value == next++);
    if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(next == 40);
}

TEST_CASE("a generator can be moved while it runs, to another thread, too, on every backend") {
  const leak_check leaks;
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 2);
  CAPTURE(backend, n_jobs);
  generator<int> results =
      Parallel({.n_jobs = n_jobs, .backend = backend}).generator(source{.size = 300} | delayed([](int i) { return i; }));
  static_assert(!std::is_copy_constructible_v<generator<int>> && std::is_nothrow_move_constructible_v<generator<int>>);
  auto at = results.begin();
  ++at;
  generator<int> moved = std::move(results);
  ++at;  // what points into it stays good
  int value = *at;
  std::thread([&, there = std::move(moved)]() mutable {
    // Begun before: it stands where it stood.
    for (const int one : there) value = one == value || one == value + 1 ? one : -1000;
  }).join();
  REQUIRE(value == 299);
}

TEST_CASE("a generator that a task leaves behind says so, and nothing of it runs on") {
  const int n_jobs = GENERATE(2, 3);
  const Parallel par({.n_jobs = n_jobs, .backend = "threads"});
  std::atomic<int> runs = 0;
  auto left = par(std::views::iota(0, 4) | delayed([&](int) {
                    auto results = par.generator(source() | delayed([&](int i) {
                                                   ++runs;
                                                   return i;
                                                 }));
                    static_cast<void>(results.begin());
                    return results;
                  }));
  const int before = runs;
  for (generator<int>& results : left) {
    REQUIRE_THROWS_AS(
        [&] {
          for ([[maybe_unused]] const int value : results) {
          }
        }(),
        manyhands::error);
  }
  REQUIRE(runs == before);
  left.clear();
  REQUIRE(par(std::views::iota(0, 100) | delayed([](int i) { return i; })).size() == 100);
}

TEST_CASE("tasks of a generator see their index, their seed, and the scope in which it was made, on every backend") {
  const std::string backend = GENERATE(from_range(backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const auto asked = delayed([](int) {
    return std::tuple(manyhands::this_task::index(), manyhands::this_task::seed(), manyhands::this_worker::index(),
                      manyhands::effective_n_jobs());
  });
  const auto expected = Parallel({.n_jobs = 1, .seed = 17})(std::views::iota(0, 100) | asked);
  auto results = [&] {
    const manyhands::parallel_config guard({.n_jobs = n_jobs, .seed = 17});
    return Parallel({.backend = backend}).generator(std::views::iota(0, 100) | asked);
  }();
  std::size_t next = 0;
  for (const auto& [index, seed, worker, inner] : results) {
    REQUIRE(index == next);
    REQUIRE(seed == std::get<1>(expected[next]));
    REQUIRE((worker >= 0 && worker < n_jobs));
    REQUIRE(inner <= std::max(n_jobs, 1));
    ++next;
  }
  REQUIRE(next == 100);
}

TEST_CASE("tasks that take next to nothing are run while the consumer does something else, too") {
  // Long enough for batches to grow large, and for the call to believe that all tasks are like that.
  constexpr std::size_t size = 2'000'000;
  std::vector<std::atomic<bool>> ran(size);
  std::size_t read = 0;
  const auto count = [&](std::size_t i) {
    ++read;
    return i;
  };
  auto tasks = std::views::iota(std::size_t{0}, size) | std::views::transform(count) | delayed([&](std::size_t i) {
                 ran[i].store(true, std::memory_order_relaxed);
                 return i;
               });
  auto results = Parallel({.n_jobs = 2, .backend = "threads"}).generator(tasks);
  std::size_t at = 0;
  for (auto result = results.begin(); result != results.end(); ++result, ++at) {
    REQUIRE(*result == at);
    if (at % 300'000 != 150'000) continue;
    // Nobody reads meanwhile.
    for (std::size_t next = at; next < read;) {
      if (ran[next]) {
        ++next;
      } else {
        std::this_thread::yield();
      }
    }
  }
  REQUIRE(at == size);
}

TEST_CASE("a task that waits for a later one is not left alone, however little the tasks before took") {
  constexpr std::size_t size = 400'000;
  std::vector<std::atomic<bool>> ran(size);
  auto tasks = std::views::iota(std::size_t{0}, size) | delayed([&](std::size_t i) {
                 ran[i].store(true, std::memory_order_relaxed);
                 while (i % 100'000 == 50'000 && !ran[i + 64]) std::this_thread::yield();
                 return i;
               });
  const bool ordered = GENERATE(true, false);
  std::size_t count = 0;
  const Parallel parallel({.n_jobs = 2, .backend = "threads"});
  if (ordered) {
    for (const std::size_t result : parallel.generator(tasks)) REQUIRE(result == count++);
  } else {
    for (const auto& result : parallel.generator_unordered(tasks)) count += result.index == result.value ? 1 : 0;
  }
  REQUIRE(count == size);
}

TEST_CASE("a task that is long keeps neither its batch-mates nor other results, where workers share memory") {
  const std::string backend = GENERATE("threads", "asio");
  static_cast<void>(backends());
  CAPTURE(backend);
  const Parallel par({.n_jobs = 3, .backend = backend, .pre_dispatch = "all"});
  std::atomic<bool> all_others_came = false;
  std::atomic<bool> in_time = false;
  int others = 0;
  for (const auto& one : par.generator_unordered(std::views::iota(0, 3000) | delayed([&](int i) {
                                                   if (i != 1500) return i;
                                                   const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
                                                   while (!all_others_came && std::chrono::steady_clock::now() < end) {
                                                     std::this_thread::yield();
                                                   }
                                                   in_time = all_others_came.load();
                                                   return i;
                                                 }))) {
    if (one.index != 1500 && ++others == 2999) all_others_came = true;
  }
  // On an executor the consumer is one of the workers, and may be at the long one.
  if (backend == "threads") REQUIRE(in_time);
  REQUIRE(others == 2999);
}

TEST_CASE("a worker process that dies costs a generator one task, and the results before it come") {
  const leak_check leaks;
  const bool ordered = GENERATE(true, false);
  const Parallel par({.n_jobs = 2, .backend = "processes", .batch_size = 3});
  const auto tasks = std::views::iota(0) | delayed([](int i) {
                       if (i == 31) std::abort();
                       return i;
                     });
  std::set<int> came;
  std::size_t lost = 0;
  try {
    if (ordered) {
      for (const int value : par.generator(tasks)) came.insert(value);
    } else {
      for (const auto& one : par.generator_unordered(tasks)) came.insert(one.value);
    }
  } catch (const manyhands::worker_lost& error) {
    lost = error.index();
  }
  REQUIRE(lost == 31);
  for (int i = 0; i < 31; ++i) REQUIRE(came.count(i) == 1);
  if (ordered) REQUIRE(came.size() == 31);
}

TEST_CASE("no two tasks of a generator on processes have one worker number at a time, and no more run than there are workers") {
  const leak_check leaks;
  const shared_array<std::atomic<int>> busy(4);
  const Parallel par({.n_jobs = 3, .backend = "processes", .batch_size = 1});
  int next = 0;
  for (const bool alone : par.generator(std::views::iota(0, 120) | delayed([&](int i) {
                                          std::atomic<int>& mine = busy[static_cast<std::size_t>(manyhands::this_worker::index())];
                                          const bool first = ++mine == 1;
                                          std::this_thread::sleep_for(std::chrono::microseconds(i % 10 == 0 ? 5000 : 200));
                                          --mine;
                                          return first;
                                        }))) {
    REQUIRE(alone);
    ++next;
  }
  REQUIRE(next == 120);
}

TEST_CASE("a generator whose results cannot travel is refused before any task runs") {
  const Parallel par({.n_jobs = 2, .backend = "processes"});
  int value = 0;
  const auto tasks = std::views::iota(0, 3) | delayed([&](int) -> int& { return value; });
  REQUIRE_THROWS_AS(par.generator(tasks), manyhands::not_transportable);
}

TEST_CASE("random generators, broken off at random by several threads, give what they should", "[stress]") {
  const std::string backend = GENERATE(from_range(backends()));
  CAPTURE(backend);
  const bool cheap = shares_memory(backend);
  const int rounds = cheap ? 25 : 4;
  const Parallel par({.n_jobs = 3, .backend = backend});
  std::atomic<int> wrong = 0;
  const auto run = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int round = 0; round < rounds; ++round) {
      const unsigned most = cheap ? 2000 : 200;
      const int size = static_cast<int>(random() % most);
      const int fails = random() % 3 == 0 ? static_cast<int>(random() % most) : 5000;
      const int takes = random() % 2 == 0 ? static_cast<int>(random() % most / 2) : 5000;
      const Parallel here(
          {.n_jobs = static_cast<int>(random() % 4 + 1),
           .backend = backend,
           .batch_size = random() % 2 == 0 ? manyhands::batch_size(manyhands::automatic) : manyhands::batch_size(random() % 9 + 1),
           .pre_dispatch = static_cast<int>(random() % 20 + 1)});
      const auto task = delayed([fails](int i) {
        if (i == fails) throw std::runtime_error("fails");
        return std::vector<int>(static_cast<std::size_t>(i % 5 + 1), i);
      });
      int count = 0;
      bool threw = false;
      try {
        if (random() % 2 == 0) {
          for (auto value : here.generator(source{.size = size} | task)) {
            if (value.front() != count) ++wrong;
            if (++count == takes) break;
          }
        } else {
          for (auto [index, value] : here.generator_unordered(std::views::iota(0, size) | task)) {
            if (value.front() != static_cast<int>(index)) ++wrong;
            if (++count == takes) break;
          }
        }
      } catch (const std::runtime_error&) {
        threw = true;
      }
      if (takes > size && threw != (fails < size)) ++wrong;
      if (!threw && count != std::min(takes == 0 ? size : takes, size)) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  if (shares_memory(backend)) {
    for (unsigned i = 1; i < 4; ++i) threads.emplace_back(run, i);
  }
  run(4);
  for (std::thread& each : threads) each.join();
  REQUIRE(wrong == 0);
}
