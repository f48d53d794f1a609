#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace manyhands::detail {

#if defined(__linux__)
/// A set of processors: those that a thread may run on, as the system told when this was made, or those that it shall run on.
template <class>
class basic_affinity_mask {
 public:
  /// Reads the calling thread's mask. Where the system does not tell, it is empty.
  basic_affinity_mask() : basic_affinity_mask([](std::size_t bytes, cpu_set_t* set) { return sched_getaffinity(0, bytes, set); }) {}
  /// For tests: `get` does what `sched_getaffinity` does.
  template <class Get>
  explicit basic_affinity_mask(Get get) {
    CPU_ZERO(&small_);
    if (get(sizeof small_, &small_) == 0) return;
    // EINVAL: the kernel's mask is larger than ours. How large, it does not say.
    for (std::size_t processors = 2 * std::size_t{CPU_SETSIZE}; errno == EINVAL && processors <= most_processors; processors *= 2) {
      large_.reset(CPU_ALLOC(processors));
      if (!large_) return;
      large_bytes_ = CPU_ALLOC_SIZE(processors);
      CPU_ZERO_S(large_bytes_, large_.get());
      if (get(large_bytes_, large_.get()) == 0) return;
    }
    large_.reset();
  }

  /// These processors. Empty where there is no memory for so large a mask.
  [[nodiscard]] static basic_affinity_mask of(std::span<const int> processors) {
    basic_affinity_mask made([](std::size_t, cpu_set_t*) { return 0; });
    const int last = processors.empty() ? 0 : *std::max_element(processors.begin(), processors.end());
    if (last >= CPU_SETSIZE) {
      made.large_.reset(CPU_ALLOC(static_cast<std::size_t>(last) + 1));
      if (!made.large_) return made;
      made.large_bytes_ = CPU_ALLOC_SIZE(static_cast<std::size_t>(last) + 1);
      CPU_ZERO_S(made.large_bytes_, made.large_.get());
    }
    for (const int processor : processors) CPU_SET_S(static_cast<std::size_t>(processor), made.bytes(), made.set());
    return made;
  }

  /// Lets the calling thread run on these alone. False where the system does not want that.
  bool bind() const noexcept { return ::sched_setaffinity(0, bytes(), set()) == 0; }

  /// Whether all processors of `other` are here, too.
  [[nodiscard]] bool covers(const basic_affinity_mask& other) const noexcept {
    for (std::size_t number = 0; number < 8 * other.bytes(); ++number) {
      if (CPU_ISSET_S(number, other.bytes(), other.set()) && !CPU_ISSET_S(number, bytes(), set())) return false;
    }
    return true;
  }
  [[nodiscard]] int count() const noexcept { return CPU_COUNT_S(bytes(), set()); }
  /// Their numbers, lowest first.
  [[nodiscard]] std::vector<int> processors() const {
    std::vector<int> numbers;
    for (std::size_t number = 0; number < 8 * bytes(); ++number) {
      if (CPU_ISSET_S(number, bytes(), set())) numbers.push_back(static_cast<int>(number));
    }
    return numbers;
  }

 private:
  struct free_set {
    void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
  };
  static constexpr std::size_t most_processors = std::size_t{1} << 20U;

  [[nodiscard]] std::size_t bytes() const noexcept { return large_ ? large_bytes_ : sizeof small_; }
  [[nodiscard]] const cpu_set_t* set() const noexcept { return large_ ? large_.get() : &small_; }
  [[nodiscard]] cpu_set_t* set() noexcept { return large_ ? large_.get() : &small_; }

  cpu_set_t small_;
  std::unique_ptr<cpu_set_t, free_set> large_;
  std::size_t large_bytes_ = 0;
};
using affinity_mask = basic_affinity_mask<void>;
#else
/// This system has no masks: always empty.
template <class>
class basic_affinity_mask {
 public:
  [[nodiscard]] static basic_affinity_mask of(std::span<const int>) { return {}; }
  bool bind() const noexcept { return false; }
  [[nodiscard]] bool covers(const basic_affinity_mask&) const noexcept { return true; }
  [[nodiscard]] int count() const noexcept { return 0; }
  [[nodiscard]] std::vector<int> processors() const { return {}; }
};
using affinity_mask = basic_affinity_mask<void>;
#endif

}  // namespace manyhands::detail
