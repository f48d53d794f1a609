#include <manyhands/detail/mpi_call.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <manyhands/detail/mpi_far_tasks.hpp>
#include <manyhands/detail/slots.hpp>
#include <support/catch.hpp>
#include <support/mpi_ranks.hpp>
#include <support/numbers.hpp>

using namespace manyhands;
using namespace manyhands::detail;
using manyhands_test::head_of;
using manyhands_test::rank_group;
using namespace std::chrono_literals;
using manyhands_test::numbers;

namespace {

const std::string host = "somewhere";

void serve(mpi_post& post) {
  mpi_worker worker(post, [](int number, reader& facts, const std::stop_token& stop) {
    return std::make_unique<mpi_far_tasks>(number, facts, stop, mpi_share{});
  });
  worker.serve();
}
/// Hears of tasks, and never answers; ends when it is told to.
void be_silent(mpi_post& post) {
  for (;;) {
    mpi_post::letter next;
    if (!post.receive(next)) {
      std::this_thread::sleep_for(1ms);
    } else if (head_of(next).kind == mpi_letter_kind::finish) {
      return;
    }
  }
}

/// Makes a call on rank 0, and lets the others go.
template <bool keeps_errors, class Range>
auto call_on(mpi_post& post, int size, Range tasks, const plan& how, std::chrono::nanoseconds silence = 30s, int max_losses = 0) {
  using input = input_for<Range>;
  using result = typename input::result_type;
  using results = std::conditional_t<keeps_errors, outcome_results<result>, value_results<result, !input::reads_ahead>>;
  range_slots<input, results> slots(tasks);
  const call_facts facts;
  slot_jobs<range_slots<input, results>> work(facts, slots, false);
  mpi_desk desk(post, size, silence, [](int) {});
  mpi_call call(desk, work, how, {.max_losses = max_losses, .host_of = [](int) -> const std::string& { return host; }});
  call.run();
  for (int rank = 1; rank < size; ++rank) post.send(rank, mpi_short_letter({.kind = mpi_letter_kind::finish}));
  while (post.is_sending()) std::this_thread::yield();
  work.rethrow();
  return slots.take();
}

/// A value of which some cannot be sent.
struct picky {
  int value = 0;
};

}  // namespace

template <>
struct manyhands::codec<picky> {
  static void save(const picky& from, writer& out) {
    if (from.value % 10 == 7) throw std::domain_error("not " + std::to_string(from.value));
    out.put(from.value);
  }
  static picky load(reader& in) { return {in.get<int>()}; }
};

TEST_CASE("a call's tasks run on the other ranks") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  const std::vector<int> all = numbers(3'000);
  const auto results = call_on<false>(post, ranks_here.size, all | delayed([](int i) { return i + 1; }), {.workers = ranks_here.size - 1});
  REQUIRE(results.size() == 3'000);
  CHECK(results.front() == 1);
  CHECK(results.back() == 3'000);
}

TEST_CASE("an argument that cannot be written down fails its task, and no other") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return serve(post);
  std::vector<picky> all;
  for (int i = 0; i < 100; ++i) all.push_back({i});
  const auto results = call_on<true>(post, ranks_here.size, all | delayed([](const picky& each) { return each.value; }),
                                     {.workers = ranks_here.size - 1, .batch = batch_size(8)});
  REQUIRE(results.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) CHECK(results[i].has_value() == (i % 10 != 7));
}

TEST_CASE("a rank that was lost has its tasks done by others") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank == 1 && ranks_here.size > 2) return be_silent(post);
  if (ranks_here.rank != 0) return serve(post);
  if (ranks_here.size == 2) {
    post.send(1, mpi_short_letter({.kind = mpi_letter_kind::finish}));
    return;
  }
  const std::vector<int> all = numbers(50);
  const auto results = call_on<true>(post, ranks_here.size, all | delayed([](int i) { return i; }),
                                     {.workers = ranks_here.size - 1, .batch = batch_size(4)}, 1s, 1);
  REQUIRE(results.size() == 50);
  for (const auto& each : results) CHECK(each.has_value());
}

TEST_CASE("a task whose ranks are lost again and again fails, and a call without ranks is given up") {
  const rank_group ranks_here;
  mpi_post post(ranks_here.comm);
  if (ranks_here.rank != 0) return be_silent(post);
  const std::vector<int> all = numbers(50);
  try {
    const auto results =
        call_on<false>(post, ranks_here.size, all | delayed([](int i) { return i; }), {.workers = ranks_here.size - 1}, 1s, 0);
    FAIL("no error");
  } catch (const pool_broken& error) {
    CHECK_THAT(error.what(), Catch::Matchers::Contains("no rank is left"));
  }
}
