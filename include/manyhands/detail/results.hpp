#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/codec.hpp>
#include <manyhands/detail/prefault.hpp>
#include <manyhands/detail/segmented.hpp>
#include <manyhands/detail/type_name.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/outcome.hpp>

// Where results wait until the call returns. `make_room` comes first; then any thread may settle a place, one thread a place.

namespace manyhands::detail {

/// How a task that returns `Result` sends it home.
template <class Result>
[[nodiscard]] result_transport transport_of() {
  if constexpr (std::is_void_v<Result>) {
    return {.fixed_size = 1};
  } else if constexpr (std::is_lvalue_reference_v<Result>) {
    return {
        .type_name = type_name<Result>(),
        .obstacle =
            "a reference means nothing in another process; return the value, or use a backend that shares memory (require::shared_memory)"};
  } else if constexpr (!transportable<std::remove_cvref_t<Result>>) {
    return {.type_name = type_name<std::remove_cvref_t<Result>>(), .obstacle = obstacle_of<std::remove_cvref_t<Result>>()};
  } else {
    return {.fixed_size = fixed_codec_size<std::remove_cvref_t<Result>>};
  }
}

/// How results of these jobs get home from that backend's workers, and tasks to them. Throws `not_transportable` where they cannot.
template <class = void>
result_transport checked_transport(const jobs& work, const backend_traits& traits) {
  result_transport home;
  if (!traits.shares_memory) home = work.transport();
  if (!home.possible()) throw not_transportable(home.type_name, home.obstacle);
  if (!traits.packs_tasks) return home;
  if (const task_packing out = work.packing(); !out.possible()) throw not_transportable(out.type_name, out.obstacle);
  return home;
}

/// What stands for the value of a task that has none: so it leaves a trace of a fixed size, as others do.
inline constexpr std::byte done_without_value{1};

/// Runs a task far away and writes its value down. For a result that cannot travel it does nothing: such a call never gets that far.
template <class Result, class Invoke>
void save_result(Invoke&& invoke, writer& bytes) {
  if constexpr (std::is_void_v<Result>) {
    std::forward<Invoke>(invoke)();
    bytes.write(&done_without_value, 1);
  } else if constexpr (!std::is_lvalue_reference_v<Result> && transportable<std::remove_cvref_t<Result>>) {
    bytes.put<std::remove_cvref_t<Result>>(std::forward<Invoke>(invoke)());
  }
}

/// Gives what `save_result` wrote to `keep`. Throws `codec_error` for anything else.
template <class Result, class Keep>
void load_result(reader& bytes, Keep&& keep) {
  if constexpr (std::is_void_v<Result>) {
    std::byte done{};
    bytes.read(&done, 1);
    bytes.finish();
    if (done != done_without_value) throw codec_error("the trace of a task without a value is rubbish");
    std::forward<Keep>(keep)();
  } else if constexpr (!std::is_lvalue_reference_v<Result> && transportable<std::remove_cvref_t<Result>>) {
    auto value = bytes.get<std::remove_cvref_t<Result>>();
    bytes.finish();
    std::forward<Keep>(keep)(std::move(value));
  }
}

/// The values of tasks, for a call that wants all of them. `counted` says that their number is known before the first one comes.
template <class Result, bool counted>
class value_results {
  using kept = kept_result<Result>;
  // Written straight into the vector that the caller gets. Not bool: neighbours in a vector<bool> share a byte.
  static constexpr bool in_place = counted && std::is_trivially_copyable_v<kept> && std::default_initializable<kept> &&
                                   std::is_nothrow_default_constructible_v<kept> && std::is_move_assignable_v<kept> &&
                                   !std::same_as<kept, bool>;

 public:
  static constexpr bool keeps_errors = false;
  static constexpr std::size_t place_size = sizeof(kept);

  void make_room(std::size_t size) {
    if constexpr (in_place) {
      if (values_.empty()) {
        values_ = std::vector<kept>(size);  // less to do than for one that may have to move
      } else {
        values_.resize(size);
      }
    } else {
      values_.grow(size);
    }
  }
  /// The same after workers were forked: the memory is new then, or shared with them until it is written.
  void make_room_late(std::size_t size) {
    if constexpr (in_place) {
      values_.reserve(size);
      prefault(values_.data(), size * sizeof(kept));
      values_.resize(size);
    } else {
      values_.grow(size);
    }
  }
  template <class Make>
  void emplace(std::size_t index, Make&& make) {
    if constexpr (in_place) {
      values_[index] = std::forward<Make>(make)();
    } else {
      values_.emplace(index, std::forward<Make>(make));
    }
  }
  /// Empties a place again.
  void discard(std::size_t index) noexcept {
    if constexpr (!in_place) values_.reset(index);
  }
  /// What stands in a place that is not empty.
  [[nodiscard]] const kept& value(std::size_t index) noexcept { return values_[index]; }
  std::vector<kept> take(std::size_t size) {
    if constexpr (in_place) {
      values_.resize(size);
      return std::move(values_);
    } else {
      std::vector<kept> all;
      all.reserve(size);
      for (std::size_t index = 0; index < size; ++index) {
        all.push_back(std::move(values_[index]));
        values_.reset(index);
      }
      return all;
    }
  }

 private:
  std::conditional_t<in_place, std::vector<kept>, segmented<kept>> values_;
};

/// For tasks without a value there is nothing to keep.
template <bool counted>
class value_results<void, counted> {
 public:
  static constexpr bool keeps_errors = false;
  static constexpr std::size_t place_size = 0;

  void make_room(std::size_t) noexcept {}
  void make_room_late(std::size_t) noexcept {}
  template <class Make>
  void emplace(std::size_t, Make&& make) {
    std::forward<Make>(make)();
  }
  void discard(std::size_t) noexcept {}
  void value(std::size_t) noexcept {}
  void take(std::size_t) noexcept {}
};

/// What became of every task, for a call that wants errors, too.
template <class Result>
class outcome_results {
  using kept = std::conditional_t<std::is_void_v<Result>, void, kept_result<Result>>;

 public:
  static constexpr bool keeps_errors = true;
  static constexpr std::size_t place_size = sizeof(outcome<kept>);

  void make_room(std::size_t size) { outcomes_.grow(size); }
  void make_room_late(std::size_t size) { make_room(size); }
  template <class Make>
  void emplace(std::size_t index, Make&& make) {
    outcomes_.emplace(index, [&]() -> outcome<kept> {
      if constexpr (std::is_void_v<Result>) {
        std::forward<Make>(make)();
        return outcome<kept>(index, std::in_place);
      } else {
        return outcome<kept>(index, std::in_place, std::forward<Make>(make)());
      }
    });
  }
  void discard(std::size_t index) noexcept { outcomes_.reset(index); }
  /// Whether the task has its value or its error.
  [[nodiscard]] bool holds(std::size_t index) noexcept { return outcomes_.holds(index); }
  /// The value of a task that has one.
  decltype(auto) value(std::size_t index) noexcept { return *std::as_const(outcomes_[index]); }
  void emplace_error(std::size_t index, std::exception_ptr error) {
    outcomes_.emplace(index, [&] { return outcome<kept>(index, std::move(error)); });
  }
  std::vector<outcome<kept>> take(std::size_t size) {
    std::vector<outcome<kept>> all;
    all.reserve(size);
    for (std::size_t index = 0; index < size; ++index) {
      all.push_back(std::move(outcomes_[index]));
      outcomes_.reset(index);
    }
    return all;
  }

 private:
  segmented<outcome<kept>> outcomes_;
};

}  // namespace manyhands::detail
