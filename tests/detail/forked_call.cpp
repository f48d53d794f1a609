#include <manyhands/detail/forked_call.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/scribble.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>
#include <support/vector_jobs.hpp>

using manyhands::plan;
using manyhands::worker_lost;
using namespace manyhands::detail;
using manyhands_test::vector_jobs;

namespace {

template <class R>
void run(vector_jobs<R>& work, int workers = 2, manyhands::batch_size batch = manyhands::automatic) {
  forked_call(work, plan{.workers = workers, .batch = batch}, work.transport().fixed_size).run();
}

template <class R>
std::vector<std::function<R()>> tasks_of(std::size_t count, std::function<R(std::size_t)> make) {
  std::vector<std::function<R()>> tasks;
  for (std::size_t index = 0; index < count; ++index) tasks.push_back([=] { return make(index); });
  return tasks;
}

/// The `worker_lost` of a task that has failed with one.
template <class R>
worker_lost loss(const vector_jobs<R>& work, std::size_t index) {
  REQUIRE(work.errors[index] != nullptr);
  try {
    std::rethrow_exception(work.errors[index]);
  } catch (const worker_lost& lost) {
    return lost;
  }
}

template <int (*error)(os_call) noexcept>
struct with_fault {
  with_fault() { injected_fault = error; }
  ~with_fault() { injected_fault = nullptr; }
};

std::atomic<int> forks_allowed{0};

int few_forks(os_call call) noexcept { return call == os_call::fork && forks_allowed.fetch_sub(1) <= 0 ? EAGAIN : 0; }
int no_pidfd(os_call call) noexcept { return call == os_call::pidfd_open ? ENOSYS : 0; }
int no_doorbell(os_call call) noexcept { return call == os_call::doorbell ? EMFILE : 0; }
int no_memory(os_call call) noexcept { return call == os_call::memory ? ENOMEM : 0; }

}  // namespace

TEST_CASE("every task is run once, and has its result") {
  const manyhands_test::leak_check leaks;
  const auto [workers, count] = GENERATE(table<int, std::size_t>({{1, 1}, {2, 1}, {2, 2}, {3, 100}, {5, 3}, {2, 10'000}}));
  const manyhands::batch_size batch = GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(7));
  const shared_array<std::atomic<int>> runs(count);
  SECTION("in places") {
    vector_jobs<int> work(tasks_of<int>(count, [&](std::size_t index) { return ++runs[index], static_cast<int>(index); }));
    run(work, workers, batch);
    for (std::size_t index = 0; index < work.tasks.size(); ++index) REQUIRE(work.results[index] == static_cast<int>(index));
  }
  SECTION("in frames") {
    vector_jobs<std::string> work(tasks_of<std::string>(count, [&](std::size_t index) { return ++runs[index], std::to_string(index); }));
    run(work, workers, batch);
    for (std::size_t index = 0; index < work.tasks.size(); ++index) REQUIRE(work.results[index] == std::to_string(index));
  }
  for (const auto& each : runs) CHECK(each == 1);
}

TEST_CASE("a call on a system without pidfds does all that others do") {
  const manyhands_test::leak_check leaks;
  const with_fault<no_pidfd> fault;
  vector_jobs<int> work(tasks_of<int>(50, [](std::size_t index) -> int {
    if (index == 20) std::raise(SIGKILL);
    return static_cast<int>(index);
  }));
  run(work);
  CHECK(work.succeeded() == 49);
  CHECK(loss(work, 20).signal() == SIGKILL);
}

TEST_CASE("a call whose first worker cannot be started throws, and has run nothing") {
  const manyhands_test::leak_check leaks;
  forks_allowed = 0;
  const with_fault<few_forks> fault;
  vector_jobs<int> work(tasks_of<int>(5, [](std::size_t) { return 1; }));
  CHECK_THROWS_AS(run(work), std::system_error);
  CHECK(work.waiting() == 5);
}

TEST_CASE("a call goes on with the workers that could be started") {
  const manyhands_test::leak_check leaks;
  forks_allowed = 2;
  const with_fault<few_forks> fault;
  vector_jobs<int> work(tasks_of<int>(50, [](std::size_t) { return manyhands::this_worker::index(); }));
  run(work, 5);
  CHECK(work.succeeded() == 50);
  for (const auto& worker : work.results) CHECK(*worker < 2);
}

TEST_CASE("a worker for which there is nothing more leaves at once, and nobody misses it") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> first(1);
  const auto is_gone = [](int process) { return process != 0 && ::kill(process, 0) != 0; };
  vector_jobs<int> work(tasks_of<int>(2, [&](std::size_t index) -> int {
    if (index == 0) return (first[0] = ::getpid()), 1;
    for (int round = 0; round < 10'000 && !is_gone(first[0]); ++round) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return is_gone(first[0]) ? 1 : 0;
  }));
  run(work);
  CHECK(work.succeeded() == 2);
  CHECK(work.results[1] == 1);
}

TEST_CASE("a call that loses its last worker and gets no other is given up") {
  const manyhands_test::leak_check leaks;
  forks_allowed = 1;
  const with_fault<few_forks> fault;
  vector_jobs<int> work(tasks_of<int>(50, [](std::size_t index) -> int {
    if (index == 3) ::_exit(1);
    return 1;
  }));
  run(work, 2);
  CHECK(loss(work, 3).exit_code() == 1);
  REQUIRE(work.aborted() != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(work.aborted()), std::system_error);
}

TEST_CASE("a call for which there is no descriptor or no memory throws, and has run nothing") {
  const manyhands_test::leak_check leaks;
  vector_jobs<std::string> work(tasks_of<std::string>(5, [](std::size_t) { return "x"; }));
  {
    const with_fault<no_doorbell> fault;
    CHECK_THROWS_AS(run(work), std::system_error);
  }
  {
    const with_fault<no_memory> fault;
    CHECK_THROWS_AS(run(work), std::system_error);
  }
  CHECK(work.waiting() == 5);
  run(work);
  CHECK(work.succeeded() == 5);
}

TEST_CASE("workers that die outside of any task break the pool, and say how") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(50, [](std::size_t) { return 1; }), false, [] { ::_exit(23); });
  run(work);
  REQUIRE(work.aborted() != nullptr);
  try {
    std::rethrow_exception(work.aborted());
  } catch (const manyhands::pool_broken& broken) {
    CHECK(std::string(broken.what()).find("code 23") != std::string::npos);
  }
}

TEST_CASE("an initializer runs in every worker, in replacements too") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> initialized(1);
  vector_jobs<int> work(tasks_of<int>(20,
                                      [](std::size_t index) -> int {
                                        if (index == 5 || index == 9) std::raise(SIGKILL);
                                        return 1;
                                      }),
                        false, [&] { ++initialized[0]; });
  run(work, 1);
  CHECK(work.succeeded() == 18);
  CHECK(initialized[0] == 3);
}

TEST_CASE("a worker whose initializer hangs keeps nobody waiting") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> arrived(1);
  vector_jobs<int> work(tasks_of<int>(20, [](std::size_t) { return 1; }), false, [&] {
    if (arrived[0]++ == 0) {
      for (;;) ::pause();
    }
  });
  run(work, 2);
  CHECK(work.succeeded() == 20);
}

TEST_CASE("a long task keeps no other waiting behind it") {
  const manyhands_test::leak_check leaks;
  // Whatever batches the short tasks grow to, the long one ends only when all others have.
  constexpr std::size_t count = 3000;
  const auto long_task = GENERATE(as<std::size_t>{}, 0, 1, 500, 2500);
  const shared_array<std::atomic<std::size_t>> done(1);
  vector_jobs<int> work(tasks_of<int>(count, [&](std::size_t index) {
    if (index == long_task) {
      while (done[0] != count - 1) std::this_thread::yield();
    } else {
      ++done[0];
    }
    return 1;
  }));
  run(work, 2);
  CHECK(work.succeeded() == count);
}

TEST_CASE("no task above a failed one begins once the failure is known, and all below it have their results") {
  const manyhands_test::leak_check leaks;
  constexpr std::size_t count = 1000;
  const shared_array<std::atomic<int>> runs(count);
  vector_jobs<int> work(tasks_of<int>(count,
                                      [&](std::size_t index) -> int {
                                        ++runs[index];
                                        if (index == 10) throw std::out_of_range("ten");
                                        if (index == 4) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                        if (index > 10) ::pause();  // not to be waited for
                                        return 1;
                                      }),
                        true);
  run(work, 3, 1);
  CHECK(work.failed() == std::vector<std::size_t>{10});
  for (std::size_t index = 0; index < 10; ++index) CHECK(work.results[index] == 1);
  CHECK(std::count_if(runs.begin(), runs.end(), [](const auto& each) { return each != 0; }) <= 10 + 1 + 3);
}

TEST_CASE("a worker that overwrites its own board or ring costs one task at a time, and never a wrong result") {
  const manyhands_test::leak_check leaks;
  const auto seed = GENERATE(range(0u, 30u));
  constexpr std::size_t count = 60;
  const bool hits_board = seed % 2 == 0;
  auto make = [=](std::size_t index) {
    if (index % 20 == 7) {
      manyhands_test::scribble(seed + static_cast<unsigned>(index), 1 + static_cast<int>(seed * 4),
                               hits_board ? manyhands_test::control_size : 4096, hits_board ? 0 : manyhands_test::ring_at);
    }
    return std::to_string(index * 3);
  };
  vector_jobs<std::string> work(tasks_of<std::string>(count, make));
  run(work, 2);
  for (std::size_t index = 0; index < count; ++index) {
    if (work.errors[index] == nullptr) REQUIRE(work.results[index] == std::to_string(index * 3));
  }
  CHECK(work.failed().size() <= count / 2);
}

TEST_CASE("a worker that overwrites results in their places costs one task at a time, and never a wrong result") {
  const manyhands_test::leak_check leaks;
  const auto seed = GENERATE(range(0u, 30u));
  constexpr std::size_t count = 60;
  vector_jobs<int> work(tasks_of<int>(count, [=](std::size_t index) {
    if (index % 20 == 7)
      manyhands_test::scribble(seed + static_cast<unsigned>(index), 1 + static_cast<int>(seed * 20), 800, manyhands_test::control_size);
    return static_cast<int>(index * 3);
  }));
  run(work, 2, GENERATE(manyhands::batch_size(manyhands::automatic), manyhands::batch_size(30)));
  for (std::size_t index = 0; index < count; ++index) {
    if (work.errors[index] == nullptr) REQUIRE(work.results[index] == static_cast<int>(index * 3));
  }
  CHECK(work.failed().size() <= count / 2);
}

TEST_CASE("whichever word a worker overwrites of what it shares, the call ends and is right") {
  const manyhands_test::leak_check leaks;
  const auto word = GENERATE(range(std::size_t{0}, manyhands_test::control_size / sizeof(std::uint32_t)));
  const std::uint32_t flip = GENERATE(1u, 3u, 0xffffffffu);
  vector_jobs<std::string> work(tasks_of<std::string>(12, [=](std::size_t index) {
    if (index == 9) reinterpret_cast<std::uint32_t*>(manyhands_test::memory_shared_with_caller())[word] ^= flip;
    return std::to_string(index);
  }));
  run(work, 1, 2);
  CHECK(work.aborted() == nullptr);
  CHECK(work.failed().size() <= 4);
  for (std::size_t index = 0; index < 12; ++index) {
    if (work.errors[index] == nullptr) REQUIRE(work.results[index] == std::to_string(index));
  }
}

TEST_CASE("a worker that wipes all that it shares is replaced") {
  const manyhands_test::leak_check leaks;
  const int with = GENERATE(0, 1, 0x5a, 0xff);
  vector_jobs<int> work(tasks_of<int>(40, [=](std::size_t index) {
    if (index == 11) {
      std::byte* const memory = manyhands_test::memory_shared_with_caller();
      std::memset(memory, with, manyhands_test::ring_at + worker_link::ring_size);
    }
    return static_cast<int>(index);
  }));
  run(work, 2);
  // The task that did it, if anybody: its own result may come after that.
  for (const std::size_t index : work.failed()) CHECK(index == 11);
  CHECK(work.succeeded() + work.failed().size() == 40);
}

TEST_CASE("a task that wipes the results before it and then crashes is lost alone") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(400, [](std::size_t index) {
    if (index == 150) {
      std::memset(manyhands_test::memory_shared_with_caller() + manyhands_test::control_size, 0xa5, direct_results::memory_size);
      std::abort();
    }
    return static_cast<int>(index);
  }));
  run(work, 2, 100);
  CHECK(work.failed() == std::vector<std::size_t>{150});
  for (std::size_t index = 0; index < 400; ++index) {
    if (index != 150) REQUIRE(work.results[index] == static_cast<int>(index));
  }
}

TEST_CASE("a task that closes every descriptor it finds delays nothing but itself") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(20, [](std::size_t index) {
    if (index == 3) {
      for (int fd = 3; fd < 1024; ++fd) ::close(fd);
    }
    return 1;
  }));
  run(work, 2);
  CHECK(work.succeeded() == 20);
}

TEST_CASE("a doorbell that a worker has filled up rings all the same") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(20, [](std::size_t index) {
    if (index == 3) {
      const std::uint64_t full = 0xfffffffffffffffe;
      for (int fd = 3; fd < 64; ++fd) {
        char name[64] = {};
        if (::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof name - 1) > 0 &&
            std::string(name) == "anon_inode:[eventfd]") {
          static_cast<void>(!::write(fd, &full, sizeof full));
        }
      }
    }
    return 1;
  }));
  run(work, 2);
  CHECK(work.succeeded() == 20);
}

TEST_CASE("a call that is given up from elsewhere ends at once") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> begun(1);
  vector_jobs<int> work(tasks_of<int>(10, [&](std::size_t) -> int {
    ++begun[0];
    for (;;) ::pause();
  }));
  std::thread elsewhere([&] {
    while (begun[0] != 2) std::this_thread::yield();
    work.abort(std::make_exception_ptr(manyhands::cancelled("enough")));
  });
  run(work, 2);
  elsewhere.join();
  CHECK(begun[0] == 2);
}

TEST_CASE("a worker may have workers of its own, and a crash among them stays there") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(4, [](std::size_t outer) -> int {
    vector_jobs<int> inner(tasks_of<int>(10, [outer](std::size_t index) -> int {
      if (index == 3) std::raise(SIGKILL);
      return static_cast<int>(outer * index);
    }));
    run(inner);
    int sum = inner.failed() == std::vector<std::size_t>{3} ? 0 : 1000;
    for (const auto& each : inner.results) sum += each.value_or(0);
    return sum;
  }));
  run(work);
  for (std::size_t index = 0; index < 4; ++index) CHECK(work.results[index] == static_cast<int>((45 - 3) * index));
}

TEST_CASE("a worker that is killed takes its own workers with it") {
  const manyhands_test::leak_check leaks;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const shared_array<std::atomic<int>> begun(1);
  vector_jobs<int> work({[&]() -> int {
    const pid_t self = ::getpid();
    vector_jobs<int> inner(tasks_of<int>(2, [&, self](std::size_t) -> int {
      if (++begun[0] == 2) ::kill(self, SIGKILL);
      for (;;) ::pause();
    }));
    run(inner);
    return 1;
  }});
  run(work, 1);
  CHECK(loss(work, 0).signal() == SIGKILL);
  ::close(ends[1]);
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);  // blocks for as long as one of them holds the other end
  ::close(ends[0]);
}

TEST_CASE("the signal mask of the caller is as it was") {
  const manyhands_test::leak_check leaks;
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  vector_jobs<int> work(tasks_of<int>(3, [](std::size_t) { return 1; }));
  run(work);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < SIGRTMIN; ++signal) CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

TEST_CASE("where memory runs out a worker goes before its program, if it has lived for a moment") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work(tasks_of<int>(3, [](std::size_t) {
    int score = 0;
    for (int round = 0; round < 10'000 && score < 500; ++round) {
      std::ifstream("/proc/self/oom_score_adj") >> score;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return score;
  }));
  run(work);
  for (const auto& score : work.results) CHECK(*score >= 500);
}

TEST_CASE("a worker that replaces another runs no handler that its program has got meanwhile") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    const shared_array<std::atomic<int>> stage(1);
    const auto wait_for = [&](int wanted) {
      for (int round = 0; round < 10'000 && stage[0] < wanted; ++round) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    vector_jobs<int> work(tasks_of<int>(2, [&](std::size_t index) -> int {
      if (index == 0) {
        stage[0] = 1;
        wait_for(2);
        ::_exit(3);
      }
      struct sigaction action {};
      ::sigaction(SIGUSR1, nullptr, &action);
      return action.sa_handler == SIG_DFL ? 1 : 0;
    }));
    std::thread other([&] {
      wait_for(1);
      std::signal(SIGUSR1, [](int) {});
      stage[0] = 2;
    });
    run(work, 1);
    other.join();
    return work.errors[0] != nullptr && work.results[1] == 1;
  }));
}
