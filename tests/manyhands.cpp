#include <manyhands.hpp>

#include <dirent.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <support/catch.hpp>

// What stands on the first page of the documentation, with one include and nothing else.

using manyhands::delayed;
using manyhands::Parallel;

namespace {

int entries(const char* path) {
  int count = 0;
  if (DIR* const folder = opendir(path); folder != nullptr) {
    while (const dirent* entry = readdir(folder)) count += entry->d_name[0] == '.' ? 0 : 1;
    closedir(folder);
  }
  return count;
}
int threads_of_this_process() { return entries("/proc/self/task"); }
int descriptors_of_this_process() { return entries("/proc/self/fd"); }

/// Before main: whatever the include has started would be there.
const int threads_at_start = threads_of_this_process();

std::string load(const std::string& name) { return "contents of " + name; }
std::size_t count(const std::string& text) { return text.size(); }

}  // namespace

TEST_CASE("the include starts no thread, and so does looking around") {
  // Sanitizers may have one of their own.
  const int before = threads_of_this_process();
  CHECK(before == threads_at_start);
#if defined(__linux__) && !MANYHANDS_ASAN && !MANYHANDS_TSAN
  CHECK(before == 1);
#endif
  CHECK(manyhands::cpu_count() >= 1);
  CHECK(manyhands::effective_n_jobs() >= 1);
  CHECK_FALSE(manyhands::registered_backends().empty());
  const Parallel four({.n_jobs = 4});
  CHECK(threads_of_this_process() == before);
}

TEST_CASE("one line turns a loop into a parallel map") {
  const std::vector<int> numbers{0, 1, 2, 3, 4};
  const auto squares = Parallel({.n_jobs = 4})(numbers | delayed([](int i) { return i * i; }));
  CHECK(squares == std::vector{0, 1, 4, 9, 16});
}

TEST_CASE("different tasks give a tuple") {
  const std::string text = "text";
  auto [a, b] = Parallel()(delayed(load)("a.csv"), delayed(count)(text));
  CHECK(a == "contents of a.csv");
  CHECK(b == 4);
}

TEST_CASE("the same line runs on every backend") {
  const std::vector<std::string> words{"a", "bb", "", "dddd"};
  const int descriptors = descriptors_of_this_process();
  for (const char* name : {"sequential", "threads", "processes"}) {
    if (!MANYHANDS_HAS_FORK && name == std::string("processes")) continue;
    const manyhands::parallel_backend guard(name, {.n_jobs = 2});
    CHECK(Parallel()(words | delayed(count)) == std::vector<std::size_t>{1, 2, 0, 4});
  }
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // no child is left
  CHECK(errno == ECHILD);
  CHECK(descriptors_of_this_process() == descriptors);
}

TEST_CASE("everything that a user names is there") {
  const auto name_all = [] {
    manyhands::options asked{.n_jobs = 1, .seed = 1};
    manyhands::parallel_config guard(asked);
    manyhands::outcome<int> outcome(0, std::in_place, 1);
    manyhands::writer bytes;
    bytes.put(1);
    manyhands::reader in(bytes.bytes());
    manyhands::register_exception<std::runtime_error>();
    return std::tuple(manyhands::this_task::index(), manyhands::this_task::seed(), manyhands::this_worker::index(), outcome.value(),
                      in.get<int>());
  };
  CHECK(std::get<3>(name_all()) == 1);
  STATIC_REQUIRE(manyhands::transportable<std::string>);
  STATIC_REQUIRE(std::is_base_of_v<manyhands::error, manyhands::worker_lost>);
  STATIC_REQUIRE(manyhands::version_major >= 0);
}
