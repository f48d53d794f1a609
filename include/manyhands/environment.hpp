#pragma once

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <manyhands/config.hpp>

// The variables that users may set for the whole program. Read at each call and never changed: they are the user's. As with any `getenv`,
// no other thread may change the environment meanwhile. A variable set to nothing counts as not set.

namespace manyhands::detail {

/// What MANYHANDS_N_JOBS asks for.
struct n_jobs_request {
  /// All but one: `max(cpu_count() - 1, 1)`. `n` means nothing then.
  bool automatic = false;
  /// As `options::n_jobs`; never 0.
  int n = 0;
};

/// As `getenv`, whose own pages are far away after a pause. `variable` ends with a null character.
MANYHANDS_EACH_CALL [[nodiscard]] inline const char* variable_text(std::string_view variable) noexcept {
#if defined(__linux__)
  if (::environ == nullptr) return nullptr;
  for (char* const* each = ::environ; *each != nullptr; ++each) {
    if (**each == variable[0] && std::strncmp(*each, variable.data(), variable.size()) == 0 && (*each)[variable.size()] == '=') {
      return *each + variable.size() + 1;
    }
  }
  return nullptr;
#else
  return std::getenv(variable.data());
#endif
}

/// The variable's value, empty where it is not set.
MANYHANDS_EACH_CALL [[nodiscard]] inline std::optional<std::string> env_text(std::string_view variable) {
  const char* const text = variable_text(variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::string(text);
}

[[noreturn]] inline void refuse_variable(const char* variable, const std::string& value, const std::string& cure) {
  throw std::invalid_argument(std::string(variable) + " is '" + value + "': set it to " + cure + ", or unset it");
}

/// The whole of `text` as a number; empty for anything else, numbers that do not fit included.
[[nodiscard]] inline std::optional<int> whole_int(std::string_view text) noexcept {
  int number = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

/// MANYHANDS_N_JOBS: a number other than 0, or `auto`. Throws `std::invalid_argument` for anything else.
[[nodiscard]] inline std::optional<n_jobs_request> env_n_jobs() {
  constexpr const char* variable = "MANYHANDS_N_JOBS";
  const std::optional<std::string> text = env_text(variable);
  if (!text) return std::nullopt;
  if (*text == "auto") return n_jobs_request{.automatic = true};
  const std::optional<int> number = whole_int(*text);
  if (!number || *number == 0) refuse_variable(variable, *text, "a whole number other than 0 (-1 is all processors), or to auto");
  return n_jobs_request{.automatic = false, .n = *number};
}

/// MANYHANDS_BACKEND. Whether there is such a backend is for the registry to say.
[[nodiscard]] inline std::optional<std::string> env_backend() { return env_text("MANYHANDS_BACKEND"); }

/// MANYHANDS_MAX_CPU_COUNT: a number of at least 1. Throws `std::invalid_argument` for anything else.
[[nodiscard]] inline std::optional<int> env_max_cpu_count() {
  constexpr const char* variable = "MANYHANDS_MAX_CPU_COUNT";
  const std::optional<std::string> text = env_text(variable);
  if (!text) return std::nullopt;
  const std::optional<int> number = whole_int(*text);
  if (!number || *number < 1) refuse_variable(variable, *text, "a whole number of at least 1");
  return number;
}

}  // namespace manyhands::detail
