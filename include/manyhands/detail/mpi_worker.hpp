#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/mpi_letter.hpp>
#include <manyhands/detail/mpi_patience.hpp>
#include <manyhands/detail/mpi_post.hpp>
#include <manyhands/detail/splittable_range.hpp>
#include <manyhands/exception_codec.hpp>

namespace manyhands::detail {

/// A call as a rank that runs tasks of it sees it. Used by one thread, but for the token.
class mpi_far_call {
 public:
  mpi_far_call() = default;
  mpi_far_call(const mpi_far_call&) = delete;
  mpi_far_call& operator=(const mpi_far_call&) = delete;
  virtual ~mpi_far_call() = default;

  /// The thread turns to this call, and away from it. Tasks run in between.
  virtual void enter() = 0;
  virtual void leave() noexcept = 0;
  /// Why no task can be run, null where they can.
  [[nodiscard]] virtual std::exception_ptr broken() const noexcept = 0;
  /// Runs one task, and leaves its value or its error in the bytes.
  virtual task_result run(std::size_t index, std::span<const std::byte> task, writer& result) noexcept = 0;
  /// No task at or above this index may begin any more, as far as tasks that ran here tell.
  [[nodiscard]] virtual std::size_t limit() const noexcept = 0;
};

/// What a rank does that is not rank 0: it runs the tasks that it is sent, and answers.
///
/// Tasks run in the thread that serves. While one runs, another thread hears what rank 0 says: it gives back what has not begun, and shows
/// that the rank is alive.
template <class>
class basic_mpi_worker {
 public:
  using clock = std::chrono::steady_clock;
  /// Makes a call out of what was sent of it. `number` is this worker's in the call, and `stop` what asks its tasks to stop.
  using call_maker = std::function<std::unique_ptr<mpi_far_call>(int number, reader& facts, const std::stop_token& stop)>;

  /// How this rank finds out that rank 0 is gone, where the launcher does not see to that: `silence` without a sign from it; then
  /// `orphaned` is called.
  struct watch_over_root {
    std::chrono::nanoseconds silence{0};
    std::function<void()> orphaned = {};
  };

  basic_mpi_worker(mpi_post& post, call_maker make, watch_over_root watch = {})
      : post_(post), make_(std::move(make)), watch_(std::move(watch)) {}
  basic_mpi_worker(const basic_mpi_worker&) = delete;
  basic_mpi_worker& operator=(const basic_mpi_worker&) = delete;
  ~basic_mpi_worker() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    if (listener_.joinable()) listener_.join();
  }

  /// Returns when rank 0 needs this one no more. Throws `error` where MPI fails.
  void serve() {
    heard_ = clock::now();
    mpi_patience patience;
    for (;;) {
      std::optional<order> next;
      bool is_orphan = false;
      {
        const std::lock_guard lock(mutex_);
        const bool any = listen();
        if (!orders_.empty()) {
          next = std::move(orders_.front());
          orders_.pop_front();
          if (next->head.kind == mpi_letter_kind::batch) begin(*next);
        } else if (is_finished_) {
          break;
        } else if (any || post_.is_sending()) {
          patience.reset();
        } else {
          is_orphan = watch_.silence.count() != 0 && clock::now() - heard_ > watch_.silence;
        }
      }
      tell_the_asked();
      if (next) {
        follow(*next);
        patience.reset();
      } else {
        if (is_orphan) watch_.orphaned();
        patience.wait();
      }
    }
    turn_to(nullptr);
    while (is_sending()) patience.wait();
  }
  /// The task that runs, `no_index` if none does. Any thread.
  [[nodiscard]] std::size_t running() const noexcept { return running_.load(std::memory_order_relaxed); }

 private:
  /// The other thread looks so often whether the one that serves is too busy to listen.
  static constexpr std::chrono::milliseconds listening_interval{2};
  /// The serving thread listens so often between tasks.
  static constexpr std::chrono::microseconds between_tasks{200};
  /// Results of a batch that goes on travel alone when they have waited so long, or become so many bytes.
  static constexpr std::chrono::milliseconds longest_wait{50};
  static constexpr std::size_t most_bytes = std::size_t{4} << 20U;
  /// A result of so many bytes travels from where it is.
  static constexpr std::size_t large = std::size_t{128} << 10U;

  struct order {
    mpi_letter_head head;
    mpi_buffer letter;
  };
  struct call_state {
    std::atomic<std::size_t> limit{no_index};
    std::stop_source source;
    std::stop_token token = source.get_token();
    std::unique_ptr<mpi_far_call> call;  // the serving thread's
  };

  // --- with mutex_ held

  /// Hears all that has come. True if there was anything.
  bool listen() {
    listened_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    static_cast<void>(post_.is_sending());
    bool any = false;
    for (typename mpi_post::letter next; post_.receive(next); any = true) hear(std::move(next.content));
    if (any) heard_ = clock::now();
    return any;
  }
  void hear(mpi_buffer letter) {
    reader bytes(letter.bytes());
    const mpi_letter_head head = mpi_take_head(bytes);
    switch (head.kind) {
      case mpi_letter_kind::call:
        calls_.try_emplace(head.call);
        listen_while_busy();
        [[fallthrough]];
      case mpi_letter_kind::batch:
      case mpi_letter_kind::done:
        orders_.push_back({head, std::move(letter)});
        return;
      case mpi_letter_kind::limit:
        if (const auto found = calls_.find(head.call); found != calls_.end()) {
          std::atomic<std::size_t>& limit = found->second.limit;
          limit.store(std::min<std::size_t>(limit.load(std::memory_order_relaxed), head.first), std::memory_order_relaxed);
        }
        return;
      case mpi_letter_kind::stop:
        if (const auto found = calls_.find(head.call); found != calls_.end()) asked_.push_back(found->second.source);
        return;
      case mpi_letter_kind::give_back:
        give_back(head);
        return;
      case mpi_letter_kind::ping:
        post_.send(0, mpi_short_letter({.kind = mpi_letter_kind::pong}));
        return;
      case mpi_letter_kind::finish:
        is_finished_ = true;
        return;
      default:
        return;
    }
  }
  void give_back(const mpi_letter_head& head) {
    mpi_letter_head reply{.kind = mpi_letter_kind::gave_back, .call = head.call, .first = no_index};
    const bool whole = head.count == 1;
    // The newest first: what came before it is begun sooner.
    const auto newest = std::find_if(orders_.rbegin(), orders_.rend(), [&](const order& each) {
      return each.head.kind == mpi_letter_kind::batch && each.head.call == head.call && each.head.count != 0;
    });
    if (newest != orders_.rend()) {
      mpi_letter_head& batch = newest->head;
      const bool busy = current_ && current_->call == head.call;
      const std::uint64_t keeps = whole || busy ? 0 : (batch.count + 1) / 2;
      if (keeps < batch.count) {
        batch.count = keeps;
        reply.number = batch.number;
        reply.first = batch.first + keeps;
      }
    } else if (std::size_t first = 0, last = 0; !whole && current_ && current_->call == head.call && range_.split(first, last)) {
      reply.number = current_->number;
      reply.first = first;
    }
    post_.send(0, mpi_short_letter(reply));
  }
  void begin(const order& batch) {
    current_ = batch.head;
    const auto first = static_cast<std::size_t>(batch.head.first);
    range_.open(first, first + static_cast<std::size_t>(batch.head.count), clock::now());
  }
  void listen_while_busy() {
    if (!listener_.joinable()) listener_ = std::thread([this] { stand_in(); });
    changed_.notify_all();
  }

  // --- the thread that listens while the other one is at a task

  void stand_in() noexcept {
    std::unique_lock lock(mutex_);
    while (!is_over_) {
      if (calls_.empty()) {
        changed_.wait(lock, [this] { return is_over_ || !calls_.empty(); });
        continue;
      }
      changed_.wait_for(lock, listening_interval, [this] { return is_over_; });
      const clock::duration since(clock::now().time_since_epoch().count() - listened_.load(std::memory_order_relaxed));
      if (is_over_ || since < 2 * listening_interval) continue;
      try {
        listen();
      } catch (...) {  // the serving thread will meet it, too
      }
      if (asked_.empty()) continue;
      lock.unlock();
      tell_the_asked();
      lock.lock();
    }
  }
  /// Asks tasks to stop. Not with the mutex held: this calls what they have registered.
  void tell_the_asked() noexcept {
    std::vector<std::stop_source> asked;
    {
      const std::lock_guard lock(mutex_);
      if (asked_.empty()) return;
      std::swap(asked, asked_);
    }
    for (std::stop_source& each : asked) each.request_stop();
  }

  // --- the thread that serves

  void follow(order& next) {
    call_state* state = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto found = calls_.find(next.head.call);
      if (found == calls_.end()) throw codec_error("a letter is about a call that has not begun");
      state = &found->second;  // a map's elements stay where they are
    }
    if (next.head.kind == mpi_letter_kind::call) {
      begin_call(*state, next);
    } else if (next.head.kind == mpi_letter_kind::batch) {
      run_batch(*state, next);
    } else {
      if (here_ == state->call.get()) turn_to(nullptr);
      state->call.reset();
      const std::lock_guard lock(mutex_);
      calls_.erase(next.head.call);
    }
  }
  void begin_call(call_state& state, const order& from) {
    std::exception_ptr cause;
    try {
      reader bytes(from.letter.bytes());
      static_cast<void>(mpi_take_head(bytes));
      state.call = make_(static_cast<int>(from.head.number), bytes, state.token);
      turn_to(state.call.get());
      cause = state.call->broken();
    } catch (...) {
      cause = std::current_exception();
    }
    if (cause == nullptr) return;
    turn_to(nullptr);
    state.call.reset();
    writer bytes = mpi_short_letter({.kind = mpi_letter_kind::broken, .call = from.head.call});
    save_exception(cause, bytes);
    send(std::move(bytes));
  }
  void turn_to(mpi_far_call* call) {
    if (here_ == call) return;
    if (here_ != nullptr) std::exchange(here_, nullptr)->leave();
    if (call != nullptr) call->enter();
    here_ = call;
  }

  void run_batch(call_state& state, const order& batch) {
    if (state.call != nullptr) turn_to(state.call.get());
    reader tasks(batch.letter.bytes());
    static_cast<void>(mpi_take_head(tasks));
    mpi_letter_head head{.kind = mpi_letter_kind::answer, .call = batch.head.call, .number = batch.head.number, .first = batch.head.first};
    writer results = mpi_short_letter(head);
    clock::time_point began = clock::now();
    clock::time_point listened = began;
    std::size_t look_after = 1;
    const auto is_wanted = [&](std::size_t index) {
      return state.call != nullptr && index < state.limit.load(std::memory_order_relaxed) && index < state.call->limit();
    };
    std::size_t unlooked = 0;
    for (auto index = static_cast<std::size_t>(batch.head.first); range_.claim(index) && is_wanted(index); ++index) {
      const std::span<const std::byte> task = mpi_take_part(tasks).second;
      running_.store(index, std::memory_order_relaxed);
      result_.clear();
      const task_result what = state.call->run(index, task, result_);
      const bool is_large = result_.size() >= large;
      mpi_put_part(results, static_cast<std::uint64_t>(what), is_large ? std::span<const std::byte>() : result_.bytes());
      ++head.count;
      if (++unlooked < look_after && results.size() < most_bytes && !is_large) continue;
      const clock::time_point now = clock::now();
      // Cheap tasks are not worth a look at the clock each.
      look_after =
          now - listened < between_tasks / 4 ? std::min<std::size_t>(2 * look_after, 32) : std::max<std::size_t>(look_after / 2, 1);
      unlooked = 0;
      if (now - began > longest_wait || results.size() >= most_bytes || is_large) {
        head.elapsed = std::chrono::nanoseconds(now - began).count();
        head.is_enclosed = is_large ? 1 : 0;
        answer(std::exchange(results, mpi_short_letter(head)), head, is_large ? &result_ : nullptr);
        began = clock::now();
      } else if (now - listened > between_tasks) {
        const std::lock_guard lock(mutex_);
        listen();
      } else {
        continue;
      }
      listened = now;
      tell_the_asked();
    }
    running_.store(no_index, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      range_.close();
      current_.reset();
    }
    head.elapsed = std::chrono::nanoseconds(clock::now() - began).count();
    head.is_last = 1;
    answer(std::move(results), head, nullptr);
  }
  void answer(writer&& results, mpi_letter_head& head, writer* enclosed) {
    results.overwrite(0, &head, sizeof head);
    send(std::move(results), enclosed);
    head.first += head.count;
    head.count = 0;
    head.is_enclosed = 0;
  }
  /// What is large has to have left before the next task begins: while that runs, nobody would see to it.
  void send(writer&& bytes, writer* enclosed = nullptr) {
    {
      const std::lock_guard lock(mutex_);
      if (enclosed != nullptr) {
        post_.send(0, std::move(bytes), std::exchange(*enclosed, writer()));
      } else {
        post_.send(0, std::move(bytes));
      }
      listen();
    }
    for (mpi_patience patience; is_sending();) patience.wait();
  }
  [[nodiscard]] bool is_sending() {
    const std::lock_guard lock(mutex_);
    return post_.is_sending();
  }

  std::mutex mutex_;
  // Guarded by mutex_.
  mpi_post& post_;
  std::deque<order> orders_;  // in the order in which they came
  std::map<std::uint32_t, call_state> calls_;
  std::vector<std::stop_source> asked_;     // to be asked to stop
  std::optional<mpi_letter_head> current_;  // the batch that runs
  bool is_finished_ = false;                // rank 0 has said so
  bool is_over_ = false;                    // the listener is to end
  clock::time_point heard_ = {};

  std::condition_variable changed_;
  splittable_range range_;  // of the batch that runs
  std::atomic<clock::rep> listened_{0};
  std::atomic<std::size_t> running_{no_index};
  const call_maker make_;
  const watch_over_root watch_;
  mpi_far_call* here_ = nullptr;  // the call that the serving thread has entered
  writer result_;
  std::thread listener_;
};
using mpi_worker = basic_mpi_worker<void>;

}  // namespace manyhands::detail
