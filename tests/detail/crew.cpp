#include <manyhands/detail/crew.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <support/catch.hpp>

using manyhands::detail::crew;
using manyhands::detail::employer;

namespace {

/// Counts who helps, and keeps them until it is told to let them go.
class desk final : public employer {
 public:
  void help(std::unique_lock<std::mutex>& lock) noexcept override {
    helpers.insert(std::this_thread::get_id());
    ++inside;
    changed.notify_all();
    changed.wait(lock, [this] { return !keep; });
    --inside;
    changed.notify_all();
  }
  bool reaches(int count, std::unique_lock<std::mutex>& lock) {
    return changed.wait_for(lock, std::chrono::seconds(30), [&] { return inside == count; });
  }

  // Guarded by the crew's mutex.
  std::condition_variable changed;
  std::set<std::thread::id> helpers;
  int inside = 0;
  bool keep = true;
};

}  // namespace

TEST_CASE("as many helpers come as were asked for, and go back") {
  crew& all = crew::get();
  const auto work = std::make_shared<desk>();
  std::unique_lock lock(all.mutex());
  all.open(3);
  all.want(work, 3);
  REQUIRE(work->reaches(3, lock));
  REQUIRE(work->helpers.size() == 3);
  REQUIRE(all.open_requests(*work) == 0);
  work->keep = false;
  work->changed.notify_all();
  REQUIRE(work->reaches(0, lock));
  all.close(work, 3);
}

TEST_CASE("threads are kept and come again") {
  crew& all = crew::get();
  std::set<std::thread::id> seen;
  for (int call = 0; call < 100; ++call) {
    const auto work = std::make_shared<desk>();
    work->keep = false;
    std::unique_lock lock(all.mutex());
    all.open(1);
    all.want(work, 1);
    REQUIRE(work->changed.wait_for(lock, std::chrono::seconds(30), [&] { return work->helpers.size() == 1 && work->inside == 0; }));
    seen.insert(work->helpers.begin(), work->helpers.end());
    all.close(work, 1);
  }
  REQUIRE(seen.size() <= 4);
}

TEST_CASE("what is closed is not helped any more, and the next one gets the thread that was woken for it") {
  crew& all = crew::get();
  std::unique_lock lock(all.mutex());
  const auto given_up = std::make_shared<desk>();
  all.open(1);
  all.want(given_up, 1);
  REQUIRE(all.open_requests(*given_up) == 1);
  all.close(given_up, 1);
  REQUIRE(all.open_requests(*given_up) == 0);
  const auto work = std::make_shared<desk>();
  all.open(1);
  all.want(work, 1);
  REQUIRE(work->reaches(1, lock));
  REQUIRE(given_up->helpers.empty());
  work->keep = false;
  work->changed.notify_all();
  REQUIRE(work->reaches(0, lock));
  all.close(work, 1);
}

TEST_CASE("two employers get their helpers at the same time") {
  crew& all = crew::get();
  std::unique_lock lock(all.mutex());
  const auto first = std::make_shared<desk>();
  const auto second = std::make_shared<desk>();
  all.open(2);
  all.open(2);
  all.want(first, 2);
  all.want(second, 2);
  REQUIRE(first->reaches(2, lock));
  REQUIRE(second->reaches(2, lock));
  for (const auto& one : {first, second}) {
    one->keep = false;
    one->changed.notify_all();
    REQUIRE(one->reaches(0, lock));
    all.close(one, 2);
  }
}

TEST_CASE("a forked child has a crew of its own") {
  crew* parents = &crew::get();
  const pid_t child = ::fork();
  if (child == 0) {
    crew& own = crew::get();
    if (&own == parents) ::_exit(1);
    const auto work = std::make_shared<desk>();
    work->keep = false;
    std::unique_lock lock(own.mutex());
    own.open(1);
    own.want(work, 1);
    const bool came = work->changed.wait_for(lock, std::chrono::seconds(30), [&] { return !work->helpers.empty(); });
    ::_exit(came ? 0 : 2);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  REQUIRE(&crew::get() == parents);
}
