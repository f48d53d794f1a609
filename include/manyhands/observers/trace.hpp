#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <manyhands/detail/markup.hpp>
#include <manyhands/detail/output_file.hpp>
#include <manyhands/observer.hpp>

namespace manyhands {

/// Writes what happens in a call, for one call at a time, to a file of Chrome trace events: ui.perfetto.dev and chrome://tracing show it.
///
/// A row is a worker, a slice a task's attempt: with its index, the number of the attempt, and its error. The process bears the call's
/// description. About 140 bytes a task; the file is valid JSON at any time, and lags at most about a second and 64 KiB behind.
template <class>
class basic_trace_observer final : public observer {
 public:
  /// A file that is there already is replaced when a call begins. Callbacks throw `observer_error` where it cannot be written.
  explicit basic_trace_observer(std::string path) : path_(std::move(path)) {}

  void call_begun(const observed_call& call) override {
    begin_ = call.begin;
    flushed_ = call.begin;
    process_ = ",\"pid\":" + std::to_string(::getpid()) + ",\"tid\":";
    named_.clear();
    buffer_ = "[\n";
    file_.open("trace", path_);
    meta("process_name", 0, "name", call.description.empty() ? "manyhands" : detail::clipped(call.description, longest_text));
    meta("process_labels", 0, "labels", std::string(call.backend) + ", n_jobs = " + std::to_string(call.n_jobs));
    constexpr int most_at_once = 256;
    for (int worker = 0; worker < call.workers && worker < most_at_once; ++worker) name_row(worker);
    flush();
  }
  void task_finished(const observed_call&, const observed_task& task) override { slice(task, "task", ""); }
  void task_failed(const observed_call&, const observed_task& task) override { slice(task, "failed", ",\"cname\":\"terrible\""); }
  void task_retried(const observed_call&, const observed_task& task) override { slice(task, "retried", ",\"cname\":\"bad\""); }
  void worker_joined(const observed_call&, int worker, std::string_view host, int rank) override {
    name_row(worker);
    // Once more: what is said last counts.
    meta("thread_name", worker, "name",
         "worker " + std::to_string(worker) + " (rank " + std::to_string(rank) + " on " + std::string(host) + ")");
  }
  void worker_lost(const observed_call&, int worker) override { instant("worker lost", worker, nullptr); }
  void worker_replaced(const observed_call&, int worker) override { instant("worker replaced", worker, nullptr); }
  void call_ended(const observed_call&, std::exception_ptr error) override {
    instant(error != nullptr ? "call failed" : "call ended", -1, error);
    flush();
    file_.close();
  }

 private:
  using clock = observed_call::clock;
  static constexpr std::size_t longest_text = 4096;

  void slice(const observed_task& task, const char* category, const char* colour) {
    const int worker = row(task.worker);
    separate();
    buffer_ += "{\"name\":\"task ";
    buffer_ += std::to_string(task.index);
    buffer_ += "\",\"cat\":\"";
    buffer_ += category;
    buffer_ += "\",\"ph\":\"X\",\"ts\":";
    put_time(task.begin - begin_);
    buffer_ += ",\"dur\":";
    put_time(task.end - task.begin);
    buffer_ += process_;
    buffer_ += std::to_string(worker);
    buffer_ += colour;
    buffer_ += ",\"args\":{\"index\":";
    buffer_ += std::to_string(task.index);
    buffer_ += ",\"attempt\":";
    buffer_ += std::to_string(task.attempt);
    put_error(task.error);
    buffer_ += "}}";
    flush_if_due(task.end);
  }
  /// In a worker's row, of the whole process for -1.
  void instant(std::string_view name, int worker, const std::exception_ptr& error) {
    const int at = worker < 0 ? 0 : row(worker);
    const clock::time_point now = clock::now();
    separate();
    buffer_ += "{\"name\":\"";
    buffer_ += name;
    buffer_ += worker < 0 ? "\",\"ph\":\"i\",\"s\":\"p\",\"ts\":" : "\",\"ph\":\"i\",\"s\":\"t\",\"ts\":";
    put_time(now - begin_);
    buffer_ += process_;
    buffer_ += std::to_string(at);
    buffer_ += ",\"args\":{";
    put_error(error, true);
    buffer_ += "}}";
    flush_if_due(now);
  }
  /// Tasks that failed without a worker are shown in the first row.
  int row(int worker) {
    if (worker < 0) worker = 0;
    name_row(worker);
    return worker;
  }
  void name_row(int worker) {
    const auto number = static_cast<std::size_t>(worker);
    if (number >= named_.size()) named_.resize(number + 1);
    if (named_[number]) return;
    named_[number] = true;
    meta("thread_name", worker, "name", "worker " + std::to_string(worker));
    meta("thread_sort_index", worker, "sort_index", "");
  }
  /// `text` as the value, or where it is empty the row's number.
  void meta(std::string_view name, int worker, std::string_view key, const std::string& text) {
    separate();
    buffer_ += "{\"name\":\"";
    buffer_ += name;
    buffer_ += "\",\"ph\":\"M\",\"ts\":0";
    buffer_ += process_;
    buffer_ += std::to_string(worker);
    buffer_ += ",\"args\":{\"";
    buffer_ += key;
    buffer_ += "\":";
    if (text.empty()) {
      buffer_ += std::to_string(worker);
    } else {
      detail::append_json(buffer_, text);
    }
    buffer_ += "}}";
  }
  void separate() {
    if (buffer_ != "[\n") buffer_ += ",\n";
  }
  /// In microseconds, exactly.
  void put_time(std::chrono::nanoseconds time) {
    auto ns = time.count();
    if (ns < 0) {
      buffer_ += '-';
      ns = -ns;
    }
    const std::string rest = std::to_string(1000 + ns % 1000);
    buffer_ += std::to_string(ns / 1000);
    buffer_ += '.';
    buffer_.append(rest, 1);
  }
  void put_error(const std::exception_ptr& error, bool is_first = false) {
    if (error == nullptr) return;
    buffer_ += is_first ? "\"error\":" : ",\"error\":";
    detail::append_json(buffer_, detail::clipped(detail::error_text(error), longest_text));
  }
  void flush_if_due(clock::time_point now) {
    constexpr std::size_t most_buffered = std::size_t{1} << 16U;
    if (buffer_.size() < most_buffered && now - flushed_ < std::chrono::seconds(1)) return;
    flushed_ = now;
    flush();
  }
  void flush() {
    file_.append(buffer_, "\n]\n");
    buffer_.clear();
  }

  const std::string path_;
  detail::output_file file_;
  clock::time_point begin_ = {};
  clock::time_point flushed_ = {};
  std::string process_;
  std::string buffer_;
  std::vector<bool> named_;  // by worker: whether its row has a name
};

using trace_observer = basic_trace_observer<void>;

}  // namespace manyhands
