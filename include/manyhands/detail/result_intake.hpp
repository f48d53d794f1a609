#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <system_error>

#include <manyhands/backend.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/supervisor.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_link.hpp>
#include <manyhands/exception_codec.hpp>

namespace manyhands::detail {

/// Takes in what workers have left, and settles tasks with it. Believes nothing that the supervisor does not expect.
template <class>
class basic_result_intake {
 public:
  /// `result_size` is the size of every result's bytes, 0 where it varies.
  basic_result_intake(jobs& work, supervisor& records, std::size_t result_size) : work_(work), records_(records) {
    if (result_size == 0 || result_size > direct_results::largest) return;
    try {
      places_ = direct_results(work.known(), result_size);
    } catch (const std::system_error&) {  // rings do as well, and need no more memory than there are workers
    }
  }

  /// Takes in all that a worker has left up to now. False where it says what cannot be.
  [[nodiscard]] bool take(int number, worker_link& link) {
    // Read before the results: those of a range that is finished are all there then.
    const std::uint32_t finished = link.board().finished();
    if (!take_frames(number, link)) return false;
    if (finished - link.finished > link.posted - link.finished) return false;
    records_.limited(work_.limit());  // what was settled just now may have ended the call
    for (; link.finished != finished; ++link.finished) {
      constexpr std::uint64_t longest = 1'000'000'000'000;  // whatever the worker says
      const std::chrono::nanoseconds elapsed(std::min(link.board().elapsed(link.finished), longest));
      if (!records_.range_finished(number, elapsed)) return false;
    }
    return true;
  }

  /// Takes in the results that a worker has put in their places.
  void take_places(int number) {
    if (places_.size() == 0) return;
    for (;;) {
      const index_range expected = records_.expected(number);
      std::size_t index = expected.first;
      for (; index != expected.last && places_.has(index); ++index) {
        reader bytes(places_.get(index));
        load(index, bytes);
      }
      records_.completed(number, index - expected.first);
      if (index != expected.last || expected.empty()) return;
    }
  }

  /// Where workers put results of a fixed size.
  [[nodiscard]] const direct_results& places() const noexcept { return places_; }

 private:
  bool take_frames(int number, worker_link& link) {
    frame_reader& frames = link.frames();
    for (;;) {
      take_places(number);
      switch (frames.next([&](const frame_header& header) { return is_plausible(number, link, header); },
                          [](const std::atomic<std::uint32_t>& word) { futex_wake(word); })) {
        case frame_reader::state::corrupt:
          return false;
        case frame_reader::state::empty:
          return true;
        case frame_reader::state::frame:
          settle(number, frames);
      }
    }
  }

  [[nodiscard]] bool is_plausible(int number, const worker_link& link, const frame_header& header) {
    if (header.kind == frame_kind::no_worker) return !link.is_ready;
    if (header.kind != frame_kind::value && header.kind != frame_kind::error) return false;
    records_.limited(work_.limit());
    if (header.index >= work_.limit()) return true;
    // The places of the tasks before it are filled by now, and were perhaps not when we looked.
    take_places(number);
    const index_range expected = records_.expected(number);
    return !expected.empty() && header.index == expected.first;
  }

  void settle(int number, const frame_reader& frames) {
    const frame_header& header = frames.header();
    const auto index = static_cast<std::size_t>(header.index);
    reader bytes(frames.payload());
    if (header.kind == frame_kind::no_worker) {
      work_.abort(frames.is_lost() ? std::make_exception_ptr(std::bad_alloc()) : load_exception(bytes));
      return;
    }
    if (index >= work_.limit()) return;  // nobody wants it any more
    if (frames.is_lost()) {
      work_.fail(index, std::make_exception_ptr(std::bad_alloc()));
    } else if (header.kind == frame_kind::error) {
      work_.load_error(index, bytes);
    } else {
      load(index, bytes);
    }
    records_.completed(number, 1);
  }

  void load(std::size_t index, reader& bytes) noexcept {
    try {
      work_.load(index, bytes);
    } catch (...) {
      work_.fail(index, std::current_exception());
    }
  }

  jobs& work_;
  supervisor& records_;
  direct_results places_;
};
using result_intake = basic_result_intake<void>;

}  // namespace manyhands::detail
