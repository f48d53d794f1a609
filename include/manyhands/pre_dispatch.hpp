#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace manyhands {

/// How far ahead input is read: a count of batches, an expression in `n_jobs` such as `"2*n_jobs"`, or `"all"`.
///
/// An expression is made of whole or decimal numbers, `n_jobs`, `+ - * / // % **` and parentheses, as in joblib.
class pre_dispatch {
 public:
  /// Throws `std::invalid_argument` below 1.
  template <std::integral Count>
  requires(!std::same_as<Count, bool>) pre_dispatch(Count count) : text_(std::to_string(count)) {
    if (std::cmp_less(count, 1)) refuse("it must be at least 1");
  }
  /// Throws `std::invalid_argument` for text that is no expression.
  pre_dispatch(std::string expression) : text_(std::move(expression)) {
    if (depends_on_n_jobs()) {
      static_cast<void>(value(1));
    } else {
      static_cast<void>(batches(1));
    }
  }
  pre_dispatch(const char* expression) : pre_dispatch(std::string(expression)) {}

  /// The count of batches for so many workers; the largest `std::size_t` for "all". Throws `std::invalid_argument` where it comes to less
  /// than 1.
  [[nodiscard]] std::size_t batches(int n_jobs) const {
    if (text_ == "all") return std::numeric_limits<std::size_t>::max();
    const double count = value(n_jobs);
    if (!(count >= 1)) {
      refuse((count < 1 ? "it must come to at least 1" : "it divides by zero") +
             (depends_on_n_jobs() ? ", and n_jobs is " + std::to_string(n_jobs) : std::string()));
    }
    constexpr double most = 1e15;
    return static_cast<std::size_t>(count < most ? count : most);
  }
  /// What it was made of.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  [[nodiscard]] bool depends_on_n_jobs() const noexcept { return text_.find("n_jobs") != std::string::npos; }
  [[nodiscard]] double value(int n_jobs) const {
    if (text_ == "all") return 1;
    parser input{*this, text_, static_cast<double>(n_jobs)};
    const double result = input.sum();
    if (!input.rest.empty()) refuse("'" + std::string(input.rest) + "' is not understood");
    return result;
  }

  // Recursive descent, after Python's rules: sum = product {(+|-) product}, product = factor {(*|/|//|%) factor},
  // factor = -factor | power, power = atom [** factor], atom = number | n_jobs | (sum).
  struct parser {
    const pre_dispatch& owner;
    std::string_view rest;
    double n_jobs;
    int depth = 0;

    double sum() {
      double value = product();
      for (;;) {
        if (take("+")) value += product();
        else if (take("-")) value -= product();
        else return value;
      }
    }
    double product() {
      double value = factor();
      for (;;) {
        if (take("*")) value *= factor();
        else if (take("//")) value = std::floor(quotient(value, factor()));
        else if (take("/")) value = quotient(value, factor());
        else if (take("%")) value = remainder(value, factor());
        else return value;
      }
    }
    /// No number where the divisor is zero: whatever is made of it is none either.
    static double quotient(double value, double divisor) {
      return divisor != 0 ? value / divisor : std::numeric_limits<double>::quiet_NaN();
    }
    /// Of the sign of the divisor.
    static double remainder(double value, double divisor) { return value - divisor * std::floor(quotient(value, divisor)); }
    double factor() {
      if (++depth > 100) owner.refuse("it is nested too deeply");
      const double value = take("-") ? -factor() : power();
      --depth;
      return value;
    }
    double power() {
      const double base = atom();
      return take("**") ? std::pow(base, factor()) : base;
    }
    double atom() {
      double value = 0;
      if (take("(")) {
        value = sum();
        if (!take(")")) owner.refuse("a ')' is missing");
      } else if (take("n_jobs")) {
        value = n_jobs;
      } else {
        value = number();
      }
      return value;
    }
    double number() {
      double value = 0;
      double scale = 1;
      bool any = false;
      bool fraction = false;
      while (!rest.empty() && ((rest[0] >= '0' && rest[0] <= '9') || (rest[0] == '.' && !fraction))) {
        if (rest[0] == '.') {
          fraction = true;
        } else {
          any = true;
          if (scale < 1e15) value = value * 10 + (rest[0] - '0');  // the digits after that tell nothing
          if (scale < 1e15 && fraction) scale *= 10;
        }
        rest.remove_prefix(1);
      }
      if (!any) owner.refuse(rest.empty() ? std::string("a number is missing") : "'" + std::string(rest) + "' is not understood");
      skip_blanks();
      return value / scale;
    }
    bool take(std::string_view word) {
      skip_blanks();
      if (rest.substr(0, word.size()) != word) return false;
      rest.remove_prefix(word.size());
      skip_blanks();
      return true;
    }
    void skip_blanks() {
      while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
    }
  };

  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument("pre_dispatch is \"" + text_ + "\": " + why +
                                "; use a count of batches, an expression in n_jobs such as \"2*n_jobs\", or \"all\"");
  }

  std::string text_;
};

}  // namespace manyhands
