#include <manyhands/detail/input.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <support/catch.hpp>

// clang 14 cannot compile the adaptors of libstdc++.
#if !defined(__clang__) || __clang_major__ > 15
#define HAS_ADAPTORS 1
#else
#define HAS_ADAPTORS 0
#endif

namespace {

using manyhands::delayed;
using manyhands::detail::indexed_input;
using manyhands::detail::input_for;
using manyhands::detail::stored_input;

using task = std::function<int()>;
constexpr auto square = [](int i) { return i * i; };
constexpr std::size_t everything = static_cast<std::size_t>(-1);

template <class Range>
constexpr bool is_indexed = std::is_same_v<input_for<Range>, indexed_input<Range>>;
template <class Range>
constexpr bool is_stored = std::is_same_v<input_for<Range>, stored_input<Range>>;

template <class Base>
using mapped = decltype(std::declval<Base>() | delayed(square));

/// Reads all and runs all.
template <class Range>
auto run_all(Range&& range) {
  input_for<std::remove_reference_t<Range>> input(range);
  if (!input.complete()) {
    while (input.read(everything)) {
    }
  }
  std::vector<typename input_for<std::remove_reference_t<Range>>::result_type> results;
  for (std::size_t index = 0; index < input.ready(); ++index) results.push_back(input.invoke(index));
  return results;
}

/// What a watched range has done so far.
struct steps {
  int dereferenced = 0;
  int incremented = 0;
  int compared = 0;
};

/// Tasks 0, 1, ... up to `size`, told one at a time. Throws where it is told to.
class watched {
 public:
  enum class step { none, dereference, increment, compare };

  watched(int size, steps& done, step breaks = step::none, int at = 0) : size_(size), done_(&done), breaks_(breaks), at_(at) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = task;
    using difference_type = std::ptrdiff_t;

    explicit iterator(const watched& range) : range_(&range) {}
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;
    ~iterator() = default;
    task operator*() const {
      range_->check(step::dereference, at_);
      ++range_->done_->dereferenced;
      return [at = at_] { return at; };
    }
    iterator& operator++() {
      range_->check(step::increment, at_);
      ++range_->done_->incremented;
      ++at_;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const {
      range_->check(step::compare, at_);
      ++range_->done_->compared;
      return at_ == range_->size_;
    }

   private:
    const watched* range_;
    int at_ = 0;
  };

  iterator begin() const { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  void check(step now, int at) const {
    if (now == breaks_ && at == at_) throw std::domain_error("broken at " + std::to_string(at));
  }

  int size_;
  steps* done_;
  step breaks_;
  int at_;
};

/// A task that counts those of its kind that live.
class living {
 public:
  explicit living(int& alive, int result = 0) : alive_(&alive), result_(result) { ++*alive_; }
  living(const living& other) : alive_(other.alive_), result_(other.result_) { ++*alive_; }
  living& operator=(const living&) = delete;
  ~living() { --*alive_; }
  int operator()() const {
    if (result_ < 0) throw std::out_of_range("negative");
    return result_;
  }

 private:
  int* alive_;
  int result_;
};

/// Makes `size` living tasks, one at a time.
class maker {
 public:
  maker(int size, int& alive, int first = 0) : size_(size), alive_(&alive), first_(first) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = living;
    using difference_type = std::ptrdiff_t;

    explicit iterator(const maker& range) : range_(&range) {}
    living operator*() const { return living(*range_->alive_, range_->first_ + at_); }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    bool operator==(std::default_sentinel_t) const { return at_ == range_->size_; }

   private:
    const maker* range_;
    int at_ = 0;
  };

  iterator begin() const { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  int size_;
  int* alive_;
  int first_;
};

}  // namespace

// --- which kind for which range

TEST_CASE("workers look tasks up themselves where that runs nobody's code") {
  STATIC_REQUIRE(is_indexed<std::vector<task>>);
  STATIC_REQUIRE(is_indexed<const std::vector<std::function<int()>>>);
  STATIC_REQUIRE(is_indexed<std::array<task, 3>>);
  STATIC_REQUIRE(is_indexed<task[4]>);
  STATIC_REQUIRE(is_indexed<std::span<task>>);
  STATIC_REQUIRE(is_indexed<mapped<std::vector<int>&>>);
  STATIC_REQUIRE(is_indexed<mapped<const std::vector<int>&>>);
  STATIC_REQUIRE(is_indexed<mapped<std::vector<int>>>);
  STATIC_REQUIRE(is_indexed<const mapped<std::vector<int>>>);
  STATIC_REQUIRE(is_indexed<mapped<int(&)[3]>>);
  STATIC_REQUIRE(is_indexed<mapped<std::span<int>>>);
}

TEST_CASE("tasks of all other ranges are read by the caller") {
  STATIC_REQUIRE(is_stored<std::deque<task>>);
  STATIC_REQUIRE(is_stored<std::list<task>>);
  STATIC_REQUIRE(is_stored<watched>);
  STATIC_REQUIRE(is_stored<mapped<std::deque<int>&>>);
  STATIC_REQUIRE(is_stored<mapped<std::vector<bool>&>>);
  STATIC_REQUIRE(is_stored<mapped<std::list<int>&>>);
}

TEST_CASE("input is read while tasks run only where there is no random access") {
  STATIC_REQUIRE_FALSE(input_for<std::vector<task>>::reads_ahead);
  STATIC_REQUIRE_FALSE(input_for<std::deque<task>>::reads_ahead);
  STATIC_REQUIRE_FALSE(input_for<mapped<std::vector<bool>&>>::reads_ahead);
  STATIC_REQUIRE(input_for<std::list<task>>::reads_ahead);
  STATIC_REQUIRE(input_for<watched>::reads_ahead);
  STATIC_REQUIRE(input_for<mapped<std::list<int>&>>::reads_ahead);
}

// --- every kind of range

TEST_CASE("a range that can be indexed is complete from the start") {
  std::vector<task> tasks{[] { return 5; }, [] { return 6; }};
  indexed_input input(tasks);
  CHECK(input.complete());
  CHECK(input.ready() == 2);
  CHECK_FALSE(input.read(1));
  CHECK(input.ready() == 2);
  CHECK(input.invoke(1) == 6);
  CHECK(input.invoke(0) == 5);
}

TEST_CASE("an empty range that can be indexed is complete and has nothing") {
  std::vector<task> none;
  indexed_input input(none);
  CHECK(input.complete());
  CHECK(input.ready() == 0);
}

TEST_CASE("tasks of every kind of range run") {
  const std::vector<int> expected{1, 4, 9};
  std::vector<int> vector{1, 2, 3};
  std::deque<int> deque{1, 2, 3};
  std::list<int> list{1, 2, 3};
  int array[] = {1, 2, 3};
  CHECK(run_all(vector | delayed(square)) == expected);
  CHECK(run_all(deque | delayed(square)) == expected);
  CHECK(run_all(list | delayed(square)) == expected);
  CHECK(run_all(array | delayed(square)) == expected);
  CHECK(run_all(std::span(vector) | delayed(square)) == expected);
  CHECK(run_all(std::vector<bool>{true, false} | delayed([](bool flag) { return flag ? 1 : 0; })) == std::vector{1, 0});
  const std::list<task> tasks{[] { return 7; }, [] { return 8; }};
  CHECK(run_all(tasks) == std::vector{7, 8});
  const std::vector<task> constant{[] { return 9; }};
  CHECK(run_all(constant) == std::vector{9});
}

#if HAS_ADAPTORS

TEST_CASE("an iota from a number to another of its type is looked up, others are read") {
  STATIC_REQUIRE(is_indexed<mapped<std::ranges::iota_view<int, int>>>);
  STATIC_REQUIRE(is_indexed<const mapped<std::ranges::iota_view<int, int>>>);
  STATIC_REQUIRE(is_stored<mapped<std::ranges::iota_view<int>>>);
  STATIC_REQUIRE(is_stored<mapped<std::ranges::iota_view<int, long>>>);
  CHECK(run_all(std::views::iota(-1, 3) | delayed(square)) == std::vector{1, 0, 1, 4});
  CHECK(run_all(std::views::iota(3, 3) | delayed(square)).empty());
  CHECK(run_all(std::views::iota(1U, 3U) | delayed([](unsigned i) { return i; })) == std::vector{1U, 2U});
  CHECK(run_all(std::views::iota(1LL, 3LL) | delayed([](long long i) { return i; })) == std::vector{1LL, 2LL});
}

TEST_CASE("a view with code of the user's is read by the caller, though it has random access") {
  std::vector<int> values{1, 2, 3};
  auto transformed = values | std::views::transform([](int i) { return i + 1; }) | delayed(square);
  STATIC_REQUIRE(is_stored<decltype(transformed)>);
  STATIC_REQUIRE_FALSE(input_for<decltype(transformed)>::reads_ahead);
  CHECK(run_all(transformed) == std::vector{4, 9, 16});
  auto filtered = values | std::views::filter([](int i) { return i != 2; }) | delayed(square);
  STATIC_REQUIRE(input_for<decltype(filtered)>::reads_ahead);
  CHECK(run_all(filtered) == std::vector{1, 9});
}

TEST_CASE("a stream is read as far as it goes") {
  std::istringstream text("1 2 3 end");
  CHECK(run_all(std::ranges::istream_view<int>(text) | delayed(square)) == std::vector{1, 4, 9});
}

TEST_CASE("an endless range is read as far as is asked for") {
  auto tasks = std::views::iota(0) | delayed(square);
  input_for<decltype(tasks)> input(tasks);
  CHECK(input.read(1000));
  CHECK(input.ready() == 1000);
  CHECK(input.invoke(999) == 998'001);
}

#endif

// --- reading

TEST_CASE("nothing is read before it is asked for") {
  steps done;
  const watched range(3, done);
  input_for<const watched> input(range);
  CHECK_FALSE(input.complete());
  CHECK(input.ready() == 0);
  CHECK(done.dereferenced == 0);
  CHECK(done.compared == 0);
  CHECK(input.read(0));
  CHECK(done.dereferenced == 0);
  CHECK(done.compared == 0);
}

TEST_CASE("elements are read one at a time, each once, and not the next one before it is asked for") {
  steps done;
  const watched range(3, done);
  input_for<const watched> input(range);
  CHECK(input.read(1));
  CHECK(done.dereferenced == 1);
  CHECK(done.incremented == 0);
  CHECK(input.read(1));
  CHECK(done.dereferenced == 2);
  CHECK(done.incremented == 1);
  CHECK(input.ready() == 2);
  CHECK(input.read(1));
  CHECK_FALSE(input.read(1));
  CHECK(done.dereferenced == 3);
  CHECK(done.incremented == 3);
  CHECK(input.ready() == 3);
}

TEST_CASE("a range that ends while it is read says so, and says it again") {
  steps done;
  const watched range(3, done);
  input_for<const watched> input(range);
  CHECK_FALSE(input.read(100));
  CHECK(input.ready() == 3);
  const int compared = done.compared;
  CHECK_FALSE(input.read(100));
  CHECK(input.ready() == 3);
  CHECK(done.dereferenced == 3);
  CHECK(done.incremented == 3);
  CHECK(done.compared == compared + 1);
}

TEST_CASE("exactly as much as there is may be asked for") {
  steps done;
  const watched range(3, done);
  input_for<const watched> input(range);
  CHECK(input.read(3));
  CHECK(input.ready() == 3);
  CHECK_FALSE(input.read(1));
}

TEST_CASE("an empty range ends at the first look") {
  steps done;
  const watched range(0, done);
  input_for<const watched> input(range);
  CHECK_FALSE(input.read(1));
  CHECK(input.ready() == 0);
  CHECK(done.dereferenced == 0);
  CHECK(done.incremented == 0);
}

TEST_CASE("a range that throws keeps what was read before") {
  using step = watched::step;
  for (const step where : {step::dereference, step::increment, step::compare}) {
    steps done;
    const watched range(10, done, where, 4);
    input_for<const watched> input(range);
    CHECK_THROWS_AS(input.read(100), std::domain_error);
    const std::size_t read = where == step::increment ? 5 : 4;
    CHECK(input.ready() == read);
    for (std::size_t index = 0; index < read; ++index) CHECK(input.invoke(index) == static_cast<int>(index));
  }
}

TEST_CASE("a range that throws at its first element has nothing") {
  using step = watched::step;
  for (const step where : {step::dereference, step::compare}) {
    steps done;
    const watched range(10, done, where, 0);
    input_for<const watched> input(range);
    CHECK_THROWS_AS(input.read(1), std::domain_error);
    CHECK(input.ready() == 0);
  }
}

// --- keeping tasks

TEST_CASE("a task that was made for the call ends right after it has run") {
  int alive = 0;
  {
    const maker range(5, alive);
    input_for<const maker> input(range);
    CHECK(input.read(5));
    CHECK(alive == 5);
    CHECK(input.invoke(3) == 3);
    CHECK(alive == 4);
    CHECK(input.invoke(0) == 0);
    CHECK(alive == 3);
  }
  CHECK(alive == 0);
}

TEST_CASE("a task that throws ends right after it, too") {
  int alive = 0;
  const maker range(2, alive, -1);
  input_for<const maker> input(range);
  CHECK(input.read(2));
  CHECK_THROWS_AS(input.invoke(0), std::out_of_range);
  CHECK(alive == 1);
  CHECK(input.invoke(1) == 0);
  CHECK(alive == 0);
}

TEST_CASE("a task that stays in its range is referred to: it is neither copied nor ended") {
  int alive = 0;
  std::list<living> tasks;
  tasks.emplace_back(alive, 1);
  tasks.emplace_back(alive, 2);
  input_for<std::list<living>> input(tasks);
  CHECK(input.read(2));
  CHECK(alive == 2);
  CHECK(input.invoke(0) == 1);
  CHECK(input.invoke(1) == 2);
  CHECK(alive == 2);
}

TEST_CASE("tasks in a container that cannot be copied run where they are, also such that change") {
  struct counter {
    counter() = default;
    counter(const counter&) = delete;
    counter& operator=(const counter&) = delete;
    int operator()() { return ++calls; }
    int calls = 0;
  };
  std::deque<counter> tasks(3);
  CHECK(run_all(tasks) == std::vector{1, 1, 1});
  CHECK(run_all(tasks) == std::vector{2, 2, 2});
  std::array<counter, 2> array;
  CHECK(run_all(array) == std::vector{1, 1});
  CHECK(array[1].calls == 1);
}

TEST_CASE("a task that can only be moved, and is good for one call, runs") {
  const auto own = [](int i) { return delayed([](std::unique_ptr<int> p) { return *p; })(std::make_unique<int>(i)); };
  std::vector<decltype(own(1))> tasks;
  for (const int i : {1, 2, 3}) tasks.push_back(own(i));
  CHECK(run_all(tasks) == std::vector{1, 2, 3});
}

TEST_CASE("a single-pass range whose elements live in the iterator has them copied before the next is read") {
  class reused {
   public:
    class iterator {
     public:
      using iterator_concept = std::input_iterator_tag;
      using value_type = task;
      using difference_type = std::ptrdiff_t;

      explicit iterator(int size) : size_(size) { make(); }
      const task& operator*() const { return current_; }
      iterator& operator++() {
        ++at_;
        make();
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return at_ == size_; }

     private:
      void make() {
        current_ = [at = at_] { return at; };
      }

      task current_;
      int size_;
      int at_ = 0;
    };
    iterator begin() const { return iterator(4); }
    std::default_sentinel_t end() const { return {}; }
  };
  CHECK(run_all(reused()) == std::vector{0, 1, 2, 3});
}

TEST_CASE("a task's result may be a reference") {
  std::vector<int> values{1, 2};
  auto tasks = values | delayed([](int& i) -> int& { return i; });
  input_for<decltype(tasks)> input(tasks);
  CHECK(&input.invoke(1) == &values[1]);
  std::list<int> list{1, 2};
  auto listed = list | delayed([](int& i) -> int& { return i; });
  input_for<decltype(listed)> stored(listed);
  CHECK(stored.read(2));
  CHECK(&stored.invoke(0) == &list.front());
}

TEST_CASE("a result that is a part of its task is kept when the task has ended") {
  struct person {
    std::string name;
  };
  class people {
   public:
    class iterator {
     public:
      using iterator_concept = std::input_iterator_tag;
      using value_type = person;
      using difference_type = std::ptrdiff_t;

      person operator*() const { return {std::string(100, static_cast<char>('a' + at_))}; }
      iterator& operator++() {
        ++at_;
        return *this;
      }
      void operator++(int) { ++at_; }
      bool operator==(std::default_sentinel_t) const { return at_ == 2; }

     private:
      int at_ = 0;
    };
    iterator begin() const { return {}; }
    std::default_sentinel_t end() const { return {}; }
  };
  auto names = people() | delayed(&person::name);
  STATIC_REQUIRE(std::is_same_v<input_for<decltype(names)>::result_type, std::string>);
  CHECK(run_all(names) == std::vector{std::string(100, 'a'), std::string(100, 'b')});
}
