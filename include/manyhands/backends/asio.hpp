#pragma once

#include <boost/asio/post.hpp>
#include <concepts>
#include <memory>
#include <string_view>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/crew.hpp>
#include <manyhands/detail/team.hpp>

namespace manyhands {

namespace detail {

/// The threads behind an executor, as helpers.
template <class Executor>
class executor_backend final : public backend, private outside_helpers {
 public:
  explicit executor_backend(Executor executor) : executor_(std::move(executor)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "asio"; }
  [[nodiscard]] backend_traits traits() const noexcept override { return {.shares_memory = true, .streams = true, .nests = true}; }
  [[nodiscard]] stream_host streams() noexcept override { return {.how = stream_host::kind::on_team, .outside = this}; }
  void run(jobs& work, const plan& how) override { run_on_team(work, how, how.workers - 1, this); }

 private:
  void invite(std::shared_ptr<invitation> to) override {
    boost::asio::post(executor_, [guest = std::move(to)] { guest->accept(); });
  }

  Executor executor_;
};

}  // namespace detail

/// A backend whose workers are the caller and threads that run this Asio executor, so that an application has one pool:
/// `Parallel({.n_jobs = 4, .backend = asio_backend(pool.get_executor())})`.
///
/// A call posts at most `n_jobs - 1` helpers, which work until nothing is left to take, and never waits for one that has not begun. So it
/// may be made on a thread of the executor itself, on its only one, too, or while nobody runs it: then the caller does the work. The
/// threads are busy with the call meanwhile, and a handler that is posted waits for a free one. The caller also takes tasks where it reads
/// input as they run.
///
/// The executor's context must outlive the backend's calls. Any thread may call.
template <class Executor>
requires(std::copy_constructible<Executor>) [[nodiscard]] std::shared_ptr<backend> asio_backend(Executor executor) {
  return std::make_shared<detail::executor_backend<Executor>>(std::move(executor));
}
/// The same for a context: a `boost::asio::thread_pool` or `io_context`.
template <class Context>
requires requires(Context& context) { context.get_executor(); }
[[nodiscard]] std::shared_ptr<backend> asio_backend(Context& context) { return asio_backend(context.get_executor()); }

}  // namespace manyhands
