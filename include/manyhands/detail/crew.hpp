#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace manyhands::detail {

/// Work that helper threads can take part in.
class employer {
 public:
  employer() = default;
  employer(const employer&) = delete;
  employer& operator=(const employer&) = delete;

  /// Works in the calling thread until there is nothing to do. `lock` is the crew's: held when called, and when it returns.
  virtual void help(std::unique_lock<std::mutex>& lock) noexcept = 0;

 protected:
  ~employer() = default;
};

/// The process's helper threads: as many as the open calls may use at the same time, started when first needed, kept for later calls.
///
/// Each is an Asio pool of one thread. They sleep in the kernel while nobody employs them. One mutex guards the crew and the calls of all
/// its employers: it is held for a few instructions per batch at most, never while a task runs.
class crew {
 public:
  /// The crew of this process: after a fork the child gets a new one, since the threads of the old one are not there.
  static crew& get() {
    crew* current = instance().load(std::memory_order_acquire);
    return current != nullptr ? *current : create();
  }

  [[nodiscard]] std::mutex& mutex() noexcept { return mutex_; }

  // --- all below with the mutex held

  /// Lets up to `most` threads be employed by somebody, from now on until `close`.
  void open(int most) noexcept { needed_ += most; }
  void close(const std::shared_ptr<employer>& who, int most) noexcept {
    needed_ -= most;
    std::erase_if(wanted_, [&](const order& one) { return one.who == who; });
  }

  /// Asks for so many more helpers. Where the system gives no more threads, fewer come; nobody may rely on any.
  void want(const std::shared_ptr<employer>& who, int helpers) noexcept {
    try {
      for (; helpers > 0; --helpers) {
        wanted_.push_back({who});
        if (waking_ >= static_cast<int>(wanted_.size())) continue;
        if (!idle_.empty()) {
          boost::asio::thread_pool& thread = *idle_.back();
          idle_.pop_back();
          wake(thread);
        } else if (static_cast<long long>(threads_.size()) < needed_) {
          hire();
        }
        // Else every thread is on its way back from a call that has ended, and looks here before it sleeps.
      }
    } catch (const std::exception&) {  // the system gives no more threads, or no memory for one
      understaffed_ = true;
    }
  }
  /// How many requests of `who` are still open.
  [[nodiscard]] int open_requests(const employer& who) const noexcept {
    return static_cast<int>(std::count_if(wanted_.begin(), wanted_.end(), [&](const order& one) { return one.who.get() == &who; }));
  }
  /// Whether the system has refused to start a thread.
  [[nodiscard]] bool understaffed() const noexcept { return understaffed_; }

 private:
  struct order {
    std::shared_ptr<employer> who;
  };

  crew() = default;

  static std::atomic<crew*>& instance() noexcept {
    static std::atomic<crew*> current{nullptr};
    return current;
  }
  static crew& create() {
    static const int registered = ::pthread_atfork(nullptr, nullptr, [] { instance().store(nullptr, std::memory_order_release); });
    static_cast<void>(registered);
    // Never deleted: threads that sleep in it may outlive the destruction of static objects, and calls made there still find it.
    crew* made = new crew;
    crew* expected = nullptr;
    if (instance().compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return *made;
    delete made;
    return *expected;
  }

  void hire() {
    idle_.reserve(threads_.size() + 1);  // so that serve() cannot fail
    threads_.push_back(std::make_unique<boost::asio::thread_pool>(1));
    wake(*threads_.back());
  }
  void wake(boost::asio::thread_pool& thread) {
    boost::asio::post(thread, [this, &thread] { serve(thread); });
    ++waking_;
  }
  void serve(boost::asio::thread_pool& thread) noexcept {
    std::unique_lock lock(mutex_);
    --waking_;
    while (!wanted_.empty()) {
      const std::shared_ptr<employer> who = std::move(wanted_.front().who);
      wanted_.pop_front();
      who->help(lock);
    }
    idle_.push_back(&thread);
  }

  std::mutex mutex_;
  // All below is guarded by mutex_.
  std::vector<std::unique_ptr<boost::asio::thread_pool>> threads_;
  std::vector<boost::asio::thread_pool*> idle_;  // the last one to fall asleep wakes first: its caches are warmest
  std::deque<order> wanted_;
  int waking_ = 0;        // posted, and not yet at work: they take whatever is wanted when they come
  long long needed_ = 0;  // several calls may ask for more helpers than an int counts
  bool understaffed_ = false;
};

}  // namespace manyhands::detail
