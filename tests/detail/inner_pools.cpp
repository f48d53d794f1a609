#include <manyhands/detail/inner_pools.hpp>

#include <dlfcn.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include <manyhands/config.hpp>
#include <support/catch.hpp>
#include <support/subprocess.hpp>

namespace {

using manyhands::detail::inner_pool;
using manyhands::detail::inner_pools;
using manyhands_test::holds_in_subprocess;

std::size_t size_of(const inner_pools::list& pools) {
  std::size_t size = 0;
  pools.each([&](const inner_pool&) { ++size; });
  return size;
}

/// Loads a library as programs load plugins. Null where it is not there.
void* load(const char* path) { return ::dlopen(path, RTLD_NOW | RTLD_LOCAL); }

}  // namespace

TEST_CASE("where no library with threads of its own is loaded, none is found") {
  CHECK(holds_in_subprocess([] {
    inner_pools::refresh();
    inner_pools::refresh();
    return inner_pools::empty();
  }));
}

TEST_CASE("libraries that are loaded later are found, each once") {
  CHECK(holds_in_subprocess([] {
    inner_pools::refresh();
    if (load(FAKE_POOLS) == nullptr || !inner_pools::empty()) return false;
    inner_pools::refresh();
    if (size_of(inner_pools::own()) != 1 || size_of(inner_pools::shared()) != 1) return false;
    load("libm.so.6");
    load("libutil.so.1");
    inner_pools::refresh();
    return size_of(inner_pools::own()) == 1 && size_of(inner_pools::shared()) == 1;
  }));
}

TEST_CASE("a library that was found stays, even if who loaded it unloads it") {
  CHECK(holds_in_subprocess([] {
    void* const library = load(FAKE_POOLS);
    inner_pools::refresh();
    ::dlclose(library);
    inner_pools::refresh();
    if (::dlopen(FAKE_POOLS, RTLD_NOLOAD | RTLD_NOW) == nullptr) return false;
    int threads = 0;
    inner_pools::own().each([&](const inner_pool& pool) { threads = pool.threads(); });
    return threads == 16;
  }));
}

TEST_CASE("a library that was unloaded before is not found") {
  CHECK(holds_in_subprocess([] {
    inner_pools::refresh();
    ::dlclose(load(FAKE_POOLS));
    inner_pools::refresh();
    return inner_pools::empty();
  }));
}

TEST_CASE("a pool tells its number, takes another, and gets its own back") {
  CHECK(holds_in_subprocess([] {
    void* const library = load(FAKE_POOLS);
    const auto mkl_local = reinterpret_cast<int (*)()>(::dlsym(library, "fake_mkl_local"));
    inner_pools::refresh();
    bool well = true;
    for (const auto* pools : {&inner_pools::own(), &inner_pools::shared()}) {
      pools->each([&](const inner_pool& pool) {
        const int before = pool.set(3);
        well = well && pool.threads() == 3;
        pool.restore(before);
        well = well && pool.threads() == 16;
      });
    }
    return well && mkl_local() == 0;  // as if nobody had ever said a number
  }));
}

TEST_CASE("a worker process finds nothing that its program had not found") {
  CHECK(holds_in_subprocess([] {
    inner_pools::become_worker(true);
    load(FAKE_POOLS);
    inner_pools::refresh();
    return inner_pools::empty();
  }));
}

TEST_CASE("threads that look at the same time find each library once") {
  CHECK(holds_in_subprocess([] {
    load(FAKE_POOLS);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(&inner_pools::refresh);
    for (std::thread& thread : threads) thread.join();
    return size_of(inner_pools::own()) == 1 && size_of(inner_pools::shared()) == 1;
  }));
}

#if !MANYHANDS_TSAN  // it does not know the dynamic loader's lock
TEST_CASE("looking while other threads load and unload is safe") {
  CHECK(holds_in_subprocess([] {
    std::thread loader([] {
      for (int i = 0; i < 200; ++i) ::dlclose(load(FAKE_POOLS));
    });
    for (int i = 0; i < 2000; ++i) {
      inner_pools::refresh();
      inner_pools::own().each([](const inner_pool& pool) { static_cast<void>(pool.set(2)); });
    }
    loader.join();
    return true;
  }));
}
#endif

#if defined(OPENMP_PLUGIN)
TEST_CASE("OpenMP's runtime is found behind a plugin that keeps it to itself") {
  CHECK(holds_in_subprocess([] {
    void* const plugin = load(OPENMP_PLUGIN);
    if (plugin == nullptr) return false;
    inner_pools::refresh();
    if (size_of(inner_pools::own()) != 1) return false;
    const auto team_size = reinterpret_cast<int (*)()>(::dlsym(plugin, "openmp_team_size"));
    bool well = true;
    inner_pools::own().each([&](const inner_pool& pool) {
      const int before = pool.set(3);
      well = team_size() == 3;
      pool.restore(before);
      well = well && pool.threads() == before;
    });
    return well;
  }));
}

TEST_CASE("two runtimes of OpenMP are told apart") {
  CHECK(holds_in_subprocess([] {
    if (load("libgomp.so.1") == nullptr || load("libomp.so.5") == nullptr) return true;  // one of them is not installed
    inner_pools::refresh();
    int gomps = 0;
    int next = 3;
    inner_pools::own().each([&](const inner_pool& pool) {
      gomps += pool.is_libgomp() ? 1 : 0;
      static_cast<void>(pool.set(next++));
    });
    std::set<int> numbers;
    inner_pools::own().each([&](const inner_pool& pool) { numbers.insert(pool.threads()); });
    return gomps == 1 && numbers == std::set<int>{3, 4};
  }));
}
#endif
