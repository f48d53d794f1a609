#include <manyhands/detail/worker_pool.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <support/catch.hpp>
#include <support/pool.hpp>
#include <support/subprocess.hpp>

using manyhands::no_index;
using namespace manyhands::detail;
using manyhands_test::pool_check;

namespace {

worker_pool& pool() { return worker_pool::here_and_now(); }
worker_link taken(const worker_kind& kind, std::size_t quota = no_index) {
  worker_link link;
  pool().take(link, kind, quota);
  return link;
}
const worker_kind plain{};

int no_pidfd(os_call call) noexcept { return call == os_call::pidfd_open ? EPERM : 0; }
int no_fork(os_call call) noexcept { return call == os_call::fork ? EAGAIN : 0; }
int no_memory(os_call call) noexcept { return call == os_call::memory ? ENOMEM : 0; }

struct without_fault {
  ~without_fault() { injected_fault = nullptr; }
};

}  // namespace

TEST_CASE("a worker that was given back is the next to be taken, and one that waits is not needed twice") {
  const pool_check leaks;
  const without_fault later;
  if (GENERATE(false, true)) injected_fault = no_pidfd;
  worker_link first = taken(plain);
  worker_link second = taken(plain);
  const pid_t pid = first.process().pid();
  CHECK(pid != second.process().pid());
  pool().give_back(std::move(first), plain, no_index);
  CHECK(pool().idle() == 1);
  worker_link again = taken(plain);
  CHECK(again.process().pid() == pid);
  CHECK(pool().idle() == 0);
  pool().give_back(std::move(again), plain, no_index);
  pool().give_back(std::move(second), plain, no_index);
  CHECK(pool().idle() == 2);
}

TEST_CASE("calls that want other workers get others") {
  const pool_check leaks;
  worker_link first = taken(plain);
  const pid_t pid = first.process().pid();
  pool().give_back(std::move(first), plain, no_index);
  const worker_kind limited{.memory_limit = std::size_t{1} << 30U};
  worker_link other = taken(limited);
  CHECK(other.process().pid() != pid);
  pool().give_back(std::move(other), limited, no_index);
  CHECK(pool().idle() == 2);
  worker_link again = taken(plain);
  CHECK(again.process().pid() == pid);
  pool().give_back(std::move(again), plain, no_index);
}

TEST_CASE("a worker that does not know what the program knows by now is let go") {
  const pool_check leaks;
  const int number = 0;
  const known_program later = GENERATE_COPY(known_program{.loads = 1}, known_program{.exceptions = &number}, known_program{.backends = 1});
  worker_link old = taken(plain);
  const pid_t pid = old.process().pid();
  pool().give_back(std::move(old), plain, no_index);
  worker_link next = taken({.program = later});
  CHECK(next.process().pid() != pid);
  CHECK(pool().idle() == 0);
  pool().give_back(std::move(next), {.program = later}, no_index);
}

TEST_CASE("what the program knows changes with what is registered") {
  const known_program before = known_program::now();
  CHECK(known_program::now() == before);
  manyhands::detail::registered_backend_changes.fetch_add(1);
  CHECK(known_program::now() != before);
}

TEST_CASE("a worker that has been given its share of tasks is not taken, and not kept") {
  const pool_check leaks;
  worker_link worn = taken(plain);
  worn.tasks_given = 5;
  const pid_t pid = worn.process().pid();
  pool().give_back(std::move(worn), plain, no_index);
  CHECK(pool().idle() == 1);
  worker_link other = taken(plain, 5);
  CHECK(other.process().pid() != pid);
  other.tasks_given = 5;
  pool().give_back(std::move(other), plain, 5);
  CHECK(pool().idle() == 1);
}

TEST_CASE("a worker that has died, or is not idle, does not stay in the pool") {
  const pool_check leaks;
  worker_link first = taken(plain);
  const pid_t pid = first.process().pid();
  pool().give_back(std::move(first), plain, no_index);
  ::kill(pid, SIGKILL);
  worker_link next;
  do {  // until the system has ended it
    next = taken(plain);
    if (next.process().pid() == pid) pool().give_back(std::move(next), plain, no_index);
  } while (!next.runs());
  CHECK(next.process().pid() != pid);
  next.board().post(0, {0, 1});
  next.posted = 1;
  pool().give_back(std::move(next), plain, no_index);
  CHECK(pool().idle() == 0);
}

TEST_CASE("where no process can be started the caller is told") {
  const pool_check leaks;
  const without_fault later;
  for (const auto fault : {no_fork, no_memory}) {
    injected_fault = fault;
    worker_link link;
    CHECK_THROWS_AS(pool().take(link, plain, no_index), std::system_error);
    CHECK_FALSE(link.runs());
  }
}

TEST_CASE("many threads may take and give back at a time, and no worker is with two of them") {
  const pool_check leaks;
  std::array<std::atomic<int>, 1> wrong{};
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<pid_t> taken_now;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        worker_link link = taken(plain);
        const pid_t pid = link.process().pid();
        {
          const std::lock_guard lock(mutex);
          if (!taken_now.insert(pid).second) ++wrong[0];
        }
        std::this_thread::yield();
        {
          const std::lock_guard lock(mutex);
          taken_now.erase(pid);
        }
        pool().give_back(std::move(link), plain, no_index);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(wrong[0] == 0);
  CHECK(pool().idle() >= 1);
  CHECK(pool().idle() <= 4);
}

TEST_CASE("a forked copy of the program has a pool of its own, with nobody in it") {
  const pool_check leaks;
  pool().give_back(taken(plain), plain, no_index);
  const worker_pool* const parents = &pool();
  CHECK(manyhands_test::holds_in_subprocess([&] {
    if (&pool() == parents || pool().idle() != 0) return false;
    pool().give_back(taken(plain), plain, no_index);
    const bool one = pool().idle() == 1;
    pool().end_idle();
    return one;
  }));
  CHECK(pool().idle() == 1);
}
