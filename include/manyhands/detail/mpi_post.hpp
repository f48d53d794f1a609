#pragma once

// C++ bindings of the 1990s, which nobody needs and every compiler warns of.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <manyhands/codec.hpp>
#include <manyhands/detail/mpi_buffer.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// Throws `error` where an MPI function has failed.
inline void mpi_check(int code, const char* function) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int size = 0;
  if (MPI_Error_string(code, text.data(), &size) != MPI_SUCCESS) size = 0;
  throw error(std::string(function) + " has failed: " + std::string(text.data(), static_cast<std::size_t>(size)));
}

/// Letters of any size between the ranks of a communicator. Those from one rank to another arrive in the order in which they were sent.
///
/// Never blocks, and moves letters only while it is called. One thread at a time.
template <class>
class basic_mpi_post {
 public:
  struct letter {
    int from = 0;
    mpi_buffer content;
    mpi_buffer enclosed;  // where there is something
  };

  /// MPI counts are `int`: what is larger than this travels in parts.
  static constexpr std::size_t usual_part = std::size_t{1} << 30U;

  /// The communicator must be this post's alone. All ranks must agree on `largest_part`.
  explicit basic_mpi_post(MPI_Comm comm, std::size_t largest_part = usual_part) : comm_(comm), largest_part_(largest_part) {
    int size = 0;
    mpi_check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    partial_.resize(static_cast<std::size_t>(size));
  }
  basic_mpi_post(const basic_mpi_post&) = delete;
  basic_mpi_post& operator=(const basic_mpi_post&) = delete;

  /// Sends the bytes on their way.
  void send(int to, writer&& bytes) { send(to, whole, std::move(bytes)); }
  /// The same with others that travel from where they are.
  void send(int to, writer&& bytes, writer&& enclosed) {
    send(to, with_enclosed, std::move(bytes));
    send(to, whole, std::move(enclosed));
  }
  /// How hard to look. Open MPI asks the network only now and then, at every eighth look: who does not look all the time, looks so often.
  enum class look : std::uint8_t { once, well };

  /// Moves on what is on its way. True while some of it is.
  bool is_sending(look how = look::once) {
    for (int left = how == look::well ? good_look : 1; left > 0 && !outgoing_.empty(); --left) move_outgoing();
    return !outgoing_.empty();
  }
  /// The next letter, if one has arrived.
  [[nodiscard]] bool receive(letter& next, look how = look::once) {
    match_all(how == look::well ? good_look : 1);
    std::uint64_t waiting = 0;  // ranks of which an earlier message is not complete; some share a bit, and wait for each other
    for (auto each = incoming_.begin(); each != incoming_.end();) {
      const std::uint64_t bit = std::uint64_t{1} << (static_cast<unsigned>(each->from) % 64U);
      if ((waiting & bit) != 0 || !has_arrived(*each)) {
        waiting |= bit;
        ++each;
        continue;
      }
      incoming now = std::move(*each);
      each = incoming_.erase(each);
      if (!now.is_last) continue;
      unfinished& mine = partial_[static_cast<std::size_t>(now.from)];
      if (now.has_enclosed) {
        mine.cover = std::move(now.content);
        continue;
      }
      next = {now.from, std::move(now.content), {}};
      if (mine.cover) {
        next.enclosed = std::exchange(next.content, std::move(*mine.cover));
        mine.cover.reset();
      }
      return true;
    }
    return false;
  }
  /// Nothing more will come from that rank, and nothing more can be sent to it.
  void forget(int rank) {
    for (auto each = outgoing_.begin(); each != outgoing_.end();) {
      if (each->to != rank) {
        ++each;
        continue;
      }
      lost_.push_back(each->kept);  // MPI may still read it
      each = outgoing_.erase(each);
    }
  }

 private:
  enum tag : int { whole = 1, with_enclosed = 2, announcement = 3, part = 4 };
  /// Smaller messages are not worth a receive of their own: they have travelled when they are seen.
  static constexpr std::size_t small = std::size_t{4} << 10U;
  static constexpr int good_look = 10;

  struct outgoing {
    MPI_Request request = MPI_REQUEST_NULL;
    int to = 0;
    std::shared_ptr<writer> kept;
  };
  struct incoming {
    MPI_Request request = MPI_REQUEST_NULL;
    int from = 0;
    bool is_last = true;        // with it the bytes are complete
    bool has_enclosed = false;  // and what is enclosed comes next
    mpi_buffer content;         // in the last part all of it
  };
  /// What has come from a rank and waits for more.
  struct unfinished {
    mpi_buffer content;
    std::size_t at = 0;
    bool has_enclosed = false;
    std::optional<mpi_buffer> cover;  // of what is enclosed
  };

  [[nodiscard]] static bool has_arrived(incoming& message) {
    if (message.request == MPI_REQUEST_NULL) return true;
    int done = 0;
    mpi_check(MPI_Test(&message.request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done != 0;
  }

  void send(int to, tag what, writer&& bytes) {
    const auto kept = std::make_shared<writer>(std::move(bytes));
    const std::size_t size = kept->size();
    if (size <= largest_part_) return start(to, what, kept, kept->bytes());
    const auto head = std::make_shared<writer>();
    const std::uint64_t announced[2] = {size, what == with_enclosed ? 1U : 0U};
    head->write(announced, sizeof announced);
    start(to, announcement, head, head->bytes());
    for (std::size_t at = 0; at < size; at += largest_part_) {
      start(to, part, kept, kept->bytes().subspan(at, std::min(largest_part_, size - at)));
    }
  }

  void start(int to, tag what, const std::shared_ptr<writer>& kept, std::span<const std::byte> bytes) {
    outgoing_.push_back({MPI_REQUEST_NULL, to, kept});
    MPI_Request& request = outgoing_.back().request;
    mpi_check(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, what, comm_, &request), "MPI_Isend");
    int done = 0;
    mpi_check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done != 0) outgoing_.pop_back();
  }

  void move_outgoing() {
    for (auto each = outgoing_.begin(); each != outgoing_.end();) {
      int done = 0;
      mpi_check(MPI_Test(&each->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      each = done != 0 ? outgoing_.erase(each) : std::next(each);
    }
  }
  /// Begins to receive all that has come; looks so often where nothing has.
  void match_all(int looks) {
    for (;;) {
      int found = 0;
      MPI_Message message = MPI_MESSAGE_NULL;
      MPI_Status status;
      mpi_check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &found, &message, &status), "MPI_Improbe");
      if (found == 0 && --looks > 0) continue;
      if (found == 0) return;
      looks = 1;
      int count = 0;
      mpi_check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
      match(message, status, static_cast<std::size_t>(count));
    }
  }
  void match(MPI_Message& message, const MPI_Status& status, std::size_t size) {
    unfinished& mine = partial_[static_cast<std::size_t>(status.MPI_SOURCE)];
    if (status.MPI_TAG == announcement) {
      std::uint64_t announced[2] = {};
      mpi_check(MPI_Mrecv(announced, sizeof announced, MPI_BYTE, &message, MPI_STATUS_IGNORE), "MPI_Mrecv");
      mine.content = mpi_buffer(announced[0]);
      mine.at = 0;
      mine.has_enclosed = announced[1] != 0;
      return;
    }
    incoming_.push_back({MPI_REQUEST_NULL, status.MPI_SOURCE, true, status.MPI_TAG == with_enclosed, {}});
    incoming& next = incoming_.back();
    std::byte* to = nullptr;
    if (status.MPI_TAG == part) {
      if (size > mine.content.size() - mine.at) throw codec_error("a letter is longer than was announced");
      to = mine.content.data() + mine.at;
      mine.at += size;
      next.is_last = mine.at == mine.content.size();
      if (next.is_last) next.content = std::move(mine.content);
      next.has_enclosed = next.is_last && mine.has_enclosed;
    } else {
      next.content = mpi_buffer(size);
      to = next.content.data();
    }
    if (size <= small) {
      mpi_check(MPI_Mrecv(to, static_cast<int>(size), MPI_BYTE, &message, MPI_STATUS_IGNORE), "MPI_Mrecv");
    } else {
      mpi_check(MPI_Imrecv(to, static_cast<int>(size), MPI_BYTE, &message, &next.request), "MPI_Imrecv");
    }
  }

  MPI_Comm comm_;
  const std::size_t largest_part_;
  std::list<outgoing> outgoing_;
  std::list<incoming> incoming_;  // in the order in which they came
  std::vector<unfinished> partial_;
  std::vector<std::shared_ptr<writer>> lost_;
};
using mpi_post = basic_mpi_post<void>;

}  // namespace manyhands::detail
