#pragma once

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include <manyhands/config.hpp>
#include <manyhands/detail/inner_pools.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// Limits the pools that the whole process shares, for as long as it lives. Of several limits the strictest one holds; when the last ends,
/// the pools get back what they had before the first. Any thread may make and end one.
template <class>
class basic_shared_inner_limit {
 public:
  MANYHANDS_EACH_CALL explicit basic_shared_inner_limit(inner_threads wanted) noexcept : wanted_(wanted) {
    if (wanted_.most == 0 || inner_pools::shared().empty()) return;
    registry_ = &registry::get();
    const std::lock_guard lock(registry_->mutex);
    if (registry_->first == nullptr) registry_->count = 0;
    next_ = registry_->first;
    if (next_ != nullptr) next_->previous_ = this;
    registry_->first = this;
    registry_->apply();
  }
  basic_shared_inner_limit(const basic_shared_inner_limit&) = delete;
  basic_shared_inner_limit& operator=(const basic_shared_inner_limit&) = delete;
  MANYHANDS_EACH_CALL ~basic_shared_inner_limit() {
    // In a forked copy of the process the others in the list are not there, nor what they would have restored.
    if (registry_ == nullptr || registry_ != &registry::get()) return;
    const std::lock_guard lock(registry_->mutex);
    (previous_ != nullptr ? previous_->next_ : registry_->first) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
    registry_->apply();
  }

 private:
  struct registry {
    /// That of this process: after a fork the child gets a new one, since another thread may have held the mutex of the old one.
    static registry& get() noexcept {
      registry* current = instance().load(std::memory_order_acquire);
      return current != nullptr ? *current : create();
    }

    struct known_pool {
      const inner_pool* pool;
      int before;
    };

    /// Gives all pools what the limits leave them. The mutex is held.
    void apply() noexcept {
      inner_pools::shared().each([&](const inner_pool& pool) {
        const auto end = known.begin() + static_cast<std::ptrdiff_t>(count);
        auto at = std::find_if(known.begin(), end, [&](const known_pool& one) { return one.pool == &pool; });
        if (at == end) {
          if (first == nullptr || count == known.size()) return;
          *at = {&pool, pool.threads()};
          ++count;
        }
        int threads = at->before;
        for (const basic_shared_inner_limit* limit = first; limit != nullptr; limit = limit->next_) {
          const int allowed = limit->wanted_.allowed(at->before);
          threads = limit == first ? allowed : std::min(threads, allowed);
        }
        // Not where it makes no difference: OpenBLAS starts its threads again when it is told a number after a fork.
        if (pool.threads() != threads) pool.restore(threads);
      });
    }

    std::mutex mutex;
    // All below is guarded by mutex.
    basic_shared_inner_limit* first = nullptr;
    std::array<known_pool, 8> known{};  // of those found while there are limits, what they had before; more copies are left alone
    std::size_t count = 0;

   private:
    static std::atomic<registry*>& instance() noexcept {
      static constinit std::atomic<registry*> current{nullptr};
      return current;
    }
    static registry& create() noexcept {
      static const int registered = ::pthread_atfork(nullptr, nullptr, [] { instance().store(nullptr, std::memory_order_release); });
      static_cast<void>(registered);
      registry* const made = new registry;  // never deleted: calls may be made while static objects are destroyed
      registry* expected = nullptr;
      if (instance().compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return *made;
      delete made;
      return *expected;
    }
  };

  const inner_threads wanted_;
  registry* registry_ = nullptr;  // null where there is nothing to limit
  // Guarded by the registry's mutex.
  basic_shared_inner_limit* next_ = nullptr;
  basic_shared_inner_limit* previous_ = nullptr;
};
using shared_inner_limit = basic_shared_inner_limit<void>;

/// Limits what OpenMP, OpenBLAS, MKL and BLIS may use in the calling thread, for as long as it lives, and gives them back what they had.
///
/// Concerns what `inner_pools` knew when it was made. An OpenMP region that states its own `num_threads` does not ask.
template <class>
class basic_inner_limit {
 public:
  explicit basic_inner_limit(inner_threads wanted) noexcept : shared_(wanted) {
    if (wanted.most == 0) return;
    inner_pools::own().each([&](const inner_pool& pool) {
      if (count_ == changed_.size()) return;  // more copies than anybody has are left alone
      const int threads = inner_pools::is_confined(pool) ? 1 : wanted.allowed(pool.threads());
      changed_[count_++] = {&pool, pool.set(threads)};
    });
  }
  basic_inner_limit(const basic_inner_limit&) = delete;
  basic_inner_limit& operator=(const basic_inner_limit&) = delete;
  ~basic_inner_limit() {
    // Backwards: one may have been told by another.
    while (count_ > 0) {
      --count_;
      changed_[count_].pool->restore(changed_[count_].before);
    }
  }

 private:
  struct change {
    const inner_pool* pool;
    int before;
  };

  shared_inner_limit shared_;
  std::array<change, 8> changed_;  // not initialised beyond count_: a worker of most calls changes nothing
  std::size_t count_ = 0;
};
using inner_limit = basic_inner_limit<void>;

}  // namespace manyhands::detail
