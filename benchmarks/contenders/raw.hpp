#pragma once

// What the contenders written by hand are made of. They are the measure for the others: whatever a library does beyond them, such as
// noticing that a worker has died, it does at a cost.

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "../support/measure.hpp"

namespace raw {

/// Objects in memory that is shared with the processes forked from now on. Numbers are zero.
template <class T>
class shared {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  explicit shared(std::size_t count)
      : bytes_(std::max<std::size_t>(count, 1) * sizeof(T)),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    benchmark::check(memory_ != MAP_FAILED);
    std::uninitialized_default_construct_n(begin(), count);
  }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  ~shared() { munmap(memory_, bytes_); }

  T* begin() const { return static_cast<T*>(memory_); }
  T& operator[](std::size_t i) const { return begin()[i]; }

 private:
  std::size_t bytes_;
  void* memory_;
};

inline void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
}
inline void wake(std::atomic<std::uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

/// Wakes the one process that sleeps on it, if it does.
class alignas(64) bell {
 public:
  void ring() {
    if (asleep_.exchange(0) != 0) wake(asleep_);
  }
  /// Sleeps until `ready()`, which is asked again after each ring.
  template <class Ready>
  void wait(Ready ready) {
    while (!ready()) {
      asleep_.exchange(1);
      const bool now = ready();  // what it has taken is not there a second time
      if (!now) sleep_while(asleep_, 1);
      asleep_.store(0);
      if (now) return;
    }
  }

 private:
  std::atomic<std::uint32_t> asleep_{0};
};

/// From one process to one other. What was put is seen once it is published, and its room is free once it is released.
class byte_ring {
 public:
  static constexpr std::size_t capacity = std::size_t{1} << 20;
  static constexpr std::size_t portion = capacity / 16;  // worth the other side's attention

  // The writer.
  std::size_t room() const { return capacity - (put_ - head_.load(std::memory_order_acquire)); }
  std::size_t unpublished() const { return put_ - tail_.load(std::memory_order_relaxed); }
  void publish() { tail_.store(put_, std::memory_order_release); }
  void put(const void* from, std::size_t bytes) {
    const std::size_t at = put_ % capacity, until_end = std::min(bytes, capacity - at);
    std::memcpy(bytes_ + at, from, until_end);
    std::memcpy(bytes_, static_cast<const std::byte*>(from) + until_end, bytes - until_end);
    put_ += bytes;
  }

  // The reader.
  std::size_t available() const { return tail_.load(std::memory_order_acquire) - taken_; }
  std::size_t unreleased() const { return taken_ - head_.load(std::memory_order_relaxed); }
  void release() { head_.store(taken_, std::memory_order_release); }
  void look(void* to, std::size_t bytes) const {
    const std::size_t at = taken_ % capacity, until_end = std::min(bytes, capacity - at);
    std::memcpy(to, bytes_ + at, until_end);
    std::memcpy(static_cast<std::byte*>(to) + until_end, bytes_, bytes - until_end);
  }
  void skip(std::size_t bytes) { taken_ += bytes; }
  /// The next bytes, at most so many, where they lie, up to the ring's end.
  std::span<const std::byte> in_place(std::size_t most) const {
    const std::size_t at = taken_ % capacity;
    return {bytes_ + at, std::min({most, available(), capacity - at})};
  }

 private:
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::uint64_t put_ = 0;
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::uint64_t taken_ = 0;
  alignas(64) std::byte bytes_[capacity];
};

/// The tasks of one worker.
struct share {
  std::size_t first, last;
};
inline share share_of(std::size_t worker, std::size_t workers, std::size_t tasks) {
  return {worker * tasks / workers, (worker + 1) * tasks / workers};
}

/// A child that runs `work()` and ends.
template <class Work>
pid_t forked(Work work) {
  const pid_t child = fork();
  benchmark::check(child >= 0);
  if (child == 0) {
    [&]() noexcept { work(); }();  // else what it throws would be taken for the parent's
    _exit(0);
  }
  return child;
}

/// Waits until all of them have ended.
inline void collect(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    int status = 0;
    benchmark::check(waitpid(child, &status, 0) == child && status == 0);
  }
}

}  // namespace raw
