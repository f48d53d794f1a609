#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace manyhands {

/// What a call keeps of a task that returns `Result`: a `std::reference_wrapper` in the place of a reference, else the value.
template <class Result>
using kept_result = std::conditional_t<std::is_lvalue_reference_v<Result>, std::reference_wrapper<std::remove_reference_t<Result>>,
                                       std::remove_cvref_t<Result>>;

/// What became of one task: its value or its error. `Value` may be `void`.
template <class Value>
class outcome {
  // A task without a value still has an outcome: something must say that it was reached.
  using stored = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;
  using reference = std::add_lvalue_reference_t<Value>;
  using const_reference = std::add_lvalue_reference_t<std::add_const_t<Value>>;

 public:
  using value_type = Value;

  /// An outcome with a value made from these arguments.
  template <class... Args>
  outcome(std::size_t index, std::in_place_t, Args&&... args) : value_(std::in_place, std::forward<Args>(args)...), index_(index) {}
  outcome(std::size_t index, std::exception_ptr error) noexcept : error_(std::move(error)), index_(index) {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value. Throws the task's error where there is none.
  const_reference value() const& {
    check();
    if constexpr (!std::is_void_v<Value>) return *value_;
  }
  reference value() & {
    check();
    if constexpr (!std::is_void_v<Value>) return *value_;
  }
  Value value() && {
    check();
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }

  /// The value, which must be there.
  const_reference operator*() const& noexcept {
    if constexpr (!std::is_void_v<Value>) return *value_;
  }
  reference operator*() & noexcept {
    if constexpr (!std::is_void_v<Value>) return *value_;
  }
  Value operator*() && {
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }
  const stored* operator->() const noexcept requires(!std::is_void_v<Value>) { return std::addressof(*value_); }
  stored* operator->() noexcept requires(!std::is_void_v<Value>) { return std::addressof(*value_); }

  /// The value, or what stands in for it.
  template <class Other>
  requires(!std::is_void_v<Value>) stored value_or(Other&& other)
  const& { return value_.value_or(std::forward<Other>(other)); }
  template <class Other>
  requires(!std::is_void_v<Value>) stored value_or(Other&& other) && {
    return std::move(value_).value_or(std::forward<Other>(other));
  }

  /// The task's error, null where it has a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
  /// The position of the task in the input.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }

 private:
  void check() const {
    if (!has_value()) std::rethrow_exception(error_);
  }

  std::optional<stored> value_;
  std::exception_ptr error_;
  std::size_t index_;
};

}  // namespace manyhands
