#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <manyhands/codec.hpp>

namespace manyhands::detail {

/// What ranks say to each other: rank 0 makes the calls, the others run their tasks.
enum class mpi_letter_kind : std::uint32_t {
  // to a worker
  call,       ///< a call begins: `number` is the worker's number in it; what its tasks have in common follows
  batch,      ///< batch `number`: tasks `first` to `first + count`, each behind its size
  limit,      ///< no task of the call at or above `first` may begin any more
  stop,       ///< the call's tasks are asked to stop
  give_back,  ///< half of what has not begun of the call, or with `count` 1 a whole batch; answered by `gave_back`
  done,       ///< the call has ended
  ping,       ///< answered by `pong`, whatever the worker is doing
  alive,      ///< rank 0 still runs
  finish,     ///< no more calls will come
  // to rank 0
  answer,     ///< the next `count` results of batch `number`, from task `first` on; they took `elapsed`
  gave_back,  ///< the tasks of batch `number` from `first` on; of nothing where `first` is `no_index`
  broken,     ///< the call cannot be run there: an error follows
  pong
};

/// What each letter begins with.
struct mpi_letter_head {
  mpi_letter_kind kind = mpi_letter_kind::ping;
  std::uint32_t call = 0;
  std::uint64_t number = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t elapsed = 0;  // nanoseconds
  /// Of an answer: the batch is done.
  std::uint32_t is_last = 0;
  /// Of an answer: the last result is enclosed.
  std::uint32_t is_enclosed = 0;
};
static_assert(std::has_unique_object_representations_v<mpi_letter_head>, "no byte of a letter is left to chance");

/// A letter that has no more than that.
[[nodiscard]] inline writer mpi_short_letter(const mpi_letter_head& head) {
  writer bytes;
  bytes.write(&head, sizeof head);
  return bytes;
}

/// Takes a letter's head. Throws `codec_error` where the bytes are too few.
[[nodiscard]] inline mpi_letter_head mpi_take_head(reader& letter) {
  mpi_letter_head head;
  letter.read(&head, sizeof head);
  return head;
}

/// Appends bytes behind their size, and what they are.
inline void mpi_put_part(writer& letter, std::uint64_t what, std::span<const std::byte> bytes) {
  const std::uint64_t words[2] = {what, bytes.size()};
  letter.write(words, sizeof words);
  letter.write(bytes.data(), bytes.size());
}
/// Takes what `mpi_put_part` appended.
[[nodiscard]] inline std::pair<std::uint64_t, std::span<const std::byte>> mpi_take_part(reader& letter) {
  const auto what = letter.get<std::uint64_t>();
  return {what, letter.take(letter.count(1))};
}

}  // namespace manyhands::detail
