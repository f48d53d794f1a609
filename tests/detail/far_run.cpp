#include <manyhands/detail/far_run.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <vector>

#include <support/catch.hpp>
#include <support/plain_jobs.hpp>

namespace {

using manyhands::codec_error;
using manyhands::observed_task;
using manyhands::reader;
using manyhands::task_timeout;
using manyhands::writer;
using manyhands::detail::call_facts;
using manyhands::detail::far_run;
using manyhands::detail::here;
using manyhands::detail::load_far_run;
using manyhands::detail::load_packed_header;
using manyhands::detail::run_attempts;
using manyhands::detail::save_far_run;
using manyhands::detail::save_packed_header;

/// Jobs with these facts and no tasks.
class idle_jobs final : public manyhands::jobs {
 public:
  explicit idle_jobs(const call_facts& facts) : jobs(facts) {}
  void run(manyhands::index_range) noexcept override {}
  void fail(std::size_t, std::exception_ptr) noexcept override {}
  void load(std::size_t, reader&) override {}
  void load_error(std::size_t, reader&) noexcept override {}
  manyhands::task_result execute(std::size_t, writer&) noexcept override { return manyhands::task_result::value; }
  [[nodiscard]] manyhands::result_transport transport() const override { return {}; }
  void abort(std::exception_ptr) noexcept override {}
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return nullptr; }
  bool read(std::size_t) noexcept override { return false; }
  void limit_to(std::size_t index) { stop_at(index); }
};

const std::exception_ptr failure = std::make_exception_ptr(std::runtime_error("no"));

/// How often a task is tried that fails so often.
int attempts(const call_facts& facts, int failures, bool lasts, std::size_t limit = manyhands::no_index) {
  idle_jobs work(facts);
  work.limit_to(limit);
  int count = 0;
  observed_task last;
  const auto once = [&](bool) -> std::exception_ptr { return count++ < failures ? failure : nullptr; };
  static_cast<void>(run_attempts(
      work, 5, lasts, once, [] {}, last, false));
  return count;
}

}  // namespace

TEST_CASE("what stands before a packed task comes back") {
  for (const std::size_t index : {std::size_t{0}, std::size_t{7}, std::size_t{1} << 40U}) {
    using content = manyhands::detail::packed_header::content;
    for (const content what : {content::task, content::value, content::error}) {
      writer out;
      save_packed_header({.index = index, .what = what}, out);
      reader in(out.bytes());
      const auto header = load_packed_header(in);
      CHECK(header.index == index);
      CHECK(header.what == what);
    }
  }
  const std::uint64_t wrong = 3;
  reader rubbish(std::as_bytes(std::span(&wrong, 1)));
  CHECK_THROWS_AS(load_packed_header(rubbish), codec_error);
  reader nothing({});
  CHECK_THROWS_AS(load_packed_header(nothing), codec_error);
}

TEST_CASE("the record of a run comes back, and rubbish is refused") {
  const auto begin = manyhands::observed_call::clock::now();
  const observed_task task{.index = 3, .worker = 2, .attempt = 4, .begin = begin, .end = begin + std::chrono::milliseconds(1)};
  writer out;
  save_far_run(task, 1, out);
  {
    reader in(out.bytes());
    const far_run run = load_far_run(in, 4);
    CHECK(run.worker == 2);
    CHECK(run.first_attempt == 1);
    CHECK(run.attempt == 4);
    CHECK(run.end - run.begin == std::chrono::nanoseconds(std::chrono::milliseconds(1)).count());
  }
  reader too_many(out.bytes());
  CHECK_THROWS_AS(load_far_run(too_many, 3), codec_error);
  reader cut(out.bytes().first(8));
  CHECK_THROWS_AS(load_far_run(cut, 4), codec_error);
}

TEST_CASE("a task is tried again as often as the call wants, if it lasts") {
  CHECK(attempts({.retries = 2}, 0, true) == 1);
  CHECK(attempts({.retries = 2}, 1, true) == 2);
  CHECK(attempts({.retries = 2}, 9, true) == 3);
  CHECK(attempts({.retries = 2}, 9, false) == 1);
  CHECK(attempts({.retries = 0}, 9, true) == 1);
}

TEST_CASE("a task that nobody wants any more is not tried again") { CHECK(attempts({.retries = 2}, 9, true, 5) == 1); }

TEST_CASE("a far side learns when its task's last attempt began and ended") {
  const call_facts facts{.retries = 1, .tells_runs = true};
  idle_jobs work(facts);
  here.task = 12;
  here.attempt = 0;
  observed_task last;
  int count = 0;
  CHECK(run_attempts(
            work, 5, true, [&](bool) { return count++ == 0 ? failure : std::exception_ptr(); }, [] {}, last, false) == nullptr);
  CHECK(last.index == 12);
  CHECK(last.attempt == 1);
  CHECK(last.begin.time_since_epoch().count() != 0);
  CHECK(last.end >= last.begin);
  CHECK(here.attempt == 0);
  here.task = 0;
}

TEST_CASE("a late task names the index that the user knows") {
  const auto error = manyhands::detail::late_error(9, {.timeout = std::chrono::milliseconds(5)});
  try {
    std::rethrow_exception(error);
  } catch (const task_timeout& late) {
    CHECK(late.index() == 9);
  }
}
