#include <manyhands/detail/mpi_worker.hpp>

#include <chrono>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include <support/catch.hpp>
#include <support/mpi_ranks.hpp>

using namespace manyhands;
using namespace manyhands::detail;
using manyhands_test::head_of;
using manyhands_test::rank_group;
using manyhands_test::wait_for_letter;
using namespace std::chrono_literals;

namespace {

/// Tasks are numbers: so many milliseconds they take, and they give their index. The one of -1 waits to be stopped.
class number_call final : public mpi_far_call {
 public:
  number_call(int number, std::stop_token stop, bool broken) : number_(number), stop_(std::move(stop)), broken_(broken) {}

  void enter() override { ++entered_; }
  void leave() noexcept override { --entered_; }
  [[nodiscard]] std::exception_ptr broken() const noexcept override {
    return broken_ ? std::make_exception_ptr(std::domain_error("broken")) : nullptr;
  }
  task_result run(std::size_t index, std::span<const std::byte> task, writer& result) noexcept override {
    reader bytes(task);
    const auto time = bytes.get<std::int64_t>();
    while (time < 0 && !stop_.stop_requested()) std::this_thread::sleep_for(1ms);
    if (time > 0) std::this_thread::sleep_for(std::chrono::milliseconds(time));
    result.put(static_cast<std::int64_t>(entered_ == 1 ? index : 0));
    result.put(static_cast<std::int64_t>(number_));
    return task_result::value;
  }
  [[nodiscard]] std::size_t limit() const noexcept override { return no_index; }

 private:
  int number_;
  std::stop_token stop_;
  bool broken_;
  int entered_ = 0;
};

void serve(mpi_post& post) {
  mpi_worker worker(post, [](int number, reader& facts, const std::stop_token& stop) {
    return std::make_unique<number_call>(number, stop, facts.get<bool>());
  });
  worker.serve();
}

void begin(mpi_post& post, std::uint32_t call, bool broken = false) {
  writer bytes = mpi_short_letter({.kind = mpi_letter_kind::call, .call = call, .number = 5});
  bytes.put(broken);
  post.send(1, std::move(bytes));
}
void give(mpi_post& post, std::uint32_t call, std::uint64_t number, std::uint64_t first, const std::vector<std::int64_t>& times) {
  writer bytes = mpi_short_letter({.kind = mpi_letter_kind::batch, .call = call, .number = number, .first = first, .count = times.size()});
  for (const std::int64_t& each : times) {
    writer task;
    task.put(each);
    mpi_put_part(bytes, 0, task.bytes());
  }
  post.send(1, std::move(bytes));
}
/// Checks the results of the next answer; gives its head.
mpi_letter_head take_answer(mpi_post& post) {
  const auto letter = wait_for_letter(post, mpi_letter_kind::answer);
  REQUIRE(letter);
  reader bytes(letter->content.bytes());
  const mpi_letter_head head = mpi_take_head(bytes);
  for (std::uint64_t i = 0; i < head.count; ++i) {
    reader result(mpi_take_part(bytes).second);
    CHECK(result.get<std::int64_t>() == static_cast<std::int64_t>(head.first + i));
    CHECK(result.get<std::int64_t>() == 5);
  }
  CHECK_NOTHROW(bytes.finish());
  return head;
}
/// The same up to the end of a batch: answers come earlier where tasks take long.
mpi_letter_head take_batch(mpi_post& post) {
  mpi_letter_head whole = take_answer(post);
  while (whole.is_last == 0) {
    const mpi_letter_head next = take_answer(post);
    CHECK(next.number == whole.number);
    CHECK(next.first == whole.first + whole.count);
    whole.count += next.count;
    whole.is_last = next.is_last;
  }
  return whole;
}
void finish(mpi_post& post) {
  post.send(1, mpi_short_letter({.kind = mpi_letter_kind::finish}));
  while (post.is_sending()) std::this_thread::yield();
}

}  // namespace

TEST_CASE("batches are run in order, and answered") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  give(post, 1, 0, 10, {0, 0, 0});
  give(post, 1, 1, 13, {0});
  mpi_letter_head head = take_answer(post);
  CHECK(head.first == 10);
  CHECK(head.count == 3);
  CHECK(head.is_last == 1);
  head = take_answer(post);
  CHECK(head.number == 1);
  CHECK(head.count == 1);
  post.send(1, mpi_short_letter({.kind = mpi_letter_kind::done, .call = 1}));
  finish(post);
}

TEST_CASE("calls may take turns") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  begin(post, 2);
  for (std::uint64_t i = 0; i < 10; ++i) give(post, 1 + static_cast<std::uint32_t>(i % 2), i / 2, 10 * i, {0, 0});
  for (int i = 0; i < 10; ++i) CHECK(take_answer(post).call == 1U + static_cast<unsigned>(i) % 2);
  finish(post);
}

TEST_CASE("a rank is heard while it runs a task, and gives back what has not begun") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  give(post, 1, 0, 0, {300, 0, 0, 0, 0});
  give(post, 1, 1, 5, {0, 0, 0});
  std::this_thread::sleep_for(50ms);
  post.send(1, mpi_short_letter({.kind = mpi_letter_kind::ping}));
  CHECK(wait_for_letter(post, mpi_letter_kind::pong));
  const auto ask = [&] {
    post.send(1, mpi_short_letter({.kind = mpi_letter_kind::give_back, .call = 1}));
    const auto letter = wait_for_letter(post, mpi_letter_kind::gave_back);
    REQUIRE(letter);
    return head_of(*letter);
  };
  mpi_letter_head back = ask();  // the batch that waits, whole
  CHECK(back.number == 1);
  CHECK(back.first == 5);
  back = ask();  // half of what it has before it
  CHECK(back.number == 0);
  CHECK(back.first == 3);
  CHECK(ask().first == 2);
  mpi_letter_head head = take_batch(post);
  CHECK(head.count == 2);
  head = take_batch(post);
  CHECK(head.number == 1);
  CHECK(head.count == 0);
  CHECK(ask().first == no_index);
  finish(post);
}

TEST_CASE("tasks at or above the limit are not begun") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  give(post, 1, 0, 0, {100, 0, 0, 0});
  post.send(1, mpi_short_letter({.kind = mpi_letter_kind::limit, .call = 1, .first = 2}));
  const mpi_letter_head head = take_batch(post);
  CHECK(head.count == 2);
  finish(post);
}

TEST_CASE("running tasks are asked to stop") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  give(post, 1, 0, 0, {-1});
  std::this_thread::sleep_for(20ms);
  post.send(1, mpi_short_letter({.kind = mpi_letter_kind::stop, .call = 1}));
  CHECK(take_answer(post).count == 1);
  finish(post);
}

TEST_CASE("results of a batch that takes long come home before its end") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1);
  give(post, 1, 0, 0, std::vector<std::int64_t>(10, 30));
  std::uint64_t done = 0;
  int answers = 0;
  for (bool last = false; !last; ++answers) {
    const mpi_letter_head head = take_answer(post);
    CHECK(head.first == done);
    done += head.count;
    last = head.is_last == 1;
  }
  CHECK(done == 10);
  CHECK(answers > 1);
  finish(post);
}

TEST_CASE("a call that cannot be run is told of, and its batches come back") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  begin(post, 1, true);
  give(post, 1, 0, 0, {0, 0});
  const auto letter = wait_for_letter(post, mpi_letter_kind::broken);
  REQUIRE(letter);
  reader bytes(letter->content.bytes());
  static_cast<void>(mpi_take_head(bytes));
  CHECK_THROWS_AS(std::rethrow_exception(load_exception(bytes)), std::domain_error);
  CHECK(take_answer(post).count == 0);
  finish(post);
}

TEST_CASE("a rank that is to watch finds out that rank 0 is silent") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank == 0) {
    begin(post, 1);
    while (post.is_sending()) std::this_thread::yield();
    const auto letter = wait_for_letter(post, mpi_letter_kind::pong);
    CHECK(letter);
    finish(post);
    return;
  }
  bool told = false;
  mpi_worker worker(
      post,
      [](int number, reader& facts, const std::stop_token& stop) { return std::make_unique<number_call>(number, stop, facts.get<bool>()); },
      {.silence = 200ms, .orphaned = [&] {
         if (!std::exchange(told, true)) post.send(0, mpi_short_letter({.kind = mpi_letter_kind::pong}));
       }});
  worker.serve();
  CHECK(told);
}
