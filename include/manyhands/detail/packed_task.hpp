#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/codec.hpp>
#include <manyhands/detail/function_identity.hpp>
#include <manyhands/detail/obstacle.hpp>
#include <manyhands/detail/results.hpp>
#include <manyhands/detail/type_name.hpp>
#include <manyhands/task.hpp>

// How one task becomes bytes and is run elsewhere. Its function is a pointer, which travels as a name, or of a class without state, which
// is made anew over there; its arguments travel by their codecs.

namespace manyhands::detail {

template <class Fn>
inline constexpr bool is_function_pointer = std::is_pointer_v<Fn>&& std::is_function_v<std::remove_pointer_t<Fn>>;

/// One object of the class is as good as any other.
template <class Fn>
inline constexpr bool is_captureless = std::is_class_v<Fn>&& std::is_empty_v<Fn>&& std::is_default_constructible_v<Fn>;

template <class Fn>
inline constexpr bool function_travels = is_function_pointer<Fn> || is_captureless<Fn>;

template <class = void>
void save_function_pointer(const void* function, writer& out) {
  save_identity(identify(function), out);
}
template <class = void>
[[nodiscard]] const void* load_function_pointer(reader& in) {
  return find_function(load_identity(in));
}

template <class Fn>
void save_function([[maybe_unused]] const Fn& fn, [[maybe_unused]] writer& out) {
  if constexpr (is_function_pointer<Fn>) save_function_pointer(reinterpret_cast<const void*>(fn), out);
}
template <class Fn>
[[nodiscard]] Fn load_function([[maybe_unused]] reader& in) {
  if constexpr (is_function_pointer<Fn>) {
    return reinterpret_cast<Fn>(const_cast<void*>(load_function_pointer(in)));
  } else {
    return Fn();
  }
}

/// The first part of a task that cannot travel; the reason is empty where all can.
struct task_obstacle {
  std::string type_name = {};
  std::string reason = {};
};

/// The codec's words are those for results.
template <class = void>
[[nodiscard]] std::string said_of_argument(std::string reason) {
  constexpr std::string_view result = "return ";
  constexpr std::string_view argument = "pass ";
  for (std::size_t at = 0; (at = reason.find(result, at)) != std::string::npos; at += argument.size()) {
    reason = reason.substr(0, at) + std::string(argument) + reason.substr(at + result.size());
  }
  return "as an argument of a task, " + std::move(reason);
}

template <class Fn>
inline constexpr bool is_std_function = false;
template <class Signature>
inline constexpr bool is_std_function<std::function<Signature>> = true;

template <class Fn>
[[nodiscard]] task_obstacle obstacle_of_function() {
  if constexpr (is_std_function<Fn>) {
    return {type_name<Fn>(),
            "it hides what it calls; use delayed(fn)(args...), where fn is a function or a lambda that captures nothing, or the backend "
            "\"processes\""};
  } else if constexpr (std::is_member_pointer_v<Fn>) {
    return {type_name<Fn>(), "it is a pointer to a member; call the member in a lambda that captures nothing"};
  } else if constexpr (is_reference_like<Fn>) {
    return {type_name<Fn>(), "it only refers to a function object; use the function itself, or a lambda that captures nothing"};
  } else {
    return {
        type_name<Fn>(),
        "it is a function with state, such as a lambda that captures; pass what it captures as arguments of delayed(fn)(args...), or use "
        "the backend \"processes\""};
  }
}
template <class Arg>
void look_for_obstacle(task_obstacle& found) {
  if constexpr (!transportable<std::remove_reference_t<Arg>> || std::is_lvalue_reference_v<Arg>) {
    if (found.reason.empty()) found = {type_name<Arg>(), said_of_argument(obstacle_of<Arg>())};
  }
}
template <class Fn, class... Args>
[[nodiscard]] task_obstacle obstacle_in_task() {
  task_obstacle found;
  if constexpr (!function_travels<Fn>) found = obstacle_of_function<Fn>();
  (look_for_obstacle<Args>(found), ...);
  return found;
}

/// How a task of that class becomes bytes. `call<T, Result>` runs it once as a `T`, which is the class with or without `const` and a
/// reference.
template <class Task>
struct packed_form {
  static constexpr bool possible = function_travels<Task>;
  [[nodiscard]] static task_obstacle obstacle() { return obstacle_of_function<Task>(); }

  static void save(const Task& task, writer& out) { save_function(task, out); }
  template <class T, class Result>
  static Result call(reader& in) {
    auto task = load_function<Task>(in);
    in.finish();
    if constexpr (is_function_pointer<Task>) {
      return task();
    } else {
      return std::invoke(static_cast<T&&>(task));
    }
  }
};

template <class Fn, class... Args>
struct packed_form<task<Fn, Args...>> {
  static constexpr bool possible = function_travels<Fn> && (transportable<Args> && ...);
  [[nodiscard]] static task_obstacle obstacle() { return obstacle_in_task<Fn, Args...>(); }

  static void save(const task<Fn, Args...>& task, writer& out) {
    save_function(task.fn_, out);
    std::apply([&](const auto&... args) { (out.put(args), ...); }, task.args_);
  }
  template <class T, class Result>
  static Result call(reader& in) {
    // In braces, so that they are read in the order in which they were written.
    task<Fn, Args...> task{std::in_place, load_function<Fn>(in), in.get<Args>()...};
    in.finish();
    return std::invoke(static_cast<T&&>(task));
  }
};

template <class Fn, class Element>
struct packed_form<element_task<Fn, Element>> {
  using value = std::remove_cvref_t<Element>;
  static constexpr bool possible = function_travels<Fn> && transportable<value>;
  [[nodiscard]] static task_obstacle obstacle() { return obstacle_in_task<Fn, value>(); }

  static void save(const element_task<Fn, Element>& task, writer& out) {
    if constexpr (element_task<Fn, Element>::shares) {
      save_function(*task.fn_, out);
    } else {
      save_function(task.fn_, out);
    }
    out.put<value>(task.element_);
  }
  template <class, class Result>
  static Result call(reader& in) {
    const Fn fn = load_function<Fn>(in);
    auto element = in.get<value>();
    in.finish();
    element_task<Fn, Element> task(fn, static_cast<Element&&>(element));
    return task();
  }
};

template <class Task>
using packed_form_of = packed_form<std::decay_t<Task>>;

/// A result that has a way home.
template <class Result>
consteval bool comes_home() {
  if constexpr (std::is_void_v<Result>) {
    return true;
  } else {
    return !std::is_reference_v<Result> && transportable<Result>;
  }
}

/// A task that is called as a `Task` and returns a `Result` has a way there and back.
template <class Task, class Result>
inline constexpr bool can_be_sent = packed_form_of<Task>::possible&& comes_home<Result>();

/// `task_packing::run` for tasks that are called as a `Task`.
template <class Task, class Result>
void run_packed(reader& in, writer& value) {
  save_result<Result>([&]() -> Result { return packed_form_of<Task>::template call<Task, Result>(in); }, value);
}
/// The same, null where they cannot travel, or their result has no way home, which a call says first.
template <class Task, class Result>
[[nodiscard]] constexpr task_packing::runner runner_of() noexcept {
  if constexpr (can_be_sent<Task, Result>) {
    return &run_packed<Task, Result>;
  } else {
    return nullptr;
  }
}

/// How tasks travel that are called as a `Task` and return a `Result`, which is no reference to something of theirs.
template <class Task, class Result>
[[nodiscard]] task_packing packing_of() {
  if constexpr (can_be_sent<Task, Result>) {
    return {.run = runner_of<Task, Result>()};
  } else {
    task_packing none;
    if constexpr (!packed_form_of<Task>::possible) {
      task_obstacle found = packed_form_of<Task>::obstacle();
      none.type_name = std::move(found.type_name);
      none.obstacle = std::move(found.reason);
    } else {
      none.type_name = type_name<Result>();
      none.obstacle = "it has no way home";
    }
    return none;
  }
}

/// Appends a task. Where it cannot travel it does nothing: such a call never gets that far.
template <class Task>
void save_task([[maybe_unused]] const std::remove_reference_t<Task>& task, [[maybe_unused]] writer& out) {
  if constexpr (packed_form_of<Task>::possible) packed_form_of<Task>::save(task, out);
}

}  // namespace manyhands::detail
