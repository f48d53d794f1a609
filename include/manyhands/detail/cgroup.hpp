#pragma once

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace manyhands::detail {

/// What the file holds; empty where it cannot be read.
template <class = void>
[[nodiscard]] std::optional<std::string> read_text_file(const std::string& path) {
  struct close_file {
    void operator()(std::FILE* file) const noexcept { static_cast<void>(std::fclose(file)); }
  };
  // Not std::ifstream: under a global locale it takes a mutex, which another thread may have held when this process was forked.
  const std::unique_ptr<std::FILE, close_file> file(std::fopen(path.c_str(), "re"));
  if (!file) return std::nullopt;
  std::string text;
  char buffer[1024];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0;) text.append(buffer, got);
  if (std::ferror(file.get()) != 0) return std::nullopt;
  return text;
}

/// Cuts off and returns the text before the first `mark`, which goes too; all of it where there is none.
template <class = void>
[[nodiscard]] std::string_view take_until(std::string_view& text, char mark) noexcept {
  const std::size_t end = text.find(mark);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

/// Whether `word` is an element of a list with commas.
template <class = void>
[[nodiscard]] bool lists(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    if (take_until(list, ',') == word) return true;
  }
  return false;
}

/// A path of /proc/self/mountinfo, where a blank is written as \040.
template <class = void>
[[nodiscard]] std::string without_octal_escapes(std::string_view text) {
  const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 1) <= 3 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
      plain += static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// The processors that a quota of time in every period comes to, rounded up. Empty where either is no number above 0: then nothing is
/// limited ("max" and -1 say so, anything else is a broken file).
template <class = void>
[[nodiscard]] std::optional<int> processors_of_quota(std::string_view quota, std::string_view period) noexcept {
  const auto number = [](std::string_view text) -> std::int64_t {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    std::int64_t value = 0;
    const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc() && read.ptr == text.data() + text.size() ? value : 0;
  };
  const std::int64_t time = number(quota);
  const std::int64_t every = number(period);
  if (time <= 0 || every <= 0) return std::nullopt;
  const std::int64_t processors = time / every + (time % every != 0 ? 1 : 0);
  return static_cast<int>(processors < std::numeric_limits<int>::max() ? processors : std::numeric_limits<int>::max());
}

/// The two kinds of control groups; a machine may have both, and either may hold the quota.
enum class cgroup_version {
  v1,  ///< cpu.cfs_quota_us and cpu.cfs_period_us
  v2   ///< cpu.max
};

/// The quota of one control group, given by its directory. Empty where it has none.
template <class = void>
[[nodiscard]] std::optional<int> cgroup_quota(cgroup_version version, const std::string& directory) {
  if (version == cgroup_version::v1) {
    const std::optional<std::string> quota = read_text_file(directory + "/cpu.cfs_quota_us");
    if (!quota) return std::nullopt;
    const std::optional<std::string> period = read_text_file(directory + "/cpu.cfs_period_us");
    return period ? processors_of_quota(*quota, *period) : std::nullopt;
  }
  const std::optional<std::string> both = read_text_file(directory + "/cpu.max");
  if (!both) return std::nullopt;
  std::string_view period = *both;
  const std::string_view quota = take_until(period, ' ');
  return processors_of_quota(quota, period);
}

/// Where a part of the hierarchy of control groups can be seen.
struct cgroup_mount {
  /// The group that is seen at `point`: "/", or another where a subtree is mounted alone.
  std::string root;
  std::string point;

  /// The rest of the path to `group` from `point`: empty or "/...". Nothing where the group is not seen below `point`.
  [[nodiscard]] std::optional<std::string> below(std::string_view group) const {
    const std::string_view top = root == "/" ? std::string_view() : std::string_view(root);
    if (group == "/") group = {};
    if (!group.starts_with(top)) return std::nullopt;
    group.remove_prefix(top.size());
    if (!group.empty() && group.front() != '/') return std::nullopt;
    // A process outside of the namespace's root: following ".." would leave the file system of the groups.
    if (group.starts_with("/../") || group == "/..") return std::nullopt;
    return std::string(group);
  }
};

/// The places in /proc/self/mountinfo where groups of this version, with their quotas, can be seen.
template <class = void>
[[nodiscard]] std::vector<cgroup_mount> cgroup_mounts(cgroup_version version, std::string_view mountinfo) {
  std::vector<cgroup_mount> mounts;
  while (!mountinfo.empty()) {
    std::string_view line = take_until(mountinfo, '\n');
    // "id parent device root point options optional... - type source options", and the source may be nothing at all.
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view type_and_options = line.substr(dash + 3);
    const std::string_view type = take_until(type_and_options, ' ');
    const std::string_view options = type_and_options.substr(type_and_options.rfind(' ') + 1);
    if (version == cgroup_version::v1 ? type != "cgroup" || !lists(options, "cpu") : type != "cgroup2") continue;
    for (int skipped = 0; skipped < 3; ++skipped) static_cast<void>(take_until(line, ' '));
    std::string root = without_octal_escapes(take_until(line, ' '));
    std::string point = without_octal_escapes(take_until(line, ' '));
    mounts.push_back(cgroup_mount{.root = std::move(root), .point = std::move(point)});
  }
  return mounts;
}

/// This process's group in /proc/self/cgroup, by its path in the hierarchy. Empty where it has none of this version.
template <class = void>
[[nodiscard]] std::optional<std::string> own_cgroup(cgroup_version version, std::string_view proc_self_cgroup) {
  while (!proc_self_cgroup.empty()) {
    std::string_view line = take_until(proc_self_cgroup, '\n');
    const std::string_view number = take_until(line, ':');
    const std::string_view controllers = take_until(line, ':');
    const bool found = version == cgroup_version::v1 ? lists(controllers, "cpu") : number == "0" && controllers.empty();
    if (found && line.starts_with('/')) return std::string(line);
  }
  return std::nullopt;
}

/// The processors that the quotas of this process's control groups leave it, rounded up: the smallest of its own group and all groups above
/// that can be seen from here, of both versions. Empty where nothing limits it, or nothing can be read.
///
/// Where the own group cannot be seen (a container that was given another's view), the top group of each mount counts. Reads a few files
/// below `root`, which is "" for the machine.
template <class = void>
[[nodiscard]] std::optional<int> read_cgroup_limit(const std::string& root = "") {
  const std::optional<std::string> groups = read_text_file(root + "/proc/self/cgroup");
  const std::optional<std::string> mountinfo = read_text_file(root + "/proc/self/mountinfo");
  if (!groups || !mountinfo) return std::nullopt;

  std::optional<int> smallest;
  for (const cgroup_version version : {cgroup_version::v1, cgroup_version::v2}) {
    const std::optional<std::string> group = own_cgroup(version, *groups);
    if (!group) continue;
    const auto limit_by = [&](const std::string& directory) {
      const std::optional<int> quota = cgroup_quota(version, root + directory);
      if (quota && (!smallest || *quota < *smallest)) smallest = quota;
    };
    bool seen = false;
    const std::vector<cgroup_mount> mounts = cgroup_mounts(version, *mountinfo);
    for (const cgroup_mount& mount : mounts) {
      std::optional<std::string> below = mount.below(*group);
      if (!below) continue;
      seen = true;
      for (; !below->empty(); below->resize(below->rfind('/'))) limit_by(mount.point + *below);
      limit_by(mount.point);
    }
    if (seen) continue;
    for (const cgroup_mount& mount : mounts) limit_by(mount.point);
  }
  return smallest;
}

/// Remembers a limit for the second in which it was read.
///
/// Any number of threads may ask at a time; those that find it old each read it anew. One word and no mutex, so a process forked at any
/// moment finds it whole.
class cgroup_limit_cache {
 public:
  /// The limit, from `read()` where it was not read in the second `now` of a steady clock.
  template <class Read>
  [[nodiscard]] std::optional<int> get(std::uint32_t now, Read read) {
    const std::uint64_t second = std::uint64_t{now} + 1;
    const std::uint64_t known = word_.load(std::memory_order_relaxed);  // relaxed: the word is all there is
    if (known >> limit_bits == second) {
      const int limit = static_cast<int>(known & limit_mask);
      return limit != 0 ? std::optional<int>(limit) : std::nullopt;
    }
    const std::optional<int> limit = read();
    word_.store(second << limit_bits | static_cast<std::uint64_t>(limit.value_or(0)), std::memory_order_relaxed);
    return limit;
  }

 private:
  static constexpr unsigned limit_bits = 31;
  static constexpr std::uint64_t limit_mask = (std::uint64_t{1} << limit_bits) - 1;

  // The second, plus 1, above; the limit below, 0 for none. All 0: never read.
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace manyhands::detail
