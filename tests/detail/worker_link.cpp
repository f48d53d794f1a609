#include <manyhands/detail/worker_link.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/places.hpp>
#include <support/vector_jobs.hpp>

using manyhands::index_range;
using namespace manyhands::detail;
using manyhands_test::has_result;
using manyhands_test::result_in;
using manyhands_test::vector_jobs;

namespace {

int no_pidfd(os_call call) noexcept { return call == os_call::pidfd_open ? EPERM : 0; }
int no_info(os_call call) noexcept { return call == os_call::pidfd_info ? ENOTTY : 0; }

/// Two workers that can be started for some jobs.
struct crew {
  explicit crew(manyhands::jobs& jobs, std::size_t its_result_size = 0) : work(jobs), result_size(its_result_size) {}

  worker_link& start(int number) {
    links[static_cast<std::size_t>(number)].start(work, number, parent, result_size, bell, links);
    return links[static_cast<std::size_t>(number)];
  }
  static exit_status collect(worker_link& link) {
    for (;;) {
      if (const auto status = link.try_collect()) return *status;
      std::this_thread::yield();
    }
  }

  manyhands::jobs& work;
  parent_facts parent;
  std::size_t result_size;
  doorbell bell;
  std::array<worker_link, 2> links;
};

}  // namespace

TEST_CASE("a worker that is started runs what is posted, and ends when it is dismissed") {
  const manyhands_test::leak_check leaks;
  if (GENERATE(false, true)) injected_fault = no_pidfd;
  vector_jobs<int> work({[] { return 7; }, [] { return 8; }});
  crew all(work, sizeof(int));
  worker_link& link = all.start(0);
  injected_fault = nullptr;
  CHECK(link.runs());
  link.board().post(link.posted++, {0, 2});
  while (link.board().finished() != 1) std::this_thread::yield();
  CHECK(link.has_news());
  CHECK(has_result(link.places(), 0, 1));
  CHECK_FALSE(link.try_collect().has_value());
  link.board().dismiss();
  CHECK(crew::collect(link) == exit_status{0, 0});
  CHECK(link.board().has_left());
  CHECK_FALSE(link.runs());
}

TEST_CASE("a worker that is started again knows nothing of the one before") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return 7; }});
  crew all(work);
  worker_link& link = all.start(0);
  link.board().post(link.posted++, {0, 1});
  while (!link.frames().has_news()) std::this_thread::yield();
  link.kill();
  CHECK(crew::collect(link) == exit_status{SIGKILL, -1});
  all.start(0);
  CHECK(link.posted == 0);
  CHECK(link.board().finished() == 0);
  CHECK_FALSE(link.frames().has_news());
}

TEST_CASE("a worker has no way to the memory of its siblings") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return static_cast<int>(manyhands_test::shared_mappings()); }});
  crew all(work, sizeof(int));
  all.start(0);
  worker_link& second = all.start(1);
  second.board().post(second.posted++, {0, 1});
  while (!has_result(second.places(), 0, 0)) std::this_thread::yield();
  const auto result = result_in(second.places(), 0, 0);
  manyhands::reader bytes(result);
  CHECK(bytes.get<int>() == 1);  // its own
}

TEST_CASE("a worker holds no descriptor of its siblings") {
  const manyhands_test::leak_check leaks;
  vector_jobs<int> work({[] { return static_cast<int>(manyhands_test::open_descriptors()); }});
  crew all(work, sizeof(int));
  const int before = static_cast<int>(manyhands_test::open_descriptors());
  all.start(0);
  worker_link& second = all.start(1);
  second.board().post(second.posted++, {0, 1});
  while (!has_result(second.places(), 0, 0)) std::this_thread::yield();
  const auto result = result_in(second.places(), 0, 0);
  manyhands::reader bytes(result);
  CHECK(bytes.get<int>() == before);
}

TEST_CASE("where nobody else knows how a worker ended, it is what the worker said of its exit") {
  const manyhands_test::leak_check leaks;
  std::signal(SIGCHLD, SIG_IGN);
  injected_fault = no_info;
  vector_jobs<int> work({[]() -> int { std::exit(5); }});
  crew all(work);
  worker_link& link = all.start(0);
  link.board().post(link.posted++, {0, 1});
  CHECK(crew::collect(link) == exit_status{0, 5});
  injected_fault = nullptr;
  std::signal(SIGCHLD, SIG_DFL);
}
