#pragma once

#include <string>
#include <string_view>

namespace manyhands::detail {

template <class T>
constexpr std::string_view pretty_function() noexcept {
  return __PRETTY_FUNCTION__;
}

/// The compiler's readable name of a type. Needs no RTTI, and lives as long as the program.
template <class T>
[[nodiscard]] constexpr std::string_view type_name_view() noexcept {
  // What stands before and after the name is the same for every type: measured on one whose name is known.
  constexpr std::string_view known = "double";
  constexpr std::string_view sample = pretty_function<double>();
  constexpr std::size_t before = sample.find(known);
  constexpr std::size_t after = sample.size() - before - known.size();
  constexpr std::string_view all = pretty_function<T>();
  return all.substr(before, all.size() - before - after);
}

template <class T>
[[nodiscard]] std::string type_name() {
  return std::string(type_name_view<T>());
}

}  // namespace manyhands::detail
