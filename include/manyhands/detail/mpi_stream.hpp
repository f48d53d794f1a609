#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/detail/mpi_call.hpp>
#include <manyhands/detail/mpi_desk.hpp>
#include <manyhands/detail/stream_driver.hpp>

namespace manyhands::detail {

/// Runs the tasks of a call whose results are taken one by one on the ranks of an MPI job.
///
/// Letters move while the consumer reads, or waits for a result. While it does something else, ranks go on with what they have been sent.
template <class>
class basic_mpi_stream final : public stream_driver {
 public:
  /// Throws like `mpi_call`.
  basic_mpi_stream(mpi_desk& desk, jobs& work, const plan& how, mpi_call::surroundings around)
      : call_(desk, work, how, std::move(around)) {}
  ~basic_mpi_stream() override { close(); }

  [[nodiscard]] std::size_t batch() const noexcept override { return call_.batch(); }
  void feed(bool more) noexcept override {
    // Input that is quick is sent out together.
    constexpr std::chrono::microseconds reading_time(50);
    const auto now = std::chrono::steady_clock::now();
    if (more && now - advanced_ < reading_time) return;
    advanced_ = now;
    call_.advance();
  }
  void attend(stream_goal& goal) noexcept override {
    while (call_.advance() && !goal.is_reached()) call_.wait();
  }
  void close() noexcept override {
    while (call_.advance()) call_.wait();
    call_.end();
  }

 private:
  mpi_call call_;
  std::chrono::steady_clock::time_point advanced_ = {};
};
using mpi_stream = basic_mpi_stream<void>;

}  // namespace manyhands::detail
