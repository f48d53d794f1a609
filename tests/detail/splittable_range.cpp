#include <manyhands/detail/splittable_range.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <thread>
#include <vector>

#include <manyhands/detail/barrier.hpp>
#include <support/catch.hpp>

namespace {

using manyhands::detail::barrier_time;
using manyhands::detail::splittable_range;
using prospect = splittable_range::prospect;
using time_point = splittable_range::clock::time_point;
using std::chrono::microseconds;

constexpr time_point opened{};

struct taken {
  bool some = false;
  std::size_t first = 0;
  std::size_t last = 0;
};

taken split(splittable_range& batch) {
  taken result{};
  result.some = batch.split(result.first, result.last);
  return result;
}

prospect look(splittable_range& batch, time_point now) {
  std::size_t rest = 0;
  return batch.look(now, rest);
}

/// Claims from `index` on and counts.
std::size_t claim_all(splittable_range& batch, std::size_t index) {
  std::size_t claimed = 0;
  for (; batch.claim(index); ++index) ++claimed;
  return claimed;
}

}  // namespace

TEST_CASE("the owner alone runs every task of its batch, and no more") {
  splittable_range batch;
  batch.open(10, 15, opened);
  CHECK(batch.first() == 10);
  CHECK(claim_all(batch, batch.first()) == 5);
  CHECK_FALSE(batch.claim(15));
  CHECK(batch.close() == 5);
}

TEST_CASE("a batch may be of one task, or of none") {
  splittable_range batch;
  batch.open(3, 4, opened);
  CHECK(batch.claim(3));
  CHECK_FALSE(batch.claim(4));
  CHECK(batch.close() == 1);
  batch.open(3, 3, opened);
  CHECK_FALSE(batch.claim(3));
  CHECK(batch.close() == 0);
}

TEST_CASE("an owner that stops early still closes its batch") {
  splittable_range batch;
  batch.open(0, 10, opened);
  CHECK(batch.claim(0));
  CHECK(batch.close() == 10);
  CHECK(!split(batch).some);
}

TEST_CASE("a batch can be opened again and again") {
  splittable_range batch;
  for (std::size_t round = 0; round < 100; ++round) {
    batch.open(round, 2 * round, opened);
    REQUIRE(claim_all(batch, round) == round);
    REQUIRE(batch.close() == round);
  }
}

TEST_CASE("the largest indices are as good as any") {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  splittable_range batch;
  batch.open(most - 3, most, opened);
  CHECK(claim_all(batch, most - 3) == 3);
  CHECK(batch.close() == 3);
}

TEST_CASE("nothing can be taken from a batch that was never opened, or is closed") {
  splittable_range batch;
  CHECK(!split(batch).some);
  batch.open(0, 100, opened);
  static_cast<void>(batch.close());
  CHECK(!split(batch).some);
  CHECK(batch.close() == 0);
}

TEST_CASE("a young batch is left alone, and one in which every task has begun has nothing left") {
  splittable_range batch;
  batch.open(0, 2, opened);
  CHECK(batch.claim(0));
  CHECK(look(batch, opened) == prospect::later);
  CHECK(batch.claim(1));
  CHECK(look(batch, opened + std::chrono::hours(1)) == prospect::nothing);
}

TEST_CASE("an owner who stands at one task for long has met a long one") {
  splittable_range batch;
  batch.open(0, 1000, opened);
  CHECK(batch.claim(0));
  CHECK(look(batch, opened + splittable_range::patience) == prospect::later);
  CHECK(look(batch, opened + splittable_range::patience + microseconds(1)) == prospect::some);
  // It goes on, quickly: what is left is not worth while.
  CHECK(batch.claim(998));
  const time_point now = opened + microseconds(30);
  CHECK(look(batch, now) == prospect::later);
  CHECK(look(batch, now + splittable_range::patience) == prospect::later);
  CHECK(look(batch, now + splittable_range::patience + microseconds(1)) == prospect::some);
}

TEST_CASE("tasks are worth taking when they will keep the owner busy for long enough") {
  for (int i = 0; i < 100; ++i) barrier_time::learn(microseconds(1));
  splittable_range batch;
  batch.open(0, 1000, opened);
  CHECK(batch.claim(100));
  // 100 tasks in 10 us: the other 899 take 90 us.
  CHECK(look(batch, opened + microseconds(10)) == prospect::some);
  CHECK(batch.claim(950));
  // 950 tasks in 95 us: 49 tasks take 5 us.
  CHECK(look(batch, opened + microseconds(95)) == prospect::later);
  std::size_t rest = 0;
  static_cast<void>(batch.look(opened, rest));
  CHECK(rest == 49);
}

TEST_CASE("tasks are not worth taking where the barrier takes about as long") {
  for (int i = 0; i < 100; ++i) barrier_time::learn(microseconds(50));
  splittable_range batch;
  batch.open(0, 1000, opened);
  CHECK(batch.claim(100));
  // 90 us are left.
  CHECK(look(batch, opened + microseconds(10)) == prospect::later);
  // 900 us are.
  CHECK(look(batch, opened + microseconds(100)) == prospect::some);
  for (int i = 0; i < 100; ++i) barrier_time::learn(microseconds(1));
  CHECK(look(batch, opened + microseconds(10)) == prospect::some);
}

TEST_CASE("the owner pauses where it is told, and goes on") {
  splittable_range batch;
  batch.open_unseen(10, 20, opened, 13);
  CHECK(claim_all(batch, batch.at()) == 3);
  CHECK(batch.at() == 13);
  CHECK(batch.left() == 7);
  batch.resume(15);
  CHECK(claim_all(batch, batch.at()) == 2);
  batch.resume();
  CHECK(claim_all(batch, batch.at()) == 5);
  CHECK(batch.left() == 0);
  CHECK(batch.close() == 10);
}

TEST_CASE("what lies behind the pause can be taken, and a pause holds after that") {
  splittable_range batch;
  batch.open_unseen(0, 100, opened, 10);
  CHECK(batch.claim(0));
  const taken part = split(batch);
  CHECK(part.first == 50);
  CHECK(claim_all(batch, 1) == 9);
  batch.resume();
  CHECK(claim_all(batch, 10) == 40);
  CHECK(batch.close() == 50);
}

TEST_CASE("several tasks are claimed together or not at all") {
  splittable_range batch;
  batch.open(0, 10, opened);
  CHECK(batch.claim(0, 3));
  CHECK(batch.at() == 3);
  const taken part = split(batch);  // never of those that were claimed
  CHECK(part.first == 7);
  CHECK_FALSE(batch.claim(4, 7));
  CHECK(batch.at() == 4);
  CHECK(claim_all(batch, 4) == 3);
  CHECK(batch.close() == 7);
}

TEST_CASE("the owner cuts off equal parts of what has not begun") {
  splittable_range batch;
  batch.open_unseen(0, 100, opened, 5);
  CHECK(claim_all(batch, 0) == 5);
  std::size_t last = 0;
  CHECK(batch.cut(4, last) == 5 + 24);
  CHECK(last == 100);
  batch.resume();
  CHECK(claim_all(batch, 5) == 24);
  CHECK(batch.cut(3, last) == last);
}

TEST_CASE("what came before a range was rebased counts no more") {
  splittable_range batch;
  batch.open_unseen(0, 100, opened, 30);
  CHECK(claim_all(batch, 0) == 30);
  batch.rebase(opened + std::chrono::seconds(1));
  CHECK(batch.first() == 30);
  batch.resume();
  CHECK(claim_all(batch, 30) == 70);
  CHECK(batch.close() == 70);
}

TEST_CASE("tasks can be left for whoever comes first") {
  splittable_range batch;
  batch.leave(10, 20, opened);
  CHECK(batch.left() == 10);
  CHECK(look(batch, opened) == prospect::some);
  SECTION("their owner") {
    CHECK(batch.adopt(opened));
    CHECK(look(batch, opened) == prospect::later);
    CHECK(claim_all(batch, batch.at()) == 10);
    CHECK(batch.close() == 10);
    CHECK_FALSE(batch.adopt(opened));
  }
  SECTION("somebody else") {
    const taken all = split(batch);
    CHECK(all.some);
    CHECK(all.first == 10);
    CHECK(all.last == 20);
    CHECK_FALSE(batch.adopt(opened));
    CHECK_FALSE(split(batch).some);
    CHECK(look(batch, opened) == prospect::nothing);
  }
}

TEST_CASE("the task that the owner runs, or is about to run, is never taken") {
  splittable_range batch;
  batch.open(0, 1, opened);
  CHECK(!split(batch).some);
  CHECK(batch.claim(0));
  CHECK(!split(batch).some);
  CHECK_FALSE(batch.claim(1));
  CHECK(batch.close() == 1);
}

TEST_CASE("the second half of the tasks that have not begun is taken") {
  splittable_range batch;
  batch.open(0, 101, opened);
  CHECK(batch.claim(0));
  taken part = split(batch);
  CHECK(part.some);
  CHECK(part.first == 51);
  CHECK(part.last == 101);
  part = split(batch);
  CHECK(part.first == 26);
  CHECK(part.last == 51);
  std::size_t index = 1;
  for (; index < 20; ++index) CHECK(batch.claim(index));
  part = split(batch);
  CHECK(part.first == 23);
  CHECK(part.last == 26);
  CHECK(claim_all(batch, 20) == 3);
  CHECK(batch.close() == 23);
}

TEST_CASE("the last task that has not begun can be taken") {
  splittable_range batch;
  batch.open(5, 7, opened);
  CHECK(batch.claim(5));
  const taken part = split(batch);
  CHECK(part.some);
  CHECK(part.first == 6);
  CHECK(part.last == 7);
  CHECK(!split(batch).some);
  CHECK_FALSE(batch.claim(6));
  CHECK(batch.close() == 1);
}

TEST_CASE("a batch is taken apart until only the task that has begun is left") {
  splittable_range batch;
  constexpr std::size_t tasks = 1000;
  batch.open(0, tasks, opened);
  CHECK(batch.claim(0));
  std::size_t end = tasks;
  while (true) {
    const taken part = split(batch);
    if (!part.some) break;
    REQUIRE(part.first < part.last);
    REQUIRE(part.last == end);
    end = part.first;
  }
  CHECK(end == 1);
  CHECK_FALSE(batch.claim(1));
  CHECK(batch.close() == 1);
}

TEST_CASE("a batch that was opened again gives nothing of the one before") {
  splittable_range batch;
  batch.open(0, 100, opened);
  CHECK(split(batch).some);
  static_cast<void>(batch.close());
  batch.open(200, 204, opened);
  CHECK(batch.claim(200));
  const taken part = split(batch);
  CHECK(part.first == 202);
  CHECK(part.last == 204);
  CHECK(claim_all(batch, 201) == 1);
}

TEST_CASE("whatever owner and thieves do at the same time, every task runs exactly once", "[slow]") {
  // Many short rounds: owner and thieves meet most often at the borders of a batch.
  constexpr std::size_t tasks = 200'000;
  constexpr int thieves = 3;
  for (const std::size_t length : {std::size_t{2}, std::size_t{3}, std::size_t{17}, std::size_t{500}, tasks}) {
    std::vector<std::atomic<unsigned char>> times(tasks);
    splittable_range batch;
    std::atomic<bool> over{false};
    std::atomic<std::size_t> stolen{0};
    const auto run = [&](std::size_t index) { times[index].fetch_add(1, std::memory_order_relaxed); };
    std::vector<std::thread> others;
    for (int i = 0; i < thieves; ++i) {
      others.emplace_back([&] {
        while (!over.load(std::memory_order_acquire)) {
          const taken part = split(batch);
          if (!part.some) continue;
          for (std::size_t index = part.first; index < part.last; ++index) run(index);
          stolen.fetch_add(part.last - part.first, std::memory_order_relaxed);
        }
      });
    }
    std::size_t own = 0;
    for (std::size_t first = 0; first < tasks; first += length) {
      const std::size_t last = first + length < tasks ? first + length : tasks;
      batch.open(first, last, opened);
      std::size_t index = first;
      for (bool more = true; more;) {
        // One by one, and four at a time, in turn.
        for (int i = 0; i < 3 && (more = batch.claim(index)); ++i, ++index) run(index);
        if (!more || !batch.claim(index, index + 3)) continue;
        for (const std::size_t end = index + 4; index != end; ++index) run(index);
      }
      const std::size_t left = batch.close();
      REQUIRE(index - first == left);
      own += left;
    }
    over.store(true, std::memory_order_release);
    for (std::thread& other : others) other.join();
    std::size_t wrong = 0;
    for (const std::atomic<unsigned char>& one : times) wrong += one.load() == 1 ? 0 : 1;
    CHECK(wrong == 0);
    CHECK(own + stolen.load() == tasks);
  }
}

TEST_CASE("what is taken can be taken apart by others in turn", "[slow]") {
  constexpr std::size_t tasks = 500'000;
  constexpr std::size_t workers = 4;
  std::vector<std::atomic<unsigned char>> times(tasks);
  std::vector<splittable_range> batches(workers);
  std::atomic<std::size_t> done{0};
  batches[0].open(0, tasks, opened);
  const auto work_off = [&](std::size_t me) {
    std::size_t index = batches[me].first();
    for (; batches[me].claim(index); ++index) times[index].fetch_add(1, std::memory_order_relaxed);
    done.fetch_add(batches[me].close(), std::memory_order_release);
  };
  std::vector<std::thread> threads;
  for (std::size_t me = 0; me < workers; ++me) {
    threads.emplace_back([&, me] {
      if (me == 0) work_off(me);
      for (std::size_t victim = me + 1; done.load(std::memory_order_acquire) < tasks; ++victim) {
        if (victim % workers == me) continue;
        const taken part = split(batches[victim % workers]);
        if (!part.some) continue;
        batches[me].open(part.first, part.last, opened);
        work_off(me);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(done.load() == tasks);
  std::size_t wrong = 0;
  for (const std::atomic<unsigned char>& one : times) wrong += one.load() == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("what the owner wrote before it opened a batch, whoever takes of it may read") {
  constexpr std::size_t rounds = 200;
  constexpr std::size_t length = 100;
  std::vector<std::size_t> input(rounds * length);
  std::vector<std::size_t> output(rounds * length);
  splittable_range batch;
  std::atomic<bool> over{false};
  std::thread thief([&] {
    while (!over.load(std::memory_order_relaxed)) {
      const taken part = split(batch);
      if (!part.some) continue;
      for (std::size_t index = part.first; index < part.last; ++index) output[index] = input[index] + 1;
    }
  });
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t first = round * length;
    for (std::size_t index = first; index < first + length; ++index) input[index] = index;
    batch.open(first, first + length, opened);
    for (std::size_t index = first; batch.claim(index); ++index) output[index] = input[index] + 1;
    static_cast<void>(batch.close());
  }
  over = true;
  thief.join();
  std::size_t wrong = 0;
  for (std::size_t index = 0; index < output.size(); ++index) wrong += output[index] == index + 1 ? 0 : 1;
  CHECK(wrong == 0);
}
