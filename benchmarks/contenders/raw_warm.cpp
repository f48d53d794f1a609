// By hand: workers that live on from call to call. To each leads a ring with the functions and arguments of its tasks, from each one with
// their results. If a worker dies, the caller waits for ever.

#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

#include "../support/process_answer.hpp"
#include "raw.hpp"

namespace {

class desk {
  template <class F>
  struct packed {
    [[no_unique_address]] F f;
    std::size_t argument;
  };

 public:
  // The caller.

  template <class F>
  void put_task(F f, std::size_t argument) {
    const runner run = run_one<F>;
    const packed<F> task{f, argument};
    tasks_.put(&run, sizeof(run));
    tasks_.put(&task, sizeof(task));
  }
  void put_end() {
    const runner end = nullptr;
    tasks_.put(&end, sizeof(end));
  }
  template <class F>
  static constexpr std::size_t size_of_task = sizeof(packed<F>) + sizeof(void*);
  raw::byte_ring& tasks() { return tasks_; }
  raw::byte_ring& results() { return results_; }
  void ring() { bell_.ring(); }

  // The worker.

  void serve(raw::bell& news) {
    const auto tell = [&] {
      results_.publish();
      tasks_.release();
      news.ring();
    };
    for (;;) {
      if (tasks_.available() == 0) {
        if (results_.unpublished() + tasks_.unreleased() > 0) tell();
        bell_.wait([&] { return tasks_.available() > 0; });
      }
      runner run = nullptr;
      tasks_.look(&run, sizeof(run));
      tasks_.skip(sizeof(run));
      if (run == nullptr) return;
      run(*this, tell);
      if (results_.unpublished() + tasks_.unreleased() >= raw::byte_ring::portion) tell();
    }
  }

 private:
  class teller {
   public:
    template <class Tell>
    teller(const Tell& tell) : tell_(&tell), call_([](const void* it) { (*static_cast<const Tell*>(it))(); }) {}
    void operator()() const { call_(tell_); }

   private:
    const void* tell_;
    void (*call_)(const void*);
  };
  /// How tasks are named: the workers are copies of this program, so the address means the same there.
  using runner = void (*)(desk&, teller);

  template <class F>
  static void run_one(desk& own, teller tell) {
    static_assert(std::is_trivially_copyable_v<packed<F>>);
    alignas(packed<F>) std::byte bytes[sizeof(packed<F>)];
    own.tasks_.look(bytes, sizeof(bytes));
    own.tasks_.skip(sizeof(bytes));
    const packed<F>& task = *reinterpret_cast<const packed<F>*>(bytes);
    const auto result = task.f(task.argument);
    if (own.results_.room() < sizeof(result)) {
      tell();
      own.bell_.wait([&] { return own.results_.room() >= sizeof(result); });
    }
    own.results_.put(&result, sizeof(result));
  }

  raw::byte_ring tasks_;
  raw::byte_ring results_;
  raw::bell bell_;  // the worker sleeps on it
};

class raw_warm {
 public:
  static constexpr bool warm = true;

  explicit raw_warm(int workers) : workers_(static_cast<std::size_t>(workers)), desks_(workers_), news_(1) {
    for (std::size_t worker = 0; worker < workers_; ++worker) children_.push_back(raw::forked([&] { desks_[worker].serve(news_[0]); }));
  }
  raw_warm(const raw_warm&) = delete;
  raw_warm& operator=(const raw_warm&) = delete;
  ~raw_warm() {
    for (std::size_t worker = 0; worker < workers_; ++worker) {
      desks_[worker].put_end();
      desks_[worker].tasks().publish();
      desks_[worker].ring();
    }
    raw::collect(children_);
  }

  template <class F>
  auto map(std::size_t n, F f) {
    using result = std::invoke_result_t<F, std::size_t>;
    static_assert(std::is_trivially_copyable_v<result>);
    std::vector<result> results(n);
    std::vector<raw::share> to_put, to_take;
    for (std::size_t worker = 0; worker < workers_; ++worker) to_put.push_back(raw::share_of(worker, workers_, n));
    to_take = to_put;
    std::size_t missing = n;
    const auto go_on = [&] {
      bool any = false;
      for (std::size_t worker = 0; worker < workers_; ++worker) any |= put_some(desks_[worker], to_put[worker], f);
      for (std::size_t worker = 0; worker < workers_; ++worker) {
        const std::size_t taken = take_some(desks_[worker], to_take[worker], results);
        missing -= taken;
        any |= taken > 0;
      }
      return any;
    };
    while (missing > 0) news_[0].wait(go_on);
    return results;
  }

 private:
  template <class F>
  bool put_some(desk& to, raw::share& tasks, F f) {
    constexpr std::size_t size = desk::size_of_task<F>;
    const std::size_t left = tasks.last - tasks.first, room = to.tasks().room() / size;
    if (left == 0 || (room < left && room < raw::byte_ring::portion / size)) return false;  // too little to wake it for
    for (std::size_t last = tasks.first + std::min({left, room, raw::byte_ring::portion / size}); tasks.first < last; ++tasks.first)
      to.put_task(f, tasks.first);
    to.tasks().publish();
    to.ring();
    return true;
  }

  template <class Result>
  std::size_t take_some(desk& from, raw::share& tasks, std::vector<Result>& results) {
    const std::size_t count = from.results().available() / sizeof(Result);
    for (const std::size_t last = tasks.first + count; tasks.first < last; ++tasks.first) {
      from.results().look(&results[tasks.first], sizeof(Result));
      from.results().skip(sizeof(Result));
    }
    if (count > 0) {
      from.results().release();
      from.ring();
    }
    return count;
  }

  std::size_t workers_;
  raw::shared<desk> desks_;
  raw::shared<raw::bell> news_;
  std::vector<pid_t> children_;
};

}  // namespace

int main(int argc, char** argv) {
  constexpr benchmark::question questions[] = {
      {"process_latency/2", benchmark::process_latency_2<raw_warm>},
      {"process_latency/million", benchmark::process_latency_million<raw_warm>},
      {"process_latency/after_kill", benchmark::process_latency_after_kill<raw_warm>},
  };
  return benchmark::dispatch(questions, argc, argv);
}
