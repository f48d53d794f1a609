#pragma once

#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <manyhands/config.hpp>

// Which libraries that start threads of their own are there: OpenMP's runtimes, OpenBLAS, MKL and BLIS. They are found as threadpoolctl
// does it, by their files' names among all that is loaded, so that nothing is linked, and several copies are told apart. One that is
// linked statically is found only where the program exports its functions.

namespace manyhands::detail {

template <class>
class basic_inner_pools;

/// One loaded copy of such a library. It stays loaded from then on, until the program ends.
template <class>
class basic_inner_pool {
 public:
  enum class kind : std::uint8_t {
    openmp,    ///< libgomp, libomp, libiomp5: every thread has a number of its own
    mkl,       ///< every thread may have a number of its own
    openblas,  ///< one number for all threads
    blis       ///< the same
  };

  basic_inner_pool(kind its_kind, void* getter, void* setter, void* pauser) noexcept
      : kind_(its_kind), get_(getter), set_(setter), pause_(pauser) {}

  /// How many threads it would use in the calling thread.
  [[nodiscard]] int threads() const noexcept {
    if (kind_ == kind::blis) return static_cast<int>(std::max<std::int64_t>(function<std::int64_t()>(get_)(), 1));
    return std::max(function<int()>(get_)(), 1);
  }
  /// Lets it use so many. Returns what `restore` wants to know.
  int set(int threads) const noexcept {
    if (kind_ == kind::mkl) return function<int(int)>(set_)(threads);
    const int before = this->threads();
    restore(threads);
    return before;
  }
  void restore(int before) const noexcept {
    switch (kind_) {
      case kind::openmp:
      case kind::openblas:
        return function<void(int)>(set_)(before);
      case kind::mkl:
        function<int(int)>(set_)(before);
        return;
      case kind::blis:
        return function<void(std::int64_t)>(set_)(before);
    }
  }

  /// Whether it is libgomp, which in a forked process waits for threads that are not there.
  [[nodiscard]] bool is_libgomp() const noexcept { return is_libgomp_; }

 private:
  friend basic_inner_pools<void>;

  template <class Signature>
  [[nodiscard]] static Signature* function(void* address) noexcept {
    return reinterpret_cast<Signature*>(address);
  }

  const kind kind_;
  void* const get_;
  void* const set_;
  void* const pause_;
  bool is_libgomp_ = false;
  const basic_inner_pool* next_ = nullptr;
};
using inner_pool = basic_inner_pool<void>;

/// All that were found in this process so far.
///
/// They are held, and so never unloaded: a task may be running in one at any time, and few would survive it.
template <class>
class basic_inner_pools {
 public:
  /// A list that only grows. Any thread may walk it at any time.
  class list {
   public:
    template <class Visit>
    void each(Visit visit) const {
      for (const inner_pool* pool = first_.load(std::memory_order_acquire); pool != nullptr; pool = pool->next_) visit(*pool);
    }
    [[nodiscard]] bool empty() const noexcept { return first_.load(std::memory_order_acquire) == nullptr; }

   private:
    friend basic_inner_pools;
    std::atomic<inner_pool*> first_ = nullptr;
  };

  /// Those with a number for each thread.
  [[nodiscard]] static const list& own() noexcept { return state.own; }
  /// Those with one number for the process.
  [[nodiscard]] static const list& shared() noexcept { return state.shared; }
  [[nodiscard]] static bool empty() noexcept { return own().empty() && shared().empty(); }

  /// Looks for what was loaded since it was last called; where nothing was, it takes up to 20 ns. Any thread may call it. What cannot be
  /// found for lack of memory is not there.
  MANYHANDS_EACH_CALL static void refresh() noexcept {
#if defined(__linux__)
    if (state.is_fixed.load(std::memory_order_relaxed) || has_only_what_it_began_with()) return;
    try {
      census found;
      ::dl_iterate_phdr(&look_at, &found);
      if (found.is_known || found.is_cut_short) return;
      // The loader's lock is not held here, nor any of ours: who holds the loader's may wait for us.
      for (const std::string& path : found.paths) add_from(path);
      add_from("");  // the program itself; last, since it also answers for the others
      state.known_loads.store(found.loads, std::memory_order_relaxed);
      find_loader();
    } catch (const std::exception&) {
    }
#endif
  }

  /// For who is about to fork: ends the threads that libgomp keeps for the calling thread, so that there are none that a child could wait
  /// for. False where it cannot: inside a parallel region, or where libgomp is older than GCC 9.
  [[nodiscard]] static bool rest() noexcept {
    bool all_rest = true;
    constexpr int soft = 1;
    own().each([&](const inner_pool& pool) {
      if (pool.is_libgomp()) all_rest = pool.pause_ != nullptr && inner_pool::function<int(int)>(pool.pause_)(soft) == 0 && all_rest;
    });
    return all_rest;
  }
  /// For a forked worker, with what `rest` said before the fork. What was not found before stays so: another thread may have been in the
  /// middle of a `dlopen`. Where libgomp could not rest, it uses one thread from now on.
  static void become_worker(bool rested) noexcept {
    state.is_fixed.store(true, std::memory_order_relaxed);
    if (rested) return;
    state.is_confined.store(true, std::memory_order_relaxed);
    own().each([](const inner_pool& pool) {
      if (is_confined(pool)) static_cast<void>(pool.set(1));
    });
  }
  /// Whether the pool may use one thread only, whatever anybody says.
  [[nodiscard]] static bool is_confined(const inner_pool& pool) noexcept {
    return pool.is_libgomp() && state.is_confined.load(std::memory_order_relaxed);
  }

 private:
  struct everything {
    list own;
    list shared;
    std::atomic<std::uint64_t> known_loads = 0;
#if defined(__linux__)
    std::atomic<const link_map*> loader = nullptr;  // null: not known
#endif
    std::atomic<bool> is_fixed = false;
    std::atomic<bool> is_confined = false;
  };
  static everything state;

#if defined(__linux__)
  struct census {
    std::uint64_t loads = 0;  // and unloads, of all time
    bool is_known = false;
    bool is_cut_short = false;  // there was no memory
    std::vector<std::string> paths = {};
  };

  // What is loaded by `dlopen` comes after the dynamic loader in its list, and what the program began with is never unloaded, the loader
  // least of all. Most often it is the last then: a look at who follows it takes a nanosecond, and nobody has to be locked out.
  static void find_loader() noexcept {
#if defined(__GLIBC__)
    const auto object_of = [](const void* address) {
      Dl_info file{};
      link_map* object = nullptr;
      return address != nullptr && ::dladdr1(address, &file, reinterpret_cast<void**>(&object), RTLD_DL_LINKMAP) != 0 ? object : nullptr;
    };
    const link_map* const loader = object_of(::dlsym(RTLD_DEFAULT, "_r_debug"));
    const link_map* const own = object_of(&state);
    // Not for who was loaded later, perhaps into a list of its own.
    for (const link_map* at = loader; at != nullptr && own != nullptr; at = at->l_prev) {
      if (at == own) state.loader.store(loader, std::memory_order_release);
    }
#endif
  }
  /// Whether no library was added to those of the program's start, among which there was a search already. False where nobody can tell.
  [[nodiscard]] static bool has_only_what_it_began_with() noexcept {
    const link_map* const loader = state.loader.load(std::memory_order_acquire);
    return loader != nullptr && __atomic_load_n(&loader->l_next, __ATOMIC_ACQUIRE) == nullptr;
  }

  static int look_at(dl_phdr_info* object, std::size_t, void* data) noexcept {
    census& found = *static_cast<census*>(data);
    if (found.loads == 0) {
      found.loads = object->dlpi_adds + object->dlpi_subs;
      found.is_known = found.loads == state.known_loads.load(std::memory_order_relaxed);
      if (found.is_known) return 1;
    }
    try {
      const std::string_view path = object->dlpi_name != nullptr ? object->dlpi_name : "";
      if (may_have_pool(path.substr(path.rfind('/') + 1))) found.paths.emplace_back(path);
      return 0;
    } catch (const std::exception&) {  // not through the loader, which holds a lock
      found.is_cut_short = true;
      return 1;
    }
  }

  static bool may_have_pool(std::string_view file) noexcept {
    // libblas is what Debian calls any of them; scipy names its own OpenBLAS.
    constexpr std::array<std::string_view, 8> beginnings{"libgomp",           "libomp",  "libiomp", "libmkl_", "libopenblas",
                                                         "libscipy_openblas", "libblis", "libblas"};
    return std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view beginning) { return file.starts_with(beginning); });
  }

  static void add_from(const std::string& path) {
    void* const library = ::dlopen(path.empty() ? nullptr : path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
    if (library == nullptr) return;  // unloaded meanwhile
    using kind = inner_pool::kind;
    bool is_used = add(state.own, {kind::openmp, library, "omp_get_max_threads", "omp_set_num_threads"});
    is_used = add(state.own, {kind::mkl, library, "MKL_Get_Max_Threads", "MKL_Set_Num_Threads_Local"}) || is_used;
    is_used = add(state.shared, {kind::blis, library, "bli_thread_get_num_threads", "bli_thread_set_num_threads"}) || is_used;
    for (const std::string prefix : {"", "scipy_"}) {
      for (const std::string suffix : {"", "64_", "_64"}) {
        // What was built with OpenMP does as that does.
        const auto parallel = reinterpret_cast<int (*)()>(::dlsym(library, (prefix + "openblas_get_parallel" + suffix).c_str()));
        constexpr int with_openmp = 2;
        if (parallel != nullptr && parallel() == with_openmp) continue;
        const std::string get = prefix + "openblas_get_num_threads" + suffix;
        const std::string set = prefix + "openblas_set_num_threads" + suffix;
        is_used = add(state.shared, {kind::openblas, library, get.c_str(), set.c_str()}) || is_used;
      }
    }
    if (!is_used) ::dlclose(library);
  }

  struct candidate {
    inner_pool::kind kind;
    void* library;
    const char* get;
    const char* set;
  };
  /// False where there is none, or it is in the list already.
  static bool add(list& all, const candidate& from) {
    void* const get = ::dlsym(from.library, from.get);
    void* const set = ::dlsym(from.library, from.set);
    if (get == nullptr || set == nullptr) return false;
    const bool is_libgomp = from.kind == inner_pool::kind::openmp && ::dlsym(from.library, "GOMP_parallel") != nullptr &&
                            // LLVM's runtime has both names, and survives a fork by itself.
                            ::dlsym(from.library, "__kmpc_fork_call") == nullptr;
    inner_pool* const pool = new inner_pool(from.kind, get, set, is_libgomp ? ::dlsym(from.library, "omp_pause_resource_all") : nullptr);
    pool->is_libgomp_ = is_libgomp;
    inner_pool* first = all.first_.load(std::memory_order_acquire);
    do {
      bool is_there = false;
      pool->next_ = nullptr;
      for (const inner_pool* other = first; other != nullptr; other = other->next_) is_there = is_there || other->set_ == set;
      if (is_there) {
        delete pool;
        return false;
      }
      pool->next_ = first;
    } while (!all.first_.compare_exchange_weak(first, pool, std::memory_order_acq_rel));
    return true;
  }
#endif
};
using inner_pools = basic_inner_pools<void>;

template <class Unused>
constinit typename basic_inner_pools<Unused>::everything basic_inner_pools<Unused>::state{};

}  // namespace manyhands::detail
