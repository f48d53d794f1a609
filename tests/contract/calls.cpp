#include <manyhands.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using manyhands::delayed;
using manyhands::options;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

/// A value that only has what a result needs: it moves, and is made from a number.
class move_only {
 public:
  explicit move_only(int value) : value_(std::make_unique<int>(value)) {}
  [[nodiscard]] int value() const { return *value_; }

 private:
  std::unique_ptr<int> value_;
};

struct no_default {
  explicit no_default(int a_value) : value(a_value) {}
  int value;
};

struct record {
  int id;
  std::string name;
  std::vector<double> values;
};

/// A range of tasks that can be read once, and that notes which threads read it.
struct single_pass {
  struct iterator {
    using value_type = std::function<int()>;
    using difference_type = std::ptrdiff_t;
    value_type operator*() const {
      owner->readers.insert(std::this_thread::get_id());
      return [at = owner->at] { return at * 2; };
    }
    iterator& operator++() {
      owner->readers.insert(std::this_thread::get_id());
      ++owner->at;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return owner->at == owner->size; }
    single_pass* owner = nullptr;
  };
  iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }

  int size = 0;
  int at = 0;
  std::set<std::thread::id> readers = {};
};

}  // namespace

template <>
struct manyhands::codec<move_only> {
  static void save(const move_only& value, writer& to) { to.put(value.value()); }
  static move_only load(reader& from) { return move_only(from.get<int>()); }
};

TEST_CASE("a range of tasks gives its results in input order, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 3, 8);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const std::vector<int> input = numbers(500);

  const std::vector<int> squares = par(input | delayed([](int i) { return i * i; }));
  REQUIRE(squares.size() == 500);
  for (int i = 0; i < 500; ++i) REQUIRE(squares[static_cast<std::size_t>(i)] == i * i);

  const std::vector<std::string> texts = par(input | delayed([](int i) { return std::string(static_cast<std::size_t>(i % 40), 'x'); }));
  for (std::size_t i = 0; i < 500; ++i) REQUIRE(texts[i].size() == i % 40);

  const auto records = par(input | delayed([](int i) {
                             return record{i, std::to_string(i), std::vector<double>(static_cast<std::size_t>(i % 3), i)};
                           }));
  REQUIRE(records[401].id == 401);
  REQUIRE(records[401].name == "401");
  REQUIRE(records[401].values == std::vector<double>{401., 401.});
}

TEST_CASE("a result needs only to be movable, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const std::vector<int> input = numbers(100);

  const std::vector<move_only> moved = par(input | delayed([](int i) { return move_only(i); }));
  REQUIRE(moved[99].value() == 99);
  const std::vector<no_default> made = par(input | delayed([](int i) { return no_default(i); }));
  REQUIRE(made[98].value == 98);
  const std::vector<std::unique_ptr<int>> owned =
      par(input | delayed([](int i) { return i % 2 == 0 ? std::make_unique<int>(i) : nullptr; }));
  REQUIRE(*owned[96] == 96);
  REQUIRE(owned[97] == nullptr);
}

TEST_CASE("bool results give a correct vector of bool, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const std::vector<int> input = numbers(1000);
  const std::vector<bool> third = Parallel({.n_jobs = 4, .backend = backend})(input | delayed([](int i) { return i % 3 == 0; }));
  REQUIRE(third.size() == 1000);
  for (std::size_t i = 0; i < 1000; ++i) REQUIRE(third[i] == (i % 3 == 0));
}

TEST_CASE("tasks without results give nothing, and run, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 4);
  CAPTURE(backend, n_jobs);
  const shared_array<std::atomic<int>> runs(300);
  const std::vector<int> input = numbers(300);
  auto tasks = input | delayed([&](int i) { ++runs[static_cast<std::size_t>(i)]; });
  static_assert(std::is_void_v<decltype(Parallel{4}(tasks))>);
  Parallel({.n_jobs = n_jobs, .backend = backend})(tasks);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
}

TEST_CASE("different tasks give a tuple, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 8);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const auto length = [](const std::string& text) { return text.size(); };
  auto named = delayed(length)("four");
  const auto [size, text, nothing, flag] = par(
      named, [] { return std::string("text"); }, [] {}, delayed([](int a, int b) { return a < b; })(1, 2));
  REQUIRE(size == 4);
  REQUIRE(text == "text");
  REQUIRE(nothing == std::monostate{});
  REQUIRE(flag);
  REQUIRE(par(named) == std::tuple<std::size_t>(4));
  REQUIRE(named() == 4);
  const auto [one] = par(delayed([](std::unique_ptr<int> p) { return *p; })(std::make_unique<int>(7)));
  REQUIRE(one == 7);
}

TEST_CASE("references come back as reference wrappers, where memory is shared") {
  for (const std::string& backend : all_backends()) {
    if (!shares_memory(backend)) continue;
    CAPTURE(backend);
    std::vector<int> values = numbers(50);
    const auto places = Parallel({.n_jobs = 3, .backend = backend})(values | delayed([](int& value) -> int& { return value; }));
    static_assert(std::is_same_v<decltype(places), const std::vector<std::reference_wrapper<int>>>);
    for (std::size_t i = 0; i < 50; ++i) REQUIRE(&places[i].get() == &values[i]);
    const auto [place] = Parallel({.n_jobs = 3, .backend = backend})([&]() -> int& { return values[7]; });
    REQUIRE(&place.get() == &values[7]);
  }
}

TEST_CASE("an empty range gives an empty result and starts no worker, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> starts(1);
  const Parallel par({.n_jobs = 4, .backend = backend, .initializer = [&] { ++starts[0]; }});
  const auto twice = [](int i) { return 2 * i; };
  REQUIRE(par(std::vector<int>() | delayed(twice)).empty());
  REQUIRE(par(std::list<int>() | delayed(twice)).empty());
  REQUIRE(par(std::vector<std::function<std::string()>>()).empty());
  REQUIRE(par.outcomes(std::vector<int>() | delayed(twice)).empty());
  REQUIRE(starts[0] == 0);
}

TEST_CASE("no more workers start than there are tasks, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const shared_array<std::atomic<int>> starts(1);
  const Parallel par({.n_jobs = 8, .backend = backend, .initializer = [&] { ++starts[0]; }});
  const std::vector<int> indices = par(numbers(2) | delayed([](int) {
                                         std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                         return manyhands::this_worker::index();
                                       }));
  REQUIRE(starts[0] <= 2);
  for (const int index : indices) REQUIRE((index == 0 || index == 1));
}

TEST_CASE("ranges of every category are read, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 2, 5);
  CAPTURE(backend, n_jobs);
  const Parallel par({.n_jobs = n_jobs, .backend = backend});
  const std::vector<int> input = numbers(200);
  const auto twice = delayed([](int i) { return 2 * i; });
  const std::vector<int> wanted = [&] {
    std::vector<int> all;
    for (const int i : input) all.push_back(2 * i);
    return all;
  }();

  REQUIRE(par(input | twice) == wanted);
  REQUIRE(par(std::vector<int>(input) | twice) == wanted);
  REQUIRE(par(std::deque<int>(input.begin(), input.end()) | twice) == wanted);
  const std::list<int> list(input.begin(), input.end());
  REQUIRE(par(list | twice) == wanted);
  REQUIRE(par(std::forward_list<int>(input.begin(), input.end()) | twice) == wanted);
  REQUIRE(par(std::span<const int>(input) | twice) == wanted);
  REQUIRE(par(std::set<int>(input.begin(), input.end()) | twice) == wanted);
  std::vector<std::function<int()>> functions;
  for (const int i : input) functions.emplace_back([i] { return 2 * i; });
  REQUIRE(par(functions) == wanted);
  REQUIRE(par(std::as_const(functions)) == wanted);
  REQUIRE(par(std::list<std::function<int()>>(functions.begin(), functions.end())) == wanted);
  const auto task = [](int i) { return delayed([](int j) { return 2 * j; })(i); };
  const std::array four{task(0), task(1), task(2), task(3)};
  REQUIRE(par(four) == std::vector{0, 2, 4, 6});
  decltype(task(0)) two[] = {task(0), task(1)};
  REQUIRE(par(two) == std::vector{0, 2});
#if !defined(__clang__) || __clang_major__ > 15
  REQUIRE(par(std::views::iota(0, 200) | twice) == wanted);
  REQUIRE(par(input | std::views::transform(task)) == wanted);
  REQUIRE(par(input | twice | std::views::take(3)) == std::vector{0, 2, 4});
  REQUIRE(par(std::views::iota(0) | std::views::take_while([](int i) { return i < 200; }) | twice) == wanted);
  std::istringstream text("1 2 3 4 5 6 7 8 9 10");
  REQUIRE(par(std::ranges::istream_view<int>(text) | twice) == std::vector{2, 4, 6, 8, 10, 12, 14, 16, 18, 20});
#endif
}

TEST_CASE("the range is read in the calling thread only, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  single_pass range{.size = 300};
  const std::vector<int> twice = Parallel({.n_jobs = 4, .backend = backend})(range);
  REQUIRE(twice.size() == 300);
  for (int i = 0; i < 300; ++i) REQUIRE(twice[static_cast<std::size_t>(i)] == 2 * i);
  REQUIRE(range.readers == std::set{std::this_thread::get_id()});
#if !defined(__clang__) || __clang_major__ > 15
  std::set<std::thread::id> readers;
  const auto make = [&](int i) {
    readers.insert(std::this_thread::get_id());
    return delayed([](int j) { return j; })(i);
  };
  REQUIRE(Parallel({.n_jobs = 4, .backend = backend})(std::views::iota(0, 300) | std::views::transform(make)).size() == 300);
  REQUIRE(readers == std::set{std::this_thread::get_id()});
#endif
}

TEST_CASE("elements of an lvalue range are referred to, where memory is shared") {
  for (const std::string& backend : all_backends()) {
    if (!shares_memory(backend)) continue;
    CAPTURE(backend);
    std::list<int> values{1, 2, 3, 4, 5};
    Parallel({.n_jobs = 3, .backend = backend})(values | delayed([](int& value) { value *= 10; }));
    REQUIRE(values == std::list{10, 20, 30, 40, 50});
    std::vector<std::unique_ptr<int>> owned;
    owned.push_back(std::make_unique<int>(3));
    REQUIRE(Parallel({.n_jobs = 3, .backend = backend})(owned | delayed([](const std::unique_ptr<int>& p) { return *p; })) ==
            std::vector{3});
  }
}

TEST_CASE("every task runs exactly once, for every batch size, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(1),
                                               manyhands::batch_size(7), manyhands::batch_size(100000));
  CAPTURE(backend, batch.count());
  const shared_array<std::atomic<int>> runs(3000);
  const std::vector<int> input = numbers(3000);
  const Parallel par({.n_jobs = 4, .backend = backend, .batch_size = batch});
  const auto run = [&](int i) {
    ++runs[static_cast<std::size_t>(i)];
    return i;
  };
  REQUIRE(par(input | delayed(run)) == input);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 1);
  const std::list<int> list(input.begin(), input.end());
  REQUIRE(par(list | delayed(run)) == input);
  for (const std::atomic<int>& one : runs) REQUIRE(one == 2);
}

TEST_CASE("one object serves many threads at a time, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const Parallel par({.n_jobs = 3, .backend = backend});
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&par, &wrong, caller] {
      for (int round = 0; round < 10; ++round) {
        const auto sums = par(numbers(60) | delayed([caller](int i) { return i + caller * 1000; }));
        for (int i = 0; i < 60; ++i) wrong += sums[static_cast<std::size_t>(i)] != i + caller * 1000;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("seeds depend on the base and the index alone, on every backend") {
  const std::vector<int> input = numbers(100);
  const auto draw = delayed([](int) { return manyhands::this_task::seed(); });
  const std::vector<std::uint64_t> wanted = Parallel({.n_jobs = 1, .seed = 42})(input | draw);
  REQUIRE(std::set<std::uint64_t>(wanted.begin(), wanted.end()).size() == 100);
  REQUIRE(Parallel({.n_jobs = 1})(input | draw) != wanted);
  for (const std::string& backend : all_backends()) {
    for (const int n_jobs : {2, 5}) {
      CAPTURE(backend, n_jobs);
      REQUIRE(Parallel({.n_jobs = n_jobs, .backend = backend, .seed = 42})(input | draw) == wanted);
      REQUIRE(Parallel({.n_jobs = n_jobs, .backend = backend, .batch_size = 13, .seed = 42})(std::list<int>(100) | draw) == wanted);
    }
  }
}

TEST_CASE("a task knows its index and its worker, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 3);
  CAPTURE(backend, n_jobs);
  const shared_array<std::atomic<int>> at_work(3);
  const auto look = [&](int) {
    const auto worker = static_cast<std::size_t>(manyhands::this_worker::index());
    if (worker >= at_work.size() || ++at_work[worker] != 1) return std::string("two tasks have one worker number");
    std::this_thread::yield();
    --at_work[worker];
    return std::to_string(manyhands::this_task::index());
  };
  const auto seen = Parallel({.n_jobs = n_jobs, .backend = backend})(numbers(2000) | delayed(look));
  for (std::size_t i = 0; i < seen.size(); ++i) REQUIRE(seen[i] == std::to_string(i));
}

TEST_CASE("the initializer runs once in every worker before its first task, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  const int n_jobs = GENERATE(1, 4);
  const bool streamed = GENERATE(false, true);
  CAPTURE(backend, n_jobs, streamed);
  const shared_array<std::atomic<int>> starts(1);
  static thread_local int prepared = 0;
  prepared = 0;
  const Parallel par({.n_jobs = n_jobs, .backend = backend, .initializer = [&] {
                        ++starts[0];
                        ++prepared;
                      }});
  const auto look = delayed([](int) { return prepared; });
  const std::vector<int> input = numbers(400);
  const std::vector<int> seen = streamed ? par(std::list<int>(input.begin(), input.end()) | look) : par(input | look);
  // Helper threads live on: what an earlier call prepared in them is still there.
  for (const int count : seen) REQUIRE(count >= 1);
  REQUIRE(starts[0] >= 1);
  REQUIRE(starts[0] <= n_jobs + (streamed && backend == "threads" ? 1 : 0));
}

TEST_CASE("with one worker tasks run in the caller, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  int local = 0;
  std::set<std::thread::id> threads;
  Parallel({.n_jobs = 1, .backend = backend})(numbers(20) | delayed([&](int) {
                                                ++local;
                                                threads.insert(std::this_thread::get_id());
                                              }));
  REQUIRE(local == 20);
  REQUIRE(threads == std::set{std::this_thread::get_id()});
}

namespace {

/// A single-pass range of rows that all lie in one buffer, which the next row overwrites.
struct rows {
  struct iterator {
    using value_type = std::pair<int, std::string>;
    using reference = std::pair<int, std::string&>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;
    reference operator*() const { return {owner->at, owner->buffer}; }
    iterator& operator++() {
      owner->buffer = std::to_string(++owner->at);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return owner->at == 200; }
    rows* owner = nullptr;
  };
  iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }
  int at = 0;
  std::string buffer = "0";
};

/// Can do no more than be moved, and hides its address.
struct shy {
  explicit shy(int its_number) : number(its_number) {}
  shy(shy&&) = default;
  void operator&() const = delete;
  int number;
};
struct shy_bits {
  int number = 0;
  void operator&() const = delete;
};
struct hard_to_begin {
  hard_to_begin() { throw std::logic_error("nobody asked for a default"); }
  explicit hard_to_begin(int its_number) : number(its_number) {}
  int number;
};

}  // namespace

namespace watched {  // not unnamed: clang warns of operators that a concept asks for and nobody calls

/// A contiguous iterator that knows which thread it is used in.
struct iterator {
  using value_type = int;
  using element_type = const int;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::random_access_iterator_tag;
  using iterator_concept = std::contiguous_iterator_tag;
  static inline std::thread::id caller;
  static inline std::atomic<int> strangers = 0;
  static void look() { strangers += std::this_thread::get_id() == caller ? 0 : 1; }

  const int& operator*() const { return look(), *at; }
  const int* operator->() const { return look(), at; }
  const int& operator[](difference_type n) const { return look(), at[n]; }
  iterator& operator++() { return look(), ++at, *this; }
  iterator operator++(int) { return look(), iterator{at++}; }
  iterator& operator--() { return look(), --at, *this; }
  iterator operator--(int) { return look(), iterator{at--}; }
  iterator& operator+=(difference_type n) { return look(), at += n, *this; }
  iterator& operator-=(difference_type n) { return look(), at -= n, *this; }
  friend iterator operator+(iterator i, difference_type n) { return i += n; }
  friend iterator operator+(difference_type n, iterator i) { return i += n; }
  friend iterator operator-(iterator i, difference_type n) { return i -= n; }
  friend difference_type operator-(iterator a, iterator b) { return a.at - b.at; }
  friend auto operator<=>(const iterator&, const iterator&) = default;
  const int* at = nullptr;
};

}  // namespace watched

TEST_CASE("tasks own what a single-pass range gives through a proxy, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  rows source;
  const auto right = Parallel({.n_jobs = 3, .backend = backend})(
      source | delayed([](const std::pair<int, std::string>& row) { return row.second == std::to_string(row.first); }));
  REQUIRE(right == std::vector<bool>(200, true));
}

TEST_CASE("a single-pass range of what can only be moved is read, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  struct source {
    struct iterator {
      using value_type = std::unique_ptr<int>;
      using difference_type = std::ptrdiff_t;
      std::unique_ptr<int>& operator*() const { return owner->current; }
      iterator& operator++() {
        owner->current = std::make_unique<int>(++owner->at);
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return owner->at == 50; }
      source* owner = nullptr;
    };
    iterator begin() { return {this}; }
    std::default_sentinel_t end() const { return {}; }
    int at = 0;
    std::unique_ptr<int> current = std::make_unique<int>(0);
  };
  source pointers;
  REQUIRE(Parallel({.n_jobs = 3, .backend = backend})(pointers | delayed([](const std::unique_ptr<int>& p) { return *p; })) == numbers(50));
}

TEST_CASE("results may hide their address or have no default, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const Parallel par({.n_jobs = 2, .backend = backend});
  REQUIRE(par(numbers(9) | delayed([](int i) { return shy_bits{i}; }))[8].number == 8);
  REQUIRE(par(numbers(9) | delayed([](int i) { return hard_to_begin(i); }))[8].number == 8);
  const auto all = par.outcomes(numbers(9) | delayed([](int i) { return shy_bits{i}; }));
  REQUIRE(all[8]->number == 8);
  if (shares_memory(backend)) REQUIRE(par(numbers(9) | delayed([](int i) { return shy(i); }))[8].number == 8);
}

TEST_CASE("no code of a range runs in a worker, whatever the range is, on every backend") {
  const std::string backend = GENERATE(from_range(all_backends()));
  CAPTURE(backend);
  const std::vector<int> input = numbers(100);
  watched::iterator::caller = std::this_thread::get_id();
  watched::iterator::strangers = 0;
  const std::ranges::subrange range(watched::iterator{input.data()}, watched::iterator{input.data() + input.size()});
  static_assert(std::ranges::contiguous_range<decltype(range)>);
  REQUIRE(Parallel({.n_jobs = 3, .backend = backend})(range | delayed([](int i) { return i; })) == input);
  REQUIRE(watched::iterator::strangers == 0);
}

TEST_CASE("calls may be made while static objects are destroyed") {
  const auto end = manyhands_test::in_subprocess([] {
    struct last_words {
      ~last_words() {
        const bool right = Parallel(2)(numbers(50) | delayed([](int i) { return i; })) == numbers(50) &&
                           Parallel({.n_jobs = 2, .backend = "processes"})(numbers(5) | delayed([](int i) { return i; })) == numbers(5);
        ::_exit(right ? 42 : 43);
      }
    };
    static last_words before_the_first_call;
    Parallel(2)(numbers(50) | delayed([](int) {}));
    std::exit(1);
    return true;
  });
  REQUIRE(end.exit_code == 42);
}
