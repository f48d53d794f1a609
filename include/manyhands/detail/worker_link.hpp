#pragma once

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <manyhands/detail/crash_record.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/frame_names.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/pooled_worker.hpp>
#include <manyhands/detail/process.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/detail/task_ring.hpp>
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

  /// So long a worker lives before it is offered to the system.
  static constexpr std::chrono::milliseconds soon{1};

  /// The ring of tasks, for a worker that does not inherit them. They are packed when there is room.
  static constexpr std::size_t task_ring_size = std::size_t{1} << 18;

  /// Forks a worker. `result_size` is that of every result's bytes, 0 where it varies. Throws `std::system_error` where that cannot be. The
  /// memory is new each time: what the last worker wrote, or a child that it left behind still writes, is not there.
  void start(jobs& work, int number, const parent_facts& parent, std::size_t result_size, const doorbell& bell,
             std::span<basic_worker_link> siblings) {
    const shared_memory last = std::move(memory_);  // which goes when the worker is on its way
    const std::span<std::byte> ring = renew_memory(0);
    places_ = direct_results(places_memory(), result_size);
    const open_memory open(memory_);
    started_at_ = std::chrono::steady_clock::now();
    process_ = child_process::fork([&](const sigset_t& mask) noexcept {
      for (basic_worker_link& sibling : siblings) sibling.process_.disown();
      become_worker(parent, mask);
      memory_.close_to_children();  // what tasks fork has no business here
      live(work.facts().memory_limit, [&](const process_mark& mark) noexcept {
        worker_loop(work, number, *board_, frame_writer(shared_->positions, ring), places_, bell, mark).run();
      });
    });
    board_->open_gate();
  }
  /// Forks a worker that lives on, from a thread that does so, too. `mask` are the signals that it shall block. Throws like `start`.
  void start_pooled(std::size_t memory_limit, const parent_facts& parent, const sigset_t& mask) {
    bell_ = std::make_unique<doorbell>();
    const std::span<std::byte> ring = renew_memory(sizeof(ring_positions) + task_ring_size);
    std::byte* const more = memory_.data() + memory_size;
    ring_positions* const positions = ::new (static_cast<void*>(more)) ring_positions;
    const std::span<std::byte> task_ring(more + sizeof(ring_positions), task_ring_size);
    parcels_ = parcel_sender(*positions, task_ring);
    outbox_ = {};
    calls_ = 0;
    ranges_before_ = 0;
    tasks_given = 0;
    const open_memory open(memory_);
    started_at_ = std::chrono::steady_clock::now();
    process_ = child_process::fork([&](const sigset_t&) noexcept {
      become_worker(parent, mask);
      memory_.close_to_children();
      live(memory_limit, [&](const process_mark& mark) noexcept {
        pooled_worker(*board_, shared_->positions, ring, places_memory(), *positions, task_ring, *bell_, mark).run();
      });
    });
    board_->open_gate();
  }

  // --- a worker that lives on

  /// Begins a call, as `save_call` has written it, with a worker that is idle.
  void begin_call(call_opening opening, std::span<const std::byte> call) {
    ranges_before_ += posted;
    opening.ranges_before = ranges_before_;
    places_ = direct_results(places_memory(), opening.result_size, ranges_before_);
    posted = finished = 0;
    is_ready = false;
    last_seen_ = {};
    outbox_.waiting.clear();
    board_->begin_call(++calls_);
    parcel_header header{parcel_header::of_call(calls_), 0};
    outbox_.bytes.clear();
    outbox_.sent = 0;
    outbox_.bytes.write(&header, sizeof header);
    save_opening(opening, outbox_.bytes);
    outbox_.bytes.write(call.data(), call.size());
    header.length = outbox_.bytes.size() - sizeof header;
    outbox_.bytes.overwrite(0, &header, sizeof header);
    static_cast<void>(send_bytes());
    parcels_.publish();
  }
  /// Has these tasks sent, which are those of the range that is posted next.
  void queue(index_range tasks) {
    outbox_.waiting.push_back({posted, tasks});
    tasks_given += tasks.size();
  }
  /// Range `number` ends at `last` from now on.
  void shorten(std::uint32_t number, std::size_t last) noexcept {
    for (auto& each : outbox_.waiting) {
      if (each.number != number) continue;
      each.tasks.last = std::max(each.tasks.first, std::min(each.tasks.last, last));
    }
  }
  /// Packs and sends as many tasks as there is room for. Throws `std::bad_alloc`. `is_posted` afterwards: what is posted wakes the worker.
  void send(jobs& work, bool is_posted = false) {
    bool is_news = false;
    while (send_bytes(is_news)) {
      outbox_.bytes.clear();
      outbox_.sent = 0;
      while (outbox_.bytes.size() < worth_sending && pack_next(work)) {
      }
      if (outbox_.bytes.size() == 0) break;
    }
    if (!is_news) return;
    parcels_.publish();
    if (!is_posted) board_->nudge();
  }
  /// Forgets tasks that were not sent: nobody wants them.
  void send_no_more() noexcept { outbox_.waiting.clear(); }
  /// Whether there is something to send, and room for it.
  [[nodiscard]] bool can_send() noexcept {
    return (!outbox_.waiting.empty() || outbox_.sent != outbox_.bytes.size()) && parcels_.has_room();
  }
  /// Nothing of a call is left in the worker or on the way to it: it may begin another one.
  [[nodiscard]] bool is_idle() const noexcept {
    return runs() && !is_corrupt && !was_ended && !is_late && !is_stuck && board_->finished() == posted && finished == posted &&
           board_->running() == no_index && !frames_.has_news() && !frames_.is_amid() && outbox_.sent == outbox_.bytes.size() &&
           !board_->is_leaving();
  }
  /// The same in a moment, if it does not die.
  [[nodiscard]] bool can_become_idle() const noexcept { return outbox_.sent == outbox_.bytes.size() && !board_->is_leaving(); }
  /// What it rings, null for one that is forked for a call.
  [[nodiscard]] const doorbell* bell() const noexcept { return bell_.get(); }

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
  /// The same, waiting for its end. After `kill`.
  void collect() noexcept { process_.collect(); }
  /// Where the worker, collected, was when this signal ended it.
  [[nodiscard]] crash_site crashed_at(int signal) const {
    if (signal == 0 || crash_->signal() != signal) return {};
    return {crash_->address(), frame_names(crash_->frames())};
  }
  /// Has the system take this worker before the program, where memory runs out, once it lives for so long that it can have used much: what
  /// that takes is much for a short call. To be called now and then, or with `now` at once.
  void offer_where_memory_runs_out(bool now = false) noexcept {
    if (is_offered || !runs() || (!now && std::chrono::steady_clock::now() - started_at_ < soon)) return;
    is_offered = true;
    process_.goes_first();
  }
  /// Has the worker leave when it has run what it was given.
  void let_go() noexcept {
    if (!std::exchange(was_let_go, true)) board_->dismiss();
  }
  /// Whether it has done that, as far as one can tell from how it ended.
  [[nodiscard]] bool has_left(const exit_status& end) const noexcept { return was_let_go && end.signal == 0 && end.code <= 0; }
  /// Kills the worker, which is collected later.
  void kill() noexcept { process_.kill(); }
  /// Asks the worker to end, and lets it do nothing more after the attempt that it began then. False where it is through with that.
  [[nodiscard]] bool condemn(std::uint64_t attempt_began) noexcept {
    if (!board_->condemn(attempt_began)) return false;
    process_.kill(SIGTERM);
    return true;
  }

  /// True where the worker has said something since it was heard last.
  [[nodiscard]] bool has_news() noexcept {
    return (bell_ != nullptr && can_send()) || board_->finished() != finished || frames_.has_news() || (!is_ready && board_->is_ready());
  }

  /// Whether the worker has left alone what only its caller writes. `limit` is the last one that it was told.
  [[nodiscard]] bool is_intact(std::size_t limit) const noexcept {
    return board_->is_intact(posted, limit, was_let_go) && frames_.is_intact() && (bell_ == nullptr || parcels_.is_intact());
  }

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
  /// Where the worker puts results that all have the same size.
  [[nodiscard]] const direct_results& places() const noexcept { return places_; }

  // What the caller has seen; the board may say less by now, or rubbish.
  std::uint32_t posted = 0;    // ranges given
  std::uint32_t finished = 0;  // ranges that the worker is through with
  bool is_ready = false;
  bool is_corrupt = false;  // it was killed because it had overwritten what it shares
  bool is_offered = false;  // to the system, where memory runs out
  bool was_let_go = false;  // it leaves by itself when it has run what it was given
  bool was_ended = false;   // it was killed because nobody wants its task, or dismissed because it has run enough
  bool is_late = false;     // it was condemned because its task took too long
  std::chrono::steady_clock::time_point last_moment = std::chrono::steady_clock::time_point::max();  // then it is killed
  bool is_stuck = false;        // it was killed because it did not get on, and had no clock that said since when
  bool was_started = false;     // there was one before
  std::size_t tasks_given = 0;  // in all calls of one that lives on

 private:
  struct layout {
    worker_board board;
    ring_positions positions;
    crash_record crash;
  };
  static constexpr std::size_t memory_size = sizeof(layout) + ring_size + direct_results::memory_size;

  // Many small parcels go into the ring at once.
  static constexpr std::size_t worth_sending = std::size_t{4} << 10;

  /// What is on the way to a worker that lives on.
  struct outbox {
    struct range {
      std::uint32_t number;
      index_range tasks;
    };
    std::vector<range> waiting = {};  // not packed yet
    writer bytes = {};                // of the parcels that are being sent
    std::size_t sent = 0;
  };

  /// Memory for a new worker, with so many bytes behind what every one has. Returns the ring of results.
  std::span<std::byte> renew_memory(std::size_t more) {
    memory_ = shared_memory(memory_size + more);
    shared_ = ::new (memory_.data()) layout;
    board_ = &shared_->board;
    crash_ = &shared_->crash;
    const std::span<std::byte> ring(memory_.data() + sizeof(layout) + direct_results::memory_size, ring_size);
    frames_ = frame_reader(shared_->positions, ring);
    posted = finished = 0;
    is_ready = is_corrupt = is_offered = was_let_go = was_ended = is_late = is_stuck = false;
    last_seen_ = {};
    last_moment = std::chrono::steady_clock::time_point::max();
    return ring;
  }
  /// Right behind the board: a short call has its results in the page that it needs in any case.
  [[nodiscard]] std::span<std::byte> places_memory() const noexcept {
    return {memory_.data() + sizeof(layout), direct_results::memory_size};
  }
  /// All that a worker does. Does not return.
  template <class Serve>
  [[noreturn]] void live(std::size_t memory_limit, Serve&& serve) noexcept {
    memory_limit != 0 ? limit_memory(memory_limit) : keep_freed_memory();
    board_->wait_for_gate();
    const process_mark mark;
    exit_guard guard(
        mark, [](void* board, int code) noexcept { static_cast<worker_board*>(board)->say_exit(code); }, board_);
    crash_handler::install(shared_->crash, mark);
    serve(mark);
    flush_standard_streams();
    board_->say_left();
    flush_standard_streams(streams::foreign);
    end_worker(0);
  }
  /// Packs the next task that waits. False where none does.
  bool pack_next(jobs& work) {
    while (!outbox_.waiting.empty() && outbox_.waiting.front().tasks.empty()) outbox_.waiting.erase(outbox_.waiting.begin());
    if (outbox_.waiting.empty()) return false;
    const std::size_t index = outbox_.waiting.front().tasks.first++;
    const std::size_t begin = outbox_.bytes.size();
    parcel_header header{index, 0};
    outbox_.bytes.write(&header, sizeof header);
    work.pack(index, outbox_.bytes);
    header.length = outbox_.bytes.size() - begin - sizeof header;
    outbox_.bytes.overwrite(begin, &header, sizeof header);
    return true;
  }
  /// Sends what there is room for of the parcels that are being sent. True where nothing is left of them.
  bool send_bytes() noexcept {
    bool is_news = false;
    return send_bytes(is_news);
  }
  bool send_bytes(bool& is_news) noexcept {
    if (outbox_.sent == outbox_.bytes.size()) return true;
    const std::size_t size = parcels_.append(outbox_.bytes.bytes().subspan(outbox_.sent));
    outbox_.sent += size;
    is_news = is_news || size != 0;
    return outbox_.sent == outbox_.bytes.size();
  }

  /// Children forked while it lives have the memory.
  class open_memory {
   public:
    explicit open_memory(const shared_memory& own) noexcept : own_(own) { own_.open_to_children(); }
    open_memory(const open_memory&) = delete;
    open_memory& operator=(const open_memory&) = delete;
    ~open_memory() { own_.close_to_children(); }

   private:
    const shared_memory& own_;
  };

  struct sign_of_life {
    std::size_t next = no_index;
    std::uint64_t began = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const sign_of_life&, const sign_of_life&) = default;
  };

  shared_memory memory_;
  layout* shared_ = nullptr;
  worker_board* board_ = nullptr;
  const crash_record* crash_ = nullptr;
  frame_reader frames_;
  direct_results places_;
  child_process process_;  // after memory_: it ends before that goes
  std::chrono::steady_clock::time_point started_at_;
  sign_of_life last_seen_;
  std::chrono::steady_clock::time_point seen_at_;
  // Of a worker that lives on.
  std::unique_ptr<doorbell> bell_;
  parcel_sender parcels_;
  outbox outbox_;
  std::uint32_t calls_ = 0;
  std::uint32_t ranges_before_ = 0;  // in all its calls but this one
};
using worker_link = basic_worker_link<void>;

}  // namespace manyhands::detail
