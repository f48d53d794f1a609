#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/block_table.hpp>
#include <manyhands/detail/input.hpp>
#include <manyhands/detail/packed_task.hpp>
#include <manyhands/detail/repeatable.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/detail/stream_watch.hpp>
#include <manyhands/detail/type_name.hpp>
#include <manyhands/indexed.hpp>
#include <manyhands/outcome.hpp>
#include <manyhands/task.hpp>

namespace manyhands::detail {

/// What a generator gives for a task that returns `Result`. For `void` in input order that is the index.
template <class Result, bool ordered>
struct stream_element {
  using type = indexed<kept_result<Result>>;
};
template <class Result>
struct stream_element<Result, true> {
  using type = kept_result<Result>;
};
template <>
struct stream_element<void, true> {
  using type = std::size_t;
};
template <>
struct stream_element<void, false> {
  using type = indexed<void>;
};

/// The tasks of a range from the oldest one that was not consumed on, beside their results. Memory grows with the number of these.
///
/// The consumer reads, and takes results; workers run tasks in between, each index once.
template <class Range, bool ordered>
class stream_slots {
  static constexpr bool looks_up = indexable<std::remove_cv_t<Range>>;
  using reference = std::ranges::range_reference_t<Range>;
  using element_type = std::conditional_t<looks_up, reference, element_of<Range>>;
  using result = result_of<element_type>;
  // As in `stored_input`: what stays where it is in the range is referred to, others are taken.
  static constexpr bool refers = std::is_lvalue_reference_v<element_type>;
  using task = std::conditional_t<refers, std::remove_reference_t<element_type>*, std::remove_reference_t<element_type>>;
  // Whether a task can be run again, as in `indexed_input` and `stored_input`.
  static constexpr bool tasks_last =
      looks_up && !std::is_lvalue_reference_v<reference> ? made_anew<reference> : lasting_call<element_type>::possible;

 public:
  using element = typename stream_element<result, ordered>::type;
  static constexpr bool keeps_errors = false;
  static constexpr bool reads_at_once = looks_up;
  static constexpr std::chrono::nanoseconds next_to_nothing{ordered ? 8 : 30};

  /// The range lives as long as this.
  explicit stream_slots(Range& range) : range_(range) {}
  stream_slots(const stream_slots&) = delete;
  stream_slots& operator=(const stream_slots&) = delete;
  ~stream_slots() {
    for (std::size_t number = blocks_.begin(); number != blocks_.end(); ++number) {
      if (block* const each = blocks_.find(number)) clear(*each);
    }
  }

  // --- as slot_jobs wants them

  [[nodiscard]] std::size_t ready() const noexcept { return ready_; }
  [[nodiscard]] bool complete() const noexcept { return false; }
  /// How many tasks there are, where the range knows. To be asked before anything was read.
  [[nodiscard]] std::optional<std::size_t> size() const {
    if constexpr (std::ranges::sized_range<Range>) {
      return static_cast<std::size_t>(std::ranges::size(range_));
    } else {
      return std::nullopt;
    }
  }
  void make_room(std::size_t) noexcept {}
  bool read(std::size_t most) {
    if constexpr (looks_up) {
      if (!opened_) {
        at_ = std::ranges::begin(range_);
        size_ = static_cast<std::size_t>(std::ranges::size(range_));
        opened_ = true;
      }
      const std::size_t next = ready_ + std::min(most, size_ - ready_);
      make_places(next);
      ready_ = next;
      return ready_ != size_;
    } else {
      for (; most > 0; --most) {
        if (!at_) {
          at_.emplace(std::ranges::begin(range_));
          end_.emplace(std::ranges::end(range_));
        } else if (stale_) {
          // Not right after the last element was taken: a single-pass range may block in ++ until there is another one.
          ++*at_;
          stale_ = false;
        }
        if (*at_ == *end_) return false;
        make_places(ready_ + 1);
        block& in = blocks_[ready_ / length];
        const std::size_t place = ready_ % length;
        if constexpr (refers) {
          in.tasks[place].emplace([this] { return std::addressof(**at_); });
        } else {
          in.tasks[place].emplace([this]() -> task { return static_cast<task>(element_at<Range>(*at_)); });
        }
        stale_ = true;
        ++ready_;
      }
      return true;
    }
  }

  void run(std::size_t index) {
    block& in = blocks_[index / length];
    run_in<false>(in, index);
    arrived(in, index, 1);
  }
  /// The same, but the consumer does not see the result before it was announced.
  template <bool keep>
  void withhold(std::size_t index) {
    run_in<keep>(blocks_[index / length], index);
  }
  void announce(std::size_t index) noexcept { arrived(blocks_[index / length], index, 1); }
  /// Tasks that take next to nothing: their results come together, as a run.
  void run_strip(std::size_t& index, std::size_t end) {
    while (index != end) {
      block& in = blocks_[index / length];
      struct finally {
        ~finally() {
          if (first != index) self.arrived(in, first, index - first);
        }
        stream_slots& self;
        block& in;
        std::size_t& index;
        const std::size_t first = index;
      } const last{*this, in, index};
      const std::size_t stop = std::min({end, (index / length + 1) * length, index + longest_run});
#pragma GCC unroll 8
      for (; index != stop; ++index) {
        here.task = index;
        run_in<false>(in, index);
      }
    }
  }
  void execute(std::size_t index, writer& bytes, bool keep = false) {
    block& in = blocks_[index / length];
    save_result<result>([&]() -> result { return keep ? invoke<true>(in, index) : invoke<false>(in, index); }, bytes);
  }
  [[nodiscard]] static constexpr bool lasts(std::size_t) noexcept { return tasks_last; }
  void release(std::size_t index) noexcept {
    if constexpr (!looks_up) blocks_[index / length].tasks[index % length].reset();
  }
  /// Takes away a result that was not announced.
  void discard(std::size_t index) noexcept { blocks_[index / length].at(index % length)->~element(); }
  /// Writes such a result down, as `execute` does.
  void save(std::size_t index, writer& bytes) {
    save_result<result>(
        [&]() -> decltype(auto) {
          [[maybe_unused]] const element& there = *blocks_[index / length].at(index % length);
          if constexpr (std::is_void_v<result>) {
            return;
          } else if constexpr (ordered) {
            return (there);
          } else {
            return (there.value);
          }
        },
        bytes);
  }
  void load(std::size_t index, reader& bytes) {
    block& in = blocks_[index / length];
    load_result<result>(bytes, [&]<class... Value>(Value&&... value) {
      put(in, index, [&]() -> decltype(auto) {
        if constexpr (sizeof...(Value) == 1) return (std::move(value), ...);
      });
    });
    if constexpr (!looks_up) in.tasks[index % length].reset();
  }
  /// The type of the results, as the compiler spells it.
  [[nodiscard]] static std::string result_name() { return type_name<result>(); }
  [[nodiscard]] result_transport transport() const { return transport_of<result>(); }
  [[nodiscard]] static task_packing packing() { return packing_of<element_type, result>(); }
  void pack(std::size_t index, writer& bytes) {
    if constexpr (looks_up) {
      save_task<element_type>(at_[static_cast<std::ranges::range_difference_t<Range>>(index)], bytes);
    } else if constexpr (refers) {
      save_task<element_type>(*blocks_[index / length].tasks[index % length].get(), bytes);
    } else {
      save_task<element_type>(blocks_[index / length].tasks[index % length].get(), bytes);
    }
  }

  // --- the consumer

  [[nodiscard]] stream_watch& watch() noexcept { return watch_; }
  /// What wakes one that waits for the next result.
  [[nodiscard]] std::size_t next_arrival() const noexcept { return ordered ? consumed_ : stream_watch::anything; }
  /// How many results were taken and given up.
  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }
  /// For how many results, and notes of how they came, there is memory at the moment.
  [[nodiscard]] std::size_t places() const noexcept {
    std::size_t count = (blocks_.end() - blocks_.begin()) * length;
    if constexpr (!ordered) count += (arrivals_.end() - arrivals_.begin()) * arrival_block::length;
    return count;
  }
  /// Whether there is a result to take.
  [[nodiscard]] bool has_next() const noexcept {
    if (consumed_ == ready_) return false;
    if constexpr (ordered) {
      return blocks_[consumed_ / length].ready[consumed_ % length].load(std::memory_order_acquire) != 0;
    } else {
      return arrivals_[taken_ / arrival_block::length].at(taken_).load(std::memory_order_acquire) != 0;
    }
  }
  /// Results that lie side by side, the next ones, at most `most` of them: none where the next one is not there.
  [[nodiscard]] std::pair<element*, element*> next(std::size_t most) noexcept {
    if (!has_next()) return {nullptr, nullptr};
    if constexpr (ordered) {
      given_from_ = consumed_ / length;
      block& in = blocks_[given_from_];
      const std::size_t first = consumed_ % length;
      std::size_t last = first;
      do {
        last += take_run(in, last, most - (last - first));
      } while (last != length && last - first < most && in.ready[last].load(std::memory_order_acquire) != 0);
      return {in.at(first), in.at(last)};
    } else {
      std::atomic<std::size_t>& arrival = arrivals_[taken_ / arrival_block::length].at(taken_);
      const std::size_t index = arrival.load(std::memory_order_acquire) - 1;
      given_from_ = index / length;
      block& in = blocks_[given_from_];
      const std::size_t first = index % length;
      const std::size_t there = in.ready[first].load(std::memory_order_relaxed);
      const std::size_t count = take_run(in, first, most);
      if (count != there) {
        arrival.store(index + count + 1, std::memory_order_relaxed);
      } else if (++taken_ % arrival_block::length == 0) {
        arrivals_.drop(taken_ / arrival_block::length - 1);
      }
      return {in.at(first), in.at(first + count)};
    }
  }
  /// The results that `next` gave were ended by whoever took them.
  void consume(std::size_t count) noexcept {
    if (count == 0) return;
    consumed_ += count;
    block& in = blocks_[given_from_];
    in.gone += count;
    if (in.gone == length) blocks_.drop(given_from_);
  }

 private:
  // A power of two, so that a place is found quickly, and small enough for large results.
  static constexpr std::size_t length = std::bit_floor(std::clamp<std::size_t>(16384 / sizeof(element), 16, 1024));
  static constexpr std::size_t longest_run = 128;

  /// A task that waits to be run.
  class task_place {
   public:
    task_place() noexcept {}
    task_place(const task_place&) = delete;
    task_place& operator=(const task_place&) = delete;
    ~task_place() { reset(); }

    template <class Make>
    void emplace(Make&& make) {
      ::new (static_cast<void*>(storage_)) task(std::forward<Make>(make)());
      full_ = true;
    }
    [[nodiscard]] task& get() noexcept { return *std::launder(reinterpret_cast<task*>(storage_)); }
    void reset() noexcept {
      if (std::exchange(full_, false)) get().~task();
    }

   private:
    alignas(task) std::byte storage_[sizeof(task)];
    bool full_ = false;
  };
  struct no_task {};

  struct block {
    [[nodiscard]] element* at(std::size_t place) noexcept { return reinterpret_cast<element*>(storage) + place; }

    std::array<std::atomic<std::uint8_t>, length> ready{};  // how many results are there from here on, where a run of them begins
    [[no_unique_address]] std::conditional_t<looks_up, no_task, std::array<task_place, length>> tasks;
    std::size_t gone = 0;  // results that were consumed
    alignas(element) std::byte storage[length * sizeof(element)];
  };

  /// Which runs of results came, in order: the first one's index plus one, 0 for none yet.
  struct arrival_block {
    static constexpr std::size_t length = 256;

    [[nodiscard]] std::atomic<std::size_t>& at(std::size_t position) noexcept { return indices[position % length]; }

    std::array<std::atomic<std::size_t>, length> indices{};
  };
  struct no_arrivals {};

  template <bool keep>
  void run_in(block& in, std::size_t index) {
    put(in, index, [&]() -> decltype(auto) {
      if constexpr (std::is_lvalue_reference_v<result>) {
        return std::ref(invoke<keep>(in, index));
      } else {
        return invoke<keep>(in, index);
      }
    });
  }
  template <bool keep>
  result invoke(block& in, std::size_t index) {
    if constexpr (looks_up) {
      return std::invoke(at_[static_cast<std::ranges::range_difference_t<Range>>(index)]);
    } else if constexpr (refers) {
      return std::invoke(*in.tasks[index % length].get());
    } else if constexpr (keep && tasks_last) {
      return lasting_call<element_type>::call(in.tasks[index % length].get());
    } else {
      struct finally {
        task_place& place;
        ~finally() { place.reset(); }
      } const last{in.tasks[index % length]};
      return std::invoke(std::move(last.place.get()));
    }
  }

  template <class Make>
  void put(block& in, std::size_t index, Make&& make) {
    void* const place = in.storage + index % length * sizeof(element);
    if constexpr (std::is_void_v<result>) {
      std::forward<Make>(make)();
      ::new (place) element{index};
    } else if constexpr (ordered) {
      ::new (place) element(std::forward<Make>(make)());
    } else {
      ::new (place) element{index, std::forward<Make>(make)()};
    }
  }
  /// Shows the consumer a run of results.
  void arrived(block& in, std::size_t first, std::size_t count) noexcept {
    in.ready[first % length].store(static_cast<std::uint8_t>(count), std::memory_order_release);
    if constexpr (!ordered) {
      // Acquire and release: of those that came before, at least one has heard that there is a place for this one.
      const std::size_t position = arrivals_end_.fetch_add(1, std::memory_order_acq_rel);
      arrivals_[position / arrival_block::length].at(position).store(first + 1, std::memory_order_release);
    }
    watch_.arrived(first, first + count);
  }
  /// Takes a run away, or as much of it as is wanted: what is left is a run of its own.
  static std::size_t take_run(block& in, std::size_t first, std::size_t most) noexcept {
    const std::size_t there = in.ready[first].load(std::memory_order_acquire);
    const std::size_t taken = std::min(there, most);
    in.ready[first].store(0, std::memory_order_relaxed);
    if (taken != there) in.ready[first + taken].store(static_cast<std::uint8_t>(there - taken), std::memory_order_relaxed);
    return taken;
  }

  void make_places(std::size_t size) {
    // A block that comes again has no runs in it: they were all taken.
    while (blocks_.end() * length < size) blocks_.add().gone = 0;
    if constexpr (!ordered) {
      // Each result that was not consumed may be a run of its own.
      while (arrivals_.end() * arrival_block::length < taken_ + (size - consumed_)) {
        for (std::atomic<std::size_t>& each : arrivals_.add().indices) each.store(0, std::memory_order_relaxed);
      }
    }
  }
  /// Ends what is left in a block.
  static void clear(block& in) noexcept {
    for (std::size_t place = 0; place != length;) {
      const std::size_t run = in.ready[place].load(std::memory_order_relaxed);
      std::destroy_n(in.at(place), run);
      place += std::max<std::size_t>(run, 1);
    }
  }

  Range& range_;
  // Indexed ranges are looked up by workers: set before the first one hears of a task.
  std::conditional_t<looks_up, std::ranges::iterator_t<Range>, std::optional<std::ranges::iterator_t<Range>>> at_{};
  std::optional<std::ranges::sentinel_t<Range>> end_;
  std::size_t size_ = 0;
  bool opened_ = false;
  bool stale_ = false;
  std::size_t ready_ = 0;
  std::size_t consumed_ = 0;
  std::size_t taken_ = 0;       // runs, where they are taken as they come
  std::size_t given_from_ = 0;  // the block of the results that were given last
  block_table<block> blocks_;
  [[no_unique_address]] std::conditional_t<ordered, no_arrivals, block_table<arrival_block>> arrivals_;
  alignas(cache_line) std::atomic<std::size_t> arrivals_end_{0};
  stream_watch watch_;
};

}  // namespace manyhands::detail
