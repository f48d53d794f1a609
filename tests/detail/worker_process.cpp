#include <manyhands/detail/worker_process.hpp>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <thread>

#include <manyhands/config.hpp>
#include <manyhands/detail/process.hpp>
#include <support/catch.hpp>
#include <support/leak_check.hpp>
#include <support/shared.hpp>
#include <support/subprocess.hpp>

using namespace manyhands::detail;

namespace {

/// Runs `body` in a worker; its exit code is 0 where that returns true.
template <class Body>
exit_status in_worker(Body body) {
  flush_standard_streams();
  const parent_facts parent;
  child_process worker = child_process::fork([&](const sigset_t& mask) noexcept {
    become_worker(parent, mask);
    end_worker(body() ? 0 : 1);
  });
  return worker.collect();
}

constexpr exit_status all_well{0, 0};

/// Everything that a copy of this program writes to its standard output.
template <class Function>
std::string output_of(Function&& function) {
  char path[] = "/tmp/manyhands-test-XXXXXX";
  const descriptor file(::mkstemp(path));
  static_cast<void>(manyhands_test::in_subprocess([&] {
    ::dup2(file.get(), STDOUT_FILENO);
    function();
    std::fflush(stdout);
    return true;
  }));
  std::ifstream written(path);
  std::string text{std::istreambuf_iterator<char>(written), std::istreambuf_iterator<char>()};
  ::unlink(path);
  return text;
}

void count_static_end() { std::puts("an exit handler of the program"); }

}  // namespace

TEST_CASE("a worker runs no signal handler of its program") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    for (const int signal : {SIGSEGV, SIGTERM, SIGUSR1}) std::signal(signal, [](int) { ::_exit(42); });
    std::signal(SIGPIPE, SIG_IGN);
    if (in_worker([] {
          std::raise(SIGSEGV);
          return true;
        }) != exit_status{SIGSEGV, -1}) {
      return false;
    }
    return in_worker([] {
             struct sigaction action {};
             ::sigaction(SIGPIPE, nullptr, &action);
             const bool pipe_ignored = action.sa_handler == SIG_IGN;
             ::sigaction(SIGINT, nullptr, &action);
             // Ignored it would be in programs that tasks start, too.
             const bool interrupt_survived = action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL && std::raise(SIGINT) == 0;
             ::sigaction(SIGUSR1, nullptr, &action);
             return pipe_ignored && interrupt_survived && action.sa_handler == SIG_DFL;
           }) == all_well;
  }));
}

TEST_CASE("a worker can be crashed and terminated where its program blocks all signals") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    const signals_blocked all;
    return in_worker([] {
             sigset_t now;
             ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
             return ::sigismember(&now, SIGUSR1) == 1 && ::sigismember(&now, SIGTERM) == 0 && ::sigismember(&now, SIGSEGV) == 0;
           }) == all_well;
  }));
}

TEST_CASE("the standard input of a worker is empty, and its program's is untouched") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    int ends[2];
    if (::pipe(ends) != 0 || ::write(ends[1], "one\ntwo\n", 8) != 8) return false;
    ::close(ends[1]);
    ::dup2(ends[0], STDIN_FILENO);
    if (std::getchar() != 'o') return false;  // reads ahead: the rest waits in a buffer now
    if (in_worker([] { return std::getchar() == EOF; }) != all_well) return false;
    return std::getchar() == 'n';
  }));
}

TEST_CASE("what a program printed before is printed once, and what a worker prints is not lost") {
  const manyhands_test::leak_check leaks;
  const bool synchronised = GENERATE(true, false);
  const std::string text = output_of([&] {
    std::ios_base::sync_with_stdio(synchronised);
    std::cout << "before\n";
    in_worker([] {
      std::cout << "in the worker\n";
      return true;
    });
    std::cout << "after\n";
    std::cout.flush();
  });
  CHECK(text == "before\nin the worker\nafter\n");
}

TEST_CASE("what another thread printed between the flush and the fork is printed once") {
  const manyhands_test::leak_check leaks;
  const std::string text = output_of([] {
    flush_standard_streams();
    std::fputs("late\n", stdout);
    const parent_facts parent;
    child_process worker = child_process::fork([&](const sigset_t& mask) noexcept {
      become_worker(parent, mask);
      end_worker(0);
    });
    worker.collect();
  });
  CHECK(text == "late\n");
}

TEST_CASE("exit() in a worker ends it with its code, and runs no exit handler of the program") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> told(1);
  const bool by_thread = GENERATE(false, true);
  told[0] = -1;
  const std::string text = output_of([&] {
    std::atexit(count_static_end);
    const exit_status status = in_worker([&] {
      const process_mark mark;
      const exit_guard guard(
          mark, [](void* code, int given) noexcept { *static_cast<std::atomic<int>*>(code) = given; }, &told[0]);
      std::puts("printed");
      if (!by_thread) std::exit(5);
      std::thread([] { std::exit(5); }).join();
      return true;
    });
    std::printf("code %d\n", status.code);
  });
  CHECK(text == "printed\ncode 5\n");
  CHECK(told[0] == 5);
}

TEST_CASE("a copy of a worker that exits is not taken for the worker") {
  const manyhands_test::leak_check leaks;
  const shared_array<std::atomic<int>> told(1);
  told[0] = -1;
  CHECK(in_worker([&] {
          const process_mark mark;
          const exit_guard guard(
              mark, [](void* code, int given) noexcept { *static_cast<std::atomic<int>*>(code) = given; }, &told[0]);
          const pid_t copy = ::fork();
          if (copy == 0) std::exit(6);
          int status = 0;
          ::waitpid(copy, &status, 0);
          return WIFEXITED(status) && WEXITSTATUS(status) == 6;
        }) == all_well);
  CHECK(told[0] == -1);
}

TEST_CASE("a worker does not outlive its program") {
  const manyhands_test::leak_check leaks;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto end = manyhands_test::in_subprocess([&]() -> bool {
    ::close(ends[0]);
    const parent_facts parent;
    const child_process worker = child_process::fork([&](const sigset_t& mask) noexcept {
      become_worker(parent, mask);
      static_cast<void>(!::write(ends[1], "x", 1));
      for (;;) ::pause();
    });
    for (;;) {  // until the worker is there
      int waiting = 0;
      ::ioctl(ends[1], FIONREAD, &waiting);
      if (waiting != 0) break;
      std::this_thread::yield();
    }
    ::raise(SIGKILL);
    return true;
  });
  CHECK(end.signal == SIGKILL);
  ::close(ends[1]);
  // The pipe ends when its last holder does.
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 1);
  CHECK(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
}

TEST_CASE("to look functions up changes nothing") {
  const manyhands_test::leak_check leaks;
  errno = 77;
  look_up_what_workers_call();
  CHECK(errno == 77);
}

#if !MANYHANDS_TSAN  // it does not know how libgomp's threads wait for each other
TEST_CASE("OpenMP works in a worker whose program has used it before") {
  const manyhands_test::leak_check leaks;
  CHECK(manyhands_test::holds_in_subprocess([] {
    void* const library = ::dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) return true;  // nothing to go wrong with
    // What the compiler makes of `#pragma omp parallel`.
    const auto parallel = reinterpret_cast<void (*)(void (*)(void*), void*, unsigned, unsigned)>(::dlsym(library, "GOMP_parallel"));
    const auto set_threads = reinterpret_cast<void (*)(int)>(::dlsym(library, "omp_set_num_threads"));
    set_threads(3);
    static std::atomic<int> ran;
    const auto count = [](void*) { ++ran; };
    parallel(count, nullptr, 0, 0);
    if (ran != 3) return false;
    const auto works_with = [&](int threads) {
      return in_worker([&] {
               ::alarm(20);
               ran = 0;
               parallel(count, nullptr, 0, 0);
               return ran == threads;
             }) == all_well;
    };
    if (!works_with(3)) return false;
    // Inside a region its threads cannot be ended before the fork, and are missed after it.
    static bool region_well = false;
    static const auto& in_region = works_with;
    parallel(
        [](void* get_number) {
          if (reinterpret_cast<int (*)()>(get_number)() == 0) region_well = in_region(1);
        },
        ::dlsym(library, "omp_get_thread_num"), 0, 0);
    return region_well;
  }));
}
#endif

#if !MANYHANDS_TSAN  // its own _exit() waits for the stream
TEST_CASE("a stream that another thread holds does not keep a worker from ending") {
  const manyhands_test::leak_check leaks;
  CHECK(in_worker([] {
          std::thread([] { ::flockfile(stdout); }).join();  // a thread that died with the lock
          return true;
        }) == all_well);
}
#endif
