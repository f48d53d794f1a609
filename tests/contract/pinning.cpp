#include <manyhands.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <support/backends.hpp>
#include <support/catch.hpp>

// What `options::pin` promises, on this machine.

using manyhands::Parallel;
using manyhands::parallel_config;
using manyhands::pin;
using manyhands::detail::affinity_mask;

namespace {

using numbers = std::vector<int>;

/// Where a task runs, and who runs it.
struct sight {
  numbers processors;
  int worker = 0;
};

numbers here() { return affinity_mask().processors(); }

sight look() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // so that each worker takes some
  return {here(), manyhands::this_worker::index()};
}

template <class Task>
auto on(const Parallel& par, Task task, std::size_t count = 12) {
  return par(std::vector<Task>(count, task));
}

std::vector<numbers> places(pin what) { return manyhands::detail::places_on(manyhands::detail::locate(here()), what); }

/// Whether the system lets threads be bound, and there is more than one core to choose from.
bool can_bind() {
  bool bound = places(pin::cores).size() > 1;
  std::thread([&] { bound = bound && affinity_mask::of(places(pin::cores).back()).bind(); }).join();
  if (!bound) WARN("skipped: this needs two cores, and leave to bind a thread to one of them");
  return bound;
}

/// Whether every task saw its worker's place.
bool each_in_its_place(const std::vector<sight>& sights, const std::vector<numbers>& expected) {
  for (const sight& one : sights) {
    if (one.processors != expected[static_cast<std::size_t>(one.worker) % expected.size()]) {
      UNSCOPED_INFO("worker " << one.worker << " has " << one.processors.size() << " processors");
      return false;
    }
  }
  return !sights.empty();
}

/// What all helper threads of this process may use, when they are at work on nothing that binds.
std::set<numbers> helpers_see() {
  std::set<numbers> seen;
  for (const sight& one : on(Parallel({.n_jobs = 4}), &look, 40)) seen.insert(one.processors);
  return seen;
}

}  // namespace

TEST_CASE("pin::cores binds worker k to core k, on every backend, and for the call only") {
  if (!can_bind()) return;
  const numbers before = here();
  for (const std::string& name : all_backends()) {
    INFO(name);
    for (const int workers : {1, 2, 3}) {
      CHECK(each_in_its_place(on(Parallel({.n_jobs = workers, .backend = name, .pin = pin::cores}), &look), places(pin::cores)));
      CHECK(here() == before);
    }
  }
  CHECK(helpers_see() == std::set<numbers>{before});
}

TEST_CASE("pin::numa binds worker k to node k") {
  const numbers before = here();
  for (const std::string& name : all_backends()) {
    INFO(name);
    CHECK(each_in_its_place(on(Parallel({.n_jobs = 2, .backend = name, .pin = pin::numa}), &look), places(pin::numa)));
    CHECK(here() == before);
  }
}

TEST_CASE("workers keep to the processors that the caller may use") {
  if (!can_bind()) return;
  const affinity_mask before;
  const numbers one{before.processors().back()};
  CHECK(affinity_mask::of(one).bind());
  for (const std::string& name : all_backends()) {
    for (const pin what : {pin::cores, pin::numa}) {
      INFO(name);
      CHECK(each_in_its_place(on(Parallel({.n_jobs = 2, .backend = name, .pin = what}), &look), {one}));
      CHECK(here() == one);
    }
  }
  CHECK(before.bind());
}

TEST_CASE("threads are free again after an exception") {
  if (!can_bind()) return;
  const numbers before = here();
  for (const std::string& name : all_backends()) {
    INFO(name);
    CHECK_THROWS_AS(on(Parallel({.n_jobs = 2, .backend = name, .pin = pin::cores}), []() -> int { throw std::domain_error("a task's"); }),
                    std::domain_error);
    CHECK(here() == before);
  }
  CHECK(helpers_see() == std::set<numbers>{before});
}

TEST_CASE("a scope's pin holds for outermost calls, and a call's own wins") {
  if (!can_bind()) return;
  const parallel_config guard({.n_jobs = 2, .pin = pin::cores});
  CHECK(each_in_its_place(on(Parallel(), &look), places(pin::cores)));
  CHECK(each_in_its_place(on(Parallel({.pin = pin::none}), &look), {here()}));
  const auto nested = [mine = here()] {
    const numbers around = here();
    for (const sight& one : on(Parallel({.n_jobs = 2}), &look)) {
      // Workers of the outer call stay where it has put them; one that has come for this call alone is nowhere.
      if (one.processors != around && one.processors.size() != 1 && one.processors != mine) return false;
    }
    return here() == around;
  };
  for (const bool well : on(Parallel(), nested, 4)) CHECK(well);
}

TEST_CASE("threads that are started inside a bound worker are not bound for ever") {
  if (!can_bind()) return;
  const numbers before = here();
  for (int i = 0; i < 10; ++i) {
    on(
        Parallel({.n_jobs = 4, .pin = pin::cores}), [] { on(Parallel({.n_jobs = 4}), &look, 4); }, 2);
    CHECK(helpers_see() == std::set<numbers>{before});
  }
}

TEST_CASE("a nested call's own pin holds within what its caller may use, and ends with it") {
  if (!can_bind()) return;
  for (const std::string& name : all_backends()) {
    INFO(name);
    const auto nested = [] {
      const numbers around = here();
      for (const sight& one : on(Parallel({.n_jobs = 2, .pin = pin::cores}), &look, 4)) {
        if (one.processors != around) return false;
      }
      return here() == around;
    };
    for (const bool well : on(Parallel({.n_jobs = 2, .backend = name, .pin = pin::cores}), nested, 4)) CHECK(well);
  }
}

TEST_CASE("an initializer runs in its worker's place") {
  if (!can_bind()) return;
  std::mutex mutex;
  std::vector<sight> sights;
  const auto note = [&] {
    const std::lock_guard lock(mutex);
    sights.push_back({here(), manyhands::this_worker::index()});
  };
  on(Parallel({.n_jobs = 2, .initializer = note, .pin = pin::cores}), &look);
  CHECK(each_in_its_place(sights, places(pin::cores)));
}
