#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <manyhands/backend.hpp>

/// So many tasks that all call one function with their index; those beyond `ready` come when they are read.
class plain_jobs final : public manyhands::jobs {
 public:
  explicit plain_jobs(std::size_t size, std::function<void(std::size_t)> task, std::optional<std::size_t> ready = std::nullopt,
                      std::function<void()> initializer = {})
      : plain_jobs(std::make_unique<manyhands::detail::call_facts>(manyhands::detail::call_facts{.initializer = std::move(initializer)}),
                   size, std::move(task), ready) {}

  void run(manyhands::index_range tasks) noexcept override {
    for (std::size_t index = tasks.first; index != tasks.last && index < limit(); ++index) task_(index);
  }
  void fail(std::size_t index, std::exception_ptr) noexcept override { stop_at(index); }
  void load(std::size_t, manyhands::reader&) override {}
  void load_error(std::size_t, manyhands::reader&) noexcept override {}
  manyhands::task_result execute(std::size_t, manyhands::writer&) noexcept override { return manyhands::task_result::value; }
  [[nodiscard]] manyhands::result_transport transport() const override { return {}; }
  void abort(std::exception_ptr cause) noexcept override {
    aborted_ = std::move(cause);
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override { return aborted_; }
  bool read(std::size_t most) noexcept override {
    ready_ = most < size_ - ready_ ? ready_ + most : size_;
    publish(ready_, ready_ == size_);
    return ready_ < size_;
  }

 private:
  plain_jobs(std::unique_ptr<manyhands::detail::call_facts> facts, std::size_t size, std::function<void(std::size_t)> task,
             std::optional<std::size_t> ready)
      : jobs(*facts), facts_(std::move(facts)), size_(size), ready_(ready.value_or(size)), task_(std::move(task)) {
    publish(ready_, ready_ == size_);
  }

  std::unique_ptr<manyhands::detail::call_facts> facts_;
  std::size_t size_;
  std::size_t ready_;
  std::function<void(std::size_t)> task_;
  std::exception_ptr aborted_;
};
