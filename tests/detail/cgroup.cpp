#include <manyhands/detail/cgroup.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <support/catch.hpp>

namespace {

using manyhands::detail::cgroup_limit_cache;
using manyhands::detail::processors_of_quota;
using manyhands::detail::read_cgroup_limit;

constexpr int most = std::numeric_limits<int>::max();

/// A directory that stands for a machine's root, removed at the end.
class machine {
 public:
  machine() {
    std::string name = (std::filesystem::temp_directory_path() / "manyhands-cgroup-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;
  ~machine() { std::filesystem::remove_all(root_); }

  machine& file(const std::string& path, std::string_view text) {
    const std::filesystem::path where = root_ + path;
    std::filesystem::create_directories(where.parent_path());
    std::ofstream(where) << text;
    return *this;
  }
  machine& groups(std::string_view text) { return file("/proc/self/cgroup", text); }
  machine& mounts(std::string_view text) { return file("/proc/self/mountinfo", text); }
  machine& v1_quota(const std::string& group, std::string_view quota, std::string_view period = "100000\n") {
    return file(group + "/cpu.cfs_quota_us", quota).file(group + "/cpu.cfs_period_us", period);
  }

  [[nodiscard]] std::optional<int> limit() const { return read_cgroup_limit(root_); }

 private:
  std::string root_;
};

constexpr std::string_view v2_mount = "30 22 0:27 / /sys/fs/cgroup rw,relatime shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view v1_mounts =
    "30 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/cpuset rw shared:1 - cgroup cgroup rw,cpuset\n"
    "32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:2 - cgroup cgroup rw,cpu,cpuacct\n";
constexpr std::string_view v1_dir = "/sys/fs/cgroup/cpu,cpuacct";

std::string v1(std::string_view group) { return std::string(v1_dir) + std::string(group); }

}  // namespace

TEST_CASE("a quota is rounded up to whole processors") {
  CHECK(processors_of_quota("50000", "100000") == 1);
  CHECK(processors_of_quota("100000", "100000") == 1);
  CHECK(processors_of_quota("100001", "100000") == 2);
  CHECK(processors_of_quota("150000\n", "100000\n") == 2);
  CHECK(processors_of_quota("400000", "100000") == 4);
  CHECK(processors_of_quota("1", "1000000") == 1);
}

TEST_CASE("very large quotas do not overflow") {
  CHECK(processors_of_quota("9223372036854775807", "1") == most);
  CHECK(processors_of_quota("9223372036854775807", "9223372036854775807") == 1);
  CHECK(processors_of_quota("9223372036854775807", "9223372036854775806") == 2);
  CHECK(processors_of_quota("2147483648", "1") == most);
  CHECK(processors_of_quota("2147483646", "1") == most - 1);
  CHECK_FALSE(processors_of_quota("9223372036854775808", "1").has_value());
  CHECK_FALSE(processors_of_quota("99999999999999999999999", "100000").has_value());
}

TEST_CASE("what is no quota limits nothing") {
  CHECK_FALSE(processors_of_quota("-1", "100000").has_value());
  CHECK_FALSE(processors_of_quota("0", "100000").has_value());
  CHECK_FALSE(processors_of_quota("50000", "0").has_value());
  CHECK_FALSE(processors_of_quota("50000", "-100000").has_value());
  CHECK_FALSE(processors_of_quota("max", "100000").has_value());
  CHECK_FALSE(processors_of_quota("", "").has_value());
  CHECK_FALSE(processors_of_quota("50000", "").has_value());
  CHECK_FALSE(processors_of_quota("5e4", "100000").has_value());
}

TEST_CASE("a v2 quota limits") {
  machine box;
  box.groups("0::/job\n").mounts(v2_mount).file("/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("a v2 group without a quota limits nothing") {
  machine box;
  box.groups("0::/job\n").mounts(v2_mount).file("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
  CHECK_FALSE(box.limit().has_value());
}

TEST_CASE("the tightest v2 group above counts") {
  machine box;
  box.groups("0::/a/b/c\n").mounts(v2_mount);
  box.file("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
  CHECK(box.limit() == 8);
  box.file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(box.limit() == 8);
  box.file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
  box.file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  CHECK(box.limit() == 1);
}

TEST_CASE("a group beside or below the own one does not count") {
  machine box;
  box.groups("0::/a/b\n").mounts(v2_mount);
  box.file("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
  box.file("/sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n").file("/sys/fs/cgroup/a/bb/cpu.max", "100000 100000\n");
  box.file("/sys/fs/cgroup/b/cpu.max", "100000 100000\n");
  CHECK(box.limit() == 4);
}

TEST_CASE("a v1 quota limits") {
  machine box;
  box.groups("3:cpuset:/other\n2:cpu,cpuacct:/job\n1:name=systemd:/job\n").mounts(v1_mounts);
  box.v1_quota(v1("/job"), "250000\n");
  CHECK(box.limit() == 3);
  box.v1_quota(v1("/job"), "50000\n");
  CHECK(box.limit() == 1);
  box.v1_quota(v1("/job"), "50000\n", "25000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("a v1 group without a quota limits nothing") {
  machine box;
  box.groups("2:cpu,cpuacct:/job\n").mounts(v1_mounts).v1_quota(v1("/job"), "-1\n");
  CHECK_FALSE(box.limit().has_value());
  box.v1_quota(v1("/job"), "50000\n", "0\n");
  CHECK_FALSE(box.limit().has_value());
}

TEST_CASE("the tightest v1 group above counts") {
  machine box;
  box.groups("2:cpu,cpuacct:/a/b\n").mounts(v1_mounts);
  box.v1_quota(v1("/a/b"), "-1\n").v1_quota(v1("/a"), "200000\n").v1_quota(v1(""), "-1\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("cpuset and cpuacct are not taken for cpu") {
  machine box;
  box.groups("2:cpuacct:/job\n3:cpuset:/job\n")
      .mounts(v1_mounts)
      .v1_quota(v1("/job"), "100000\n")
      .v1_quota("/sys/fs/cgroup/cpuset/job", "100000\n");
  CHECK_FALSE(box.limit().has_value());
}

TEST_CASE("a mount of another controller does not show the own group") {
  machine box;
  box.groups("2:cpu,cpuacct:/job\n");
  box.mounts("31 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n32 30 0:29 /pod " + v1("") +
             " rw - cgroup cgroup rw,cpuacct,cpu\n");
  box.v1_quota("/sys/fs/cgroup/cpuset/job", "100000\n").v1_quota(v1(""), "300000\n");
  CHECK(box.limit() == 3);
}

TEST_CASE("where both versions are mounted the tighter quota counts") {
  machine box;
  box.groups("2:cpu,cpuacct:/job\n0::/unit\n");
  box.mounts(std::string(v1_mounts) + "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  box.v1_quota(v1("/job"), "400000\n");
  CHECK(box.limit() == 4);
  box.file("/sys/fs/cgroup/unified/unit/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);
  box.v1_quota(v1("/job"), "100000\n");
  CHECK(box.limit() == 1);
}

TEST_CASE("a subtree mounted alone is found below its own root") {
  machine box;
  box.groups("0::/docker/abc/inner\n").mounts("30 22 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  box.file("/sys/fs/cgroup/inner/cpu.max", "max 100000\n").file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
  box.file("/sys/fs/cgroup/inner/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("a mount of a group whose name only begins alike is not the own one") {
  machine box;
  box.groups("0::/docker/abcdef\n");
  box.mounts("30 22 0:27 /docker/abc /other rw - cgroup2 cgroup rw\n31 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  box.file("/other/cpu.max", "100000 100000\n").file("/other/def/cpu.max", "100000 100000\n");
  box.file("/sys/fs/cgroup/docker/abcdef/cpu.max", "500000 100000\n");
  CHECK(box.limit() == 5);
}

TEST_CASE("all mounts that show the own group count") {
  machine box;
  box.groups("0::/a/b\n");
  box.mounts("30 22 0:27 /a/b /inside rw - cgroup2 cgroup rw\n31 22 0:27 / /host/cgroup rw - cgroup2 cgroup rw\n");
  box.file("/inside/cpu.max", "400000 100000\n").file("/host/cgroup/a/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("a group that is not below the mount point leaves the mount's own root") {
  machine box;
  box.groups("0::/docker/abc\n").mounts(v2_mount).file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);

  machine other;
  other.groups("2:cpu,cpuacct:/\n").mounts("32 30 0:29 /kubepods/pod1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  other.v1_quota(v1(""), "150000\n");
  CHECK(other.limit() == 2);
}

TEST_CASE("in a cgroup namespace the groups are counted from its root") {
  machine box;
  box.groups("0::/\n").mounts(v2_mount).file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("paths that lead out of a cgroup namespace never lead out of the mount") {
  machine box;
  box.file("/sys/fs/cgroup/cpu.max", "400000 100000\n")
      .file("/sys/fs/cpu.max", "100000 100000\n")
      .file("/sys/job/cpu.max", "100000 100000\n");
  box.mounts(v2_mount);
  box.groups("0::/../../job\n");
  CHECK(box.limit() == 4);
  box.groups("0::/..\n");
  CHECK(box.limit() == 4);
}

TEST_CASE("a mount from above a cgroup namespace shows the own group below it") {
  machine box;
  box.mounts("30 22 0:27 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  box.file("/sys/fs/cgroup/cpu.max", "400000 100000\n").file("/sys/fs/cgroup/job/cpu.max", "300000 100000\n");
  box.groups("0::/../../job\n");
  CHECK(box.limit() == 3);
  box.groups("0::/../..\n");
  CHECK(box.limit() == 4);
  box.groups("0::/\n");
  CHECK(box.limit() == 4);
}

TEST_CASE("octal escapes in mount points and roots are undone") {
  machine box;
  box.groups("0::/my job\\x/in\n").mounts("30 22 0:27 /my\\040job\\134x /a\\040b\\011c rw - cgroup2 cgroup rw\n");
  box.file("/a b\tc/in/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
  CHECK(manyhands::detail::without_octal_escapes("\\134040") == "\\040");
  CHECK(manyhands::detail::without_octal_escapes("a\\04") == "a\\04");
  CHECK(manyhands::detail::without_octal_escapes("\\") == "\\");
  CHECK(manyhands::detail::without_octal_escapes("\\999") == "\\999");
}

TEST_CASE("a group's name may hold colons") {
  machine box;
  box.groups("0::/a:b:c\n").mounts(v2_mount).file("/sys/fs/cgroup/a:b:c/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
}

TEST_CASE("a mount without a source is read") {
  machine box;
  box.groups("0::/job\n").mounts("30 22 0:27 / /sys/fs/cgroup rw - cgroup2  rw\n").file("/sys/fs/cgroup/job/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
}

TEST_CASE("a file without a last line end is read") {
  machine box;
  box.groups("0::/job").mounts(v2_mount.substr(0, v2_mount.size() - 1)).file("/sys/fs/cgroup/job/cpu.max", "300000 100000");
  CHECK(box.limit() == 3);
}

TEST_CASE("missing, empty and broken files limit nothing") {
  machine box;
  CHECK_FALSE(box.limit().has_value());
  box.groups("0::/job\n");
  CHECK_FALSE(box.limit().has_value());
  box.mounts("");
  CHECK_FALSE(box.limit().has_value());
  for (const char* line : {"\n", "30\n", "30 22 0:27 /\n", " - cgroup2\n", "x - cgroup2 cgroup2 rw\n", " - \n", "- cgroup2 a b\n",
                           "30 22 0:27 / - cgroup2 a b\n"}) {
    box.mounts(line);
    CHECK_FALSE(box.limit().has_value());
  }
  box.mounts(v2_mount);
  CHECK_FALSE(box.limit().has_value());
  for (const char* text :
       {"", "\n", " ", "max\n", "50000\n", "50000 \n", " 100000\n", "abc def\n", "50000 100000 7\n", "-50000 100000\n", "50000 0\n"}) {
    INFO(text);
    box.file("/sys/fs/cgroup/job/cpu.max", text);
    CHECK_FALSE(box.limit().has_value());
  }
  box.file("/sys/fs/cgroup/job/cpu.max", "50000 100000\n");
  CHECK(box.limit() == 1);
  for (const char* text : {"", "\n", "0\n", "0:\n", "0::\n", "0::job\n", ":::\n", "1::/job\n"}) {
    INFO(text);
    box.groups(text);
    CHECK_FALSE(box.limit().has_value());
  }
}

TEST_CASE("a broken group does not hide the ones above it") {
  machine box;
  box.groups("garbage\n0::/a/b\n").mounts("garbage\n" + std::string(v2_mount));
  box.file("/sys/fs/cgroup/a/b/cpu.max", "garbage").file("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  CHECK(box.limit() == 2);
}

TEST_CASE("a v1 quota without a period limits nothing") {
  machine box;
  box.groups("2:cpu,cpuacct:/job\n").mounts(v1_mounts).file(v1("/job/cpu.cfs_quota_us"), "50000\n");
  CHECK_FALSE(box.limit().has_value());
}

TEST_CASE("a directory in place of a file limits nothing") {
  machine box;
  box.groups("0::/job\n").mounts(v2_mount).file("/sys/fs/cgroup/job/cpu.max/x", "");
  CHECK_FALSE(box.limit().has_value());
}

TEST_CASE("long files are read whole") {
  machine box;
  std::string mounts;
  for (int i = 0; i < 500; ++i) mounts += "99 22 0:99 / /some/where/" + std::to_string(i) + " rw - tmpfs tmpfs rw\n";
  box.groups("0::/job\n").mounts(mounts + std::string(v2_mount)).file("/sys/fs/cgroup/job/cpu.max", "300000 100000\n");
  CHECK(box.limit() == 3);
}

TEST_CASE("a limit is read once in a second, its absence too") {
  cgroup_limit_cache cache;
  int reads = 0;
  std::optional<int> truth = 3;
  const auto read = [&] {
    ++reads;
    return truth;
  };
  CHECK(cache.get(0, read) == 3);
  truth = std::nullopt;
  CHECK(cache.get(0, read) == 3);
  CHECK(reads == 1);
  CHECK_FALSE(cache.get(1, read).has_value());
  truth = most;
  CHECK_FALSE(cache.get(1, read).has_value());
  CHECK(reads == 2);
  CHECK(cache.get(4294967295U, read) == most);
  CHECK(cache.get(4294967295U, read) == most);
  CHECK(reads == 3);
}

TEST_CASE("the machine's own files can be read") {
  const std::optional<int> limit = read_cgroup_limit();
  CHECK((!limit || *limit >= 1));
}
