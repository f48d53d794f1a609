#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/exception_codec.hpp>

namespace manyhands_test {

/// A call's jobs in plain sight: tasks, results and errors in vectors. `stops` says that an error ends the call, as for
/// `Parallel::operator()`.
template <class R>
class vector_jobs final : public manyhands::jobs {
 public:
  explicit vector_jobs(std::vector<std::function<R()>> functions, bool stops = false, std::function<void()> initializer = {})
      : jobs(facts_), tasks(std::move(functions)), results(tasks.size()), errors(tasks.size()), stops_(stops) {
    facts_.initializer = std::move(initializer);
    publish(tasks.size(), true);
  }

  void run(manyhands::index_range range) noexcept override {
    for (std::size_t index = range.first; index != range.last && index < limit(); ++index) {
      try {
        results[index] = tasks[index]();
      } catch (...) {
        fail(index, std::current_exception());
      }
    }
  }
  void fail(std::size_t index, std::exception_ptr cause) noexcept override {
    errors[index] = std::move(cause);
    if (stops_) stop_at(index);
  }
  void load(std::size_t index, manyhands::reader& bytes) override {
    if (refuse_to_load && *refuse_to_load == index) throw manyhands::codec_error("refused");
    results[index] = bytes.get<R>();
    bytes.finish();
  }
  void load_error(std::size_t index, manyhands::reader& bytes) noexcept override { fail(index, manyhands::detail::load_exception(bytes)); }
  manyhands::task_result execute(std::size_t index, manyhands::writer& bytes) noexcept override {
    bytes.clear();
    manyhands::detail::here.task = index;
    try {
      bytes.put<R>(tasks[index]());
      return manyhands::task_result::value;
    } catch (...) {
      bytes.clear();
      manyhands::detail::save_exception(std::current_exception(), bytes);
      return manyhands::task_result::error;
    }
  }
  [[nodiscard]] manyhands::result_transport transport() const override {
    return {.fixed_size = std::is_trivially_copyable_v<R> ? sizeof(R) : 0};
  }
  void abort(std::exception_ptr cause) noexcept override {
    if (aborted_ == nullptr) aborted_ = std::move(cause);
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return aborted_; }
  bool read(std::size_t) noexcept override { return false; }

  /// To be changed before the call begins.
  [[nodiscard]] manyhands::detail::call_facts& own_facts() { return facts_; }
  /// How many tasks have a result, and how many an error.
  [[nodiscard]] std::size_t succeeded() const {
    std::size_t count = 0;
    for (const auto& result : results) count += result.has_value();
    return count;
  }
  [[nodiscard]] std::vector<std::size_t> failed() const {
    std::vector<std::size_t> indices;
    for (std::size_t index = 0; index != errors.size(); ++index) {
      if (errors[index] != nullptr) indices.push_back(index);
    }
    return indices;
  }

  std::vector<std::function<R()>> tasks;
  std::vector<std::optional<R>> results;
  std::vector<std::exception_ptr> errors;
  std::optional<std::size_t> refuse_to_load;

 private:
  manyhands::detail::call_facts facts_;
  std::exception_ptr aborted_;
  bool stops_;
};

}  // namespace manyhands_test
