#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <manyhands/observer.hpp>
#include <manyhands/pre_dispatch.hpp>

namespace manyhands {

class backend;

/// The kind of worker that a call would rather have. A hint: used only where nobody chose a backend.
enum class prefer {
  threads,   ///< light workers that share memory
  processes  ///< workers that cannot take the program down
};

/// What a call cannot do without.
enum class require {
  shared_memory  ///< tasks write to the caller's memory
};

/// What workers are bound to.
enum class pin {
  none,   ///< nothing: the system moves them
  cores,  ///< one physical core each, with all its hardware threads
  numa    ///< one NUMA node each
};

/// The type of `automatic`.
struct automatic_t {
  explicit automatic_t() = default;
};

/// "The library decides": the default of `options::batch_size`.
inline constexpr automatic_t automatic{};

/// How many tasks a worker is handed at a time: a number of at least 1, or `automatic`.
class batch_size {
 public:
  batch_size(automatic_t) noexcept {}

  /// Throws `std::invalid_argument` below 1.
  template <std::integral Count>
  requires(!std::same_as<Count, bool>) batch_size(Count count) : count_(checked(count)) {}

  [[nodiscard]] bool is_automatic() const noexcept { return count_ == 0; }
  /// The number, 0 where it is automatic.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  template <class Count>
  static std::size_t checked(Count count) {
    if (std::cmp_less(count, 1)) {
      throw std::invalid_argument("batch_size is " + std::to_string(count) + ": use a number of at least 1, or manyhands::automatic");
    }
    return static_cast<std::size_t>(count);
  }

  std::size_t count_ = 0;
};

/// Who runs the tasks: a registered name, or a backend object. Empty where nobody chose.
class backend_choice {
 public:
  backend_choice() = default;
  backend_choice(std::string name) : name_(std::move(name)), chosen_(true) {}
  backend_choice(std::string_view name) : backend_choice(std::string(name)) {}
  backend_choice(const char* name) : backend_choice(std::string(name != nullptr ? name : "")) {}
  /// A null pointer, of any type, is `std::invalid_argument` when the options are used.
  backend_choice(std::nullptr_t) : chosen_(true) {}
  template <std::derived_from<backend> Backend>
  backend_choice(std::shared_ptr<Backend> object) : object_(std::move(object)), chosen_(true) {}
  backend_choice(std::shared_ptr<backend> object) : object_(std::move(object)), chosen_(true) {}

  [[nodiscard]] bool has_value() const noexcept { return chosen_; }
  /// The object, or null where a name was given.
  [[nodiscard]] const std::shared_ptr<backend>& object() const noexcept { return object_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
  std::shared_ptr<backend> object_;
  bool chosen_ = false;
};

/// The name of a file: text, or a `file_name`, for which this header does not need <filesystem>.
class file_name {
 public:
  file_name(std::string text) : text_(std::move(text)) {}
  file_name(std::string_view text) : text_(text) {}
  file_name(const char* text) : text_(text != nullptr ? text : "") {}
  template <class Path>
  requires requires(const Path& path) {
    typename Path::string_type;
    { path.native() } -> std::convertible_to<std::string_view>;
  }
  file_name(const Path& path) : text_(path.native()) {}

  [[nodiscard]] const std::string& string() const noexcept { return text_; }
  friend bool operator==(const file_name&, const file_name&) = default;

 private:
  std::string text_;
};

/// What a call may be told. A member that is not set comes from the innermost scope, then from the environment, then from its default.
///
/// Write them in this order: `Parallel({.n_jobs = 4, .backend = "processes"})`.
struct options {
  /// Workers. Default -1: all. Below 0: `max(cpu_count() + 1 + n, 1)`. More than there are processors is allowed. 1 runs in the caller. 0
  /// is refused.
  std::optional<int> n_jobs = std::nullopt;
  /// Default "threads". An unknown name is refused.
  backend_choice backend = {};
  /// Used only where nobody chose a backend.
  std::optional<manyhands::prefer> prefer = std::nullopt;
  /// A backend that cannot give it is replaced by threads.
  std::optional<manyhands::require> require = std::nullopt;
  /// Tasks handed over at a time. Default `automatic`.
  std::optional<manyhands::batch_size> batch_size = std::nullopt;
  /// How far ahead of the oldest unfinished task an input without random access is read, in batches. Default "2*n_jobs".
  std::optional<manyhands::pre_dispatch> pre_dispatch = std::nullopt;
  /// The longest that one attempt at a task may take, from the moment it starts. Above: it fails with `task_timeout`, also if it ends well
  /// after all. In a worker process it is killed meanwhile, by SIGTERM, and after half a second by SIGKILL; everywhere else it is asked to
  /// stop by `this_task::stop_token()`, and waited for. Default: no limit.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  /// How often a task is run again that failed: by an exception, by a crash of its worker process, or by its timeout. The last attempt's
  /// error is the task's. Each attempt passes the task's arguments as they were; what it takes by non-const reference is as the last
  /// attempt has left it. After an exception or a timeout a task is not run again that can be called but once: one that takes an argument
  /// by move which cannot be copied or, where `delayed(fn)(args...)` was handed over as an rvalue, a class of the program's by value.
  /// Default 0.
  std::optional<int> retries = std::nullopt;
  /// Threads that OpenMP, OpenBLAS, MKL and BLIS may use inside a task. Default `max(cpu_count() / n_jobs, 1)`, or what they were told
  /// before where that is less; with one worker all that they have. A nested call goes by the call around it. Libraries that are loaded
  /// when the call begins are told, and told the old number at its end. OpenBLAS and BLIS know one number for all threads: of calls at the
  /// same time, the lowest holds.
  std::optional<int> inner_max_num_threads = std::nullopt;
  /// A worker process is replaced after so many tasks. Default: never. Of no effect where workers are threads.
  std::optional<int> max_tasks_per_worker = std::nullopt;
  /// Bytes that a worker process may allocate beyond what it inherited: a task that allocates more fails with `std::bad_alloc`, or with
  /// `worker_lost` where something in it cannot bear that. Default: no limit. Of no effect where workers are threads.
  std::optional<std::size_t> memory_limit = std::nullopt;
  /// Runs once in every worker before its first task of the call, in the caller too where it takes tasks. If it throws, the call fails with
  /// that error. On "loky" it must be a function pointer, and is not run again in workers that have run it for an earlier call.
  std::function<void()> initializer = {};
  /// What workers are bound to: cores or nodes that the calling thread may use when it makes the call, the first to worker 0, and from the
  /// beginning again where there are more workers. Ends with the call, for the caller, too. Default `pin::none`. Nested calls take it from
  /// their own options alone. A hint: where the system does not allow it, workers run anywhere.
  std::optional<manyhands::pin> pin = std::nullopt;
  /// Stops the call: no further task starts, running ones are asked through `this_task::stop_token()`, those in worker processes are
  /// killed. When none runs any more the call throws `cancelled`; `outcomes` returns instead, with that error for every task that was read
  /// and has no outcome of its own. Calls inside its tasks are stopped with it.
  std::optional<std::stop_token> stop = std::nullopt;
  /// joblib's progress lines. Default 0: none.
  std::optional<int> verbose = std::nullopt;
  /// A live progress bar. Default false.
  std::optional<bool> progress = std::nullopt;
  /// What the call is called where people see it. Default "".
  std::optional<std::string> description = std::nullopt;
  /// Where to write Chrome trace events, for ui.perfetto.dev and chrome://tracing: a row a worker, a slice a task, about 140 bytes each.
  /// The file is written while the call runs, and is valid JSON at any time. The last call to begin with a path has the file; calls that
  /// still write an earlier one are not disturbed. In a scope it holds for the calls made there, not for calls inside their tasks. A path
  /// that cannot be written, or a full disk, is an `observer_error` after the call.
  std::optional<file_name> trace = std::nullopt;
  /// Where to write a report, when the call has ended: one HTML page that needs nothing else, below 2 MB however many tasks there are. It
  /// takes the place of what is there at once, so the last call to end with a path has the page. Scopes and failures as for `trace`.
  std::optional<file_name> report = std::nullopt;
  /// Where finished results are journaled: the same call with the same path runs only what is missing, whatever ended the run before. Each
  /// result is given to the system at once and to the disk within about a second. Results must be transportable. A file that is no journal,
  /// that of another call (number of tasks, type of the results, seed, description), or in use is refused with `checkpoint_error` before
  /// any task runs; a broken end is cut off, and those tasks run again. A full disk is an `observer_error` after the call. In a scope it
  /// holds for the calls made there, one after another, not for calls inside their tasks.
  std::optional<file_name> checkpoint = std::nullopt;
  /// The base of `this_task::seed()`. Default 0.
  std::optional<std::uint64_t> seed = std::nullopt;
  /// Told of everything that happens in the call.
  std::shared_ptr<manyhands::observer> observer = {};
};

}  // namespace manyhands
