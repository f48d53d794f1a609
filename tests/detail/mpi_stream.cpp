#include <manyhands/detail/mpi_stream.hpp>

#include <chrono>
#include <list>
#include <numeric>
#include <ranges>
#include <stop_token>
#include <thread>

#include <support/catch.hpp>
#include <support/mpi.hpp>

using manyhands::delayed;
using manyhands::Parallel;
using namespace std::chrono_literals;

namespace {

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

}  // namespace

TEST_CASE("ranks go on while the consumer does something else") {
  const manyhands::parallel_backend guard("mpi");
  auto results =
      Parallel({.batch_size = 1, .pre_dispatch = "4*n_jobs"}).generator(std::views::iota(0, 40) | delayed([](int) { return now(); }));
  auto at = results.begin();
  std::this_thread::sleep_for(300ms);
  const std::int64_t before = now() - std::chrono::nanoseconds(100ms).count();
  ++at;
  // The next result had been there for long.
  CHECK(*at < before);
}

TEST_CASE("no more is read than may wait to be taken") {
  const manyhands::parallel_backend guard("mpi");
  int read = 0;
  int taken = 0;
  int too_far = 0;
  const int most = 2 * manyhands::effective_n_jobs() * 3;
  std::list<int> numbers(300);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto input = numbers | std::views::transform([&](int i) {
                 if (++read > taken + most) ++too_far;
                 return i;
               });
  for (auto&& value : Parallel({.batch_size = 3}).generator(input | delayed([](int i) { return i; }))) {
    CHECK(value == taken);
    ++taken;
  }
  CHECK(taken == 300);
  CHECK(read == 300);
  CHECK(too_far == 0);
}

TEST_CASE("one that is left early ends when nothing of it runs any more") {
  const manyhands::parallel_backend guard("mpi");
  for (int round = 0; round < 20; ++round) {
    int taken = 0;
    for (auto&& value : Parallel().generator(std::views::iota(0) | delayed([](int i) {
                                               std::this_thread::sleep_for(100us);
                                               return i;
                                             }))) {
      CHECK(value == taken);
      if (++taken > round) break;
    }
  }
  CHECK(Parallel()(std::views::iota(0, 5) | delayed([](int i) { return i; })).size() == 5);
}

TEST_CASE("two generators take turns, and a call runs beside them") {
  const manyhands::parallel_backend guard("mpi");
  auto first = Parallel().generator(std::views::iota(0, 100) | delayed([](int i) { return i; }));
  auto second = Parallel().generator(std::views::iota(0, 100) | delayed([](int i) { return -i; }));
  auto a = first.begin();
  auto b = second.begin();
  for (int i = 0; i < 100; ++i, ++a, ++b) {
    CHECK(*a == i);
    CHECK(*b == -i);
    if (i % 30 == 0) CHECK(Parallel()(std::views::iota(0, 50) | delayed([](int k) { return k; })).back() == 49);
  }
}

TEST_CASE("a stopped generator gives what was there, and then says so") {
  const manyhands::parallel_backend guard("mpi");
  std::stop_source button;
  int taken = 0;
  CHECK_THROWS_AS(
      [&] {
        for (auto&& value : Parallel({.stop = button.get_token()}).generator(std::views::iota(0) | delayed([](int i) { return i; }))) {
          CHECK(value == taken);
          if (++taken == 50) button.request_stop();
        }
      }(),
      manyhands::cancelled);
  CHECK(taken >= 50);
}

TEST_CASE("what cannot travel is refused when the generator is made") {
  if (mpi_workers() == 0) return;
  const manyhands::parallel_backend guard("mpi");
  int factor = 2;
  CHECK_THROWS_AS(static_cast<void>(Parallel().generator(std::views::iota(0, 3) | delayed([factor](int i) { return i * factor; }))),
                  manyhands::not_transportable);
}
