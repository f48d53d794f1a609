#include <manyhands/topology.hpp>

#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <support/catch.hpp>

namespace {

using manyhands::cpu_count;
using manyhands::detail::affinity_mask;
using manyhands::detail::listed_numbers;
using manyhands::detail::located_processor;
using manyhands::detail::lowest_sibling;
using manyhands::detail::sysfs_core_count;

/// Sets MANYHANDS_MAX_CPU_COUNT until the end of the scope, to nothing at first.
class max_cpu_count {
 public:
  max_cpu_count() {
    if (const char* text = getenv(name)) before_ = text;
    unsetenv(name);
  }
  explicit max_cpu_count(const std::string& value) : max_cpu_count() { setenv(name, value.c_str(), 1); }
  max_cpu_count(const max_cpu_count&) = delete;
  max_cpu_count& operator=(const max_cpu_count&) = delete;
  ~max_cpu_count() {
    unsetenv(name);
    if (before_) setenv(name, before_->c_str(), 1);
  }

 private:
  static constexpr const char* name = "MANYHANDS_MAX_CPU_COUNT";
  std::optional<std::string> before_ = std::nullopt;
};

/// Restricts the calling thread to one processor until the end of the scope, as `taskset` does with a program.
class bound_to {
 public:
  explicit bound_to(int processor) {
    CPU_ZERO(&before_);
    REQUIRE(sched_getaffinity(0, sizeof before_, &before_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(processor), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  }
  bound_to(const bound_to&) = delete;
  bound_to& operator=(const bound_to&) = delete;
  ~bound_to() { static_cast<void>(sched_setaffinity(0, sizeof before_, &before_)); }

 private:
  cpu_set_t before_;
};

/// A directory that stands for a machine's root, removed at the end.
class machine {
 public:
  machine() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands-topology-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;
  ~machine() { std::filesystem::remove_all(root_); }

  machine& cpu(int processor, const std::string& file, std::string_view text) {
    const std::filesystem::path where = root_ + "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/" + file;
    std::filesystem::create_directories(where.parent_path());
    std::ofstream(where) << text;
    return *this;
  }

  machine& node(int number, std::string_view processors) {
    const std::filesystem::path where = root_ + "/sys/devices/system/node/node" + std::to_string(number) + "/cpulist";
    std::filesystem::create_directories(where.parent_path());
    std::ofstream(where) << processors;
    return *this;
  }
  machine& nodes(std::string_view numbers) {
    std::filesystem::create_directories(root_ + "/sys/devices/system/node");
    std::ofstream(root_ + "/sys/devices/system/node/online") << numbers;
    return *this;
  }

  [[nodiscard]] std::vector<located_processor> locate(const std::vector<int>& processors) const {
    return manyhands::detail::sysfs_locate(processors, root_);
  }
  [[nodiscard]] int cores(const std::vector<int>& processors) const { return sysfs_core_count(processors, root_); }

 private:
  std::string root_;
};

}  // namespace

TEST_CASE("there is at least one processor, and no more cores than processors") {
  const max_cpu_count unset;
  CHECK(cpu_count() >= 1);
  CHECK(cpu_count(true) >= 1);
  CHECK(cpu_count(true) <= cpu_count());
}

TEST_CASE("a thread bound to one processor counts one") {
  const max_cpu_count unset;
  const int before = cpu_count();
  for (const int processor : affinity_mask().processors()) {
    const bound_to one(processor);
    CHECK(cpu_count() == 1);
    CHECK(cpu_count(true) == 1);
  }
  CHECK(cpu_count() == before);
}

TEST_CASE("processors that the thread may not use do not count") {
  const max_cpu_count unset;
  const affinity_mask mask;
  CHECK(static_cast<std::size_t>(mask.count()) == mask.processors().size());
  CHECK(cpu_count() <= mask.count());
}

TEST_CASE("MANYHANDS_MAX_CPU_COUNT limits processors and cores, and never adds any") {
  int unlimited = 0;
  {
    const max_cpu_count unset;
    unlimited = cpu_count();
  }
  {
    const max_cpu_count one("1");
    CHECK(cpu_count() == 1);
    CHECK(cpu_count(true) == 1);
  }
  const max_cpu_count many("1000000");
  CHECK(cpu_count() == unlimited);
}

TEST_CASE("the tightest limit counts, and one processor is always left") {
  using manyhands::detail::limited;
  CHECK(limited(8, std::nullopt, std::nullopt) == 8);
  CHECK(limited(8, 2, std::nullopt) == 2);
  CHECK(limited(8, std::nullopt, 3) == 3);
  CHECK(limited(8, 2, 3) == 2);
  CHECK(limited(8, 4, 3) == 3);
  CHECK(limited(8, 16, 16) == 8);
  CHECK(limited(0, std::nullopt, std::nullopt) == 1);
  CHECK(limited(0, 4, 4) == 1);
}

TEST_CASE("a bad MANYHANDS_MAX_CPU_COUNT is refused") {
  for (const char* value : {"0", "-1", "abc", "3x", "99999999999"}) {
    const max_cpu_count bad(value);
    CHECK_THROWS_AS(cpu_count(), std::invalid_argument);
    CHECK_THROWS_AS(cpu_count(true), std::invalid_argument);
  }
}

TEST_CASE("counting processors never loads hwloc") {
  const bool before = manyhands::detail::hwloc_loaded();
  static_cast<void>(cpu_count());
  CHECK(manyhands::detail::hwloc_loaded() == before);
}

TEST_CASE("hwloc and the system's files count the same cores") {
  const std::vector<int> all = affinity_mask().processors();
  const int known = manyhands::detail::hwloc_core_count(all);
  const int read = sysfs_core_count(all);
  if (known != 0 && read != 0) CHECK(known == read);
  if (known != 0) {
    CHECK(manyhands::detail::physical_core_count(all) == known);
  } else {
    CHECK(manyhands::detail::physical_core_count(all) == read);
  }
}

TEST_CASE("processors that share a core are counted once") {
  machine box;
  box.cpu(0, "core_cpus_list", "0,4\n").cpu(4, "core_cpus_list", "0,4\n");
  box.cpu(1, "core_cpus_list", "1,5\n").cpu(5, "core_cpus_list", "1,5\n");
  CHECK(box.cores({0, 1, 4, 5}) == 2);
  CHECK(box.cores({0, 4}) == 1);
  CHECK(box.cores({4, 5}) == 2);
  CHECK(box.cores({5}) == 1);
}

TEST_CASE("cores of several kinds are counted side by side") {
  machine box;
  for (int processor = 0; processor < 4; ++processor) box.cpu(processor, "core_cpus_list", processor < 2 ? "0-1\n" : "2-3\n");
  box.cpu(4, "core_cpus_list", "4\n").cpu(5, "core_cpus_list", "5\n");
  CHECK(box.cores({0, 1, 2, 3, 4, 5}) == 4);
}

TEST_CASE("an older kernel's files tell the cores too") {
  machine box;
  box.cpu(0, "thread_siblings_list", "0-1\n").cpu(1, "thread_siblings_list", "0-1\n");
  CHECK(box.cores({0, 1}) == 1);
  box.cpu(1, "core_cpus_list", "garbage\n");
  CHECK(box.cores({0, 1}) == 1);
}

TEST_CASE("cores that cannot be told of each processor cannot be counted") {
  machine box;
  CHECK(box.cores({0}) == 0);
  box.cpu(0, "core_cpus_list", "0\n");
  CHECK(box.cores({0}) == 1);
  CHECK(box.cores({0, 1}) == 0);
  for (const char* broken : {"", "\n", "garbage\n", "0\n", "2-\n", "1-0\n", "-1\n", "0,,1\n", "0-1-2\n", "99999999999\n"}) {
    INFO(broken);
    box.cpu(1, "core_cpus_list", broken);
    CHECK(box.cores({0, 1}) == 0);
  }
}

TEST_CASE("a list of siblings is read with its ranges") {
  CHECK(lowest_sibling("7", 7) == 7);
  CHECK(lowest_sibling("3,7\n", 7) == 3);
  CHECK(lowest_sibling("8-11,2-3", 10) == 2);
  CHECK(lowest_sibling("0-2147483647", 5) == 0);
  CHECK_FALSE(lowest_sibling("0-3", 4).has_value());
}

TEST_CASE("many threads may count at a time") {
  const max_cpu_count unset;
  const int processors = cpu_count();
  const int cores = cpu_count(true);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) wrong[i] += (cpu_count() != processors) + (cpu_count(true) != cores);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("a forked process counts what its parent counts") {
  const max_cpu_count unset;
  const int processors = cpu_count();
  const int cores = cpu_count(true);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(cpu_count() == processors && cpu_count(true) == cores ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("a list of numbers is read with its ranges, and a broken one is none") {
  CHECK(listed_numbers("0-3,8\n") == std::vector<int>{0, 1, 2, 3, 8});
  CHECK(listed_numbers("5") == std::vector<int>{5});
  CHECK(listed_numbers("\n").empty());
  for (const char* broken : {"a", "-", "0-3-4", "-1", "0-99999999999", "0-2000000", "1 2"}) {
    INFO(broken);
    CHECK(listed_numbers(broken).empty());
  }
}

TEST_CASE("processors are located by the system's files: their cores and nodes") {
  machine box;
  box.nodes("0,2\n").node(0, "0-1\n").node(2, "2,4\n");
  box.cpu(0, "core_cpus_list", "0,4\n").cpu(4, "core_cpus_list", "0,4\n").cpu(1, "thread_siblings_list", "1\n");
  CHECK(box.locate({0, 1, 2, 4}) == std::vector<located_processor>{{0, 0, 0}, {1, 1, 0}, {2, -1, 2}, {4, 0, 2}});
}

TEST_CASE("of two nodes with the same processors the first counts, and one without any counts for nobody") {
  machine box;
  box.nodes("0-2").node(0, "0-1\n").node(1, "0-1\n").node(2, "\n");
  CHECK(box.locate({0, 1}) == std::vector<located_processor>{{0, -1, 0}, {1, -1, 0}});
}

TEST_CASE("where there are no files nothing is known") {
  const machine box;
  CHECK(box.locate({0, 7}) == std::vector<located_processor>{{0, -1, -1}, {7, -1, -1}});
}

TEST_CASE("hwloc and the system's files locate this machine's processors alike") {
  const std::vector<int> all = affinity_mask().processors();
  const std::vector<located_processor> found = manyhands::detail::locate(all);
  CHECK(found == manyhands::detail::sysfs_locate(all));
  CHECK(found.size() == all.size());
}
