// Counts the words of every file below some directories: the same line on every backend, beside the plain loop.
//
//   wordcount [DIR...] [--n-jobs N|auto] [--backend NAME]

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory_resource>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <manyhands.hpp>

namespace fs = std::filesystem;
using manyhands::Parallel, manyhands::delayed;

// --- the words of one file

/// A regular file that is open for reading. Never waits: a pipe that took the file's place is refused.
class input_file {
 public:
  explicit input_file(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    struct stat status {};
    if (fd_ < 0 || ::fstat(fd_, &status) != 0) fail(errno);
    if (!S_ISREG(status.st_mode)) fail(EINVAL);
  }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  ~input_file() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// 0 at the end.
  std::size_t read(char* to, std::size_t most) {
    for (;;) {
      if (const ssize_t got = ::read(fd_, to, most); got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) fail(errno);
    }
  }

 private:
  [[noreturn]] void fail(int reason) {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    throw std::system_error(reason, std::generic_category(), path_);
  }

  const std::string& path_;
  int fd_;
};

/// Letters, digits, underscores, and all that is not ASCII: words in UTF-8 stay whole.
bool in_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0; }

/// Calls `found` with each word, and gives the size of the file. Holds 64 KiB of it at a time: a longer word comes in pieces.
template <class Found>
std::uint64_t each_word(const std::string& path, Found found) {
  static const auto letter = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0; c < table.size(); ++c) table[c] = in_word(static_cast<char>(c));
    return table;
  }();
  const auto is_letter = [](char c) { return letter[static_cast<unsigned char>(c)]; };
  const auto report = [&](const char* begin, const char* end) {
    if (*begin < '0' || *begin > '9') found(std::string_view(begin, static_cast<std::size_t>(end - begin)));  // no numbers
  };

  thread_local std::vector<char> buffer(64 << 10);
  input_file file(path);
  std::uint64_t size = 0;
  std::size_t kept = 0;  // the beginning of a word that the last block ended in
  while (const std::size_t got = file.read(buffer.data() + kept, buffer.size() - kept)) {
    size += got;
    const char* at = buffer.data();
    const char* const end = at + kept + got;
    for (kept = 0; at != end;) {
      const char* const begin = std::find_if(at, end, is_letter);
      at = std::find_if_not(begin, end, is_letter);
      if (at != end) {
        report(begin, at);
      } else if (begin != end) {
        kept = static_cast<std::size_t>(end - begin);
        std::memmove(buffer.data(), begin, kept);
      }
    }
    if (kept == buffer.size()) report(buffer.data(), buffer.data() + std::exchange(kept, 0));
  }
  if (kept > 0) report(buffer.data(), buffer.data() + kept);
  return size;
}

// --- counts

/// Words, each followed by a line feed, and how often each occurs. A plain aggregate travels between processes without any code, and few
/// large members travel faster than many small strings.
struct word_counts {
  std::string words;
  std::vector<std::uint64_t> counts;

  struct position {
    std::size_t byte = 0;
    std::size_t index = 0;
  };
  [[nodiscard]] position end() const { return {words.size(), counts.size()}; }

  void add(std::string_view word, std::uint64_t count) {
    words.append(word).push_back('\n');
    counts.push_back(count);
  }
  template <class Visit>
  void each(position from, position to, Visit visit) const {
    std::string_view rest(words.data() + from.byte, to.byte - from.byte);
    for (std::size_t index = from.index; index != to.index; ++index) {
      const std::size_t end = rest.find('\n');
      visit(rest.substr(0, end), counts[index]);
      rest.remove_prefix(end + 1);
    }
  }
  template <class Visit>
  void each(Visit visit) const {
    each({}, end(), visit);
  }
};

/// Counts while it is made. Keeps its own copies of the words.
class word_table {
 public:
  using entry = std::pair<const std::string_view, std::uint64_t>;

  explicit word_table(std::pmr::memory_resource& memory) : memory_(memory), counts_(&memory) {}

  void add(std::string_view word, std::uint64_t count = 1) {
    if (const auto known = counts_.find(word); known != counts_.end()) {
      known->second += count;
    } else {
      char* const copy = static_cast<char*>(memory_.allocate(word.size(), 1));
      word.copy(copy, word.size());
      counts_.emplace(std::string_view(copy, word.size()), count);
    }
  }
  [[nodiscard]] const auto& counts() const { return counts_; }

 private:
  std::pmr::memory_resource& memory_;
  std::pmr::unordered_map<std::string_view, std::uint64_t> counts_;
};

word_counts packed(const word_table& table) {
  word_counts result;
  for (const auto& [word, count] : table.counts()) result.add(word, count);
  return result;
}

/// A file's words in this many parts, by their hash: each part of all files can then be summed up on its own.
constexpr std::size_t n_parts = 8;
struct parted_counts {
  word_counts all;
  std::array<word_counts::position, n_parts + 1> bounds;
};

parted_counts count_file(const std::string& path) {
  thread_local std::vector<std::byte> space(1 << 20);  // else every file would ask the system for new memory
  std::pmr::monotonic_buffer_resource memory(space.data(), space.size());
  word_table table(memory);
  each_word(path, [&](std::string_view word) { table.add(word); });

  std::pmr::vector<std::pair<std::size_t, const word_table::entry*>> parts(&memory);
  for (const auto& entry : table.counts()) parts.emplace_back(std::hash<std::string_view>()(entry.first) % n_parts, &entry);
  parted_counts result;
  for (std::size_t part = 0; part < n_parts; ++part) {
    for (const auto& [of, entry] : parts) {
      if (of == part) result.all.add(entry->first, entry->second);
    }
    result.bounds[part + 1] = result.all.end();
  }
  return result;
}

word_counts sum_of_part(const std::vector<manyhands::outcome<parted_counts>>& files, std::size_t part) {
  std::pmr::monotonic_buffer_resource memory(1 << 16);
  word_table table(memory);
  for (const auto& file : files) {
    if (!file) continue;
    file->all.each(file->bounds[part], file->bounds[part + 1], [&](std::string_view word, std::uint64_t count) { table.add(word, count); });
  }
  return packed(table);
}

struct totals {
  std::vector<word_counts> parts;
  std::vector<std::pair<std::size_t, std::string>> unreadable;  // the file's index, and why

  friend bool operator==(const totals& a, const totals& b) {
    const auto sorted = [](const totals& all) {
      std::vector<std::pair<std::string_view, std::uint64_t>> words;
      for (const word_counts& part : all.parts)
        part.each([&](std::string_view word, std::uint64_t count) { words.emplace_back(word, count); });
      std::sort(words.begin(), words.end());
      return words;
    };
    return a.unreadable == b.unreadable && sorted(a) == sorted(b);
  }
};

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

// --- the plain loop, and the same with manyhands

totals count_in_plain_loop(const std::vector<std::string>& files) {
  totals all;
  std::pmr::monotonic_buffer_resource memory(1 << 16);
  word_table table(memory);
  for (std::size_t i = 0; i < files.size(); ++i) {
    try {
      each_word(files[i], [&](std::string_view word) { table.add(word); });
    } catch (const std::system_error& e) {
      all.unreadable.emplace_back(i, e.what());
    }
  }
  all.parts.push_back(packed(table));
  return all;
}

totals count_with_many_hands(const std::vector<std::string>& files) {
  totals all;
  const auto counted = Parallel().outcomes(files | delayed(count_file));
  for (const auto& file : counted) {
    if (!file) all.unreadable.emplace_back(file.index(), message_of(file.error()));
  }
  // The counts are in this process's memory by now: where they were made in others, threads sum them up.
  all.parts = Parallel({.require = manyhands::require::shared_memory})(
      std::views::iota(std::size_t{0}, n_parts) | delayed([&](std::size_t part) { return sum_of_part(counted, part); }));
  return all;
}

// --- the command

struct bad_arguments : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr const char* usage =
    "usage: wordcount [DIR...] [--n-jobs N|auto] [--backend NAME]\n\n"
    "Counts the words of every file below the directories, one task a file, on every backend; compares with the plain loop.\n"
    "Symbolic links are not followed.\n\n"
    "  DIR...          directories or files; by default /usr/include\n"
    "  --n-jobs N      workers: -1 is one for each processor, -2 all processors but one; by default MANYHANDS_N_JOBS, else -1\n"
    "  --n-jobs auto   all processors but one\n"
    "  --backend NAME  only this backend\n";

struct arguments {
  std::vector<fs::path> roots;
  std::optional<int> n_jobs;
  std::vector<std::string> backends;
  bool help = false;
};

int parsed_n_jobs(std::string_view text) {
  if (text == "auto") return -2;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) {
    throw bad_arguments("--n-jobs is '" + std::string(text) + "': use a whole number other than 0, or auto");
  }
  return number;
}

arguments parsed(const std::vector<std::string>& words) {
  arguments result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw bad_arguments(word + " needs a value");
      return words[++i];
    };
    if (word == "--help" || word == "-h") {
      result.help = true;
    } else if (word == "--n-jobs") {
      result.n_jobs = parsed_n_jobs(value());
    } else if (word == "--backend") {
      result.backends = {value()};
      try {
        static_cast<void>(Parallel({.backend = result.backends[0]}));
      } catch (const std::exception& e) {
        throw bad_arguments(std::string("--backend: ") + e.what());
      }
    } else if (word.starts_with("-") && word != "-") {
      throw bad_arguments("unknown option " + word);
    } else {
      std::error_code error;
      const fs::file_status status = fs::status(word, error);
      if (error) throw bad_arguments(word + ": " + error.message());
      if (!fs::is_directory(status) && !fs::is_regular_file(status)) throw bad_arguments(word + ": neither a directory nor a file");
      result.roots.emplace_back(word);
    }
  }
  if (result.roots.empty()) result.roots.emplace_back("/usr/include");
  if (result.backends.empty()) result.backends = manyhands::registered_backends();
  return result;
}

/// Links and what is no file are passed over: so nothing is counted twice, no loop is walked, no pipe is waited for.
std::vector<std::string> files_below(std::vector<fs::path> directories) {
  std::vector<std::string> files;
  std::erase_if(directories, [&](const fs::path& root) {
    const bool file = fs::is_regular_file(root);
    if (file) files.push_back(root.string());
    return file;
  });
  while (!directories.empty()) {
    const fs::path directory = std::move(directories.back());
    directories.pop_back();
    std::error_code error;
    // Not recursive_directory_iterator: one directory that cannot be read would end it.
    for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
      std::error_code gone;
      const fs::file_type type = entry->symlink_status(gone).type();
      if (type == fs::file_type::directory) directories.push_back(entry->path());
      if (type == fs::file_type::regular) files.push_back(entry->path().string());
    }
    if (error) std::fprintf(stderr, "unreadable: %s: %s\n", directory.c_str(), error.message().c_str());
  }
  return files;
}

template <class Function>
std::pair<totals, double> timed(Function count, const std::vector<std::string>& files) {
  const auto begin = std::chrono::steady_clock::now();
  totals result = count(files);
  return {std::move(result), std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
}

void print_most_frequent(const totals& all, std::size_t most) {
  std::vector<std::pair<std::uint64_t, std::string_view>> words;
  for (const word_counts& part : all.parts) part.each([&](std::string_view word, std::uint64_t count) { words.emplace_back(count, word); });
  std::printf("%zu different words, the most frequent:\n", words.size());
  const auto before = [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; };
  const std::size_t shown = std::min(most, words.size());
  std::partial_sort(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(shown), words.end(), before);
  words.resize(shown);
  for (const auto& [count, word] : words) std::printf("  %9ju  %.*s\n", std::uintmax_t{count}, static_cast<int>(word.size()), word.data());
}

int run(const arguments& asked) {
  const std::vector<std::string> files = files_below(asked.roots);
  // The first to read a file waits for the disk: here that is nobody who is timed.
  std::uint64_t size = 0;
  const auto size_of = [](const std::string& path) { return each_word(path, [](std::string_view) {}); };
  for (const auto& bytes : Parallel({.backend = "threads"}).outcomes(files | delayed(size_of))) size += bytes.value_or(0);
  std::printf("%zu files, %.1f MB\n", files.size(), static_cast<double>(size) / 1e6);

  const auto [expected, plain_time] = timed(count_in_plain_loop, files);
  for (const auto& [index, reason] : expected.unreadable) std::fprintf(stderr, "unreadable: %s\n", reason.c_str());
  print_most_frequent(expected, 10);

  std::printf("\n%-12s %7s %8s %9s\n", "backend", "workers", "seconds", "speed-up");
  std::printf("%-12s %7d %8.3f %9.2f\n", "plain loop", 1, plain_time, 1.0);
  bool agree = true;
  for (const std::string& name : asked.backends) {
    const manyhands::parallel_backend scope(name, {.n_jobs = asked.n_jobs});
    const auto [result, time] = timed(count_with_many_hands, files);
    const bool same = result == expected;
    std::printf("%-12s %7d %8.3f %9.2f%s\n", name.c_str(), manyhands::effective_n_jobs(), time, plain_time / time,
                same ? "" : "  DIFFERENT");
    std::fflush(stdout);
    agree = agree && same;
  }
  std::puts(agree ? "\nall agree with the plain loop" : "\nnot all agree with the plain loop: did files change meanwhile?");
  return agree ? 0 : 1;
}

int main(int argc, char** argv) {
  try {
    const arguments asked = parsed(std::vector<std::string>(argv + 1, argv + argc));
    if (asked.help) return std::fputs(usage, stdout) < 0 ? 1 : 0;
    return run(asked);
  } catch (const bad_arguments& e) {
    std::fprintf(stderr, "wordcount: %s\n\n%s", e.what(), usage);
    return 2;
  } catch (const std::exception& e) {  // such as a bad value in the environment
    std::fprintf(stderr, "wordcount: %s\n", e.what());
    return 2;
  }
}
