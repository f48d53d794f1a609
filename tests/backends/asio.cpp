#include <manyhands/backends/asio.hpp>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <manyhands/parallel.hpp>
#include <support/catch.hpp>
#include <support/numbers.hpp>

using manyhands::asio_backend;
using manyhands::delayed;
using manyhands::Parallel;
using manyhands_test::numbers;

namespace {

/// Threads that ran something.
class roll_call {
 public:
  void here() {
    const std::lock_guard lock(mutex_);
    threads_.insert(std::this_thread::get_id());
  }
  [[nodiscard]] std::set<std::thread::id> threads() {
    const std::lock_guard lock(mutex_);
    return threads_;
  }

 private:
  std::mutex mutex_;
  std::set<std::thread::id> threads_;
};

/// The ids of a pool's threads.
std::set<std::thread::id> threads_of(boost::asio::thread_pool& pool, int count) {
  roll_call all;
  std::atomic<int> there = 0;
  std::vector<std::future<void>> done;
  for (int i = 0; i < count; ++i) {
    auto task = std::make_shared<std::packaged_task<void()>>([&] {
      all.here();
      ++there;
      while (there != count) std::this_thread::yield();
    });
    done.push_back(task->get_future());
    boost::asio::post(pool, [task] { (*task)(); });
  }
  for (auto& one : done) one.get();
  return all.threads();
}

/// An executor without memory for a handler. In the old style of Asio's, which takes less to write.
struct exhausted_executor {
  boost::asio::execution_context& context() const noexcept { return *of; }
  void on_work_started() const noexcept {}
  void on_work_finished() const noexcept {}
  template <class F, class A>
  void dispatch(F&&, const A&) const {
    throw std::bad_alloc();
  }
  template <class F, class A>
  void post(F&&, const A&) const {
    throw std::bad_alloc();
  }
  template <class F, class A>
  void defer(F&&, const A&) const {
    throw std::bad_alloc();
  }
  bool operator==(const exhausted_executor&) const noexcept { return true; }
  bool operator!=(const exhausted_executor&) const noexcept { return false; }
  boost::asio::execution_context* of;
};

}  // namespace

TEST_CASE("tasks run in the caller and on the executor's threads, and nowhere else") {
  boost::asio::thread_pool pool(3);
  std::set<std::thread::id> allowed = threads_of(pool, 3);
  allowed.insert(std::this_thread::get_id());
  roll_call ran;
  std::atomic<int> running = 0;
  const Parallel parallel({.n_jobs = 4, .backend = asio_backend(pool.get_executor())});
  // All four at the same time.
  parallel(numbers(4) | delayed([&](int) {
             ran.here();
             ++running;
             const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
             while (running < 4 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
           }));
  REQUIRE(running == 4);
  REQUIRE(ran.threads() == allowed);
  const auto squares = parallel(numbers(1000) | delayed([&](int i) {
                                  ran.here();
                                  return i * i;
                                }));
  for (std::size_t i = 0; i < 1000; ++i) REQUIRE(squares[i] == static_cast<int>(i * i));
  REQUIRE(ran.threads() == allowed);
  pool.join();
}

TEST_CASE("a context will do, and a scope") {
  boost::asio::thread_pool pool(2);
  const manyhands::parallel_backend guard(asio_backend(pool), {.n_jobs = 3});
  REQUIRE(Parallel()(numbers(100) | delayed([](int i) { return i; })) == numbers(100));
  const std::list<int> list{1, 2, 3};
  REQUIRE(Parallel()(list | delayed([](int i) { return 2 * i; })) == std::vector<int>{2, 4, 6});
}

TEST_CASE("a call on the only thread of an executor ends, and helpers that come too late find nothing") {
  boost::asio::io_context context;
  const auto backend = asio_backend(context);
  std::vector<int> results;
  std::vector<int> streamed;
  boost::asio::post(context, [&] {
    results = Parallel({.n_jobs = 4, .backend = backend})(numbers(5000) | delayed([](int i) { return i; }));
    const std::list<int> list{7, 8, 9};
    streamed = Parallel({.n_jobs = 4, .backend = backend})(list | delayed([](int i) { return i; }));
  });
  context.run();
  REQUIRE(results == numbers(5000));
  REQUIRE(streamed == std::vector<int>{7, 8, 9});
}

TEST_CASE("an executor that nobody runs leaves the work to the caller") {
  boost::asio::io_context context;
  {
    const Parallel parallel({.n_jobs = 8, .backend = asio_backend(context)});
    REQUIRE(parallel(numbers(1000) | delayed([](int i) { return i; })) == numbers(1000));
    const std::list<int> list{1, 2};
    REQUIRE(parallel(list | delayed([](int i) { return i; })) == std::vector<int>{1, 2});
  }
  context.run();  // who was invited comes when the call and the backend are long gone
}

TEST_CASE("no more than n_jobs threads run tasks, and the executor has the others for itself") {
  boost::asio::thread_pool pool(4);
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  Parallel({.n_jobs = 2, .backend = asio_backend(pool)})(numbers(200) | delayed([&](int) {
                                                           const int now = ++running;
                                                           int seen = most;
                                                           while (now > seen && !most.compare_exchange_weak(seen, now)) {
                                                           }
                                                           std::this_thread::sleep_for(std::chrono::microseconds(200));
                                                           --running;
                                                         }));
  REQUIRE(most <= 2);
  pool.join();
}

TEST_CASE("calls nested in tasks use the executor's threads, too") {
  boost::asio::thread_pool pool(3);
  std::set<std::thread::id> allowed = threads_of(pool, 3);
  allowed.insert(std::this_thread::get_id());
  roll_call ran;
  const auto sums = Parallel({.n_jobs = 4, .backend = asio_backend(pool)})(numbers(20) | delayed([&](int i) {
                                                                             const auto inner =
                                                                                 Parallel()(numbers(50) | delayed([&](int j) {
                                                                                              ran.here();
                                                                                              return i + j;
                                                                                            }));
                                                                             return std::accumulate(inner.begin(), inner.end(), 0);
                                                                           }));
  for (int i = 0; i < 20; ++i) REQUIRE(sums[static_cast<std::size_t>(i)] == 50 * i + 1225);
  for (const auto& one : ran.threads()) REQUIRE(allowed.count(one) == 1);
  pool.join();
}

TEST_CASE("a task's error comes to the caller, and an initializer runs once in each worker") {
  boost::asio::thread_pool pool(3);
  std::atomic<int> initialized = 0;
  const Parallel parallel({.n_jobs = 4, .backend = asio_backend(pool), .initializer = [&] { ++initialized; }});
  REQUIRE_THROWS_AS(parallel(numbers(100) | delayed([](int i) {
                               if (i == 42) throw std::out_of_range("42");
                               return i;
                             })),
                    std::out_of_range);
  REQUIRE(initialized >= 1);
  REQUIRE(initialized <= 4);
  pool.join();
}

TEST_CASE("an executor that takes nothing leaves the work to the caller") {
  boost::asio::io_context context;
  const auto backend = asio_backend(exhausted_executor{&context});
  REQUIRE(Parallel({.n_jobs = 3, .backend = backend})(numbers(300) | delayed([](int i) { return i; })) == numbers(300));
}

TEST_CASE("many calls from many threads share one executor") {
  boost::asio::thread_pool pool(2);
  const auto backend = asio_backend(pool);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const auto results = Parallel({.n_jobs = 3, .backend = backend})(numbers(round) | delayed([](int i) { return i; }));
        wrong += results == numbers(round) ? 0 : 1;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(wrong == 0);
  pool.join();
}

TEST_CASE("tasks on an executor are run again, asked to stop when they are late, and waited for") {
  boost::asio::thread_pool pool(2);
  std::atomic<int> running = 0;
  const Parallel par({.n_jobs = 3, .backend = asio_backend(pool), .timeout = std::chrono::milliseconds(150), .retries = 1});
  const bool streamed = GENERATE(false, true);
  const auto work = delayed([&](int i) {
    ++running;
    const int attempt = manyhands::this_task::attempt();
    while ((i == 3 || (i == 7 && attempt == 0)) && !manyhands::this_task::stop_token().stop_requested()) std::this_thread::yield();
    --running;
    if (i == 5 && attempt == 0) throw std::out_of_range("five");
    return attempt;
  });
  const std::vector<int> input = numbers(20);
  const auto all = streamed ? par.outcomes(std::list<int>(input.begin(), input.end()) | work) : par.outcomes(input | work);
  REQUIRE(running == 0);
  for (std::size_t i = 0; i < 20; ++i) {
    if (i == 3) {
      REQUIRE_THROWS_AS(all[i].value(), manyhands::task_timeout);
    } else {
      REQUIRE(all[i].value() == (i == 5 || i == 7 ? 1 : 0));
    }
  }
  pool.join();
}
