#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <manyhands/detail/packed_task.hpp>
#include <manyhands/detail/repeatable.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/detail/type_name.hpp>
#include <manyhands/outcome.hpp>

namespace manyhands::detail {

/// What a tuple of results holds for a task that returns `Result`.
template <class Result>
struct in_tuple {
  using type = kept_result<Result>;
};
template <>
struct in_tuple<void> {
  using type = std::monostate;
};

/// What a task of a tuple leaves. Not an rvalue reference: it may refer into the task.
template <class Task>
using result_in_tuple = std::conditional_t<std::is_rvalue_reference_v<std::invoke_result_t<Task>>,
                                           std::remove_cvref_t<std::invoke_result_t<Task>>, std::invoke_result_t<Task>>;

/// `task_packing::run` for one of several tasks, whose place among them comes first.
template <class... Tasks>
void run_packed_in_tuple(reader& in, writer& value) {
  static constexpr std::array<task_packing::runner, sizeof...(Tasks)> runners{runner_of<Tasks, result_in_tuple<Tasks>>()...};
  std::uint32_t place = 0;
  in.read(&place, sizeof place);
  if (place >= sizeof...(Tasks)) throw codec_error("a task's place is " + std::to_string(place) + ", and there are fewer");
  runners[place](in, value);
}

/// Tasks of different types, beside their results.
template <class... Tasks>
class tuple_slots {
  template <class Task>
  using result_of_task = std::invoke_result_t<Task>;
  template <std::size_t index>
  using result = typename std::tuple_element_t<index, std::tuple<std::type_identity<result_of_task<Tasks>>...>>::type;

 public:
  static constexpr bool keeps_errors = false;
  static constexpr bool reads_ahead = false;
  static constexpr std::size_t result_size = 0;

  /// The tasks must outlive it.
  explicit tuple_slots(Tasks&&... tasks) : tasks_(std::forward<Tasks>(tasks)...) {}

  [[nodiscard]] std::size_t ready() const noexcept { return sizeof...(Tasks); }
  [[nodiscard]] bool complete() const noexcept { return true; }
  [[nodiscard]] std::optional<std::size_t> size() const noexcept { return sizeof...(Tasks); }
  bool read(std::size_t) noexcept { return false; }
  void make_room(std::size_t) noexcept {}
  template <bool keep = false>
  void run(std::size_t index) {
    visit(index, [this]<std::size_t at>(std::integral_constant<std::size_t, at>) {
      auto& place = std::get<at>(results_);
      if constexpr (std::is_void_v<result<at>>) {
        invoke<at, keep>();
        place.emplace();
      } else {
        place.emplace(invoke<at, keep>());
      }
    });
  }
  void execute(std::size_t index, writer& bytes, bool keep = false) {
    visit(index, [&]<std::size_t at>(std::integral_constant<std::size_t, at>) {
      save_result<result<at>>([&]() -> result<at> { return keep ? invoke<at, true>() : invoke<at, false>(); }, bytes);
    });
  }
  /// Whether the task can be run with `keep`, and again.
  [[nodiscard]] static bool lasts(std::size_t index) noexcept {
    return std::array<bool, sizeof...(Tasks)>{lasting_call<Tasks>::possible...}[index];
  }
  void release(std::size_t) noexcept {}
  void discard(std::size_t index) noexcept {
    visit(index, [this]<std::size_t at>(std::integral_constant<std::size_t, at>) { std::get<at>(results_).reset(); });
  }
  void load(std::size_t index, reader& bytes) {
    visit(index, [&]<std::size_t at>(std::integral_constant<std::size_t, at>) {
      load_result<result<at>>(bytes,
                              [this]<class... Value>(Value&&... value) { std::get<at>(results_).emplace(std::forward<Value>(value)...); });
    });
  }
  void save(std::size_t index, writer& bytes) {
    visit(index, [&]<std::size_t at>(std::integral_constant<std::size_t, at>) {
      save_result<result<at>>(
          [&]() -> const auto& { return *std::get<at>(results_); }, bytes);
    });
  }
  [[nodiscard]] static std::string result_name() { return type_name<std::tuple<result_of_task<Tasks>...>>(); }
  /// Possible if every task's is. Of a fixed size only if it is the same for all.
  [[nodiscard]] result_transport transport() const {
    result_transport all;
    bool first = true;
    for (auto& one : std::array<result_transport, sizeof...(Tasks)>{transport_of<result_of_task<Tasks>>()...}) {
      if (!one.possible()) return one;
      if (!first && one.fixed_size != all.fixed_size) one.fixed_size = 0;
      all = one;
      first = false;
    }
    return all;
  }

  /// Possible if every task's is.
  [[nodiscard]] static task_packing packing() {
    task_packing all{.run = &run_packed_in_tuple<Tasks...>};
    for (auto& one : std::array<task_packing, sizeof...(Tasks)>{packing_of<Tasks, result_in_tuple<Tasks>>()...}) {
      if (!one.possible()) return std::move(one);
    }
    return all;
  }
  void pack(std::size_t index, writer& bytes) {
    const auto place = static_cast<std::uint32_t>(index);
    bytes.write(&place, sizeof place);
    visit(index, [&]<std::size_t at>(std::integral_constant<std::size_t, at>) {
      save_task<std::tuple_element_t<at, std::tuple<Tasks...>>>(std::get<at>(tasks_), bytes);
    });
  }

  std::tuple<typename in_tuple<result_of_task<Tasks>>::type...> take() {
    return std::apply([](auto&... places) { return std::tuple<typename in_tuple<result_of_task<Tasks>>::type...>(std::move(*places)...); },
                      results_);
  }

 private:
  template <std::size_t at, bool keep>
  decltype(auto) invoke() {
    using own = std::tuple_element_t<at, std::tuple<lasting_call<Tasks>...>>;
    if constexpr (keep && own::possible) {
      return own::call(std::get<at>(tasks_));
    } else {
      return std::invoke(std::get<at>(std::move(tasks_)));
    }
  }
  template <class Action>
  void visit(std::size_t index, Action&& action) {
    [&]<std::size_t... at>(std::index_sequence<at...>) {
      static_cast<void>(((index == at && (action(std::integral_constant<std::size_t, at>{}), true)) || ...));
    }
    (std::index_sequence_for<Tasks...>{});
  }

  std::tuple<Tasks&&...> tasks_;
  std::tuple<std::optional<typename in_tuple<result_of_task<Tasks>>::type>...> results_;
};

}  // namespace manyhands::detail
