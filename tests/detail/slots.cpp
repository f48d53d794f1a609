#include <manyhands/detail/slots.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::codec_error;
using manyhands::index_range;
using manyhands::no_index;
using manyhands::reader;
using manyhands::task_result;
using manyhands::writer;
using manyhands::detail::call_errors;
using manyhands::detail::call_facts;
using manyhands::detail::input_for;
using manyhands::detail::outcome_results;
using manyhands::detail::range_slots;
using manyhands::detail::slot_jobs;
using manyhands::detail::splittable_range;
using manyhands::detail::value_results;

const call_facts no_facts;

/// One call over a range, in which the caller wants values, or outcomes.
template <class Range, bool outcomes = false>
class call {
  using input = input_for<Range>;
  using results = std::conditional_t<outcomes, outcome_results<typename input::result_type>,
                                     value_results<typename input::result_type, !input::reads_ahead>>;
  range_slots<input, results> slots_;

 public:
  explicit call(Range& range, bool shares_memory = true, const call_facts& facts = no_facts)
      : slots_(range), work(facts, slots_, shares_memory) {}

  auto take() { return slots_.take(); }

  slot_jobs<range_slots<input, results>> work;
};
template <class Range>
call(Range&) -> call<Range>;
template <class Range>
call(Range&, bool) -> call<Range>;
template <class Range>
call(Range&, bool, const call_facts&) -> call<Range>;
template <class Range>
using outcome_call = call<Range, true>;

template <class Result>
using tasks = std::vector<std::function<Result()>>;

tasks<int> numbers(int size) {
  tasks<int> all;
  for (int i = 0; i < size; ++i) all.emplace_back([i] { return i; });
  return all;
}
std::function<int()> throws(const std::string& text) {
  return [text]() -> int { throw std::out_of_range(text); };
}
std::exception_ptr error(const std::string& text) { return std::make_exception_ptr(std::underflow_error(text)); }

/// The text of what the call throws, "nothing" if it throws nothing.
template <class Work>
std::string thrown(const Work& work) {
  try {
    work.rethrow();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

/// Runs a task in a call that stands for another process, and settles it here with the bytes.
template <class Far, class Near>
task_result carry(Far& far, Near& near, std::size_t index) {
  writer bytes;
  const task_result kind = far.work.execute(index, bytes);
  reader in(bytes.bytes());
  if (kind == task_result::value) {
    near.work.load(index, in);
  } else {
    near.work.load_error(index, in);
  }
  return kind;
}

}  // namespace

// --- call_errors

TEST_CASE("of several errors the caller gets that of the lowest index, whenever it came") {
  call_errors errors;
  CHECK(errors.note(5, error("5")));
  CHECK_FALSE(errors.note(7, error("7")));
  CHECK(errors.note(2, error("2")));
  CHECK_FALSE(errors.note(2, error("2 again")));
  CHECK_FALSE(errors.note(3, error("3")));
  CHECK(thrown(errors) == "2");
}

TEST_CASE("index 0 and the largest index are indices like any other") {
  call_errors errors;
  CHECK(errors.note(no_index, error("last")));
  CHECK(thrown(errors) == "last");
  CHECK(errors.note(0, error("first")));
  CHECK(thrown(errors) == "first");
  CHECK_FALSE(errors.note(0, error("again")));
}

TEST_CASE("what gave the call up wins over every task's error, and the first of several wins") {
  call_errors errors;
  CHECK(errors.aborted() == nullptr);
  errors.note(0, error("task"));
  errors.note_abort(error("abort"));
  errors.note_abort(error("later"));
  errors.note(0, error("task again"));
  CHECK(thrown(errors) == "abort");
  CHECK(errors.aborted() != nullptr);
}

TEST_CASE("without an error nothing is thrown") { CHECK(thrown(call_errors()) == "nothing"); }

// --- running here

TEST_CASE("tasks that were run are settled in their places, in any order") {
  tasks<int> some = numbers(10);
  call all(some);
  CHECK(all.work.complete());
  CHECK(all.work.known() == 10);
  all.work.run({5, 10});
  all.work.run({0, 5});
  CHECK(thrown(all.work) == "nothing");
  CHECK(all.take() == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("a task sees its own index while it runs") {
  tasks<std::size_t> some(5, [] { return manyhands::this_task::index(); });
  call all(some);
  all.work.run({3, 5});
  all.work.run({0, 3});
  CHECK(all.take() == std::vector<std::size_t>{0, 1, 2, 3, 4});
  manyhands::detail::here.task = 0;
}

TEST_CASE("an empty range of tasks runs nothing") {
  tasks<int> some = numbers(3);
  some[1] = throws("1");
  call all(some);
  all.work.run({1, 1});
  CHECK(thrown(all.work) == "nothing");
}

TEST_CASE("after a failure no task of a higher index runs, and those of lower ones do") {
  int ran = 0;
  tasks<int> some(10, [&ran] { return ++ran; });
  some[4] = throws("4");
  call all(some);
  CHECK_FALSE(all.work.stopped());
  all.work.run({3, 10});
  CHECK(ran == 1);
  CHECK(all.work.stopped());
  CHECK(all.work.limit() == 4);
  all.work.run({7, 10});
  CHECK(ran == 1);
  all.work.run({0, 3});
  CHECK(ran == 4);
  CHECK(thrown(all.work) == "4");
}

TEST_CASE("the error of the lowest index is thrown, whichever came first") {
  tasks<int> some = numbers(10);
  some[2] = throws("2");
  some[6] = throws("6");
  call all(some);
  all.work.run({6, 7});
  CHECK(all.work.limit() == 6);
  all.work.run({0, 3});
  CHECK(all.work.limit() == 2);
  CHECK(thrown(all.work) == "2");
}

TEST_CASE("exceptions of any type come out as they are") {
  struct odd {
    int value;
  };
  tasks<int> some{[]() -> int { throw odd{7}; }};
  call all(some);
  all.work.run({0, 1});
  try {
    all.work.rethrow();
    FAIL("nothing was thrown");
  } catch (const odd& one) {
    CHECK(one.value == 7);
  }
}

TEST_CASE("a batch that may be taken apart runs like any other, and stops at a failure") {
  int ran = 0;
  tasks<int> some(10, [&ran] { return ++ran; });
  some[6] = throws("6");
  call all(some);
  manyhands::detail::splittable_range batch;
  batch.open(2, 9, {});
  all.work.run_splittable(batch);
  CHECK(ran == 4);
  CHECK(thrown(all.work) == "6");
}

/// Takes any task for one that takes next to nothing.
template <class Slots>
struct hasty_slots : Slots {
  using Slots::Slots;
  static constexpr std::chrono::nanoseconds next_to_nothing{1'000'000};
};

TEST_CASE("tasks that take next to nothing, which are run several at a time, are tasks like any other") {
  struct note {
    std::vector<std::size_t>* seen;  // what each task took for its index
    std::size_t index;
    std::size_t fails;
    std::stop_source* stop;  // what it stops instead

    std::size_t operator()() const {
      (*seen)[index] += 1 + manyhands::this_task::index();
      if (index != fails) return index;
      if (stop == nullptr) throw std::out_of_range(std::to_string(index));
      stop->request_stop();
      return index;
    }
  };
  constexpr std::size_t size = 50'000;
  const bool in_parts = GENERATE(false, true);
  const std::size_t fails = in_parts ? 18'000 : 3'000;  // among the first that are run so, and amid a strip
  std::vector<std::size_t> seen(size);
  const auto ran = [&](std::size_t index) { return seen[index] == index + 1; };
  const auto tasks_with = [&](std::stop_source* stop) {
    std::vector<note> some;
    for (std::size_t i = 0; i < size; ++i) some.push_back({&seen, i, fails, stop});
    return some;
  };
  const auto run = [&](auto& work, std::size_t first, std::size_t last) {
    if (!in_parts) return work.run({first, last});
    splittable_range batch;
    batch.open(first, last, {});
    work.run_splittable(batch);
  };
  using input = input_for<std::vector<note>>;

  SECTION("after a failure none is run") {
    std::vector<note> some = tasks_with(nullptr);
    hasty_slots<range_slots<input, value_results<std::size_t, true>>> slots(some);
    slot_jobs<decltype(slots)> work(no_facts, slots, true);
    run(work, 3, 30'000);
    run(work, 30'000, size);
    CHECK(thrown(work) == std::to_string(fails));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < size; ++i) wrong += ran(i) != (i >= 3 && i <= fails);
    CHECK(wrong == 0);
  }
  SECTION("where outcomes are wanted the others are") {
    std::vector<note> some = tasks_with(nullptr);
    hasty_slots<range_slots<input, outcome_results<std::size_t>>> slots(some);
    slot_jobs<decltype(slots)> work(no_facts, slots, true);
    run(work, 0, size);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < size; ++i) wrong += !ran(i);
    CHECK(wrong == 0);
    CHECK_FALSE(slots.take()[fails].has_value());
  }
  SECTION("once the call was stopped none is run") {
    std::stop_source stop;
    const std::stop_token token = stop.get_token();
    call_facts facts;
    facts.stop = &token;
    std::vector<note> some = tasks_with(&stop);
    hasty_slots<range_slots<input, outcome_results<std::size_t>>> slots(some);
    slot_jobs<decltype(slots)> work(facts, slots, true);
    const std::stop_callback gives_up(token, [&] { work.cancel(); });
    run(work, 0, size);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < size; ++i) wrong += ran(i) != (i <= fails);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a task that nobody could run counts as failed with that error") {
  tasks<int> some = numbers(5);
  call all(some);
  all.work.fail(3, error("lost"));
  CHECK(all.work.limit() == 3);
  all.work.run({0, 5});
  CHECK(thrown(all.work) == "lost");
}

TEST_CASE("a call that was given up hands nothing out, runs nothing, and throws what ended it") {
  tasks<int> some = numbers(5);
  some[0] = throws("0");
  call all(some);
  all.work.run({0, 1});
  all.work.abort(error("over"));
  all.work.abort(error("later"));
  CHECK(all.work.limit() == 0);
  CHECK(all.work.next(5).empty());
  CHECK(all.work.waiting() == 0);
  CHECK(thrown(all.work) == "over");
  REQUIRE(all.work.aborted() != nullptr);
}

TEST_CASE("tasks are handed out until one fails, and not from there on") {
  tasks<int> some = numbers(10);
  some[4] = throws("4");
  call all(some);
  CHECK(all.work.waiting() == 10);
  const index_range first = all.work.next(6);
  CHECK(first == index_range{0, 6});
  CHECK(all.work.waiting() == 4);
  all.work.run(first);
  CHECK(all.work.waiting() == 0);
  CHECK(all.work.next(no_index).empty());
}

TEST_CASE("several threads settle their places at the same time, and the lowest error wins") {
  constexpr std::size_t size = 5000;
  for (int round = 0; round < 5; ++round) {
    tasks<std::string> some;
    for (std::size_t i = 0; i < size; ++i) {
      some.emplace_back([i] { return i % 1000 == 777 ? throw std::out_of_range(std::to_string(i)) : std::to_string(i); });
    }
    call all(some);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (const index_range mine = all.work.next(3)) all.work.run(mine);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(thrown(all.work) == "777");
  }
}

// --- outcomes

TEST_CASE("where outcomes are wanted a failure stops nobody") {
  tasks<int> some = numbers(5);
  some[1] = throws("1");
  outcome_call<tasks<int>> all(some);
  all.work.run({0, 5});
  all.work.fail(4, error("lost, after all"));
  CHECK_FALSE(all.work.stopped());
  CHECK(thrown(all.work) == "nothing");
}

TEST_CASE("every outcome is what became of its task") {
  tasks<int> some = numbers(4);
  some[1] = throws("1");
  outcome_call<tasks<int>> all(some);
  all.work.run({0, 3});
  all.work.fail(3, error("lost"));
  const auto outcomes = all.take();
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0].value() == 0);
  CHECK_THROWS_AS(outcomes[1].value(), std::out_of_range);
  CHECK(outcomes[2].value() == 2);
  CHECK_THROWS_AS(outcomes[3].value(), std::underflow_error);
}

TEST_CASE("where outcomes are wanted a call can still be given up") {
  tasks<int> some = numbers(4);
  outcome_call<tasks<int>> all(some);
  all.work.abort(error("over"));
  CHECK(all.work.next(1).empty());
  CHECK(thrown(all.work) == "over");
}

// --- reading

TEST_CASE("a list is read bit by bit, and its tasks are known as they are read") {
  std::list<std::function<int()>> some;
  for (int i = 0; i < 5; ++i) some.emplace_back([i] { return i; });
  call all(some);
  CHECK_FALSE(all.work.complete());
  CHECK(all.work.known() == 0);
  CHECK(all.work.next(1).empty());
  CHECK(all.work.read(2));
  CHECK(all.work.known() == 2);
  CHECK(all.work.waiting() == 2);
  all.work.run(all.work.next(no_index));
  CHECK_FALSE(all.work.read(100));
  CHECK(all.work.complete());
  CHECK(all.work.known() == 5);
  all.work.run(all.work.next(no_index));
  CHECK(all.take() == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("nothing more is read once a task has failed or the call was given up") {
  std::list<std::function<int()>> some;
  for (int i = 0; i < 5; ++i) some.push_back(throws(std::to_string(i)));
  call failing(some);
  CHECK(failing.work.read(2));
  failing.work.run({0, 1});
  CHECK_FALSE(failing.work.read(1));
  CHECK(failing.work.known() == 2);
  call given_up(some);
  CHECK(given_up.work.read(2));
  given_up.work.abort(error("over"));
  CHECK_FALSE(given_up.work.read(1));
  CHECK(given_up.work.known() == 2);
}

namespace {

/// Tasks of which the one at `breaks_at` cannot be read.
class broken_range {
 public:
  explicit broken_range(int breaks_at, int fails_at = -1) : breaks_at_(breaks_at), fails_at_(fails_at) {}

  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::function<int()>;
    using difference_type = std::ptrdiff_t;

    explicit iterator(const broken_range& range) : range_(&range) {}
    value_type operator*() const {
      if (at_ == range_->breaks_at_) throw std::domain_error("broken");
      return at_ == range_->fails_at_ ? throws(std::to_string(at_)) : [at = at_] { return at; };
    }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    bool operator==(std::default_sentinel_t) const { return false; }

   private:
    const broken_range* range_;
    int at_ = 0;
  };

  iterator begin() const { return iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  int breaks_at_;
  int fails_at_;
};

}  // namespace

TEST_CASE("a range that breaks leaves what was read to be run, and its error is thrown then") {
  const broken_range range(3);
  call all(range);
  CHECK_FALSE(all.work.read(10));
  CHECK(all.work.complete());
  CHECK(all.work.known() == 3);
  CHECK(all.work.waiting() == 3);
  CHECK(all.work.next(no_index) == index_range{0, 3});
  all.work.run({0, 3});
  CHECK(thrown(all.work) == "broken");
}

TEST_CASE("a task that fails before the place where the range broke comes first") {
  const broken_range range(3, 1);
  call all(range);
  CHECK_FALSE(all.work.read(10));
  all.work.run({0, 3});
  CHECK(thrown(all.work) == "1");
}

TEST_CASE("a range that breaks at its first element has no task") {
  const broken_range range(0);
  call all(range);
  CHECK_FALSE(all.work.read(1));
  CHECK(all.work.known() == 0);
  CHECK(all.work.next(1).empty());
  CHECK(thrown(all.work) == "broken");
}

TEST_CASE("where outcomes are wanted a range that breaks still fails the call") {
  const broken_range range(2);
  outcome_call<const broken_range> all(range);
  CHECK_FALSE(all.work.read(10));
  all.work.run({0, 2});
  CHECK(thrown(all.work) == "broken");
}

// --- from another process

TEST_CASE("a task that ran elsewhere is settled with the bytes it left there") {
  tasks<std::string> some{[] { return std::string("a"); }, [] { return std::string(); }, [] { return std::string(1000, 'c'); }};
  call far(some);
  call near(some, false);
  for (const std::size_t index : {std::size_t{2}, std::size_t{0}, std::size_t{1}}) CHECK(carry(far, near, index) == task_result::value);
  CHECK(thrown(near.work) == "nothing");
  CHECK(near.take() == std::vector<std::string>{"a", "", std::string(1000, 'c')});
}

TEST_CASE("results that came side by side settle their tasks together, and those that are none fail alone") {
  std::vector<std::function<bool()>> some(6, [] { return false; });
  const bool is_watched = GENERATE(false, true);
  call_facts facts;
  if (is_watched) facts.retries = 1;
  outcome_call<std::vector<std::function<bool()>>> all(some, false, facts);
  constexpr std::byte bytes[] = {std::byte{1}, std::byte{0}, std::byte{7}, std::byte{1}};
  all.work.load_all({1, 5}, bytes);
  all.work.fail(0, error("zero"));
  all.work.fail(5, error("five"));
  const auto outcomes = all.take();
  CHECK(*outcomes[1]);
  CHECK_FALSE(*outcomes[2]);
  CHECK_THROWS_AS(outcomes[3].value(), codec_error);
  CHECK(*outcomes[4]);
}

TEST_CASE("bits, truth values and tasks without a value come back from elsewhere") {
  tasks<int> some = numbers(3);
  call far(some);
  call near(some, false);
  for (std::size_t index = 0; index < 3; ++index) CHECK(carry(far, near, index) == task_result::value);
  CHECK(near.take() == std::vector{0, 1, 2});

  tasks<bool> flags{[] { return true; }, [] { return false; }};
  call far_flags(flags);
  call near_flags(flags, false);
  for (std::size_t index = 0; index < 2; ++index) CHECK(carry(far_flags, near_flags, index) == task_result::value);
  CHECK(near_flags.take() == std::vector<bool>{true, false});

  int ran = 0;
  tasks<void> nothing(2, [&ran] { ++ran; });
  call far_nothing(nothing);
  call near_nothing(nothing, false);
  for (std::size_t index = 0; index < 2; ++index) CHECK(carry(far_nothing, near_nothing, index) == task_result::value);
  CHECK(ran == 2);
  CHECK(thrown(near_nothing.work) == "nothing");
}

TEST_CASE("an error comes back from elsewhere with its type and its text") {
  tasks<int> some = numbers(5);
  some[3] = throws("too far");
  call far(some);
  call near(some, false);
  CHECK(carry(far, near, 3) == task_result::error);
  CHECK(near.work.limit() == 3);
  CHECK(far.work.limit() == 3);  // over there nothing later begins, either
  CHECK_THROWS_AS(near.work.rethrow(), std::out_of_range);
  CHECK(thrown(near.work) == "too far");
}

TEST_CASE("of several errors from elsewhere the lowest index wins") {
  tasks<int> some = numbers(5);
  some[1] = throws("1");
  some[3] = throws("3");
  call far(some);
  call near(some, false);
  carry(far, near, 3);
  carry(far, near, 1);
  CHECK(thrown(near.work) == "1");
}

TEST_CASE("outcomes come back from elsewhere, whichever is settled first") {
  tasks<int> some = numbers(4);
  some[1] = throws("1");
  for (const auto& order :
       {std::vector<std::size_t>{0, 1, 2, 3}, std::vector<std::size_t>{1, 0, 3, 2}, std::vector<std::size_t>{3, 2, 1, 0}}) {
    outcome_call<tasks<int>> far(some);
    outcome_call<tasks<int>> near(some, false);
    for (const std::size_t index : order) {
      if (index == 3) {
        near.work.fail(3, error("its worker was lost"));
      } else {
        carry(far, near, index);
      }
    }
    const auto outcomes = near.take();
    CHECK(outcomes[0].value() == 0);
    CHECK_THROWS_AS(outcomes[1].value(), std::out_of_range);
    CHECK(outcomes[2].value() == 2);
    CHECK_THROWS_AS(outcomes[3].value(), std::underflow_error);
  }
}

TEST_CASE("a task is run elsewhere as itself, and settles nothing there") {
  tasks<std::size_t> some(9, [] { return manyhands::this_task::index(); });
  call far(some);
  writer bytes;
  CHECK(far.work.execute(8, bytes) == task_result::value);
  reader in(bytes.bytes());
  CHECK(in.get<std::size_t>() == 8);
  CHECK_FALSE(far.work.stopped());
  CHECK(far.work.waiting() == 9);
  manyhands::detail::here.task = 0;
}

TEST_CASE("the bytes of one task are not left in those of the next") {
  tasks<std::string> some{[] { return std::string(500, 'x'); }, []() -> std::string { throw std::out_of_range("short"); },
                          [] { return std::string("y"); }};
  call far(some);
  call near(some, false);
  writer bytes;
  CHECK(far.work.execute(0, bytes) == task_result::value);
  CHECK(far.work.execute(1, bytes) == task_result::error);
  reader failed(bytes.bytes());
  near.work.load_error(1, failed);
  CHECK(far.work.execute(2, bytes) == task_result::value);
  reader in(bytes.bytes());
  near.work.load(2, in);
  CHECK(thrown(near.work) == "short");
}

TEST_CASE("bytes that are no value settle nothing: the task can still be run, or fail") {
  tasks<std::string> some(2, [] { return std::string("hello"); });
  call far(some);
  call near(some, false);
  writer bytes;
  CHECK(far.work.execute(0, bytes) == task_result::value);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    reader cut(bytes.bytes().first(size));
    CHECK_THROWS_AS(near.work.load(0, cut), codec_error);
  }
  bytes.put('!');
  reader longer(bytes.bytes());
  CHECK_THROWS_AS(near.work.load(0, longer), codec_error);
  CHECK_FALSE(near.work.stopped());
  CHECK(thrown(near.work) == "nothing");
  carry(far, near, 0);
  near.work.run({1, 2});
  CHECK(near.take() == std::vector<std::string>{"hello", "hello"});
}

TEST_CASE("bytes that are no error are an error that says so") {
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{40}}) {
    tasks<int> some = numbers(2);
    call near(some, false);
    const std::vector<std::byte> noise(size, std::byte{0xff});
    reader in(noise);
    near.work.load_error(1, in);
    CHECK(near.work.limit() == 1);
    CHECK_THROWS_AS(near.work.rethrow(), codec_error);
  }
}

TEST_CASE("a call knows before anything runs whether its results can travel") {
  tasks<int> bits = numbers(1);
  CHECK(call(bits).work.transport().fixed_size == sizeof(int));
  tasks<void> nothing;
  CHECK(call(nothing).work.transport().fixed_size == 1);
  tasks<std::string> texts;
  CHECK(call(texts).work.transport().possible());
  CHECK(call(texts).work.transport().fixed_size == 0);
  tasks<int*> pointers;
  CHECK_FALSE(call(pointers).work.transport().possible());
  tasks<int&> references;
  CHECK_FALSE(call(references).work.transport().possible());
  tasks<std::shared_ptr<int>> shared;
  const auto home = call(shared).work.transport();
  CHECK_FALSE(home.possible());
  CHECK(home.type_name.find("shared_ptr") != std::string::npos);
  CHECK(home.obstacle.find("return the object itself") != std::string::npos);
}

TEST_CASE("a task whose result cannot travel leaves nothing, and does no harm, where it is run elsewhere") {
  int target = 1;
  tasks<int*> pointers{[&] { return &target; }};
  call far(pointers);
  writer bytes;
  CHECK(far.work.execute(0, bytes) == task_result::value);
  CHECK(bytes.size() == 0);
}

// --- tasks that are run again

TEST_CASE("a task is run until it succeeds or has no attempt left, and the last error is kept") {
  const call_facts facts{.retries = 2};
  tasks<int> some = numbers(6);
  some[2] = [] { return manyhands::this_task::attempt() < 2 ? throw std::out_of_range("early") : 20; };
  some[4] = []() -> int { throw std::out_of_range(std::to_string(manyhands::this_task::attempt())); };
  call all(some, true, facts);
  const bool splittable = GENERATE(false, true);
  if (splittable) {
    splittable_range range;
    range.open(0, 6, splittable_range::clock::now());
    all.work.run_splittable(range);
  } else {
    all.work.run({0, 6});
  }
  CHECK(thrown(all.work) == "2");
  CHECK(all.work.limit() == 4);
  CHECK(all.take()[2] == 20);
  CHECK(manyhands::this_task::attempt() == 0);
}

TEST_CASE("a task is run again elsewhere, too, from the attempt on that it is told") {
  const call_facts facts{.retries = 3};
  tasks<int> some(2, [] { return manyhands::this_task::attempt() < 3 ? throw std::out_of_range("early") : 3; });
  call far(some, true, facts);
  call near(some, false, facts);
  CHECK(carry(far, near, 0) == task_result::value);
  manyhands::detail::here.attempt = 2;
  CHECK(carry(far, near, 1) == task_result::value);
  CHECK(manyhands::this_task::attempt() == 2);
  manyhands::detail::here.attempt = 4;
  some[0] = throws("last");
  CHECK(carry(far, near, 0) == task_result::error);
  manyhands::detail::here.attempt = 0;
}

TEST_CASE("a task that was late has no result, here and elsewhere") {
  struct : manyhands::detail::attempt_watch {
    void begin(int) noexcept override { ++begun; }
    bool end() noexcept override { return begun == 1; }
    int begun = 0;
  } watch;
  manyhands::detail::here.watch = &watch;
  const call_facts facts{.retries = 0, .timeout = std::chrono::seconds(1)};
  std::vector<std::function<std::string()>> some(2, [] { return std::string(100, 'x'); });
  {
    call here(some, true, facts);
    here.work.run({0, 2});
    CHECK(thrown(here.work) == "task 0 ran longer than its timeout of 1 s");
  }
  watch.begun = 0;
  {
    call far(some, true, facts);
    outcome_call<decltype(some)> near(some, false, facts);
    CHECK(carry(far, near, 0) == task_result::error);
    CHECK(carry(far, near, 1) == task_result::value);
    const auto both = near.take();
    CHECK_THROWS_AS(both[0].value(), manyhands::task_timeout);
    CHECK(both[1].value() == std::string(100, 'x'));
  }
  manyhands::detail::here.watch = nullptr;
}
