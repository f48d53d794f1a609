#pragma once

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/exception_table.hpp>
#include <manyhands/detail/function_identity.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/process.hpp>
#include <manyhands/detail/worker_link.hpp>
#include <manyhands/detail/worker_process.hpp>

namespace manyhands::detail {

/// What a worker knows of the program for as long as it lives, and the program may come to know better.
struct known_program {
  /// How often code was loaded or unloaded.
  std::uint64_t loads = 0;
  /// The exceptions and backends that were registered.
  const void* exceptions = nullptr;
  std::uint64_t backends = 0;

  /// Throws `std::bad_alloc`.
  template <class = void>
  [[nodiscard]] static known_program now() {
    return {image_table::refreshed().loads(), registered_exceptions.load(std::memory_order_acquire),
            registered_backend_changes.load(std::memory_order_acquire)};
  }
  friend bool operator==(const known_program&, const known_program&) = default;
};

/// What a worker that lives on was made for. Calls that want the same may follow each other in it.
struct worker_kind {
  /// The code of the call's initializer, null where it has none: a worker that has run another one may be in no state for this.
  const void* initializer = nullptr;
  std::size_t memory_limit = 0;
  known_program program = {};

  friend bool operator==(const worker_kind&, const worker_kind&) = default;
};

/// The workers of this process that wait between two calls.
///
/// A call takes workers out of it and gives them back, so two calls never meet in one. A thread of the pool's own forks them, because the
/// system ends a worker with the thread that forked it, and ends those that nobody wants for long.
template <class>
class basic_worker_pool {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds longest_idle{10};

  /// That of this process: a forked copy of the program has none of its parent's workers, and gets a pool of its own. Throws
  /// `std::system_error` where there is no thread to spare.
  [[nodiscard]] static basic_worker_pool& here_and_now() {
    basic_worker_pool* known = current.load(std::memory_order_acquire);
    const pid_t self = ::getpid();
    while (known == nullptr || known->process_ != self) {
      // Never deleted, nor is a parent's: calls may be made while static objects are destroyed.
      auto made = std::make_unique<basic_worker_pool>();
      if (current.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) {
        known = made.release();
        known->open();
      }
    }
    return *known;
  }

  basic_worker_pool() = default;
  basic_worker_pool(const basic_worker_pool&) = delete;
  basic_worker_pool& operator=(const basic_worker_pool&) = delete;

  /// Puts a worker of that kind into `link`: one that waits if there is one, which has been given fewer tasks than `quota`, else a new one.
  /// Throws `std::system_error` where no process can be started.
  void take(worker_link& link, const worker_kind& kind, std::size_t quota) {
    const bool was_started = link.was_started;
    std::unique_lock lock(mutex_);
    // The last one first: its memory is warm, and those that are not needed grow old.
    for (std::size_t at = idle_.size(); at-- != 0;) {
      idle_worker& found = idle_[at];
      const bool is_stale = found.kind.program != kind.program;
      if (!is_stale && (found.kind != kind || found.link.tasks_given >= quota)) continue;
      worker_link taken = std::move(found.link);
      idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(at));
      if (taken.try_collect()) continue;  // it died of something while it waited
      if (is_stale) {
        let_go(std::move(taken));
        continue;
      }
      link = std::move(taken);
      link.was_started = was_started;
      return;
    }
    start(lock, link, kind);
    link.was_started = was_started;
  }
  /// Takes a worker back that is idle. Ends one that is not, and one that has been given `quota` tasks.
  void give_back(worker_link&& link, const worker_kind& kind, std::size_t quota) noexcept {
    const std::lock_guard lock(mutex_);
    if (!link.is_idle()) {
      link.kill();
      link.collect();
      return;
    }
    try {
      if (link.tasks_given >= quota) {
        let_go(std::move(link));
        return;
      }
      idle_.push_back({std::move(link), kind, clock::now()});
      if (sleeps_for_ever_) changed_.notify_all();  // to end it when its time has come
    } catch (...) {                                 // no memory to remember it
      link.kill();
      link.collect();
    }
  }

  /// Ends the workers that wait, and returns when they are gone.
  void end_idle() noexcept {
    std::unique_lock lock(mutex_);
    std::vector<leaving_worker> all = std::move(leaving_);
    leaving_.clear();
    for (idle_worker& each : idle_) {
      each.link.board().dismiss();
      try {
        all.push_back({std::move(each.link), clock::now() + patience});
      } catch (...) {
      }
    }
    idle_.clear();
    lock.unlock();
    while (!all.empty()) {
      bury(all);
      if (!all.empty()) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  /// How many wait.
  [[nodiscard]] std::size_t idle() const {
    const std::lock_guard lock(mutex_);
    return idle_.size();
  }

 private:
  /// So long a worker has to begin to leave when it is dismissed.
  static constexpr std::chrono::milliseconds patience{1000};

  struct idle_worker {
    worker_link link;
    worker_kind kind;
    clock::time_point since;
  };
  struct leaving_worker {
    worker_link link;
    clock::time_point last_moment;
  };
  /// What a call wants of the thread.
  struct order {
    worker_link& link;
    const worker_kind& kind;
    sigset_t mask;
    bool is_done = false;
    std::exception_ptr error = nullptr;
  };

  void open() {
    const signals_blocked quiet;  // they are for threads of the program
    const worker_unpin for_the_new_thread;
    try {
      std::thread([this] { attend(); }).detach();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      has_thread_ = false;
    }
    static const int registered = std::atexit([] {
      // Not in a copy of the program: these are its parent's workers.
      basic_worker_pool& pool = *current.load(std::memory_order_acquire);
      if (pool.process_ == ::getpid()) pool.end_idle();
    });
    static_cast<void>(registered);
  }

  /// Has the thread fork a worker.
  void start(std::unique_lock<std::mutex>& lock, worker_link& link, const worker_kind& kind) {
    if (!has_thread_) throw_system_error(EAGAIN, "manyhands: a thread that starts worker processes");
    order mine{.link = link, .kind = kind, .mask = {}};
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mine.mask);
    orders_.push_back(&mine);
    changed_.notify_all();
    done_.wait(lock, [&] { return mine.is_done; });
    if (mine.error != nullptr) std::rethrow_exception(mine.error);
  }
  /// Lets a worker leave that nobody needs. The mutex is held.
  void let_go(worker_link&& link) {
    link.board().dismiss();
    leaving_.push_back({std::move(link), clock::now() + patience});
    changed_.notify_all();
  }
  /// Forgets those that have ended. One that does not begin to leave is killed.
  static void bury(std::vector<leaving_worker>& leaving) noexcept {
    std::erase_if(leaving, [](leaving_worker& each) {
      if (each.link.try_collect()) return true;
      if (clock::now() > each.last_moment && !each.link.board().is_leaving()) each.link.kill();
      return false;
    });
  }

  /// What the thread does, as long as the process lives.
  void attend() {
    std::unique_lock lock(mutex_);
    for (;;) {
      while (!orders_.empty()) {
        order& next = *orders_.front();
        orders_.erase(orders_.begin());
        // A fork takes long, and others may take what waits meanwhile.
        lock.unlock();
        try {
          flush_standard_streams();
          const parent_facts parent;
          next.link.start_pooled(next.kind.memory_limit, parent, next.mask);
        } catch (...) {
          next.error = std::current_exception();
        }
        lock.lock();
        next.is_done = true;
        done_.notify_all();
      }
      end_the_old();
      bury(leaving_);
      if (!leaving_.empty()) {
        changed_.wait_for(lock, std::chrono::milliseconds(5));
      } else if (!idle_.empty()) {
        changed_.wait_until(lock, idle_.front().since + longest_idle);
      } else {
        sleeps_for_ever_ = true;
        changed_.wait(lock);
        sleeps_for_ever_ = false;
      }
    }
  }
  /// Those that were given back first stand in front.
  void end_the_old() {
    while (!idle_.empty() && clock::now() >= idle_.front().since + longest_idle) {
      worker_link link = std::move(idle_.front().link);
      idle_.erase(idle_.begin());
      let_go(std::move(link));
    }
  }

  static std::atomic<basic_worker_pool*> current;

  const pid_t process_ = ::getpid();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable done_;
  // Guarded by mutex_.
  std::vector<idle_worker> idle_;
  std::vector<leaving_worker> leaving_;
  std::vector<order*> orders_;
  bool has_thread_ = true;
  bool sleeps_for_ever_ = false;  // else the thread wakes in time for whoever is given back meanwhile
};
using worker_pool = basic_worker_pool<void>;

template <class Unused>
constinit std::atomic<basic_worker_pool<Unused>*> basic_worker_pool<Unused>::current{nullptr};

}  // namespace manyhands::detail
