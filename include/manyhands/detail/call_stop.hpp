#pragma once

#include <functional>
#include <optional>
#include <stop_token>

namespace manyhands::detail {

/// What stops a call: its own `options::stop`, or whatever stops the task in which it is made. Both outlive it; null where there is none.
template <class>
class basic_call_stop {
 public:
  /// Throws `std::bad_alloc`.
  basic_call_stop(const std::stop_token* own, const std::stop_token* around) {
    const auto counts = [](const std::stop_token* token) { return token != nullptr && token->stop_possible(); };
    if (!counts(own) || !counts(around)) {
      token_ = counts(own) ? own : counts(around) ? around : nullptr;
      return;
    }
    source_ = std::stop_source();
    both_ = source_.get_token();
    token_ = &both_;
    from_own_.emplace(*own, [this] { source_.request_stop(); });
    from_around_.emplace(*around, [this] { source_.request_stop(); });
  }
  basic_call_stop(const basic_call_stop&) = delete;
  basic_call_stop& operator=(const basic_call_stop&) = delete;

  /// Null where nothing can stop the call.
  [[nodiscard]] const std::stop_token* token() const noexcept { return token_; }

 private:
  using callback = std::stop_callback<std::function<void()>>;

  std::stop_source source_{std::nostopstate};
  std::stop_token both_;
  const std::stop_token* token_ = nullptr;
  std::optional<callback> from_own_;
  std::optional<callback> from_around_;
};
using call_stop = basic_call_stop<void>;

}  // namespace manyhands::detail
