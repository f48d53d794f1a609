#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <span>

#include <manyhands/backend.hpp>
#include <manyhands/detail/assignment.hpp>
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
  basic_result_intake(jobs& work, supervisor& records) noexcept : work_(work), records_(records) {}

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
  void take_places(int number, const worker_link& link) {
    if (link.places().size() == 0) return;
    for (;;) {
      const assignment::range expected = records_.current(number);
      const direct_results::row places = link.places().of_range(expected.number);
      const std::size_t begin = expected.done - expected.first;
      if (begin >= places.capacity()) return;
      std::array<std::byte, 4 * direct_results::largest> copies;
      const std::size_t taken = places.take(begin, expected.last - expected.first, copies);
      if (taken == 0) return;
      work_.load_all({expected.done, expected.done + taken}, std::span(copies).first(taken * link.places().size()));
      records_.completed(number, taken);
    }
  }

 private:
  bool take_frames(int number, worker_link& link) {
    frame_reader& frames = link.frames();
    for (;;) {
      // Not what is behind a frame that has begun to come: an honest worker has put nothing there.
      if (!frames.is_amid()) take_places(number, link);
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
    take_places(number, link);
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
      work_.load_all({index, index + 1}, frames.payload());
    }
    records_.completed(number, 1);
  }

  jobs& work_;
  supervisor& records_;
};
using result_intake = basic_result_intake<void>;

}  // namespace manyhands::detail
