#pragma once

// Calls that do not block: `par.async(tasks, token)` is an Asio operation, for any completion token. Not part of <manyhands.hpp>.

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION >= 102000
#include <boost/asio/associated_cancellation_slot.hpp>
#endif

#include <manyhands/options.hpp>
#include <manyhands/parallel.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/task.hpp>
#include <manyhands/this_task.hpp>

namespace manyhands::detail {

/// What a call gives, besides an error.
template <class Result>
struct async_outcome {
  using signature = void(std::exception_ptr, Result);
  using values = std::tuple<std::exception_ptr, Result>;
};
template <>
struct async_outcome<void> {
  using signature = void(std::exception_ptr);
  using values = std::tuple<std::exception_ptr>;
};

/// A call that another thread will make as if it were made here and now: with this scope, and stopped with the task around it.
template <class Range>
class postponed_call {
 public:
  using result = std::invoke_result_t<const Parallel&, Range&>;
  using outcome = async_outcome<result>;

  postponed_call(const options& own, Range range) : range_(std::move(range)), own_(own), scope_(scoped()) {
    const std::optional<std::stop_token>& asked = own.stop ? own.stop : scope_.stop;
    if (asked) stops_[0] = *asked;
    if (here.stop != nullptr) stops_[1] = *here.stop;
    if (here.call == nullptr) return;
    // In a task: what it may use is known here only.
    try {
      const selection chosen = select(own);
      own_.n_jobs = chosen.workers;
      own_.backend = chosen.who;
    } catch (...) {
      refused_ = std::current_exception();
    }
  }

  [[nodiscard]] typename outcome::values make(std::stop_source stop) {
    typename outcome::values made;
    try {
      if (refused_ != nullptr) std::rethrow_exception(refused_);
      const auto forward = [&stop] { stop.request_stop(); };
      const std::stop_callback first(stops_[0], forward);
      const std::stop_callback second(stops_[1], forward);
      own_.stop = stop.get_token();
      const parallel_config guard(std::move(scope_));
      if constexpr (std::is_void_v<result>) {
        Parallel(std::move(own_))(range_);
      } else {
        std::get<1>(made) = Parallel(std::move(own_))(range_);
      }
    } catch (...) {
      std::get<0>(made) = std::current_exception();
    }
    return made;
  }

 private:
  Range range_;
  options own_;
  options scope_;
  std::stop_token stops_[2];
  std::exception_ptr refused_;
};

/// A call on its way, and who is told of its end.
template <class Handler, class Range>
class async_operation : public std::enable_shared_from_this<async_operation<Handler, Range>> {
  using executor = boost::asio::associated_executor_t<Handler>;

 public:
  async_operation(Handler handler, postponed_call<Range> call)
      : handler_(std::move(handler)), work_(boost::asio::get_associated_executor(handler_)), call_(std::move(call)) {
#if BOOST_ASIO_VERSION >= 102000
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) {
      slot.assign([stop = stop_](boost::asio::cancellation_type) mutable { stop.request_stop(); });
    }
#endif
  }

  /// A thread of its own: whoever shared one with others would wait for their calls.
  void start() {
    const auto self = this->shared_from_this();
    try {
      const std::lock_guard lock(mutex_);
      thread_ = std::thread([self] { self->complete(self->call_->make(self->stop_)); });
    } catch (...) {
      typename postponed_call<Range>::outcome::values failed;
      std::get<0>(failed) = std::current_exception();
      // Not from in here: an operation that calls its handler before it returns surprises everybody.
      boost::asio::post(work_.get_executor(), [self, failed = std::move(failed)]() mutable { self->tell(std::move(failed)); });
    }
  }

 private:
  void complete(typename postponed_call<Range>::outcome::values made) {
    call_.reset();
    boost::asio::dispatch(work_.get_executor(),
                          [self = this->shared_from_this(), made = std::move(made)]() mutable { self->tell(std::move(made)); });
  }
  void tell(typename postponed_call<Range>::outcome::values made) {
#if BOOST_ASIO_VERSION >= 102000
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) slot.clear();
#endif
    leave_thread();
    Handler handler = std::move(handler_);
    work_.reset();
    std::apply(std::move(handler), std::move(made));
  }

  /// It may still be on its way out of the executor, which the handler may destroy.
  void leave_thread() {
    std::thread done;
    {
      const std::lock_guard lock(mutex_);
      done = std::move(thread_);
    }
    if (done.get_id() == std::this_thread::get_id()) {
      done.detach();  // the executor runs handlers in whatever thread it is asked in
    } else if (done.joinable()) {
      done.join();
    }
  }

  Handler handler_;
  boost::asio::executor_work_guard<executor> work_;  // io_context::run() returns no earlier
  std::optional<postponed_call<Range>> call_;
  std::stop_source stop_;
  std::mutex mutex_;  // guards thread_, which may have told the end before it is known
  std::thread thread_;
};

template <class Range>
struct async_start {
  template <class Token>
  static auto call(const options& own, Range range, Token&& token) {
    return boost::asio::async_initiate<Token, typename postponed_call<Range>::outcome::signature>(
        [](auto handler, postponed_call<Range> call) {
          std::make_shared<async_operation<decltype(handler), Range>>(std::move(handler), std::move(call))->start();
        },
        token, postponed_call<Range>(own, std::move(range)));
  }
};

}  // namespace manyhands::detail
