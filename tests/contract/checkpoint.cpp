// Results that outlive a run, on every backend.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/shared.hpp>

namespace {

using namespace manyhands;

struct setting {
  const char* backend;
  int n_jobs;
};
const std::vector<setting> settings{{"sequential", 1}, {"threads", 1}, {"threads", 3}, {"processes", 2}};

class place {
 public:
  place() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands_checkpoint_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;
  ~place() { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path(int number = 0) const { return directory_ + "/journal" + std::to_string(number); }

 private:
  std::string directory_;
};

/// How often each task ran, in whatever process.
using counts = shared_array<std::atomic<int>>;
int all_of(const counts& ran) {
  int sum = 0;
  for (const auto& each : ran) sum += each;
  return sum;
}

TEST_CASE("the second run does only what the first has not done, and gives the same") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const place at;
    const counts ran(50);
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path()});
    const auto tasks = [&](int broken) {
      return std::views::iota(0, 50) | delayed([&ran, broken](int i) {
               if (i == broken) throw std::runtime_error("broken");
               ++ran[static_cast<std::size_t>(i)];
               return std::string(static_cast<std::size_t>(i), 'x');
             });
    };
    CHECK_THROWS_AS(par(tasks(30)), std::runtime_error);
    const int first = all_of(ran);
    CHECK(first >= 30);
    CHECK(ran[30] == 0);

    const auto texts = par(tasks(-1));
    REQUIRE(texts.size() == 50);
    for (std::size_t i = 0; i < 50; ++i) CHECK(texts[i].size() == i);
    CHECK(ran[30] == 1);
    // A worker process may have done a task whose result nobody fetched any more.
    if (std::string_view(backend) != "processes") CHECK(all_of(ran) == 50);

    const int second = all_of(ran);
    CHECK(par(tasks(0)).size() == 50);
    CHECK(all_of(ran) == second);
  }
}

TEST_CASE("outcomes, lists, and tasks of different types are kept, too") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const place at;
    const counts ran(3);
    const auto par = [&, backend = backend, n_jobs = n_jobs](int number) {
      return Parallel({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path(number)});
    };
    const auto half = [&](int i) {
      ++ran[0];
      if (i % 2 != 0) throw i;
      return i;
    };
    for (int round = 0; round < 2; ++round) {
      const auto outcomes = par(0).outcomes(std::views::iota(0, 20) | delayed(half));
      CHECK(outcomes[2].value() == 2);
      CHECK_FALSE(outcomes[3].has_value());
    }
    CHECK(ran[0] == 20 + 10);  // what failed is run again

    const std::list<int> numbers{1, 2, 3, 4};
    for (int round = 0; round < 2; ++round) {
      CHECK(par(1)(numbers | delayed([&](int i) { return ++ran[1], i; })) == std::vector<int>{1, 2, 3, 4});
    }
    CHECK(ran[1] == 4);

    for (int round = 0; round < 2; ++round) {
      const auto [number, nothing, text] = par(2)(delayed([&] { return ++ran[2], 7; })(), delayed([&] { ++ran[2]; })(),
                                                  delayed([&] { return ++ran[2], std::string("seven"); })());
      CHECK(number == 7);
      CHECK(text == "seven");
    }
    CHECK(ran[2] == 3);
  }
}

TEST_CASE("tasks without a value, and an input of unknown size") {
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const place at;
    const counts ran(1);
    for (int round = 0; round < 2; ++round) {
      auto odd = std::views::iota(0, 30) | std::views::filter([](int i) { return i % 2 != 0; }) | delayed([&](int) { ++ran[0]; });
      Parallel({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path()})(odd);
    }
    CHECK(ran[0] == 15);
  }
}

TEST_CASE("a journal may be written on one backend and read on another, by any number of workers") {
  const place at;
  const counts ran(1);
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const auto results = Parallel({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path()})(
        std::views::iota(0, 40) | delayed([&](int i) { return ++ran[0], i * 0.5; }));
    CHECK(results[39] == 19.5);
  }
  CHECK(ran[0] == 40);
}

TEST_CASE("a call that does not fit the journal is refused before any task runs") {
  const place at;
  const counts ran(1);
  const Parallel par({.n_jobs = 2, .description = "first", .checkpoint = at.path()});
  static_cast<void>(par(std::views::iota(0, 5) | delayed([&](int i) { return i; })));
  const auto count = [&](int i) { return ++ran[0], i; };
  CHECK_THROWS_AS(par(std::views::iota(0, 6) | delayed(count)), checkpoint_error);
  CHECK_THROWS_AS(par(std::views::iota(0, 5) | delayed([&](int i) { return 1.0 * count(i); })), checkpoint_error);
  CHECK_THROWS_AS(Parallel({.n_jobs = 2, .checkpoint = at.path()})(std::views::iota(0, 5) | delayed(count)), checkpoint_error);
  CHECK_THROWS_AS(Parallel({.n_jobs = 2, .checkpoint = "/no/such/place"})(std::views::iota(0, 5) | delayed(count)), checkpoint_error);
  CHECK(ran[0] == 0);
}

TEST_CASE("results that cannot be written down are refused before any task runs") {
  const place at;
  const counts ran(1);
  int value = 0;
  CHECK_THROWS_AS(
      Parallel({.n_jobs = 2, .checkpoint = at.path()})(std::views::iota(0, 5) | delayed([&](int) -> int& { return ++ran[0], value; })),
      not_transportable);
  CHECK(ran[0] == 0);
}

TEST_CASE("an observer is told what an earlier run has left") {
  class asks final : public observer {
   public:
    std::size_t restored = 0, broken = 0, finished = 0;
    void call_begun(const observed_call& call) override {
      restored = call.restored;
      broken = call.broken_bytes;
    }
    void task_finished(const observed_call&, const observed_task&) override { ++finished; }
  };
  for (const auto& [backend, n_jobs] : settings) {
    CAPTURE(backend, n_jobs);
    const place at;
    const auto watch = std::make_shared<asks>();
    const Parallel par({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path(), .observer = watch});
    const auto tasks = std::views::iota(0, 10) | delayed([](int i) { return i; });
    static_cast<void>(par(tasks));
    CHECK(watch->restored == 0);
    CHECK(watch->finished == 10);
    std::filesystem::resize_file(at.path(), std::filesystem::file_size(at.path()) - 1);
    static_cast<void>(par(tasks));
    CHECK(watch->restored == 9);
    CHECK(watch->broken > 0);
    CHECK(watch->finished == 20);
  }
}

TEST_CASE("what a program that was killed at any moment has finished is not done again") {
  for (const auto& [backend, n_jobs] : settings) {
    for (const int milliseconds : {3, 10, 25, 60}) {
      CAPTURE(backend, n_jobs, milliseconds);
      const place at;
      const counts ran(200);
      const auto run = [&, backend = backend, n_jobs = n_jobs] {
        return Parallel({.n_jobs = n_jobs, .backend = backend, .checkpoint = at.path()})(std::views::iota(0, 200) | delayed([&](int i) {
                                                                                           ++ran[static_cast<std::size_t>(i)];
                                                                                           std::this_thread::sleep_for(
                                                                                               std::chrono::microseconds(300));
                                                                                           return i * 3;
                                                                                         }));
      };
      const pid_t program = ::fork();
      REQUIRE(program >= 0);
      if (program == 0) {
        static_cast<void>(run());
        ::_exit(0);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      ::kill(program, SIGKILL);
      REQUIRE(::waitpid(program, nullptr, 0) == program);
      const auto results = run();
      REQUIRE(results.size() == 200);
      for (int i = 0; i < 200; ++i) CHECK(results[static_cast<std::size_t>(i)] == i * 3);
      // Those that ran twice were at work, or on their way home, when it was killed.
      const int twice = all_of(ran) - 200;
      CHECK(twice >= 0);
      if (std::string_view(backend) != "processes") CHECK(twice <= n_jobs);
    }
  }
}

TEST_CASE("a scope's journal is for the calls in it, not for those in their tasks") {
  const place at;
  const parallel_config guard({.n_jobs = 2, .checkpoint = at.path()});
  const auto sums = Parallel()(std::views::iota(0, 4) |
                               delayed([](int i) { return Parallel()(std::views::iota(0, i) | delayed([](int k) { return k; })).size(); }));
  CHECK(sums == std::vector<std::size_t>{0, 1, 2, 3});
}

}  // namespace
