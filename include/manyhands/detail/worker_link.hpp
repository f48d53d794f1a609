#pragma once

#include <signal.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include <manyhands/detail/crash_record.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/frame_names.hpp>
#include <manyhands/detail/process.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/detail/worker_loop.hpp>
#include <manyhands/detail/worker_process.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// What a caller holds of one worker: its process, the memory that it shares with it, and what it knows for sure of it.
template <class>
class basic_worker_link {
 public:
  /// The ring of results: as large as a second-level cache likes it.
  static constexpr std::size_t ring_size = std::size_t{1} << 20;

  /// Forks a worker. Throws `std::system_error` where that cannot be. The memory is new each time: what the last worker wrote, or a child
  /// that it left behind still writes, is not there.
  void start(jobs& work, int number, const parent_facts& parent, const direct_results& places, const doorbell& bell,
             std::span<basic_worker_link> siblings) {
    memory_ = shared_memory(sizeof(layout) + ring_size);
    layout* const shared = ::new (memory_.data()) layout;
    board_ = &shared->board;
    crash_ = &shared->crash;
    const std::span<std::byte> ring(memory_.data() + sizeof(layout), ring_size);
    frames_ = frame_reader(shared->positions, ring);
    posted = finished = 0;
    is_ready = is_corrupt = was_ended = is_late = is_stuck = false;
    last_seen_ = {};
    last_moment = std::chrono::steady_clock::time_point::max();

    const open_memory open(memory_, places.memory());
    process_ = child_process::fork([&](const sigset_t& mask) noexcept {
      for (basic_worker_link& sibling : siblings) sibling.process_.disown();
      become_worker(parent, mask);
      memory_.close_to_children();  // what tasks fork has no business here
      if (places.memory()) places.memory().close_to_children();
      if (work.facts().memory_limit != 0) limit_memory(work.facts().memory_limit);
      board_->wait_for_gate();
      const process_mark mark;
      exit_guard guard(
          mark, [](void* board, int code) noexcept { static_cast<worker_board*>(board)->say_exit(code); }, board_);
      crash_handler::install(shared->crash, mark);
      worker_loop(work, number, *board_, frame_writer(shared->positions, ring), places, bell, mark).run();
      flush_standard_streams();
      board_->say_left();
      flush_standard_streams(streams::foreign);
      end_worker(0);
    });
    board_->open_gate();
  }

  /// Collects the worker if it has ended. Never blocks.
  [[nodiscard]] std::optional<exit_status> try_collect() noexcept {
    std::optional<exit_status> status = process_.try_collect();
    if (status && !status->known()) {
      // What it has said itself.
      const int signal = crash_->signal();
      *status = signal > 0 && signal < NSIG ? exit_status{signal, -1} : exit_status{0, board_->exit_code()};
    }
    return status;
  }
  /// Where the worker, collected, was when this signal ended it.
  [[nodiscard]] crash_site crashed_at(int signal) const {
    if (signal == 0 || crash_->signal() != signal) return {};
    return {crash_->address(), frame_names(crash_->frames())};
  }
  /// Kills the worker, which is collected later.
  void kill() noexcept { process_.kill(); }
  /// Asks the worker to end, and lets it do nothing more after the attempt that it began then. False where it is through with that.
  [[nodiscard]] bool condemn(std::uint64_t attempt_began) noexcept {
    if (!board_->condemn(attempt_began)) return false;
    process_.kill(SIGTERM);
    return true;
  }

  /// True where the worker has said something since it was heard last.
  [[nodiscard]] bool has_news() const noexcept {
    return board_->finished() != finished || frames_.has_news() || (!is_ready && board_->is_ready());
  }

  /// Whether the worker has left alone what only its caller writes. `limit` is the last one that it was told.
  [[nodiscard]] bool is_intact(std::size_t limit) const noexcept { return board_->is_intact(posted, limit) && frames_.is_intact(); }

  /// How long the worker has neither left nor begun anything. The next result that it owes is that of task `next`; its attempt began at
  /// `began`. To be asked again and again.
  [[nodiscard]] std::chrono::nanoseconds silence(std::size_t next, std::uint64_t began,
                                                 std::chrono::steady_clock::time_point now) noexcept {
    const sign_of_life seen{next, began, frames_.bytes_read()};
    if (seen != last_seen_) seen_at_ = now;
    last_seen_ = seen;
    return now - seen_at_;
  }

  [[nodiscard]] bool runs() const noexcept { return process_.runs(); }
  [[nodiscard]] const child_process& process() const noexcept { return process_; }
  [[nodiscard]] worker_board& board() const noexcept { return *board_; }
  [[nodiscard]] frame_reader& frames() noexcept { return frames_; }

  // What the caller has seen; the board may say less by now, or rubbish.
  std::uint32_t posted = 0;    // ranges given
  std::uint32_t finished = 0;  // ranges that the worker is through with
  bool is_ready = false;
  bool is_corrupt = false;  // it was killed because it had overwritten what it shares
  bool was_ended = false;   // it was killed because nobody wants its task, or dismissed because it has run enough
  bool is_late = false;     // it was condemned because its task took too long
  std::chrono::steady_clock::time_point last_moment = std::chrono::steady_clock::time_point::max();  // then it is killed
  bool is_stuck = false;     // it was killed because it did not get on, and had no clock that said since when
  bool was_started = false;  // there was one before

 private:
  struct layout {
    worker_board board;
    ring_positions positions;
    crash_record crash;
  };

  /// Children forked while it lives have the memory.
  class open_memory {
   public:
    open_memory(const shared_memory& own, const shared_memory& places) noexcept : own_(own), places_(places) {
      own_.open_to_children();
      if (places_) places_.open_to_children();
    }
    open_memory(const open_memory&) = delete;
    open_memory& operator=(const open_memory&) = delete;
    ~open_memory() {
      own_.close_to_children();
      if (places_) places_.close_to_children();
    }

   private:
    const shared_memory& own_;
    const shared_memory& places_;
  };

  struct sign_of_life {
    std::size_t next = no_index;
    std::uint64_t began = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const sign_of_life&, const sign_of_life&) = default;
  };

  shared_memory memory_;
  worker_board* board_ = nullptr;
  const crash_record* crash_ = nullptr;
  frame_reader frames_;
  child_process process_;  // after memory_: it ends before that goes
  sign_of_life last_seen_;
  std::chrono::steady_clock::time_point seen_at_;
};
using worker_link = basic_worker_link<void>;

}  // namespace manyhands::detail
