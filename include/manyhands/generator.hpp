#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/config.hpp>
#include <manyhands/detail/call_setup.hpp>
#include <manyhands/detail/slots.hpp>
#include <manyhands/detail/stream_driver.hpp>
#include <manyhands/detail/stream_slots.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/indexed.hpp>
#include <manyhands/options.hpp>
#include <manyhands/scope.hpp>
#if MANYHANDS_HAS_FORK
#include <manyhands/detail/stream_in_processes.hpp>
#endif

namespace manyhands {

namespace detail {

/// A call whose results are taken one by one, as far as the one who takes them sees it.
template <class Element>
class stream {
 public:
  stream() = default;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  virtual ~stream() = default;

  /// The result whose turn it is, null at the end. The first time it waits for it.
  [[nodiscard]] Element* first() {
    if (!begun_) {
      begun_ = true;
      advance();
    }
    return at_;
  }
  /// The results that are there, side by side, end here. The one who takes them ends each, and says what is the current one then.
  [[nodiscard]] Element* last() const noexcept { return last_; }
  void stand_at(Element* current) noexcept { at_ = current; }
  /// Waits for more when the last one of these was ended, and gives the current one, null at the end.
  [[nodiscard]] Element* go_on() {
    advance();
    return at_;
  }

 protected:
  /// Sets a run of results once the one before has been ended; none at the end. Throws the call's error.
  virtual void advance() = 0;

  // Results that are there, side by side: those from `run_` to `at_` have been ended.
  Element* run_ = nullptr;
  Element* at_ = nullptr;
  Element* last_ = nullptr;
  bool begun_ = false;
};

template <class Range, bool ordered>
class stream_call final : public stream<typename stream_slots<Range, ordered>::element>, private stream_goal {
  using slots = stream_slots<Range, ordered>;

 public:
  using element = typename slots::element;

  stream_call(const options& own, Range range)
      : options_(own), scope_(kept_scope()), call_(set_up()), range_(std::move(range)), slots_(range_) {
    call_.attach(slots_);
    call_.begin();
    try {
      start();
    } catch (...) {
      if (work_) work_->want_no_more();
      close();
      end(std::current_exception());
      throw;
    }
  }
  ~stream_call() override {
    for (; this->at_ != this->last_; ++this->at_) this->at_->~element();
    slots_.consume(static_cast<std::size_t>(this->at_ - this->run_));
    work_->want_no_more();
    close();
    if (is_ended_) return;
    try {
      end(work_->error());
    } catch (...) {  // of an observer or a journal, and nobody is left to hear of it
    }
  }

 private:
  [[nodiscard]] static std::optional<scope_frame> kept_scope() {
    return here.scope != nullptr ? std::optional<scope_frame>(*here.scope) : std::nullopt;
  }
  // The guard of the scope, and the object that was called, may end before this.
  [[nodiscard]] call_setup set_up() const {
    struct scope_change {
      explicit scope_change(const scope_frame* scope) : outer(std::exchange(here.scope, scope)) {}
      scope_change(const scope_change&) = delete;
      scope_change& operator=(const scope_change&) = delete;
      ~scope_change() { here.scope = outer; }
      const scope_frame* outer;
    } const mine(scope_ ? &*scope_ : nullptr);
    return call_setup(options_);
  }

  void start() {
    backend& who = call_.who();
    const backend_traits traits = who.traits();
    work_.emplace(call_.facts, slots_, traits.shares_memory);
    drive(who, detail::checked_transport(*work_, traits).fixed_size);
    // Only now there is somebody to wake; and no task was read yet.
    if (call_.facts.stop != nullptr) {
      stops_.emplace(*call_.facts.stop, [this] {
        work_->cancel();
        slots_.watch().interrupt();
      });
    }
    if (driver_->is_eager()) read_ahead(call_.how.read_ahead);
  }
  void drive(backend& who, [[maybe_unused]] std::size_t result_size) {
    const plan& how = call_.how;
    if (call_.chosen.in_caller) {
      driver_ = std::make_unique<stream_in_caller>(*work_);
      return;
    }
    switch (const stream_host host = who.streams(); host.how) {
      case stream_host::kind::on_team:
        driver_ = std::make_unique<stream_on_team>(*work_, how, slots_.watch(), host.outside);
        break;
      case stream_host::kind::in_processes:
#if MANYHANDS_HAS_FORK
        driver_ = std::make_unique<stream_in_processes>(*work_, how, result_size);
        break;
#endif
      case stream_host::kind::elsewhere:
        driver_.reset(host.made(*work_, how));
        break;
      case stream_host::kind::in_turns:
        driver_ = std::make_unique<stream_in_turns>(*work_, how, who);
        break;
    }
  }
  /// Waits until nothing of the call runs any more, and nobody can stop it.
  void close() noexcept {
    if (driver_ != nullptr) driver_->close();
    stops_.reset();
  }
  void end(std::exception_ptr error) {
    is_ended_ = true;
    call_.end(std::move(error));
  }

  void advance() override {
    slots_.consume(static_cast<std::size_t>(this->at_ - this->run_));
    this->run_ = this->at_ = this->last_ = nullptr;
    for (;;) {
      read_ahead();
      if (take()) return;
      if (is_over()) {
        close();
        // What came to its end meanwhile is still wanted.
        if (take()) return;
        end(work_->error());
        work_->rethrow();
        return;
      }
      driver_->attend(*this);
    }
  }
  bool take() noexcept {
    std::tie(this->run_, this->last_) = slots_.next(std::max<std::size_t>(batch() / 2, 1));
    this->at_ = this->run_;
    return this->at_ != nullptr;
  }

  /// Reads as far ahead as the call permits, but no more than so many batches where there is a result to give.
  void read_ahead(std::size_t batches = 1) {
    const std::size_t size = batch();
    const bool all = call_.how.read_ahead == no_index || batches > no_index / size;
    const std::size_t enough = all ? no_index : batches * size;
    bool fed = true;
    for (std::size_t read = 0; !work_->complete() && !work_->stopped() && (read < enough || !slots_.has_next());) {
      const std::size_t room = free_places();
      if (room == 0) break;
      const std::size_t before = work_->known();
      static_cast<void>(work_->read(slots::reads_at_once ? room : 1));
      read += work_->known() - before;
      fed = false;
      driver_->feed(true);
    }
    if (!fed) driver_->feed(false);
  }
  [[nodiscard]] std::size_t free_places() const noexcept {
    if (!driver_->is_eager()) return work_->known() == slots_.consumed() ? 1 : 0;
    const std::size_t unconsumed = work_->known() - slots_.consumed();
    const std::size_t size = batch();
    if (call_.how.read_ahead > std::numeric_limits<std::size_t>::max() / size) return std::numeric_limits<std::size_t>::max();
    const std::size_t most = call_.how.read_ahead * size;
    // In whole batches: to hand out a few tasks takes as long as to hand out many.
    return unconsumed < most && most - unconsumed >= size ? most - unconsumed : 0;
  }
  [[nodiscard]] std::size_t batch() const noexcept {
    if (!call_.how.batch.is_automatic()) return call_.how.batch.count();
    // So that the results that wait stay in the processor's cache.
    constexpr std::size_t most = std::clamp<std::size_t>((std::size_t{1} << 18U) / sizeof(element), 1, 16384);
    return std::min(driver_->batch(), most);
  }

  /// Whether no result will come but those that are there, or that come to their end by themselves.
  [[nodiscard]] bool is_over() const noexcept {
    if (!work_->stopped()) return work_->complete() && slots_.consumed() == work_->known();
    return !ordered || slots_.consumed() >= work_->limit();
  }
  [[nodiscard]] bool is_reached() const noexcept override { return slots_.has_next() || is_over(); }
  void expects(bool any) noexcept override {
    if (any) {
      slots_.watch().expect(slots_.next_arrival());
    } else {
      slots_.watch().expect_nothing();
    }
  }

  const options options_;
  const std::optional<scope_frame> scope_;
  call_setup call_;
  Range range_;
  slots slots_;
  std::optional<slot_jobs<slots>> work_;
  std::unique_ptr<stream_driver> driver_;
  std::optional<std::stop_callback<std::function<void()>>> stops_;
  bool is_ended_ = false;  // observers were told
};

}  // namespace detail

/// The results of a call while its tasks still run: what `Parallel::generator` and `Parallel::generator_unordered` give. A move-only input
/// range that can be gone through once.
///
/// `Element` is the tasks' result `R`: a `std::reference_wrapper` in the place of a reference, and for `void` the index of the task that
/// is done, a `std::size_t`. Of `generator_unordered` it is `indexed<R>`. Like `std::generator` it gives rvalues: `for (auto x : results)`
/// moves each one out, `for (auto&& x : results)` looks at it where it is.
///
/// Tasks are handed out from the beginning, by the call itself. The input is read only by the thread that makes the call, goes to the next
/// result or asks for the first: one element at a time, and while it does so. It reads up to a batch for each batch of results that it has
/// gone beyond, and more while it would have to wait, but never so that more than `options::pre_dispatch` batches have been read of which
/// results have not been gone beyond; the result that is being looked at counts as one of these. With "all" the input is read to its end
/// by the call. Where `batch_size` is not given, batches of cheap tasks grow, to a quarter of a mebibyte of results at most.
///
/// Results that are ready before a failure come first; the error is thrown in the place of the next one once nothing runs any more, and
/// then the range is at its end. In input order that is the error which a plain loop would have met, after all results before it; in order
/// of completion, the error of the lowest index after the results of all tasks that had begun. If the input throws, so does the range after
/// the results of what was read.
///
/// The destructor lets no further task begin, and returns when none runs any more. Worker processes that run one are killed.
///
/// Options hold as in other calls: `timeout` and `retries` for each task, `stop` until the last result was taken; then `cancelled` is
/// thrown after the results that were there. Observers are told of the call's begin when it is made, and of its end when the range is at
/// its end or destroyed: without an error where it was left early. What an earlier run has left in the `checkpoint` is given without
/// running those tasks again. Where an observer or the journal has failed, `observer_error` comes after the last result.
///
/// On threads, `n_jobs` helpers run the tasks. Where these take but a few nanoseconds the consuming thread runs them itself, a large batch
/// at a time and in the place of a helper, which comes when it does something else for some milliseconds. Inside a task, and on an executor
/// of the program's own, the consuming thread is one of the workers while it waits for a result: it cannot deadlock there. A generator that
/// was made inside a task ends with the call that the task is of: what is left of it then throws `error`. With one worker, and on the
/// backend "sequential", a task is read and runs in the consuming thread when its result is asked for. A backend of the program's own runs
/// what was read, all of it, when a result is asked for.
///
/// On processes any closure works, as in other calls: workers are forked by the consuming thread, in its calls, for the tasks that were
/// read by then, as many as there are too few, and inherit these. So an element that was read after a fork costs one more, and batches
/// should last longer than that, some tenths of a millisecond: automatic ones grow to 5 ms, or to eight times as long as a fork takes.
/// While the consumer does something else, workers go on with what they have been given, no more are forked, and none is ended because its
/// task is late or the call was stopped. The thread that forked them must live on until they are done: the system ends them with it.
///
/// May be moved at any time, and used by one thread at a time.
template <class Element>
class generator {
 public:
  class iterator {
   public:
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator(iterator&&) noexcept = default;
    iterator& operator=(iterator&&) noexcept = default;
    iterator(const iterator&) = delete;
    iterator& operator=(const iterator&) = delete;
    ~iterator() = default;

    /// Blocks until the next result is there. Throws the call's error.
    iterator& operator++() {
      std::destroy_at(at_);
      ++at_;
      from_->stand_at(at_);
      if (at_ == last_) go_on();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] Element&& operator*() const noexcept { return std::move(*at_); }
    friend bool operator==(const iterator& at, std::default_sentinel_t) noexcept { return at.at_ == nullptr; }

   private:
    friend class generator;
    // Not inline: the compiler keeps what the loop adds up in memory then, since there is a call in it, and each step waits for the last
    // one.
    [[gnu::noinline, gnu::cold]] void go_on() {
      at_ = nullptr;
      at_ = from_->go_on();
      last_ = from_->last();
    }
    explicit iterator(detail::stream<Element>& from) : from_(&from), at_(from.first()), last_(from.last()) {}

    detail::stream<Element>* from_;
    // Here, too, where the compiler can keep them in registers.
    Element* at_;
    Element* last_;
  };

  /// What `Parallel` makes.
  explicit generator(std::unique_ptr<detail::stream<Element>> call) noexcept : call_(std::move(call)) {}

  /// Blocks until the first result is there. Throws the call's error. Called again, it stands at the current result, and of the
  /// two iterators only one may go on.
  [[nodiscard]] iterator begin() { return iterator(*call_); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::unique_ptr<detail::stream<Element>> call_;
};

}  // namespace manyhands
