// By hand: workers that are forked for the call, a range of tasks each. Results of a fixed size go into an array in shared memory, others
// through a ring of bytes per worker, whose memory is used again and again. If a worker dies, the caller waits for ever.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/process_answer.hpp"
#include "raw.hpp"

namespace {

struct desk {
  raw::byte_ring results;
  raw::bell room;  // the worker sleeps on it
};

/// What a worker does to send its results.
class sender {
 public:
  sender(desk& own, raw::bell& news) : own_(own), news_(news) {}

  void send(const std::string& text) {
    const auto length = static_cast<std::uint32_t>(text.size());
    make_room(sizeof(length) + length);
    own_.results.put(&length, sizeof(length));
    own_.results.put(text.data(), length);
    if (own_.results.unpublished() >= raw::byte_ring::portion) publish();
  }
  template <class T>
  void send(const std::vector<T>& values) {
    std::span<const std::byte> left = std::as_bytes(std::span(values));
    const std::uint64_t length = left.size();
    make_room(sizeof(length));
    own_.results.put(&length, sizeof(length));
    while (!left.empty()) {
      const std::size_t piece = std::min(left.size(), raw::byte_ring::portion);
      make_room(piece);
      own_.results.put(left.data(), piece);
      publish();
      left = left.subspan(piece);
    }
  }
  void publish() {
    own_.results.publish();
    news_.ring();
  }

 private:
  void make_room(std::size_t bytes) {
    if (own_.results.room() >= bytes) return;
    publish();
    own_.room.wait([&] { return own_.results.room() >= bytes; });
  }

  desk& own_;
  raw::bell& news_;
};

/// The caller's side of one worker: takes what is there, and puts it where it belongs.
template <class Result>
class receiver {
 public:
  receiver(desk& from, std::vector<Result>& results, raw::share tasks) : from_(from), results_(results), tasks_(tasks) {}

  [[nodiscard]] bool done() const { return tasks_.first == tasks_.last; }

  /// False if nothing was there.
  bool take() {
    if (done()) return false;
    bool taken = false;
    while (!done() && take_some(results_[tasks_.first])) {
      taken = true;
      if (from_.results.unreleased() >= raw::byte_ring::portion) release();
    }
    if (taken) release();
    return taken;
  }

 private:
  bool take_some(std::string& text) {
    std::uint32_t length = 0;
    if (from_.results.available() < sizeof(length)) return false;
    from_.results.look(&length, sizeof(length));  // a string is published as a whole
    from_.results.skip(sizeof(length));
    text.resize(length);
    from_.results.look(text.data(), length);
    from_.results.skip(length);
    ++tasks_.first;
    return true;
  }
  template <class T>
  bool take_some(std::vector<T>& values) {
    if (!begun_) {
      if (from_.results.available() < sizeof(left_)) return false;
      from_.results.look(&left_, sizeof(left_));
      from_.results.skip(sizeof(left_));
      values.reserve(left_ / sizeof(T));
      begun_ = true;
    }
    const std::span<const std::byte> piece = from_.results.in_place(left_);
    if (piece.empty() && left_ > 0) return false;
    const T* const first = reinterpret_cast<const T*>(piece.data());  // lengths are all multiples of its size
    values.insert(values.end(), first, first + piece.size() / sizeof(T));
    from_.results.skip(piece.size());
    left_ -= piece.size();
    if (left_ == 0) {
      begun_ = false;
      ++tasks_.first;
    }
    return true;
  }
  void release() {
    from_.results.release();
    from_.room.ring();
  }

  desk& from_;
  std::vector<Result>& results_;
  raw::share tasks_;
  std::uint64_t left_ = 0;
  bool begun_ = false;
};

class raw_forked {
 public:
  static constexpr bool warm = false;

  explicit raw_forked(int workers) : workers_(static_cast<std::size_t>(workers)) {}

  template <class F>
  auto map(std::size_t n, F f) {
    using result = std::invoke_result_t<F, std::size_t>;
    if constexpr (std::is_trivially_copyable_v<result>) return through_array<result>(n, f);
    else return through_rings<result>(n, f);
  }

 private:
  template <class Result, class F>
  std::vector<Result> through_array(std::size_t n, F f) {
    const raw::shared<Result> results(n);
    std::vector<pid_t> children;
    for (std::size_t worker = 0; worker < workers_; ++worker)
      children.push_back(raw::forked([&] {
        const raw::share own = raw::share_of(worker, workers_, n);
        for (std::size_t i = own.first; i < own.last; ++i) results[i] = f(i);
      }));
    raw::collect(children);
    return std::vector<Result>(results.begin(), results.begin() + n);
  }

  template <class Result, class F>
  std::vector<Result> through_rings(std::size_t n, F f) {
    const raw::shared<desk> desks(workers_);
    const raw::shared<raw::bell> news(1);
    std::vector<pid_t> children;
    for (std::size_t worker = 0; worker < workers_; ++worker)
      children.push_back(raw::forked([&] {
        sender out(desks[worker], news[0]);
        const raw::share own = raw::share_of(worker, workers_, n);
        for (std::size_t i = own.first; i < own.last; ++i) out.send(f(i));
        out.publish();
      }));

    std::vector<Result> results(n);  // after the forks: else each page of it would be copied
    std::vector<receiver<Result>> receivers;
    for (std::size_t worker = 0; worker < workers_; ++worker)
      receivers.emplace_back(desks[worker], results, raw::share_of(worker, workers_, n));
    const auto take = [&] {
      bool taken = false;
      for (auto& one : receivers) taken |= one.take();
      return taken;
    };
    while (!std::all_of(receivers.begin(), receivers.end(), [](const auto& one) { return one.done(); })) news[0].wait(take);
    raw::collect(children);
    return results;
  }

  std::size_t workers_;
};

}  // namespace

int main(int argc, char** argv) { return benchmark::process_answer<raw_forked>(argc, argv); }
