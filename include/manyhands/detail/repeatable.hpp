#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <manyhands/detail/codec_sequences.hpp>
#include <manyhands/detail/standard_forward.hpp>
#include <manyhands/task.hpp>

// How a task is called that may have to be called again: so that it does not hand over what it holds.

namespace manyhands::detail {

template <class T>
consteval bool is_honest();
/// The compiler can tell whether a value can be copied, and is right: `std::vector<std::unique_ptr<int>>` says that it can be, and so may
/// any class with such a member. A class that is not known here may be wrong about itself.
template <class T>
inline constexpr bool honest = is_honest<T>();
/// It is right and can be copied.
template <class... Ts>
inline constexpr bool all_copyable = ((std::is_copy_constructible_v<Ts> && honest<Ts>)&&...);
template <class T>
consteval bool is_honest() {
  if constexpr (standard_container<T>) {
    return all_copyable<typename T::value_type>;
  } else {
    return !std::is_copy_constructible_v<T> || std::is_trivially_copy_constructible_v<T>;
  }
}
template <>
inline constexpr bool honest<std::filesystem::path> = true;
template <class T>
inline constexpr bool honest<std::shared_ptr<T>> = true;
template <class T>
inline constexpr bool honest<std::weak_ptr<T>> = true;
template <class Signature>
inline constexpr bool honest<std::function<Signature>> = true;
template <class T, std::size_t size>
inline constexpr bool honest<std::array<T, size>> = honest<T>;
template <class... Ts>
inline constexpr bool honest<std::tuple<Ts...>> = (honest<Ts> && ...);
template <class... Ts>
inline constexpr bool honest<std::variant<Ts...>> = (honest<Ts> && ...);
template <class A, class B>
inline constexpr bool honest<std::pair<A, B>> = honest<A>&& honest<B>;
template <class T>
inline constexpr bool honest<std::optional<T>> = honest<T>;

/// A parameter that refers to the argument itself.
template <class Parameter, class Arg>
inline constexpr bool binds =
    std::is_lvalue_reference_v<Parameter>&& std::is_convertible_v<std::remove_reference_t<Arg>*, std::remove_reference_t<Parameter>*>;

/// What a function takes, where it has one signature; a generic lambda and overloads have none.
template <class... Parameters>
struct signature {
  /// No argument is copied for being passed as an lvalue, or the compiler can tell whether it can be.
  template <class... Args>
  static consteval bool is_safe() {
    if constexpr (sizeof...(Args) == sizeof...(Parameters)) {
      return ((binds<Parameters, Args> || honest<Args>)&&...);
    } else {
      return (honest<Args> && ...);
    }
  }
};
struct no_signature {
  template <class... Args>
  static consteval bool is_safe() {
    return (honest<Args> && ...);
  }
};

template <class R, class... P>
signature<P...> signature_of(R (*)(P...));
template <class R, class... P>
signature<P...> signature_of(R (*)(P...) noexcept);
template <class R, class C, class... P>
signature<C&, P...> signature_of(R (C::*)(P...));
template <class R, class C, class... P>
signature<C&, P...> signature_of(R (C::*)(P...) noexcept);
template <class R, class C, class... P>
signature<C&, P...> signature_of(R (C::*)(P...) const);
template <class R, class C, class... P>
signature<C&, P...> signature_of(R (C::*)(P...) const noexcept);

template <class Object, class... P>
signature<P...> without_object(signature<Object, P...>);

template <class Fn>
auto find_signature() {
  if constexpr (requires { signature_of(std::declval<Fn>()); }) {
    return decltype(signature_of(std::declval<Fn>()))();
  } else if constexpr (requires { signature_of(&Fn::operator()); }) {
    return decltype(without_object(signature_of(&Fn::operator())))();
  } else {
    return no_signature();
  }
}

/// To call a function with lvalues of these types compiles where the compiler says that it does.
template <class Fn, class... Args>
inline constexpr bool takes_lvalues = decltype(find_signature<Fn>())::template is_safe<Args...>();

/// Calls a task, `T&` or, where the call owns it, `T`, so that it lasts. `possible` where it can be called so and returns the same.
template <class Task>
struct lasting_call {
  using object = std::remove_reference_t<Task>;
  static constexpr bool works() {
    if constexpr (std::is_invocable_v<object&>) {
      return std::is_same_v<std::invoke_result_t<object&>, std::invoke_result_t<Task>>;
    } else {
      return false;
    }
  }
  static constexpr bool possible = works();
  static decltype(auto) call(object& task) { return std::invoke(task); }
};
// In a range of the caller's it is called with lvalues anyway.
template <class Fn, class... Args>
struct lasting_call<task<Fn, Args...>&> {
  static constexpr bool possible = task<Fn, Args...>::lasts;
  static decltype(auto) call(task<Fn, Args...>& task) { return task(); }
};
template <class Fn, class... Args>
struct lasting_call<task<Fn, Args...>> {
  static constexpr bool possible = task<Fn, Args...>::lasts && takes_lvalues<Fn, Args...>;
  static decltype(auto) call(task<Fn, Args...>& task) { return task(); }
};
template <class Fn, class Element>
struct lasting_call<element_task<Fn, Element>> {
  static constexpr bool works() {
    if constexpr (std::is_lvalue_reference_v<Element>) {
      return true;
    } else if constexpr (std::is_reference_v<Element>) {
      return false;
    } else {
      return takes_lvalues<Fn, Element> && element_task<Fn, Element>::lasts();
    }
  }
  static constexpr bool possible = works();
  static decltype(auto) call(element_task<Fn, Element>& task) { return task.call_lasting(); }
};
template <class Fn, class Element>
struct lasting_call<element_task<Fn, Element>&> : lasting_call<element_task<Fn, Element>> {};

/// A task that a range makes anew for each call, and that hands over nothing which the range keeps.
template <class Task>
inline constexpr bool made_anew = false;
template <class Fn, class Element>
inline constexpr bool made_anew<element_task<Fn, Element>> = !std::is_rvalue_reference_v<Element>;

}  // namespace manyhands::detail
