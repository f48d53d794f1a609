#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <vector>

#include <manyhands/detail/affinity.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/packed_call.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/detail/task_ring.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/detail/worker_loop.hpp>
#include <manyhands/exception_codec.hpp>

namespace manyhands::detail {

/// What stands before a call that is sent to a worker that lives on: what is not the same for all its workers.
struct call_opening {
  int worker = 0;
  /// The processors that it is bound to during the call; none: those of the program.
  std::vector<int> processors = {};
  /// Of all results; 0 where it varies.
  std::size_t result_size = 0;
  /// So many ranges the worker was given before.
  std::uint32_t ranges_before = 0;
};
template <class = void>
void save_opening(const call_opening& opening, writer& out) {
  const std::uint64_t words[4] = {static_cast<std::uint64_t>(opening.worker), opening.result_size, opening.ranges_before,
                                  opening.processors.size()};
  out.write(words, sizeof words);
  out.write(opening.processors.data(), opening.processors.size() * sizeof(int));
}
template <class = void>
[[nodiscard]] call_opening load_opening(reader& in) {
  std::uint64_t words[3];
  in.read(words, sizeof words);
  call_opening made{.worker = static_cast<int>(words[0]),
                    .result_size = static_cast<std::size_t>(words[1]),
                    .ranges_before = static_cast<std::uint32_t>(words[2])};
  made.processors.resize(in.count(sizeof(int)));
  in.read(made.processors.data(), made.processors.size() * sizeof(int));
  return made;
}

/// A worker that lives on from call to call, and gets all that it is to do as bytes.
///
/// It leaves a call when the next one begins, or it is dismissed: its caller does not wait for that.
template <class>
class basic_pooled_worker final : private task_source {
 public:
  /// `places` is the memory of results that all have the same size.
  basic_pooled_worker(worker_board& board, ring_positions& results, std::span<std::byte> result_ring, std::span<std::byte> places,
                      ring_positions& tasks, std::span<const std::byte> task_ring, const doorbell& bell, const process_mark& mark) noexcept
      : board_(board),
        results_(results),
        result_ring_(result_ring),
        places_(places),
        parcels_(tasks, task_ring),
        bell_(bell),
        mark_(mark) {}

  /// Returns when nobody needs this worker any more.
  void run() noexcept {
    while (const std::uint32_t next = board_.wait_for_call(call_)) {
      call_ = next;
      if (!serve()) return;
    }
    board_.say_leaving();
  }

 private:
  /// False where the worker cannot go on, and has said so.
  bool serve() noexcept {
    const bool is_there = parcels_.find(
        parcel_header::of_call(call_), [this] { return wait([this] { return board_.is_over(call_); }); }, [this] { ring(); });
    if (!is_there) return true;
    std::optional<packed_call> call;
    call_opening opening;
    try {
      reader bytes(parcels_.bytes());
      opening = load_opening(bytes);
      call.emplace(bytes);
    } catch (...) {
      refuse(std::current_exception());
      return false;
    }
    call->say_known(no_index);
    if (!opening.processors.empty()) affinity_mask::of(opening.processors).bind();
    jobs_ = &*call;
    const direct_results places(places_, opening.result_size, opening.ranges_before);
    const bool goes_on = worker_loop(*call, opening.worker, board_, frame_writer(results_, result_ring_), places, bell_, mark_, this).run();
    initialized_ = true;
    if (!opening.processors.empty()) home_.bind();
    return goes_on;
  }

  [[nodiscard]] bool fetch(std::size_t index) noexcept override {
    const auto is_vain = [this, index] { return board_.is_over(call_) || index >= board_.limit(); };
    if (!parcels_.find(
            index, [&] { return wait(is_vain); }, [this] { ring(); }))
      return false;
    jobs_->hold(parcels_.bytes());
    return true;
  }
  [[nodiscard]] std::uint32_t call() const noexcept override { return call_; }
  [[nodiscard]] bool is_initialized() const noexcept override { return initialized_; }

  /// Waits for bytes. False where it would be in vain.
  template <class Vain>
  [[nodiscard]] bool wait(Vain&& is_vain) noexcept {
    ring();  // the caller may have more, and have had no room for it
    board_.wait_until([&] { return parcels_.has_news() || is_vain(); });
    return parcels_.has_news();
  }
  void refuse(const std::exception_ptr& cause) noexcept {
    writer bytes;
    save_exception(cause, bytes);
    frame_writer(results_, result_ring_)
        .write(0, frame_kind::no_worker, bytes.bytes(), [this](const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
          ring();
          futex_wait(word, seen);
        });
    board_.say_leaving();
    ring();
  }
  void ring() const noexcept {
    if (board_.shall_ring()) bell_.ring();
  }

  worker_board& board_;
  ring_positions& results_;
  std::span<std::byte> result_ring_;
  std::span<std::byte> places_;
  parcel_receiver parcels_;
  const doorbell& bell_;
  const process_mark& mark_;
  const affinity_mask home_;
  packed_call* jobs_ = nullptr;
  std::uint32_t call_ = 0;
  bool initialized_ = false;
};
using pooled_worker = basic_pooled_worker<void>;

}  // namespace manyhands::detail
