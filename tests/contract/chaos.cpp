// Random tasks, some of which crash, exit, hang or throw, while somebody kills, stops and starves random workers. Each call gives exactly
// the right result or the right error for every single task, and leaves nothing behind.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <map>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <manyhands.hpp>
#include <support/catch.hpp>
#include <support/pool.hpp>

using manyhands::delayed;
using manyhands::Parallel;

namespace {

enum class kind : std::uint8_t { small, large, slow, throws, aborts, segfaults, kills_itself, exits, hangs };

struct job {
  kind what = kind::small;
  int number = 0;
};

std::vector<int> value_of(const job& of) { return std::vector<int>(of.what == kind::large ? 50'000 : 3, of.number); }

std::vector<int> perform(const job& of) {
  switch (of.what) {
    case kind::small:
    case kind::large:
      break;
    case kind::slow:
      std::this_thread::sleep_for(std::chrono::milliseconds(of.number % 20));
      break;
    case kind::throws:
      throw std::out_of_range(std::to_string(of.number));
    case kind::aborts:
      std::signal(SIGABRT, SIG_DFL);  // the test's own handler would speak
      std::abort();
    case kind::segfaults:
      std::signal(SIGSEGV, SIG_DFL);
      std::raise(SIGSEGV);
      break;
    case kind::kills_itself:
      std::raise(SIGKILL);
      break;
    case kind::exits:
      ::_exit(of.number % 100);
    case kind::hangs:
      for (;;) ::pause();
  }
  return value_of(of);
}

/// Does to random workers what a bad day does. It allocates nothing: what a fork copies is never in the middle of it.
class fate {
 public:
  explicit fate(unsigned seed) : random_(seed), thread_([this] { strike(); }) {}
  ~fate() {
    is_over_ = true;
    thread_.join();
  }
  fate(const fate&) = delete;
  fate& operator=(const fate&) = delete;

  [[nodiscard]] int kills() const noexcept { return kills_; }
  /// Workers that were slowed down or stopped for a while, or had their memory taken.
  [[nodiscard]] int strains() const noexcept { return strains_; }

 private:
  void strike() {
    while (!is_over_) {
      rest(static_cast<long>(random_() % 8'000'000));
      const pid_t victim = choose();
      if (victim <= 0) continue;
      switch (random_() % 6) {
        case 0:
        case 1:
          ++kills_;  // before: who sees a killed worker sees it counted
          ::kill(victim, SIGKILL);
          break;
        case 2:
        case 3:
          ++strains_;
          ::kill(victim, SIGSTOP);
          rest(static_cast<long>(random_() % 40'000'000));
          if (random_() % 4 == 0) {
            ++kills_;
            ::kill(victim, SIGKILL);
          }
          ::kill(victim, SIGCONT);
          break;
        case 4: {
          ++strains_;
          ::setpriority(PRIO_PROCESS, static_cast<id_t>(victim), 19);
          cpu_set_t one;
          CPU_ZERO(&one);
          CPU_SET(0, &one);
          ::sched_setaffinity(victim, sizeof(one), &one);
          break;
        }
        default:
#if !MANYHANDS_ASAN && !MANYHANDS_TSAN  // they need all the addresses that there are
          ++strains_;
          const rlimit none{std::size_t{1} << 20U, RLIM_INFINITY};
          ::prlimit(victim, RLIMIT_DATA, &none, nullptr);
#endif
          break;
      }
    }
  }
  static void rest(long nanoseconds) {
    const timespec time{0, nanoseconds};
    ::nanosleep(&time, nullptr);
  }
  /// A child of any thread of this process.
  pid_t choose() {
    // Forked by the caller's thread, or by one that the pool keeps for that: the list is a thread's.
    std::array<pid_t, 64> found{};
    std::size_t count = 0;
    const int folder = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return 0;
    alignas(8) std::array<char, 4096> entries;
    for (long got = 0; (got = ::syscall(SYS_getdents64, folder, entries.data(), entries.size())) > 0;) {
      for (long at = 0; at < got;) {
        struct entry {
          std::uint64_t inode;
          std::int64_t next;
          std::uint16_t size;
          std::uint8_t type;
          char name[1];
        };
        const auto* const one = reinterpret_cast<const entry*>(&entries[static_cast<std::size_t>(at)]);
        at += one->size;
        if (one->name[0] != '.') count = children_of(folder, one->name, found, count);
      }
    }
    ::close(folder);
    return count == 0 ? 0 : found[random_() % count];
  }
  static std::size_t children_of(int folder, const char* thread, std::array<pid_t, 64>& found, std::size_t count) {
    std::array<char, 32> path{};
    const std::string_view name(thread);
    constexpr std::string_view file = "/children";
    if (name.size() + file.size() >= path.size()) return count;
    std::copy(name.begin(), name.end(), path.begin());
    std::copy(file.begin(), file.end(), path.begin() + static_cast<std::ptrdiff_t>(name.size()));
    const int list = ::openat(folder, path.data(), O_RDONLY | O_CLOEXEC);
    if (list < 0) return count;
    std::array<char, 2048> text;
    const ssize_t got = ::read(list, text.data(), text.size());
    ::close(list);
    for (const char *at = text.data(), *end = at + std::max<ssize_t>(got, 0); at < end && count < found.size();) {
      pid_t child = 0;
      const auto [rest, error] = std::from_chars(at, end, child);
      if (error != std::errc()) break;
      found[count++] = child;
      at = rest + 1;
    }
    return count;
  }

  std::minstd_rand random_;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> kills_ = 0;
  std::atomic<int> strains_ = 0;
  std::thread thread_;  // last: it uses the others
};

/// What a task's outcome says, where that is right for such a task.
enum class verdict : std::uint8_t { right, killed, strained, late, wrong };

verdict judge(const job& of, const manyhands::outcome<std::vector<int>>& got) {
  try {
    const std::vector<int>& value = got.value();
    return of.what <= kind::slow && value == value_of(of) ? verdict::right : verdict::wrong;
  } catch (const std::out_of_range& error) {
    return of.what == kind::throws && error.what() == std::to_string(of.number) ? verdict::right : verdict::wrong;
  } catch (const std::bad_alloc&) {
    return verdict::strained;
  } catch (const manyhands::task_timeout& error) {
    if (error.index() != got.index()) return verdict::wrong;
    return of.what == kind::hangs ? verdict::right : verdict::late;
  } catch (const manyhands::worker_lost& lost) {
    if (lost.index() != got.index()) return verdict::wrong;
    const bool is_own = (of.what == kind::aborts && lost.signal() == SIGABRT) || (of.what == kind::segfaults && lost.signal() == SIGSEGV) ||
                        (of.what == kind::kills_itself && lost.signal() == SIGKILL) ||
                        (of.what == kind::exits && lost.signal() == 0 && lost.exit_code() == of.number % 100);
    if (is_own) return verdict::right;
    return lost.signal() == SIGKILL ? verdict::killed : verdict::wrong;
  } catch (...) {
    return verdict::wrong;
  }
}

void play(const char* backend, std::chrono::seconds how_long) {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed << " on " << backend);
  std::minstd_rand random(seed);
  const auto below = [&random](unsigned most) { return static_cast<int>(random() % most); };
  const auto end = std::chrono::steady_clock::now() + how_long;
  std::map<verdict, int> seen;
  int calls = 0;
  while (std::chrono::steady_clock::now() < end) {
    const bool has_timeout = below(8) == 0;
    std::vector<job> jobs(static_cast<std::size_t>(below(300)));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      // Of a hundred: most go well, and few hang, for each takes the whole timeout.
      const int dice = below(100);
      jobs[i].number = below(1000);
      jobs[i].what = dice < 50                              ? kind::small
                     : dice < 60                            ? kind::large
                     : dice < 86                            ? kind::slow
                     : dice < 92                            ? kind::throws
                     : dice == 99 && has_timeout && i < 150 ? kind::hangs
                                                            : static_cast<kind>(4 + below(4));
    }
    manyhands::options how{.n_jobs = 2 + below(3), .backend = backend, .retries = below(3)};
    if (below(2) == 0) how.batch_size = static_cast<std::size_t>(1 + below(20));
    if (has_timeout) how.timeout = std::chrono::milliseconds(500);
    if (below(4) == 0) how.max_tasks_per_worker = 1 + below(30);

    const fate bad_day(static_cast<unsigned>(random()));
    const auto results = Parallel(how).outcomes(jobs | delayed(perform));
    ++calls;
    REQUIRE(results.size() == jobs.size());
    int killed = 0;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const verdict found = judge(jobs[i], results[i]);
      ++seen[found];
      if (found == verdict::wrong) {
        std::string what = "a value";
        try {
          static_cast<void>(results[i].value());
        } catch (const std::exception& error) {
          what = error.what();
        }
        FAIL("task " << i << " of kind " << static_cast<int>(jobs[i].what) << " gave " << what);
      }
      if (found == verdict::killed) ++killed;
    }
    // A kill costs one attempt of one task, or nothing.
    CHECK(killed * (how.retries.value_or(0) + 1) <= bad_day.kills());
  }
  WARN(calls << " calls on " << backend << ": " << seen[verdict::right] << " tasks as they should, " << seen[verdict::killed] << " killed, "
             << seen[verdict::strained] << " without memory, " << seen[verdict::late] << " late");
  CHECK(seen[verdict::right] > 0);
}

}  // namespace

TEST_CASE("while workers are killed, stopped and starved, each task has its result or its error") {
  const manyhands_test::pool_check leaks;
  play("processes", std::chrono::seconds(10));
  play("loky", std::chrono::seconds(10));
}

TEST_CASE("the same for ten minutes", "[slow]") {
  const manyhands_test::pool_check leaks;
  play("processes", std::chrono::minutes(5));
  play("loky", std::chrono::minutes(5));
}
