#include <manyhands/detail/inner_limit.hpp>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/subprocess.hpp>

namespace {

using manyhands::detail::inner_limit;
using manyhands::detail::inner_pools;
using manyhands::detail::inner_threads;
using manyhands::detail::shared_inner_limit;
using manyhands_test::holds_in_subprocess;

constexpr inner_threads exactly(int threads) { return {.most = threads, .exactly = true}; }
constexpr inner_threads at_most(int threads) { return {.most = threads}; }

/// A library that one process-wide number rules.
struct shared_library {
  int (*get)() = nullptr;
  void (*set)(int) = nullptr;
};

void* load(const char* path) { return ::dlopen(path, RTLD_NOW | RTLD_LOCAL); }

template <class Function>
Function* function(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

/// OpenBLAS with threads of its own; empty where it is not installed.
std::optional<shared_library> load_openblas() {
  for (const char* path : {"libopenblas.so.0", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
                           "/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0"}) {
    void* const library = load(path);
    if (library == nullptr) continue;
    if (function<int()>(library, "openblas_get_parallel")() == 1) {
      inner_pools::refresh();
      return shared_library{function<int()>(library, "openblas_get_num_threads"), function<void(int)>(library, "openblas_set_num_threads")};
    }
    ::dlclose(library);
  }
  return std::nullopt;
}

shared_library load_fake() {
  static std::int64_t (*get)() = nullptr;
  static void (*set)(std::int64_t) = nullptr;
  void* const library = load(FAKE_POOLS);
  get = function<std::int64_t()>(library, "bli_thread_get_num_threads");
  set = function<void(std::int64_t)>(library, "bli_thread_set_num_threads");
  inner_pools::refresh();
  return {[] { return static_cast<int>(get()); }, [](int threads) { set(threads); }};
}

/// Runs the test on the fake library, and on OpenBLAS where it is installed, each in a process of its own.
template <class Test>
bool holds_for_shared_libraries(Test test) {
  return holds_in_subprocess([&] { return test(load_fake()); }) && holds_in_subprocess([&] {
           const std::optional<shared_library> openblas = load_openblas();
           return !openblas || test(*openblas);
         });
}

}  // namespace

TEST_CASE("OpenBLAS is there for these tests") {
  if (!holds_in_subprocess([] { return load_openblas().has_value(); })) WARN("skipped: install libopenblas0-pthread to test with it");
}

TEST_CASE("a number that was asked for replaces any other, one by default only lowers") {
  CHECK(exactly(4).allowed(2) == 4);
  CHECK(exactly(4).allowed(8) == 4);
  CHECK(at_most(4).allowed(2) == 2);
  CHECK(at_most(4).allowed(8) == 4);
}

TEST_CASE("a library of the whole process is limited while the limit lives") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(5);
    {
      const inner_limit limit(exactly(2));
      if (library.get() != 2) return false;
    }
    return library.get() == 5;
  }));
}

TEST_CASE("no limit is no limit") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(5);
    const inner_limit limit(inner_threads{});
    return library.get() == 5;
  }));
}

TEST_CASE("of several limits at the same time the strictest holds, in whatever order they end") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(6);
    std::optional<inner_limit> first(std::in_place, exactly(4));
    std::optional<inner_limit> second(std::in_place, exactly(2));
    std::optional<inner_limit> third(std::in_place, at_most(3));
    bool well = library.get() == 2;
    second.reset();
    well = well && library.get() == 3;
    first.reset();
    well = well && library.get() == 3;
    third.reset();
    return well && library.get() == 6;
  }));
}

TEST_CASE("a limit by default does not raise the number, one that was asked for does") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(1);
    {
      const inner_limit limit(at_most(3));
      if (library.get() != 1) return false;
    }
    {
      const inner_limit limit(exactly(3));
      if (library.get() != 3) return false;
    }
    return library.get() == 1;
  }));
}

TEST_CASE("limits on many threads end where they began") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(6);
    std::atomic<bool> well = true;
    std::vector<std::thread> threads;
    for (int most = 2; most < 6; ++most) {
      threads.emplace_back([&, most] {
        for (int i = 0; i < 500; ++i) {
          const inner_limit limit(exactly(most));
          if (library.get() > most) well = false;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return well && library.get() == 6;
  }));
}

TEST_CASE("a forked process has limits of its own, whatever other threads did at that moment") {
  CHECK(holds_in_subprocess([] {
    const shared_library library = load_fake();
    std::atomic<bool> enough = false;
    std::thread other([&] {
      while (!enough) const inner_limit limit(exactly(1));
    });
    bool well = true;
    for (int i = 0; i < 100 && well; ++i) {
      const inner_limit outer(exactly(4));
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(20);
        bool child_well = true;
        {
          const inner_limit limit(exactly(3));
          child_well = library.get() == 3;
        }
        ::_exit(child_well ? 0 : 1);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      well = status == 0;
    }
    enough = true;
    other.join();
    return well && library.get() == 16;
  }));
}

TEST_CASE("a limit that was made before a fork may end after it") {
  CHECK(holds_in_subprocess([] {
    const shared_library library = load_fake();
    const inner_limit outer(exactly(4));
    return holds_in_subprocess([&] {
             std::optional<inner_limit> copy(std::in_place, exactly(3));
             outer.~inner_limit();
             copy.reset();
             return library.get() == 4;  // what it was when the process was made
           }) &&
           library.get() == 4;
  }));
}

TEST_CASE("a library with a number for each thread is limited in the calling thread alone") {
  CHECK(holds_in_subprocess([] {
    void* const library = load(FAKE_POOLS);
    inner_pools::refresh();
    auto* const get = function<int()>(library, "MKL_Get_Max_Threads");
    auto* const local = function<int()>(library, "fake_mkl_local");
    int elsewhere = 0;
    {
      const inner_limit limit(at_most(2));
      std::thread([&] { elsewhere = get(); }).join();
      if (get() != 2) return false;
      {
        const inner_limit nested(exactly(4));
        if (get() != 4) return false;
      }
      if (get() != 2) return false;
    }
    return elsewhere == 16 && get() == 16 && local() == 0;
  }));
}

TEST_CASE("what a task has set itself does not outlive the limit") {
  CHECK(holds_for_shared_libraries([](const shared_library& library) {
    library.set(3);
    {
      const inner_limit limit(exactly(2));
      library.set(5);
    }
    return library.get() == 3;
  }));
}
