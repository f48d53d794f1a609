#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/mpi_desk.hpp>
#include <manyhands/detail/mpi_ledger.hpp>
#include <manyhands/detail/mpi_letter.hpp>
#include <manyhands/detail/mpi_patience.hpp>
#include <manyhands/detail/observation.hpp>
#include <manyhands/detail/packed_call.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/exception_codec.hpp>
#include <manyhands/schedule.hpp>

namespace manyhands::detail {

/// One call on the ranks of an MPI job: packs tasks, sends them out in batches, and takes the results. All of it in the calling thread.
template <class>
class basic_mpi_call {
 public:
  using clock = std::chrono::steady_clock;

  /// What it must know of the ranks.
  struct surroundings {
    /// How often a task is begun again whose rank was lost.
    int max_losses = 0;
    /// The name of a rank's host, for errors and observers.
    std::function<const std::string&(int rank)> host_of;
  };

  /// Throws as `save_call` does: no task has run then.
  basic_mpi_call(mpi_desk& desk, jobs& work, const plan& how, surroundings around)
      : desk_(desk),
        work_(work),
        around_(std::move(around)),
        facts_(packed(work)),
        reserved_(desk, most_workers(work, how)),
        ledger_(static_cast<int>(reserved_.ranks.size()), how.batch, around_.max_losses),
        ahead_(how.read_ahead),
        batch_(how.batch),
        workers_(reserved_.ranks.size()) {}
  basic_mpi_call(const basic_mpi_call&) = delete;
  basic_mpi_call& operator=(const basic_mpi_call&) = delete;

  /// Returns once all tasks that somebody wants are settled, and none runs any more. Reads the input as far ahead as the plan permits.
  void run() {
    for (reads_ = true; advance();) wait();
    end();
  }

  // --- the same bit by bit, for who reads the input himself: `advance` again and again, then `end`

  /// Does all that can be done at once. False once there is nothing to wait for.
  bool advance() noexcept {
    try {
      if (workers_.empty()) throw pool_broken("no rank is left to run tasks: all but rank 0 are lost");
      has_news_ = desk_.collect(reserved_.call, letters_, patience_.sleeps() ? mpi_post::look::well : mpi_post::look::once);
      step();
    } catch (...) {
      work_.abort(std::current_exception());
      if (std::exchange(is_broken_, true)) return false;  // not even its end can be waited for
    }
    return !is_over();
  }
  /// Waits for a moment where there was nothing new.
  void wait() noexcept {
    if (has_news_) {
      patience_.reset();
    } else {
      patience_.wait();
    }
  }
  /// Lets the ranks forget the call, of which nothing runs any more.
  void end() noexcept {
    try {
      for (std::size_t number = 0; number < workers_.size(); ++number) {
        if (std::exchange(workers_[number].was_told, false)) {
          desk_.send(rank_of(number), mpi_short_letter({.kind = mpi_letter_kind::done, .call = reserved_.call}));
        }
      }
    } catch (...) {  // the next call will meet it
    }
  }
  /// How many tasks a batch is good for.
  [[nodiscard]] std::size_t batch() const noexcept { return batch_.is_automatic() ? ledger_.pace() : batch_.count(); }

 private:
  using letter = mpi_desk::letter;

  /// Arguments of so many bytes are enough for a batch.
  static constexpr std::size_t most_bytes = std::size_t{4} << 20U;
  static constexpr std::chrono::milliseconds longest_sending{100};

  struct worker {
    bool was_told = false;  // of the call
    bool is_lost = false;
    bool owes = false;  // as the desk knows it
  };
  /// Ranks and a number, as long as the call lasts.
  struct reservation {
    reservation(mpi_desk& from, std::size_t most) : desk(from), ranks(from.reserve(most)), call(from.open()) {}
    reservation(const reservation&) = delete;
    reservation& operator=(const reservation&) = delete;
    ~reservation() {
      desk.close(call);
      desk.release(ranks);
    }

    mpi_desk& desk;
    const std::vector<int> ranks;
    const std::uint32_t call;
  };

  [[nodiscard]] static writer packed(const jobs& work) {
    writer bytes;
    save_call(work, bytes);
    return bytes;
  }
  [[nodiscard]] static std::size_t most_workers(const jobs& work, const plan& how) noexcept {
    const auto asked = static_cast<std::size_t>(how.workers);
    return work.complete() ? std::min(asked, work.known()) : asked;
  }
  [[nodiscard]] int rank_of(std::size_t number) const noexcept { return reserved_.ranks[number]; }

  void step() {
    for (letter& each : letters_) hear(each);
    letters_.clear();
    look_for_losses();
    heed_limit();
    if (reads_) read_ahead();
    feed();
  }
  [[nodiscard]] bool is_over() const noexcept {
    if (ledger_.anybody_owes()) return false;
    if (is_broken_ && workers_.empty()) return true;
    return work_.waiting() == 0 && ledger_.to_do() == 0 && (!reads_ || work_.complete() || work_.stopped());
  }

  // --- what ranks say

  void hear(letter& from) {
    const auto found = std::find(reserved_.ranks.begin(), reserved_.ranks.end(), from.from);
    if (found == reserved_.ranks.end())
      throw codec_error("rank " + std::to_string(from.from) + " has answered to a call that it has no part in");
    const auto number = static_cast<std::size_t>(found - reserved_.ranks.begin());
    if (workers_[number].is_lost) return;
    reader bytes(from.content.bytes());
    const mpi_letter_head head = mpi_take_head(bytes);
    bool is_sane = true;
    if (head.kind == mpi_letter_kind::answer) {
      is_sane = take_results(number, head, bytes, from.enclosed.bytes());
    } else if (head.kind == mpi_letter_kind::gave_back) {
      is_sane = ledger_.gave_back(static_cast<int>(number), static_cast<std::uint32_t>(head.number), static_cast<std::size_t>(head.first));
    } else if (head.kind == mpi_letter_kind::broken) {
      work_.abort(load_exception(bytes));
    }
    if (!is_sane) throw codec_error("rank " + std::to_string(from.from) + " has answered what it was not asked");
    mark_debt(number);
  }
  [[nodiscard]] bool take_results(std::size_t number, const mpi_letter_head& head, reader& bytes, std::span<const std::byte> enclosed) {
    const index_range expected = ledger_.expected(static_cast<int>(number));
    if (head.count > expected.size() || (head.count != 0 && head.first != expected.first)) return false;
    const std::size_t last = expected.first + static_cast<std::size_t>(head.count);
    for (std::size_t index = expected.first; index != last; ++index) {
      const auto [what, result] = mpi_take_part(bytes);
      const bool is_enclosed = head.is_enclosed != 0 && index + 1 == last;
      if (index < work_.limit()) settle(index, static_cast<task_result>(what), is_enclosed ? enclosed : result);
    }
    ledger_.limited(work_.limit());
    if (is_streaming_) ahead_.finished(expected.first, last);
    return ledger_.answered(static_cast<int>(number), static_cast<std::uint32_t>(head.number), static_cast<std::size_t>(head.count),
                            head.is_last != 0, std::chrono::nanoseconds(head.elapsed), clock::now());
  }
  void settle(std::size_t index, task_result what, std::span<const std::byte> result) noexcept {
    reader bytes(result);
    if (what != task_result::value) return work_.load_error(index, bytes);
    try {
      work_.load(index, bytes);
    } catch (...) {
      work_.fail(index, std::current_exception());
    }
  }
  void mark_debt(std::size_t number) {
    const bool owes = !workers_[number].is_lost && ledger_.owes(static_cast<int>(number));
    if (owes == workers_[number].owes) return;
    workers_[number].owes = owes;
    desk_.expect(rank_of(number), owes ? 1 : -1);
  }

  void look_for_losses() {
    const std::uint64_t losses = desk_.losses();
    if (losses == losses_seen_) return;
    losses_seen_ = losses;
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      if (workers_[number].is_lost || !desk_.is_lost(rank_of(number))) continue;
      workers_[number].is_lost = true;
      tell(occurrence::kind::lost, number);
      const std::optional<std::size_t> culprit = ledger_.lost(static_cast<int>(number));
      mark_debt(number);
      if (!culprit) continue;
      const std::size_t index = work_.index_in_call(*culprit);
      work_.fail(*culprit, std::make_exception_ptr(worker_lost(index, static_cast<int>(number),
                                                               "rank " + std::to_string(rank_of(number)) + " on " +
                                                                   around_.host_of(rank_of(number)) + " gave no sign of life any more")));
      if (is_streaming_) ahead_.finished(*culprit, *culprit + 1);
    }
    if (!ledger_.anybody_left()) {
      work_.abort(std::make_exception_ptr(pool_broken("no rank is left to run tasks: all that this call had are lost")));
    }
  }
  void heed_limit() {
    const std::size_t limit = work_.limit();
    if (limit < limit_) {
      limit_ = limit;
      ledger_.limited(limit);
      tell_ranks({.kind = mpi_letter_kind::limit, .call = reserved_.call, .first = limit});
    }
    if (!was_stopped_ && work_.facts().stop != nullptr && work_.facts().stop->stop_requested()) {
      was_stopped_ = true;
      tell_ranks({.kind = mpi_letter_kind::stop, .call = reserved_.call});
    }
  }
  /// Those that have tasks.
  void tell_ranks(const mpi_letter_head& head) {
    for (std::size_t number = 0; number < workers_.size(); ++number) {
      if (workers_[number].owes) desk_.send(rank_of(number), mpi_short_letter(head));
    }
  }

  // --- what ranks are given

  void read_ahead() {
    if (work_.complete() || work_.stopped()) return;
    is_streaming_ = true;
    const std::size_t room = ahead_.room(work_.known(), batch());
    if (room == 0) return;
    // The input may be slow, and nobody moves letters meanwhile. But a rank that does not take its letters shall not be waited for here.
    for (const auto begin = clock::now(); desk_.is_sending() && clock::now() - begin < longest_sending;) static_cast<void>(::sched_yield());
    static_cast<void>(work_.read(std::min(room, batch())));
    heed_limit();
  }
  void feed() {
    for (;;) {
      const int number = ledger_.hungry();
      if (number < 0) return;
      const std::size_t most = ledger_.batch_now(work_.waiting() + ledger_.to_do());
      index_range tasks = ledger_.take(most);
      if (tasks.empty()) tasks = work_.next(most);
      if (tasks.empty()) break;
      give(static_cast<std::size_t>(number), tasks);
    }
    if (const int rich = ledger_.rich(clock::now()); rich >= 0) {
      ledger_.asked(rich);
      desk_.send(
          rank_of(static_cast<std::size_t>(rich)),
          mpi_short_letter({.kind = mpi_letter_kind::give_back, .call = reserved_.call, .count = ledger_.keeps_batches() ? 1U : 0U}));
    }
  }
  void give(std::size_t number, index_range tasks) {
    mpi_letter_head head{.kind = mpi_letter_kind::batch, .call = reserved_.call, .first = tasks.first};
    writer bytes = mpi_short_letter(head);
    std::size_t packed_up_to = tasks.first;
    try {
      for (; packed_up_to != tasks.last; ++packed_up_to) {
        if (batch_.is_automatic() && bytes.size() > most_bytes) break;
        pack(packed_up_to, bytes);
      }
    } catch (...) {
      if (packed_up_to == tasks.first) {
        work_.fail(packed_up_to, std::current_exception());
        heed_limit();
        if (is_streaming_) ahead_.finished(packed_up_to, packed_up_to + 1);
        return ledger_.put_back({packed_up_to + 1, tasks.last});
      }
    }
    ledger_.put_back({packed_up_to, tasks.last});
    tasks.last = packed_up_to;
    if (!std::exchange(workers_[number].was_told, true)) begin_at(number);
    head.count = tasks.size();
    head.number = ledger_.gave(static_cast<int>(number), tasks, clock::now());
    bytes.overwrite(0, &head, sizeof head);
    mark_debt(number);
    tell(occurrence::kind::dispatched, number, tasks);
    desk_.send(rank_of(number), std::move(bytes));
  }
  /// Behind its size. Leaves the bytes as they were where it throws.
  void pack(std::size_t index, writer& bytes) {
    const std::size_t before = bytes.size();
    std::uint64_t words[2] = {0, 0};
    bytes.write(words, sizeof words);
    try {
      work_.pack(index, bytes);
    } catch (...) {
      bytes.truncate(before);
      throw;
    }
    words[1] = bytes.size() - before - sizeof words;
    bytes.overwrite(before, words, sizeof words);
  }
  void begin_at(std::size_t number) {
    writer bytes = mpi_short_letter({.kind = mpi_letter_kind::call, .call = reserved_.call, .number = number});
    bytes.write(facts_.bytes().data(), facts_.size());
    desk_.send(rank_of(number), std::move(bytes));
    if (observation* const seen = work_.facts().observed) {
      occurrence joined;  // not in one expression: g++ 12 warns of its error, which nobody has set
      joined.what = occurrence::kind::joined;
      joined.task.worker = static_cast<int>(number);
      joined.last = static_cast<std::size_t>(rank_of(number));
      joined.host = &around_.host_of(rank_of(number));
      seen->report(std::move(joined));
    }
  }

  /// `tasks` by their numbers here.
  void tell(occurrence::kind what, std::size_t number, index_range tasks = {}) noexcept {
    observation* const seen = work_.facts().observed;
    if (seen == nullptr) return;
    const std::size_t first = work_.index_in_call(tasks.first);
    seen->report({.what = what, .task = {.index = first, .worker = static_cast<int>(number)}, .last = first + tasks.size()});
  }

  mpi_desk& desk_;
  jobs& work_;
  const surroundings around_;
  const writer facts_;
  const reservation reserved_;
  mpi_ledger ledger_;
  manyhands::detail::read_ahead ahead_;
  const batch_size batch_;
  std::vector<worker> workers_;
  std::vector<letter> letters_;
  std::size_t limit_ = no_index;
  std::uint64_t losses_seen_ = 0;
  mpi_patience patience_;
  bool reads_ = false;         // the input itself
  bool is_streaming_ = false;  // and more than once
  bool has_news_ = false;
  bool was_stopped_ = false;
  bool is_broken_ = false;
};
using mpi_call = basic_mpi_call<void>;

}  // namespace manyhands::detail
