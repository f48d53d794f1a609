#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <manyhands/detail/output_file.hpp>
#include <manyhands/detail/report_page.hpp>
#include <manyhands/detail/report_tally.hpp>
#include <manyhands/observer.hpp>

namespace manyhands {

/// Writes an HTML page about a call when it has ended, for one call at a time: how long what took, which worker did it, what failed and
/// why. The page needs nothing but itself, and stays below 2 MB however many tasks there are; so does the memory until then.
template <class>
class basic_report_observer final : public observer {
 public:
  /// `call_ended` throws `observer_error` where it cannot be written. A page that is there already is replaced then, and not before.
  explicit basic_report_observer(std::string path) : path_(std::move(path)) {}

  void call_begun(const observed_call& call) override { tally_.emplace(call); }
  void input_ended(const observed_call&, std::size_t tasks) override { tally_->input_ended(tasks); }
  void task_finished(const observed_call&, const observed_task& task) override { tally_->add(task, detail::fate::finished); }
  void task_failed(const observed_call&, const observed_task& task) override { tally_->add(task, detail::fate::failed); }
  void task_retried(const observed_call&, const observed_task& task) override { tally_->add(task, detail::fate::retried); }
  void worker_lost(const observed_call&, int worker) override { tally_->lost(worker, observed_call::clock::now()); }
  void worker_replaced(const observed_call&, int worker) override { tally_->replaced(worker, observed_call::clock::now()); }
  void call_ended(const observed_call&, std::exception_ptr error) override {
    tally_->end(observed_call::clock::now(), error);
    const std::string page = detail::report_page(tally_->data()).text();
    tally_.reset();
    detail::output_file file;
    file.open_beside("report", path_);
    file.append(page, "");
    file.close();
  }

 private:
  const std::string path_;
  std::optional<detail::report_tally> tally_;
};

using report_observer = basic_report_observer<void>;

}  // namespace manyhands
