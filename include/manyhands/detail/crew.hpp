#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/config.hpp>
#include <manyhands/detail/barrier.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/quiet_calls.hpp>

namespace manyhands::detail {

/// Tells the processor that the thread spins.
inline void spin_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins for up to `time`, until `done()`. Lets others have the processor in between: beside another load a plain spin makes whoever is
/// waited for come later. `is_crowded` becomes true where somebody has kept the processor for long.
template <class Done>
bool spin_until(std::chrono::nanoseconds time, Done&& done, bool* is_crowded = nullptr) noexcept {
  constexpr std::chrono::microseconds long_absence{200};
  auto now = std::chrono::steady_clock::now();
  const auto end = now + time;
  for (;;) {
    for (int pauses = 0; pauses < 32; ++pauses) {
      if (done()) return true;
      spin_pause();
    }
    now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    std::this_thread::yield();
    if (is_crowded != nullptr && std::chrono::steady_clock::now() - now > long_absence) *is_crowded = true;
  }
}

template <class>
class basic_crew;
using crew = basic_crew<void>;
template <class>
class basic_invitation;
using invitation = basic_invitation<void>;

/// Threads that are not the crew's and can be asked to help.
class outside_helpers {
 public:
  outside_helpers() = default;
  outside_helpers(const outside_helpers&) = delete;
  outside_helpers& operator=(const outside_helpers&) = delete;

  /// Has one of them accept the invitation some time, or never. Must not do so in the calling thread. May throw.
  virtual void invite(std::shared_ptr<invitation> to) = 0;

 protected:
  ~outside_helpers() = default;
};

/// Work that helper threads can take part in. All members are guarded by the crew's mutex.
template <class>
class basic_employer {
 public:
  /// Helpers come from `outside`, or from the crew where that is null.
  inline explicit basic_employer(int most_helpers, outside_helpers* outside = nullptr);
  basic_employer(const basic_employer&) = delete;
  basic_employer& operator=(const basic_employer&) = delete;

  enum class finding : std::uint8_t {
    nothing,  ///< nothing to do
    later,    ///< there may be soon
    work      ///< there was something, and it is done
  };
  /// Lets the calling thread do something, if there is anything. `lock` is the crew's: held when called, and when it returns.
  virtual finding help(std::unique_lock<std::mutex>& lock) noexcept = 0;
  /// Whether there will be work that only the calling thread can do.
  [[nodiscard]] virtual bool depends_on_this_thread() const noexcept = 0;

  /// What became of work for which nobody was called, since it is so little.
  enum class progress : std::uint8_t {
    none,       ///< there was none
    some,       ///< it goes on
    left_alone  ///< nobody is at it
  };
  /// Since this was last asked.
  [[nodiscard]] virtual progress look_after_work() noexcept { return progress::none; }

 protected:
  ~basic_employer() = default;
  /// Whether helpers can find it.
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  /// Whether helpers come as soon as they are needed, if there are any at all.
  [[nodiscard]] bool can_rely_on_helpers() const noexcept { return outside_ == nullptr; }

 private:
  friend crew;
  friend invitation;

  const int most_helpers_;
  outside_helpers* const outside_;
  const std::shared_ptr<invitation> invitation_;
  int helpers_ = 0;
  int coming_ = 0;  // helpers that were asked for, and that have neither come nor found that there is nothing left
  bool open_ = false;
  basic_employer* next_ = nullptr;
};
using employer = basic_employer<void>;

/// Lets a thread of somebody else's help an employer, which may have ended when it comes.
template <class>
class basic_invitation {
 public:
  explicit basic_invitation(crew& home) noexcept : home_(&home) {}

  /// Helps for as long as there is something to do.
  inline void accept() noexcept;

 private:
  friend crew;

  crew* const home_;
  employer* host_ = nullptr;  // null once it has ended. Guarded by the crew's mutex.
};
using invitation = basic_invitation<void>;

/// The process's helper threads: as many as the open calls may use at the same time, started when first needed, kept for later calls.
///
/// Each is an Asio pool of one thread. They stay awake for a moment when there is nothing to do, then sleep in the kernel. One mutex guards
/// the crew and the calls of all its employers: it is held for a few instructions per call and helper, never while a task runs.
template <class>
class basic_crew {
 public:
  /// The crew of this process: after a fork the child gets a new one, since the threads of the old one are not there.
  static basic_crew& get() {
    basic_crew* current = instance().load(std::memory_order_acquire);
    return current != nullptr ? *current : create();
  }

  [[nodiscard]] std::mutex& mutex() noexcept { return mutex_; }
  /// How many threads can run at once: more need not be woken at a time.
  [[nodiscard]] static std::size_t processors() noexcept {
    static const std::size_t count = std::max(std::thread::hardware_concurrency(), 1U);
    return count;
  }

  /// The quiet calls of the calling thread, null where they are not watched: then nothing may be run quietly. Somebody keeps watch for a
  /// while after helpers were last needed.
  [[nodiscard]] quiet_calls* watched_calls() noexcept {
    if (!on_watch_.load(std::memory_order_relaxed)) return nullptr;
    watched* const mine = watched::of_this_thread();
    return mine != nullptr && mine->owner == this ? &mine->calls : enlist();
  }
  /// To be asked after a call was opened there: false if there was nobody left to see it.
  [[nodiscard]] bool on_watch() const noexcept {
    // The fence that belongs to it is sent by who leaves the watch.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return on_watch_.load(std::memory_order_relaxed);
  }

  /// While there may be something soon, so long between two looks.
  static constexpr std::chrono::microseconds polling_time{3};

  /// Counts up whenever helpers shall look again. Read without the mutex, too.
  [[nodiscard]] std::uint64_t news() const noexcept { return news_.load(std::memory_order_relaxed); }

  // --- all below with the mutex held

  /// Lets helpers find work there, from now on until `close`.
  void open(employer& who) noexcept {
    if (who.open_) return;
    who.open_ = true;
    if (who.outside_ != nullptr) {
      who.invitation_->host_ = &who;
      return;
    }
    needed_ += who.most_helpers_;
    who.next_ = employers_;
    employers_ = &who;
  }
  void close(employer& who) noexcept {
    if (!who.open_) return;
    who.open_ = false;
    if (who.outside_ != nullptr) {
      who.invitation_->host_ = nullptr;
      return;
    }
    employer** link = &employers_;
    while (*link != &who) link = &(*link)->next_;
    *link = who.next_;
    needed_ -= who.most_helpers_;
    forget_coming(who);
  }

  /// Asks for so many more helpers, within the employer's limit. Where the system gives no more threads, fewer come; nobody may rely on
  /// any.
  void want(employer& who, std::size_t helpers) noexcept {
    tell();
    const int room = std::max(who.most_helpers_ - who.helpers_ - who.coming_, 0);
    const int wanted = static_cast<int>(std::min(helpers, static_cast<std::size_t>(room)));
    if (who.outside_ != nullptr) {
      invite(who, wanted);
      return;
    }
    who.coming_ += wanted;
    coming_ += wanted;
    wake_up(coming_);
  }
  /// Has so many helpers awake for a moment, for an employer that is about to come, until `expect_no_more` is called with the same number.
  void expect(int helpers) noexcept {
    tell();
    needed_ += helpers;
    ++expected_;
    expected_until_ = std::chrono::steady_clock::now() + expecting_time;
    wake_up(helpers);
  }
  void expect_no_more(int helpers) noexcept {
    needed_ -= helpers;
    --expected_;
  }
  /// Lets helpers that have nothing to do look around again.
  void tell() noexcept {
    news_.store(news_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (waiting_ > 0) waited_.notify_all();
  }
  /// Whether the system has refused to start a thread.
  [[nodiscard]] bool understaffed() const noexcept { return understaffed_; }

 private:
  using finding = employer::finding;

  // For so long helpers look for work before they sleep: to wake them takes the caller as long as many a call. After longer work one
  // lingers for three times as long as that took, within limits: a program that computes in turns with its helpers comes back.
  static constexpr std::chrono::microseconds lingering_time{50};
  static constexpr std::chrono::microseconds most_lingering_time{500};
  // No longer do they wait for an employer that is about to come.
  static constexpr std::chrono::milliseconds expecting_time{1};
  // A quiet call may be this much older than its caller believes, and longer where calls are rare: each nap ends on a processor on which
  // the caller of the next may be.
  static constexpr std::chrono::milliseconds shortest_nap{1};
  static constexpr std::chrono::milliseconds longest_nap{4};
  // The watch ends after so long without any call: a program that is idle wakes nobody.
  static constexpr std::chrono::milliseconds longest_idle_watch{20};

  /// One thread's quiet calls, and the crew that looks at them.
  struct watched {
    watched() = default;
    watched(const watched&) = delete;
    watched& operator=(const watched&) = delete;
    ~watched() {
      of_this_thread() = nullptr;
      has_ended() = true;
      // Not that of a crew which the thread has left behind by a fork: somebody may have held its mutex.
      if (owner != instance().load(std::memory_order_acquire)) return;
      const std::lock_guard lock(owner->mutex_);
      std::erase(owner->watched_, this);
    }

    static watched*& of_this_thread() noexcept {
      static thread_local constinit watched* mine = nullptr;
      return mine;
    }
    /// Calls may be made even while the thread's variables are destroyed.
    static bool& has_ended() noexcept {
      static thread_local constinit bool ended = false;
      return ended;
    }

    basic_crew* owner = nullptr;
    quiet_calls calls;
  };

  basic_crew() noexcept {
#if defined(PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP)
    // Whoever meets it locked waits awake for a moment. To sleep and to be woken takes a hundred times as long as it is held.
    ::pthread_mutexattr_t adaptive;
    if (::pthread_mutexattr_init(&adaptive) != 0) return;
    if (::pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP) == 0) {
      ::pthread_mutex_destroy(mutex_.native_handle());
      ::pthread_mutex_init(mutex_.native_handle(), &adaptive);
    }
    ::pthread_mutexattr_destroy(&adaptive);
#endif
  }

  static std::atomic<basic_crew*>& instance() noexcept {
    static constinit std::atomic<basic_crew*> current{nullptr};
    return current;
  }
  static basic_crew& create() {
    static const int registered = ::pthread_atfork(nullptr, nullptr, [] { instance().store(nullptr, std::memory_order_release); });
    static_cast<void>(registered);
    // Never deleted: threads that sleep in it may outlive the destruction of static objects, and calls made there still find it.
    basic_crew* made = new basic_crew;
    basic_crew* expected = nullptr;
    if (instance().compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return *made;
    delete made;
    return *expected;
  }

  /// Sees to it that so many helpers are awake and have nothing to do, or will be soon.
  void wake_up(long long helpers) noexcept {
    try {
      for (long long missing = helpers - lingering_ - waking_; missing > 0; --missing) {
        if (napping_) {
          napping_ = false;
          ++waking_;
          nap_.notify_one();
        } else if (!idle_.empty()) {
          boost::asio::thread_pool& thread = *idle_.back();
          idle_.pop_back();
          wake(thread);
        } else if (static_cast<long long>(threads_.size()) < needed_) {
          hire();
        } else {
          break;  // every thread is at work, or on its way back and looks around before it sleeps
        }
      }
    } catch (const std::exception&) {  // the system gives no more threads, or no memory for one
      understaffed_ = true;
    }
  }
  static void invite(employer& who, int helpers) noexcept {
    try {
      for (; helpers > 0; --helpers) {
        who.outside_->invite(who.invitation_);
        ++who.coming_;
      }
    } catch (...) {  // then fewer come
    }
  }
  void hire() {
    const worker_unpin for_the_new_thread;
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
    int in_vain = 0;  // news in a row that came to nothing
    auto patience = lingering_time;
    bool is_crowded = false;
    for (bool looks_again = true;;) {
      const bool is_bound = depends_on_this_thread();
      const auto begin = std::chrono::steady_clock::now();
      const finding found = look_around(lock, is_bound);
      if (found == finding::work) {
        looks_again = true;
        in_vain = 0;
        patience = lingering_after(std::chrono::steady_clock::now() - begin);
      } else if (found == finding::later) {
        static_cast<void>(linger(lock, polling_time, is_bound, is_crowded));
      } else if (looks_again && in_vain < 4) {
        ++in_vain;
        // What one worker is just taking from another is nowhere for a moment: nobody tells when it is there.
        looks_again = linger(lock, is_bound ? polling_time : patience, is_bound, is_crowded);
        patience = lingering_time;
      } else if (is_bound) {
        ++waiting_;
        waited_.wait(lock);
        --waiting_;
        looks_again = true;
      } else if (keep_watch(lock)) {  // at once where calls are over before anybody comes: then they may be quiet ones
        looks_again = true;
        in_vain = 0;
      } else {
        break;
      }
    }
    idle_.push_back(&thread);
  }

  /// How long one that has worked for so long waits for more, where it does not crowd out others.
  [[nodiscard]] std::chrono::microseconds lingering_after(std::chrono::steady_clock::duration work) const noexcept {
    if (lingering_ + 1 >= static_cast<long long>(processors())) return lingering_time;
    return std::clamp(std::chrono::duration_cast<std::chrono::microseconds>(3 * work), lingering_time, most_lingering_time);
  }

  void forget_coming(employer& who) noexcept {
    coming_ -= who.coming_;
    who.coming_ = 0;
  }
  /// Works for the one that has the fewest helpers, if for anybody. A thread that others depend on works for those alone: a stranger's task
  /// might be a long one.
  finding look_around(std::unique_lock<std::mutex>& lock, bool is_bound) noexcept {
    bool later = expected_ > 0 && std::chrono::steady_clock::now() < expected_until_;
    constexpr int none = std::numeric_limits<int>::max();
    for (int helpers = 0, more = none; helpers != none; helpers = more, more = none) {
      for (employer* each = employers_; each != nullptr; each = each->next_) {
        if (each->helpers_ > helpers) more = std::min(more, each->helpers_);
        if (each->helpers_ != helpers || helpers >= each->most_helpers_) continue;
        if (is_bound && !each->depends_on_this_thread()) continue;
        const finding found = help(*each, lock);
        if (found == finding::work) return found;
        later = later || found == finding::later;
      }
    }
    return later ? finding::later : finding::nothing;
  }
  finding help(employer& who, std::unique_lock<std::mutex>& lock) noexcept {
    ++who.helpers_;
    if (who.coming_ > 0) {
      --who.coming_;
      --coming_;
    }
    const finding found = who.help(lock);
    --who.helpers_;
    // Whoever comes now finds nothing either.
    if (found == finding::nothing) forget_coming(who);
    return found;
  }

  /// Waits a moment for news, without sleeping. False where there was none. Nobody else counts on a thread that is bound.
  bool linger(std::unique_lock<std::mutex>& lock, std::chrono::microseconds time, bool is_bound, bool& is_crowded) noexcept {
    const std::uint64_t before = news();
    if (!is_bound) ++lingering_;
    lock.unlock();
    if (std::exchange(is_crowded, false)) {
      // One that shares its processor with a caller comes when that is done. The system finds a free one for who wakes up, and no other for
      // who stays awake and yields.
      std::this_thread::sleep_for(lingering_time);
    } else {
      static_cast<void>(spin_until(
          time, [&] { return news() != before; }, &is_crowded));
    }
    lock.lock();
    if (!is_bound) --lingering_;
    return news() != before;
  }
  [[nodiscard]] bool depends_on_this_thread() const noexcept {
    for (const employer* each = employers_; each != nullptr; each = each->next_) {
      if (each->depends_on_this_thread()) return true;
    }
    return false;
  }

  /// Looks after quiet calls and streams, for as long as there are any, or news. False where it was for nothing.
  bool keep_watch(std::unique_lock<std::mutex>& lock) noexcept {
    if (on_watch_.load(std::memory_order_relaxed) || !has_barrier_in_all_threads()) return false;
    on_watch_.store(true, std::memory_order_relaxed);
    const std::uint64_t before = news();
    auto streams = employer::progress::none;
    std::chrono::milliseconds nap = shortest_nap;
    for (std::chrono::milliseconds idle{0}; idle < longest_idle_watch && news() == before && streams != employer::progress::left_alone;) {
      napping_ = true;
      static_cast<void>(nap_.wait_for(lock, nap));
      if (!napping_) --waking_;  // it was woken
      napping_ = false;
      streams = look_after_streams();
      const quiet_calls::activity calls = look_at_quiet_calls(false);
      const bool is_calm = calls <= quiet_calls::activity::over && streams == employer::progress::none;
      idle = is_calm && calls == quiet_calls::activity::none ? idle + nap : std::chrono::milliseconds(0);
      nap = is_calm ? std::min(2 * nap, longest_nap) : shortest_nap;
    }
    on_watch_.store(false, std::memory_order_relaxed);
    // Who opens a call from now on, or reads tasks of a stream, sees that; those from before the barrier we see.
    static_cast<void>(barrier_in_all_threads());
    look_at_quiet_calls(true);
    return news() != before || look_after_streams() != employer::progress::none || streams == employer::progress::left_alone;
  }
  quiet_calls::activity look_at_quiet_calls(bool all) noexcept {
    auto most = quiet_calls::activity::none;
    for (watched* each : watched_) most = std::max(most, each->calls.look(all));
    return most;
  }
  employer::progress look_after_streams() noexcept {
    auto most = employer::progress::none;
    for (employer* each = employers_; each != nullptr; each = each->next_) most = std::max(most, each->look_after_work());
    return most;
  }
  quiet_calls* enlist() noexcept {
    if (watched::has_ended()) return nullptr;
    static thread_local watched mine;
    // A fork has come between: what was open then belongs to the crew of before.
    if (!mine.calls.empty()) return nullptr;
    try {
      const std::lock_guard lock(mutex_);
      watched_.push_back(&mine);
    } catch (const std::exception&) {
      return nullptr;
    }
    mine.owner = this;
    watched::of_this_thread() = &mine;
    return &mine.calls;
  }

  // Apart from what the one on watch writes at each nap: quiet calls read it, and nothing else of the crew.
  alignas(cache_line) std::atomic<bool> on_watch_{false};  // somebody looks at quiet calls
  alignas(cache_line) std::mutex mutex_;
  std::atomic<std::uint64_t> news_{0};  // written with the mutex held

  // All below is guarded by mutex_.
  std::vector<std::unique_ptr<boost::asio::thread_pool>> threads_;
  std::vector<boost::asio::thread_pool*> idle_;  // the last one to fall asleep wakes first: its caches are warmest
  employer* employers_ = nullptr;
  std::vector<watched*> watched_;
  std::condition_variable nap_;
  std::condition_variable waited_;
  long long needed_ = 0;  // several calls may ask for more helpers than an int counts
  long long coming_ = 0;  // of all employers
  int expected_ = 0;      // employers that are about to come
  std::chrono::steady_clock::time_point expected_until_ = {};
  int waking_ = 0;        // woken, and not yet there: they look around when they come
  int lingering_ = 0;     // awake, and they see news by themselves
  int waiting_ = 0;       // for `waited_`
  bool napping_ = false;  // the one on watch sleeps for a moment
  bool understaffed_ = false;
};
using crew = basic_crew<void>;

template <class Unused>
basic_employer<Unused>::basic_employer(int most_helpers, outside_helpers* outside)
    : most_helpers_(most_helpers),
      outside_(outside),
      invitation_(outside != nullptr ? std::make_shared<invitation>(crew::get()) : nullptr) {}

template <class Unused>
void basic_invitation<Unused>::accept() noexcept {
  if (&crew::get() != home_) return;  // in a forked copy of the process there is no host
  std::unique_lock lock(home_->mutex());
  if (host_ != nullptr) --host_->coming_;
  bool looks_again = true;  // as the crew's own do
  while (host_ != nullptr && host_->helpers_ < host_->most_helpers_) {
    employer& host = *host_;
    ++host.helpers_;
    const employer::finding found = host.help(lock);
    --host.helpers_;
    if (found == employer::finding::work) {
      looks_again = true;
      continue;
    }
    if (found == employer::finding::nothing && !std::exchange(looks_again, false)) break;
    lock.unlock();
    static_cast<void>(spin_until(crew::polling_time, [] { return false; }));
    lock.lock();
  }
}

}  // namespace manyhands::detail
