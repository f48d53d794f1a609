#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <manyhands/exception_codec.hpp>

namespace manyhands::detail {

/// How long the UTF-8 character is that a text begins with, 0 where it begins with none.
[[nodiscard]] inline std::size_t character_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (text.empty()) return 0;
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xF0 && first < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xC0U) != 0x80) return 0;
  }
  // Too long a form, half of a surrogate pair, beyond the last character.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
      (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

/// Adds a text character by character: what is no UTF-8 becomes U+FFFD, and `special(byte)` gives the spelling of an ASCII character that
/// cannot stand for itself, null for others.
template <class Special>
void append_escaped(std::string& out, std::string_view text, Special special) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (const char* const spelt = length == 1 ? special(text.front()) : nullptr; spelt != nullptr) {
      out += spelt;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

/// Adds a text as a JSON string, with its quotes.
inline void append_json(std::string& out, std::string_view text) {
  char code[8];
  out += '"';
  append_escaped(out, text, [&code](char c) -> const char* {
    if (c == '"') return "\\\"";
    if (c == '\\') return "\\\\";
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) return nullptr;
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    return code;
  });
  out += '"';
}

/// Adds a text that may stand between tags and in attributes of an HTML page.
inline void append_html(std::string& out, std::string_view text) {
  append_escaped(out, text, [](char c) -> const char* {
    if (c == '&') return "&amp;";
    if (c == '<') return "&lt;";
    if (c == '>') return "&gt;";
    if (c == '"') return "&quot;";
    if (c == '\'') return "&#39;";
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    return is_control && c != '\n' && c != '\t' ? "\xEF\xBF\xBD" : nullptr;
  });
}

/// At most so many bytes of a text, of whole characters, with an ellipsis where it was longer.
[[nodiscard]] inline std::string clipped(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
  return std::string(text.substr(0, end)) + "\xE2\x80\xA6";
}

/// An exception for people: its type and what it says. Empty for none.
[[nodiscard]] inline std::string error_text(const std::exception_ptr& error) {
  if (error == nullptr) return "";
  try {
    std::rethrow_exception(error);
  } catch (...) {
    const std::string text = current_exception_text();
    return current_exception_name() + (text.empty() ? "" : ": " + text);
  }
}

/// A number with a comma between thousands.
[[nodiscard]] inline std::string grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

/// A time for people, in the unit that fits it, with three digits: `12.3 ms`; from a minute on `2 min 03 s`.
[[nodiscard]] inline std::string time_text(std::chrono::nanoseconds time) {
  const double ns = static_cast<double>(time.count());
  char text[64];
  const auto three_digits = [&](double value, const char* unit) {
    std::snprintf(text, sizeof text, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
  };
  if (time.count() == 0) {
    return "0 s";
  } else if (ns < 999.5) {
    std::snprintf(text, sizeof text, "%.0f ns", ns);
  } else if (ns < 999.5e3) {
    three_digits(ns / 1e3, "\xC2\xB5s");
  } else if (ns < 999.5e6) {
    three_digits(ns / 1e6, "ms");
  } else if (ns < 59.95e9) {
    three_digits(ns / 1e9, "s");
  } else {
    const auto seconds = static_cast<long long>(ns / 1e9 + 0.5);
    if (seconds < 3600) {
      std::snprintf(text, sizeof text, "%lld min %02lld s", seconds / 60, seconds % 60);
    } else {
      std::snprintf(text, sizeof text, "%lld h %02lld min", seconds / 3600, seconds / 60 % 60);
    }
  }
  return text;
}

}  // namespace manyhands::detail
