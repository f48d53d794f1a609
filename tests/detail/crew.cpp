#include <manyhands/detail/crew.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <manyhands/detail/affinity.hpp>
#include <support/catch.hpp>

using manyhands::detail::affinity_mask;
using manyhands::detail::crew;
using manyhands::detail::employer;
using manyhands::detail::quiet_call;
using manyhands::detail::quiet_calls;
using manyhands::detail::spin_until;

namespace {

/// Counts who helps, and keeps so many of them until it is told to let them go.
class desk final : public employer {
 public:
  explicit desk(int most_helpers, int places = 1000) : employer(most_helpers), free(places) {}

  finding help(std::unique_lock<std::mutex>& lock) noexcept override {
    if (free == 0) return finding::nothing;
    --free;
    helpers.insert(std::this_thread::get_id());
    ++inside;
    changed.notify_all();
    changed.wait(lock, [this] { return !keep; });
    --inside;
    changed.notify_all();
    return finding::work;
  }
  [[nodiscard]] bool depends_on_this_thread() const noexcept override { return false; }

  bool reaches(int count, std::unique_lock<std::mutex>& lock) {
    return changed.wait_for(lock, std::chrono::seconds(30), [&] { return inside == count; });
  }
  void let_go(std::unique_lock<std::mutex>& lock) {
    keep = false;
    free = 0;
    changed.notify_all();
    REQUIRE(reaches(0, lock));
  }

  // Guarded by the crew's mutex.
  std::condition_variable changed;
  std::set<std::thread::id> helpers;
  int free;
  int inside = 0;
  bool keep = true;
};

/// Makes known what it is told to, and counts.
class counted_call final : public quiet_call {
 public:
  void make_known() noexcept override { ++times; }

  std::atomic<int> times = 0;
};

/// Has a helper come and go, so that somebody keeps watch, and waits for that.
quiet_calls* watch() {
  crew& all = crew::get();
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  quiet_calls* mine = nullptr;
  while (mine == nullptr && std::chrono::steady_clock::now() < patience) {
    desk work(1, 1);
    work.keep = false;
    std::unique_lock lock(all.mutex());
    all.open(work);
    all.want(work, 1);
    REQUIRE(work.changed.wait_for(lock, std::chrono::seconds(30), [&] { return work.helpers.size() == 1 && work.inside == 0; }));
    all.close(work);
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    mine = all.watched_calls();
  }
  return mine;
}

}  // namespace

TEST_CASE("as many helpers come as were asked for, and go back") {
  crew& all = crew::get();
  desk work(3);
  std::unique_lock lock(all.mutex());
  all.open(work);
  all.want(work, 3);
  REQUIRE(work.reaches(3, lock));
  REQUIRE(work.helpers.size() == 3);
  work.let_go(lock);
  all.close(work);
}

TEST_CASE("no more helpers come than an employer may have, however often they are asked for") {
  crew& all = crew::get();
  desk first(2);
  desk second(2);
  std::unique_lock lock(all.mutex());
  all.open(first);
  all.open(second);
  for (int i = 0; i < 5; ++i) {
    all.want(first, 7);
    all.want(second, 7);
  }
  REQUIRE(first.reaches(2, lock));
  REQUIRE(second.reaches(2, lock));
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  lock.lock();
  REQUIRE(first.inside == 2);
  REQUIRE(second.inside == 2);
  for (desk* one : {&first, &second}) {
    one->let_go(lock);
    all.close(*one);
  }
}

TEST_CASE("helpers that were asked for again after there was nothing to do come again") {
  crew& all = crew::get();
  desk work(2, 0);
  std::unique_lock lock(all.mutex());
  all.open(work);
  for (int round = 0; round < 20; ++round) {
    all.want(work, 2);
    lock.unlock();
    // Time for them to come, to find nothing, and now and then to fall asleep.
    std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
    lock.lock();
  }
  work.free = 2;
  all.want(work, 2);
  REQUIRE(work.reaches(2, lock));
  work.let_go(lock);
  all.close(work);
}

TEST_CASE("threads are kept and come again") {
  crew& all = crew::get();
  std::set<std::thread::id> seen;
  for (int call = 0; call < 100; ++call) {
    desk work(1, 1);
    work.keep = false;
    std::unique_lock lock(all.mutex());
    all.open(work);
    all.want(work, 1);
    REQUIRE(work.changed.wait_for(lock, std::chrono::seconds(30), [&] { return work.helpers.size() == 1 && work.inside == 0; }));
    seen.insert(work.helpers.begin(), work.helpers.end());
    all.close(work);
  }
  REQUIRE(seen.size() <= 4);
}

TEST_CASE("what is closed is not helped any more, and the next one gets the thread that was woken for it") {
  crew& all = crew::get();
  std::unique_lock lock(all.mutex());
  desk given_up(1);
  all.open(given_up);
  all.want(given_up, 1);
  all.close(given_up);
  desk work(1);
  all.open(work);
  all.want(work, 1);
  REQUIRE(work.reaches(1, lock));
  REQUIRE(given_up.helpers.empty());
  work.let_go(lock);
  all.close(work);
}

TEST_CASE("two employers get their helpers at the same time") {
  crew& all = crew::get();
  std::unique_lock lock(all.mutex());
  desk first(2);
  desk second(2);
  all.open(first);
  all.open(second);
  all.want(first, 2);
  all.want(second, 2);
  REQUIRE(first.reaches(2, lock));
  REQUIRE(second.reaches(2, lock));
  for (desk* one : {&first, &second}) {
    one->let_go(lock);
    all.close(*one);
  }
}

TEST_CASE("helpers that are expected are awake, and can be had at once") {
  crew& all = crew::get();
  for (int round = 0; round < 20; ++round) {
    std::unique_lock lock(all.mutex());
    all.expect(2);
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 3));
    lock.lock();
    all.expect_no_more(2);
    desk work(2);
    all.open(work);
    all.want(work, 2);
    REQUIRE(work.reaches(2, lock));
    work.let_go(lock);
    all.close(work);
  }
}

TEST_CASE("a quiet call that goes on for long is made known") {
  quiet_calls* const mine = watch();
  if (!manyhands::detail::has_barrier_in_all_threads()) return;
  REQUIRE(mine != nullptr);
  counted_call call;
  REQUIRE(mine->open(call));
  const bool watched = crew::get().on_watch();
  if (watched) {
    REQUIRE(spin_until(std::chrono::seconds(30), [&] { return call.times == 1; }));
  }
  REQUIRE(mine->close() == !watched);
}

TEST_CASE("the watch ends some time after the last call, and no call opened before is left behind") {
  for (int round = 0; round < 5; ++round) {
    quiet_calls* const mine = watch();
    if (mine == nullptr) return;
    REQUIRE(spin_until(std::chrono::seconds(30), [] { return !crew::get().on_watch(); }));
    REQUIRE(crew::get().watched_calls() == nullptr);
  }
}

TEST_CASE("a forked child has a crew of its own") {
  crew* parents = &crew::get();
  static_cast<void>(watch());
  const pid_t child = ::fork();
  if (child == 0) {
    crew& own = crew::get();
    if (&own == parents || own.on_watch()) ::_exit(1);
    desk work(1);
    work.keep = false;
    std::unique_lock lock(own.mutex());
    own.open(work);
    own.want(work, 1);
    const bool came = work.changed.wait_for(lock, std::chrono::seconds(30), [&] { return !work.helpers.empty(); });
    ::_exit(came ? 0 : 2);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  REQUIRE(&crew::get() == parents);
}

TEST_CASE("a wait without sleep ends when it is over, or when the time is") {
  REQUIRE(spin_until(std::chrono::hours(1), [] { return true; }));
  REQUIRE_FALSE(spin_until(std::chrono::microseconds(1), [] { return false; }));
}

TEST_CASE("who waits without sleep learns that somebody else has the processor") {
  const affinity_mask before;
  const std::vector<int> one = {before.processors().front()};
  REQUIRE(affinity_mask::of(one).bind());
  std::atomic<bool> over = false;
  std::atomic<bool> begun = false;
  std::thread busy([&] {  // on the same processor
    begun = true;
    while (!over) {
    }
  });
  while (!begun) std::this_thread::yield();
  bool is_crowded = false;
  REQUIRE(spin_until(
      std::chrono::seconds(30), [&] { return is_crowded; }, &is_crowded));
  over = true;
  busy.join();
  REQUIRE(before.bind());
}
