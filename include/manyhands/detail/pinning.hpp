#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <manyhands/detail/affinity.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// Where the workers of a call are bound. Lives in the frame of the call.
struct pinning {
  /// What the calling thread might use when it made the call.
  affinity_mask callers = {};
  /// For a call nested in one whose workers are bound, that one's.
  const pinning* around = nullptr;
  /// At least one: worker k belongs to place k, and where there are fewer, they are gone through again.
  std::vector<affinity_mask> places = {};

  [[nodiscard]] const affinity_mask& place_of(int worker) const noexcept {
    return places[static_cast<std::size_t>(worker) % places.size()];
  }
  /// What threads may use that are not bound.
  [[nodiscard]] const affinity_mask& home() const noexcept { return around != nullptr ? around->home() : callers; }
};

/// Binds the calling thread to a worker's place for as long as it lives, where the call wants that. A system that does not let us, such as
/// some containers, is no failure: where a thread runs changes no result.
template <class>
class basic_worker_pin {
 public:
  /// `outer` is what the thread did before.
  basic_worker_pin(const call_facts& facts, int worker, const context& outer) {
    if (facts.pins == nullptr) return;
    // A thread that works in the call around this one stays where it is. One that comes from elsewhere may have been started by a bound
    // thread, which it takes after.
    const bool is_new = outer.call == nullptr;
    if (!facts.binds && !is_new) return;
    const affinity_mask& home = facts.pins->home();
    before_.emplace();
    const affinity_mask& place = facts.binds ? facts.pins->place_of(worker) : home;
    // For the same reason a new thread goes home and not back, unless it may use more than that.
    home_ = is_new && home.covers(*before_) ? &home : nullptr;
    place.bind();
  }
  basic_worker_pin(const basic_worker_pin&) = delete;
  basic_worker_pin& operator=(const basic_worker_pin&) = delete;
  ~basic_worker_pin() {
    if (before_) (home_ != nullptr ? *home_ : *before_).bind();
  }

 private:
  std::optional<affinity_mask> before_ = {};
  const affinity_mask* home_ = nullptr;
};
using worker_pin = basic_worker_pin<void>;

/// Gives the calling thread back what it might use if it were not bound, for as long as it lives: a thread takes after the one that starts
/// it, and may serve other calls later.
template <class>
class basic_worker_unpin {
 public:
  basic_worker_unpin() {
    if (here.call == nullptr || here.call->pins == nullptr) return;
    before_.emplace();
    here.call->pins->home().bind();
  }
  basic_worker_unpin(const basic_worker_unpin&) = delete;
  basic_worker_unpin& operator=(const basic_worker_unpin&) = delete;
  ~basic_worker_unpin() {
    if (before_) before_->bind();
  }

 private:
  std::optional<affinity_mask> before_ = {};
};
using worker_unpin = basic_worker_unpin<void>;

}  // namespace manyhands::detail
