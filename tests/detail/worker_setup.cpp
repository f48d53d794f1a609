#include <manyhands/detail/worker_setup.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <optional>

#include <support/catch.hpp>
#include <support/subprocess.hpp>

namespace {

using manyhands::cpu_count;
using manyhands::options;
using manyhands::parallel_config;
using manyhands::pin;
using manyhands::detail::call_facts;
using manyhands::detail::context;
using manyhands::detail::inner_threads;
using manyhands::detail::pinning;
using manyhands::detail::pinning_around;
using manyhands::detail::place;
using manyhands::detail::select_inner_threads;
using manyhands::detail::select_pinning;
using manyhands::detail::selection;

constexpr inner_threads exactly(int threads) { return {.most = threads, .exactly = true}; }
constexpr inner_threads at_most(int threads) { return {.most = threads}; }

selection with(int workers) {
  selection chosen;
  chosen.workers = workers;
  return chosen;
}

/// Makes the calling thread one that runs a task of a call.
class inside {
 public:
  explicit inside(const call_facts& facts) { manyhands::detail::here = context{.call = &facts, .scope = before_.scope}; }
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;
  ~inside() { manyhands::detail::here = before_; }

 private:
  context before_ = manyhands::detail::here;
};

/// Runs the test where a library with threads of its own is loaded, in a process of its own.
template <class Test>
bool holds_with_library(Test test) {
  return manyhands_test::holds_in_subprocess([&] { return ::dlopen(FAKE_POOLS, RTLD_NOW) != nullptr && test(); });
}

}  // namespace

TEST_CASE("a number that was asked for is taken, the call's before the scope's, whatever the call around says") {
  const call_facts around{.where = place::threads, .budget = 4, .inner = exactly(7)};
  const inside task(around);
  for (const int workers : {1, 2}) {
    CHECK(select_inner_threads({.inner_max_num_threads = 3}, with(workers)) == exactly(3));
    const parallel_config guard({.inner_max_num_threads = 5});
    CHECK(select_inner_threads({}, with(workers)) == exactly(5));
    CHECK(select_inner_threads({.inner_max_num_threads = 3}, with(workers)) == exactly(3));
  }
}

TEST_CASE("where no library is loaded nothing is decided by default") {
  CHECK(manyhands_test::holds_in_subprocess([] { return select_inner_threads({}, with(4)) == inner_threads{}; }));
}

TEST_CASE("by default the workers of a call share the processors, and one alone leaves all as it is") {
  CHECK(holds_with_library([] {
    return select_inner_threads({}, with(1)) == inner_threads{} &&
           select_inner_threads({}, with(2)) == at_most(std::max(cpu_count() / 2, 1)) &&
           select_inner_threads({}, with(1'000'000)) == at_most(1);
  }));
}

TEST_CASE("a nested call on threads goes by the call around it") {
  for (const inner_threads outside : {exactly(6), at_most(6)}) {
    const call_facts around{.where = place::threads, .budget = 4, .inner = outside};
    const inside task(around);
    for (const int workers : {1, 2, 4}) CHECK(select_inner_threads({}, with(workers)) == outside);
  }
}

TEST_CASE("a nested call in a worker process shares what the process has, unless that is a number that was asked for") {
  const call_facts share{.where = place::process, .budget = 6, .inner = at_most(6)};
  const call_facts asked{.where = place::process, .budget = 6, .inner = exactly(6)};
  {
    const inside task(share);
    CHECK(select_inner_threads({}, with(1)) == at_most(6));
    CHECK(select_inner_threads({}, with(2)) == at_most(3));
    CHECK(select_inner_threads({}, with(6)) == at_most(1));
    CHECK(select_inner_threads({}, with(8)) == at_most(1));
  }
  const inside task(asked);
  CHECK(select_inner_threads({}, with(2)) == exactly(6));
}

TEST_CASE("a nested call that is the first to see a library counts the workers of the call around it") {
  CHECK(holds_with_library([] {
    const call_facts around{.where = place::threads, .budget = 1'000'000};
    const inside task(around);
    return select_inner_threads({}, with(2)) == at_most(1);
  }));
}

TEST_CASE("workers are bound where the call or its scope wants it") {
  CHECK_FALSE(select_pinning({}));
  CHECK_FALSE(select_pinning({.pin = pin::none}));
  for (const pin what : {pin::cores, pin::numa}) {
    const std::optional<pinning> own = select_pinning({.pin = what});
    REQUIRE(own);
    CHECK(!own->places.empty());
    CHECK(own->around == nullptr);
    const parallel_config guard({.pin = what});
    CHECK(select_pinning({}));
    CHECK_FALSE(select_pinning({.pin = pin::none}));
  }
}

TEST_CASE("a nested call is bound by its own wish alone, and knows of the call around it on threads") {
  const parallel_config guard({.pin = pin::cores});
  const pinning outer;
  const call_facts on_threads{.where = place::threads, .pins = &outer};
  const call_facts in_process{.where = place::process, .pins = &outer};
  CHECK(pinning_around() == nullptr);
  {
    const inside task(on_threads);
    CHECK(pinning_around() == &outer);
    CHECK_FALSE(select_pinning({}));
    const std::optional<pinning> own = select_pinning({.pin = pin::numa});
    REQUIRE(own);
    CHECK(own->around == &outer);
  }
  const inside task(in_process);
  CHECK(pinning_around() == nullptr);  // threads that are started there stay where the process is
}
