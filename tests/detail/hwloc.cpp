#include <manyhands/detail/hwloc.hpp>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <vector>

#include <manyhands/config.hpp>

#include <support/catch.hpp>

namespace {

using manyhands::detail::hwloc_core_count;
using manyhands::detail::hwloc_loaded;
using manyhands::detail::hwloc_locate;
using manyhands::detail::hwloc_never_load;
using manyhands::detail::located_processor;

std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

cpu_set_t own_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  REQUIRE(sched_getaffinity(0, sizeof mask, &mask) == 0);
  return mask;
}

int first_processor() {
  const cpu_set_t mask = own_mask();
  int number = 0;
  while (!CPU_ISSET(static_cast<unsigned>(number), &mask)) ++number;
  return number;
}

/// What a forked process that runs `check` exits with.
template <class Check>
int exit_code_of_child(Check check) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("hwloc is not loaded in a process that may not load it, and then cannot tell") {
  const bool before = hwloc_loaded();
  const int code = exit_code_of_child([&] {
    hwloc_never_load();
    const int cores = hwloc_core_count({});
    return before ? hwloc_loaded() : !hwloc_loaded() && cores == 0;
  });
  CHECK(code == 0);
}

TEST_CASE("counting cores loads hwloc where there is one") {
  const int cores = hwloc_core_count({});
  CHECK(hwloc_loaded() == (MANYHANDS_WITH_HWLOC != 0));
  if (MANYHANDS_WITH_HWLOC == 0) CHECK(cores == 0);
}

TEST_CASE("loading hwloc starts no thread and leaves the binding alone") {
  const cpu_set_t before = own_mask();
  const std::ptrdiff_t threads = threads_of_this_process();
  static_cast<void>(hwloc_core_count({}));
  const cpu_set_t after = own_mask();
  CHECK(CPU_EQUAL(&before, &after));
  CHECK(threads_of_this_process() == threads);
}

TEST_CASE("hwloc cannot tell the core of a processor that is not there") {
  CHECK(hwloc_core_count(std::array{1'000'000}) == 0);
  CHECK(hwloc_core_count(std::array{0, 1'000'000}) == 0);
}

TEST_CASE("one processor is part of one core") {
  if (hwloc_core_count({}) == 0) return;  // built without hwloc, or a machine without a description of itself
  const cpu_set_t mask = own_mask();
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(static_cast<unsigned>(processor), &mask)) CHECK(hwloc_core_count(std::array{processor}) == 1);
  }
}

TEST_CASE("what was loaded before a fork serves the forked process") {
  const int cores = hwloc_core_count({});
  const bool before = hwloc_loaded();
  const int code = exit_code_of_child([&] {
    hwloc_never_load();
    return hwloc_core_count({}) == cores && hwloc_loaded() == before;
  });
  CHECK(code == 0);
}

TEST_CASE("hwloc locates processors where there is one, and none that is not there") {
  std::array processors{located_processor{.number = first_processor()}};
  const bool located = hwloc_locate(processors);
  if (hwloc_core_count({}) == 0) {
    CHECK_FALSE(located);
  } else {
    CHECK(located);
    CHECK(processors.front().core >= 0);
    CHECK(processors.front().node >= 0);
  }
  std::array absent{located_processor{.number = 1'000'000}};
  CHECK_FALSE(hwloc_locate(absent));
}
