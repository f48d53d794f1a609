#include <manyhands/detail/pinning.hpp>

#include <array>
#include <optional>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::detail::affinity_mask;
using manyhands::detail::call_facts;
using manyhands::detail::context;
using manyhands::detail::pinning;
using manyhands::detail::worker_pin;

using numbers = std::vector<int>;

numbers here() { return affinity_mask().processors(); }
numbers all_processors() {
  static const numbers all = here();
  return all;
}
numbers first() { return {all_processors().front()}; }
numbers last() { return {all_processors().back()}; }

/// Whether the system lets threads be bound, and there is something to choose.
bool can_bind() {
  bool bound = all_processors().size() > 1;
  std::thread([&] { bound = bound && affinity_mask::of(last()).bind(); }).join();
  if (!bound) WARN("skipped: this needs two processors, and leave to bind a thread to one of them");
  return bound;
}

pinning to(const std::vector<numbers>& places) {
  pinning made;
  for (const numbers& one : places) made.places.push_back(affinity_mask::of(one));
  return made;
}

/// What a new thread, bound to `start`, may use while it is a worker, and thereafter.
struct course {
  numbers during;
  numbers after;
};
course course_of(const numbers& start, const call_facts& facts, int worker, const context& outer = {}) {
  course seen;
  std::thread([&] {
    affinity_mask::of(start).bind();
    {
      const worker_pin pin(facts, worker, outer);
      seen.during = here();
    }
    seen.after = here();
  }).join();
  return seen;
}

}  // namespace

TEST_CASE("workers go round the places") {
  const pinning pins = to({{1}, {2, 3}, {4}});
  CHECK(pins.place_of(0).processors() == numbers{1});
  CHECK(pins.place_of(1).processors() == numbers{2, 3});
  CHECK(pins.place_of(2).processors() == numbers{4});
  CHECK(pins.place_of(3).processors() == numbers{1});
}

TEST_CASE("home is what the outermost caller may use") {
  const pinning outer = to({{1}});
  pinning inner = to({{2}});
  CHECK(&inner.home() == &inner.callers);
  inner.around = &outer;
  CHECK(&inner.home() == &outer.callers);
}

TEST_CASE("a worker is bound while it works, and gets back what it had") {
  if (!can_bind()) return;
  const pinning pins = to({first(), last()});
  const call_facts facts{.pins = &pins, .binds = true};
  for (int worker = 0; worker < 4; ++worker) {
    const course seen = course_of(all_processors(), facts, worker);
    CHECK(seen.during == (worker % 2 == 0 ? first() : last()));
    CHECK(seen.after == all_processors());
  }
  CHECK(here() == all_processors());
}

TEST_CASE("a worker of a call that does not bind stays where it is") {
  if (!can_bind()) return;
  const course seen = course_of(last(), call_facts{}, 0);
  CHECK(seen.during == last());
  CHECK(seen.after == last());
}

TEST_CASE("a thread that was started by a bound one does not stay bound") {
  if (!can_bind()) return;
  const pinning pins = to({first()});
  CHECK(course_of(last(), {.pins = &pins, .binds = true}, 0).after == all_processors());
  const course nested = course_of(last(), {.pins = &pins}, 0);
  CHECK(nested.during == all_processors());
  CHECK(nested.after == all_processors());
}

TEST_CASE("who is bound starts threads that are not, and stays bound itself") {
  if (!can_bind()) return;
  const pinning pins = to({first()});
  const call_facts facts{.pins = &pins, .binds = true};
  numbers started;
  numbers starter;
  std::thread([&] {
    const worker_pin pin(facts, 0, {});
    manyhands::detail::here.call = &facts;
    {
      const manyhands::detail::worker_unpin for_the_new_thread;
      std::thread([&] { started = here(); }).join();
    }
    starter = here();
  }).join();
  CHECK(started == all_processors());
  CHECK(starter == first());
}

TEST_CASE("a thread that may use more than the caller gets that back") {
  if (!can_bind()) return;
  pinning pins = to({first()});
  pins.callers = affinity_mask::of(first());
  const course seen = course_of(all_processors(), {.pins = &pins, .binds = true}, 0);
  CHECK(seen.during == first());
  CHECK(seen.after == all_processors());
}

TEST_CASE("in a nested call a thread of the call around it stays where that has bound it, or goes where the nested one wants it and back") {
  if (!can_bind()) return;
  const pinning pins = to({first()});
  const call_facts around{.pins = &pins, .binds = true};
  const context outer{.call = &around};
  const course silent = course_of(last(), {.pins = &pins}, 0, outer);
  CHECK(silent.during == last());
  CHECK(silent.after == last());
  const course binds = course_of(last(), {.pins = &pins, .binds = true}, 0, outer);
  CHECK(binds.during == first());
  CHECK(binds.after == last());
}

TEST_CASE("a place that the system refuses leaves the thread where it is") {
  const pinning pins = to({{1000}, {}});
  for (const int worker : {0, 1}) {
    const course seen = course_of(all_processors(), {.pins = &pins, .binds = true}, worker);
    CHECK(seen.during == all_processors());
    CHECK(seen.after == all_processors());
  }
}
