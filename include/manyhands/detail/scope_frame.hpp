#pragma once

#include <manyhands/options.hpp>

namespace manyhands::detail {

/// Whether a call with these options is as most calls are: it says who runs it, in what portions, and at most what it is called.
[[nodiscard]] inline bool is_plain(const options& asked) noexcept {
  // By position, so that a new option cannot be forgotten here.
  const auto& [jobs, who, wish, need, batch, ahead, timeout, retries, inner, most_tasks, memory, initializer, pins, stop, verbose, progress,
               description, trace, report, checkpoint, seed, watcher] = asked;
  return !(timeout || retries || most_tasks || memory || initializer || pins || stop || verbose || progress || trace || report ||
           checkpoint || seed || watcher);
}

/// The defaults of a scope: its own and those of the scopes around it.
struct scope_frame {
  options merged;
  bool is_plain = detail::is_plain(merged);
};

}  // namespace manyhands::detail
