#include <manyhands/async.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#if BOOST_ASIO_VERSION >= 102000
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#endif
#if BOOST_VERSION >= 107900
#include <boost/asio/deferred.hpp>
#endif

#include <support/catch.hpp>
#include <support/numbers.hpp>
#include <support/subprocess.hpp>

namespace asio = boost::asio;
using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

int square(int i) { return i * i; }
const std::vector<int> ten_squares{0, 1, 4, 9, 16, 25, 36, 49, 64, 81};

/// What a callback got.
template <class Result>
struct answer {
  std::exception_ptr error;
  Result result;
  std::thread::id thread;
  int count = 0;
};

}  // namespace

TEST_CASE("a callback gets the results on its executor, and the context runs until then") {
  const char* const backend = GENERATE("sequential", "threads", "processes");
  CAPTURE(backend);
  asio::io_context context;
  answer<std::vector<int>> got;
  std::atomic<bool> may_go = false;
  std::atomic<bool> has_called = false;
  Parallel({.n_jobs = 2, .backend = "threads"})
      .async(numbers(1) | delayed([&](int i) {
               while (!may_go) std::this_thread::yield();
               return i;
             }),
             asio::bind_executor(context, [&](std::exception_ptr, std::vector<int>) { has_called = true; }));
  CHECK_FALSE(has_called);  // it did not block
  may_go = true;
  Parallel({.n_jobs = 2, .backend = backend})
      .async(numbers(10) | delayed(square), asio::bind_executor(context, [&](std::exception_ptr error, std::vector<int> result) {
               got = {error, std::move(result), std::this_thread::get_id(), got.count + 1};
             }));
  context.run();
  CHECK(has_called);
  CHECK(got.error == nullptr);
  CHECK(got.result == ten_squares);
  CHECK(got.thread == std::this_thread::get_id());
  CHECK(got.count == 1);
}

TEST_CASE("the handler may be the last to use its executor") {
  for (int call = 0; call < 200; ++call) {
    auto context = std::make_unique<asio::io_context>();
    int sum = 0;
    Parallel(1).async(numbers(3) | delayed(square),
                      asio::bind_executor(*context, [&](std::exception_ptr, const std::vector<int>& result) { sum = result.at(2); }));
    context->run();
    context.reset();
    REQUIRE(sum == 4);
  }
}

TEST_CASE("use_future gives a future of the results or of the error") {
  CHECK(Parallel(2).async(numbers(10) | delayed(square), asio::use_future).get() == ten_squares);
  auto failing =
      Parallel(2).async(numbers(10) | delayed([](int i) { return i == 7 ? throw std::out_of_range("seven") : i; }), asio::use_future);
  CHECK_THROWS_AS(failing.get(), std::out_of_range);
  std::atomic<int> sum = 0;
  std::future<void> nothing = Parallel(2).async(numbers(10) | delayed([&](int i) { sum += i; }), asio::use_future);
  nothing.get();
  CHECK(sum == 45);
  auto movable = Parallel(2).async(numbers(3) | delayed([](int i) { return std::make_unique<int>(i); }), asio::use_future).get();
  CHECK(*movable.at(2) == 2);
  const std::vector<bool> truths = Parallel(2).async(numbers(3) | delayed([](int i) { return i == 1; }), asio::use_future).get();
  CHECK(truths == std::vector<bool>{false, true, false});
}

TEST_CASE("errors of the call itself come through the token") {
  CHECK_THROWS_AS(
      Parallel({.backend = "processes"})
          .async(numbers(3) | delayed([](int i) { return std::this_thread::get_id() == std::thread::id() ? nullptr : new int(i); }),
                 asio::use_future)
          .get(),
      manyhands::not_transportable);
  const std::vector<std::function<int()>> none;
  CHECK(Parallel().async(none, asio::use_future).get().empty());
}

TEST_CASE("errors of a call that a task makes come through the token, too") {
  CHECK(manyhands_test::holds_in_subprocess([] {
    const auto outer = [](int) {
      ::setenv("MANYHANDS_N_JOBS", "many", 1);
      auto inner = Parallel().async(numbers(3) | delayed(square), asio::use_future);
      try {
        inner.get();
        return false;
      } catch (const std::invalid_argument&) {
        return true;
      }
    };
    return Parallel({.n_jobs = 2, .backend = "threads"})(numbers(1) | delayed(outer)) == std::vector<bool>{true};
  }));
}

TEST_CASE("an executor may be one that waits for what it runs") {
  asio::thread_pool pool(1);
  std::promise<std::vector<int>> got;
  Parallel(2).async(numbers(10) | delayed(square),
                    asio::bind_executor(asio::require(pool.get_executor(), asio::execution::blocking.always),
                                        [&](std::exception_ptr, std::vector<int> squares) { got.set_value(std::move(squares)); }));
  CHECK(got.get_future().get() == ten_squares);
  pool.join();
}

TEST_CASE("an awaiting coroutine goes on with the results, on its own executor") {
  asio::io_context context;
  std::vector<int> squares;
  std::string failure;
  bool is_here = false;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        squares = co_await Parallel(2).async(numbers(10) | delayed(square), asio::use_awaitable);
        is_here = context.get_executor().running_in_this_thread();
        try {
          co_await Parallel(2).async(numbers(3) | delayed([](int i) { return i == 1 ? throw std::runtime_error("one") : i; }),
                                     asio::use_awaitable);
        } catch (const std::runtime_error& error) {
          failure = error.what();
        }
      },
      asio::detached);
  context.run();
  CHECK(squares == ten_squares);
  CHECK(is_here);
  CHECK(failure == "one");
}

TEST_CASE("calls that are under way at the same time do not wait for each other") {
  // Each task waits for the other call's: one after the other they would never end.
  std::atomic<int> begun = 0;
  const auto meet = [&](int i) {
    ++begun;
    while (begun < 10) std::this_thread::yield();
    return i;
  };
  std::vector<std::future<std::vector<int>>> calls;
  for (int call = 0; call < 10; ++call)
    calls.push_back(Parallel({.n_jobs = 1}).async(std::vector<int>{call} | delayed(meet), asio::use_future));
  for (int call = 0; call < 10; ++call) CHECK(calls[static_cast<std::size_t>(call)].get() == std::vector<int>{call});
}

TEST_CASE("tasks of an operation see the scope in which it was asked for") {
  std::future<std::vector<int>> call;
  {
    const manyhands::parallel_backend guard("sequential", {.n_jobs = 3, .seed = 11});
    call = Parallel({.n_jobs = 2, .backend = "threads"})
               .async(numbers(4) | delayed([](int) { return manyhands::effective_n_jobs(); }), asio::use_future);
  }
  CHECK(call.get() == std::vector<int>(4, 1));  // of the scope's backend, which is sequential
  std::vector<std::future<std::vector<unsigned long long>>> seeds;
  for (const unsigned seed : {1U, 2U}) {
    const manyhands::parallel_config guard({.seed = seed});
    seeds.push_back(
        Parallel(2).async(numbers(2) | delayed([](int) -> unsigned long long { return manyhands::this_task::seed(); }), asio::use_future));
  }
  const auto first = seeds[0].get();
  CHECK(first != seeds[1].get());
  const manyhands::parallel_config guard({.seed = 1});
  CHECK(first == Parallel(1)(numbers(2) | delayed([](int) -> unsigned long long { return manyhands::this_task::seed(); })));
}

TEST_CASE("an operation that is stopped ends with cancelled") {
  std::stop_source stop;
  std::atomic<int> begun = 0;
  const bool is_scoped = GENERATE(false, true);
  std::future<std::vector<int>> call;
  const auto wait = [&](int i) {
    ++begun;
    while (!manyhands::this_task::stop_token().stop_requested()) std::this_thread::yield();
    return i;
  };
  {
    const manyhands::parallel_config guard(is_scoped ? manyhands::options{.stop = stop.get_token()} : manyhands::options{});
    call = Parallel(is_scoped ? manyhands::options{.n_jobs = 2} : manyhands::options{.n_jobs = 2, .stop = stop.get_token()})
               .async(numbers(100) | delayed(wait), asio::use_future);
  }
  while (begun == 0) std::this_thread::yield();
  stop.request_stop();
  CHECK_THROWS_AS(call.get(), manyhands::cancelled);
}

TEST_CASE("an operation of a task that is asked to stop is stopped, too") {
  std::stop_source stop;
  std::atomic<bool> has_begun = false;
  std::atomic<bool> was_cancelled = false;
  const auto inner = [&](int i) {
    has_begun = true;
    while (!manyhands::this_task::stop_token().stop_requested()) std::this_thread::yield();
    return i;
  };
  const auto outer = [&](int i) {
    try {
      Parallel(2).async(numbers(2) | delayed(inner), asio::use_future).get();
    } catch (const manyhands::cancelled&) {
      was_cancelled = true;
    }
    return i;
  };
  std::thread stopper([&] {
    while (!has_begun) std::this_thread::yield();
    stop.request_stop();
  });
  CHECK_THROWS_AS(Parallel({.n_jobs = 2, .stop = stop.get_token()})(numbers(2) | delayed(outer)), manyhands::cancelled);
  stopper.join();
  CHECK(was_cancelled);
}

TEST_CASE("the input is kept where it is given away, and referred to where it is not") {
  const std::vector<int> kept_alive = numbers(10);
  auto referring = Parallel(2).async(kept_alive | delayed([&](const int& i) { return &i == &kept_alive[static_cast<std::size_t>(i)]; }),
                                     asio::use_future);
  CHECK(referring.get() == std::vector<bool>(10, true));
  std::vector<std::function<int()>> tasks;
  for (int i = 0; i < 10; ++i) tasks.emplace_back([i] { return i * i; });
  auto given = Parallel(2).async(std::move(tasks), asio::use_future);
  CHECK(given.get() == ten_squares);
}

#if BOOST_ASIO_VERSION >= 102000
namespace {

std::string text_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const std::exception& caught) {
    return caught.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a cancellation slot stops the call") {
  asio::io_context context;
  asio::cancellation_signal signal;
  std::atomic<int> begun = 0;
  std::string failure;
  Parallel(2).async(
      numbers(100) | delayed([&](int i) {
        ++begun;
        while (!manyhands::this_task::stop_token().stop_requested()) std::this_thread::yield();
        return i;
      }),
      asio::bind_cancellation_slot(
          signal.slot(), asio::bind_executor(context, [&](std::exception_ptr error, std::vector<int>) { failure = text_of(error); })));
  while (begun == 0) std::this_thread::yield();
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK_THAT(failure, Catch::Matchers::Contains("stopped"));
  CHECK_FALSE(signal.slot().has_handler());
}

TEST_CASE("a coroutine gathers several calls") {
  using asio::experimental::awaitable_operators::operator&&;
  asio::io_context context;
  std::vector<int> all;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        const Parallel par(2);
        const auto [first, second] = co_await (par.async(numbers(10) | delayed(square), asio::use_awaitable) &&
                                               par.async(numbers(2) | delayed(square), asio::use_awaitable));
        all = first;
        all.insert(all.end(), second.begin(), second.end());
      },
      asio::detached);
  context.run();
  CHECK(all == std::vector<int>{0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 0, 1});
}
#endif

#if BOOST_VERSION >= 107900
TEST_CASE("a deferred operation begins when it is told to") {
  std::atomic<int> begun = 0;
  auto later = Parallel(2).async(numbers(10) | delayed([&](int i) {
                                   ++begun;
                                   return square(i);
                                 }),
                                 asio::deferred);
  CHECK(begun == 0);
  CHECK(std::move(later)(asio::use_future).get() == ten_squares);
  CHECK(begun == 10);
}
#endif
