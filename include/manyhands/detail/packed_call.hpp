#pragma once

#include <cxxabi.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <manyhands/backend.hpp>
#include <manyhands/detail/far_run.hpp>
#include <manyhands/detail/function_identity.hpp>
#include <manyhands/detail/pinning.hpp>
#include <manyhands/detail/scope_frame.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/exception_codec.hpp>
#include <manyhands/options.hpp>
#include <manyhands/this_task.hpp>

// A call as bytes: what a worker that inherited nothing of it has to know before it runs the call's packed tasks, and that worker's side.

namespace manyhands::detail {

/// The function that an initializer calls. Null where there is none. Throws `not_transportable` for any but a plain function.
template <class = void>
[[nodiscard]] const void* code_of(const std::function<void()>& initializer) {
  if (!initializer) return nullptr;
  if (const auto* const plain = initializer.target<void (*)()>()) return reinterpret_cast<const void*>(*plain);
  if (const auto* const quiet = initializer.target<void (*)() noexcept>()) return reinterpret_cast<const void*>(*quiet);
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(initializer.target_type().name(), nullptr, nullptr, &status),
                                                         &std::free);
  throw not_transportable(status == 0 ? name.get() : initializer.target_type().name(),
                          "as an initializer it must be a plain function; write `+` before a lambda that captures nothing, as in "
                          ".initializer = +[] { ... }");
}

/// Writes down those options of a scope that matter to calls in other processes. What watches calls does not: nobody is told of those.
template <class>
class basic_scope_codec {
 public:
  static void save(const options& from, writer& out) {
    put(from.n_jobs, out);
    // One that has only an object goes by its name over there, if it is known there.
    put_text(from.backend.has_value() ? std::optional(name_of_backend(from.backend)) : std::nullopt, out);
    put(from.prefer, out);
    put(from.require, out);
    put(from.batch_size ? std::optional(from.batch_size->count()) : std::nullopt, out);
    put_text(from.pre_dispatch ? std::optional(from.pre_dispatch->text()) : std::nullopt, out);
    put(from.timeout ? std::optional(from.timeout->count()) : std::nullopt, out);
    put(from.retries, out);
    put(from.inner_max_num_threads, out);
    put(from.max_tasks_per_worker, out);
    put(from.memory_limit, out);
    save_function(from.initializer, out);
    put(from.pin, out);
    put_text(from.description, out);
    put(from.seed, out);
  }
  /// Throws `codec_error`, and `error` where the initializer is not there.
  [[nodiscard]] static options load(reader& in) {
    options made;
    made.n_jobs = take<int>(in);
    if (std::optional<std::string> name = take_text(in)) made.backend = std::move(*name);
    made.prefer = take<prefer>(in);
    made.require = take<require>(in);
    if (const auto count = take<std::size_t>(in)) made.batch_size = *count != 0 ? batch_size(*count) : batch_size(automatic);
    if (std::optional<std::string> text = take_text(in)) made.pre_dispatch = pre_dispatch(std::move(*text));
    if (const auto count = take<std::int64_t>(in)) made.timeout = std::chrono::nanoseconds(*count);
    made.retries = take<int>(in);
    made.inner_max_num_threads = take<int>(in);
    made.max_tasks_per_worker = take<int>(in);
    made.memory_limit = take<std::size_t>(in);
    made.initializer = load_function(in);
    made.pin = take<pin>(in);
    made.description = take_text(in);
    made.seed = take<std::uint64_t>(in);
    return made;
  }

  static void save_function(const std::function<void()>& function, writer& out) {
    const void* const code = code_of(function);
    put(std::optional<bool>(code != nullptr), out);
    if (code != nullptr) save_identity(identify(code), out);
  }
  [[nodiscard]] static std::function<void()> load_function(reader& in) {
    if (!take<bool>(in).value_or(false)) return {};
    return reinterpret_cast<void (*)()>(const_cast<void*>(find_function(load_identity(in))));
  }

 private:
  template <class T>
  static void put(const std::optional<T>& value, writer& out) {
    const std::uint64_t words[2] = {value ? 1u : 0u, value ? static_cast<std::uint64_t>(*value) : 0u};
    out.write(words, sizeof words);
  }
  template <class T>
  [[nodiscard]] static std::optional<T> take(reader& in) {
    std::uint64_t words[2];
    in.read(words, sizeof words);
    return words[0] != 0 ? std::optional<T>(static_cast<T>(words[1])) : std::nullopt;
  }
  static void put_text(const std::optional<std::string>& text, writer& out) {
    put(text ? std::optional(text->size()) : std::nullopt, out);
    if (text) out.write(text->data(), text->size());
  }
  [[nodiscard]] static std::optional<std::string> take_text(reader& in) {
    const auto size = take<std::size_t>(in);
    if (!size) return std::nullopt;
    const std::span<const std::byte> bytes = in.take(*size);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  static std::string name_of_backend(const backend_choice& choice) {
    return choice.object() != nullptr ? std::string(choice.object()->name()) : choice.name();
  }
};
using scope_codec = basic_scope_codec<void>;

/// Appends what workers elsewhere have to know of a call. Throws `not_transportable` where its tasks, or an initializer, cannot travel, and
/// `error` where a function cannot be named.
template <class = void>
void save_call(const jobs& work, writer& out) {
  const call_facts& facts = work.facts();
  const task_packing packing = work.packing();
  if (!packing.possible()) throw not_transportable(packing.type_name, packing.obstacle);
  save_identity(identify_own(reinterpret_cast<const void*>(packing.run)), out);
  scope_codec::save_function(facts.initializer, out);
  const auto put = [&](auto value) {
    const auto word = static_cast<std::uint64_t>(value);
    out.write(&word, sizeof word);
  };
  put(packing.keeps_errors);
  put(facts.initializing);
  put(facts.seed);
  put(facts.budget);
  put(facts.inner.most);
  put(facts.inner.exactly);
  put(facts.retries);
  put(facts.timeout.count());
  put(facts.tasks_per_worker);
  put(facts.memory_limit);
  put(facts.observed != nullptr);
  put(facts.depth);
  put(facts.scope != nullptr);
  if (facts.scope != nullptr) scope_codec::save(facts.scope->merged, out);
}

/// What a call's facts refer to on the far side.
struct packed_call_state {
  task_packing::runner run = nullptr;
  bool keeps_errors = false;
  scope_frame scope = {};
  call_facts facts = {};
};

/// The far side of a call: runs the call's packed tasks, one after another. Open a `worker_scope` on it first, and look at `aborted`
/// after that: the initializer may have failed.
///
/// Its tasks are known by whatever numbers the two sides use, `limit` in those, too; the tasks themselves see the index that the user
/// knows.
template <class>
class basic_packed_call final : private packed_call_state, public jobs {
 public:
  /// Takes what `save_call` has appended. Throws `codec_error` for other bytes, and `error` where this process is another program, or lacks
  /// a library.
  explicit basic_packed_call(reader& call) : packed_call_state(load(call)), jobs(packed_call_state::facts) {
    facts_to_change().scope = facts_to_change().scope != nullptr ? &scope : nullptr;
  }

  /// To be changed before the `worker_scope` is opened: what is another matter here than in the caller's process.
  [[nodiscard]] call_facts& facts_to_change() noexcept { return packed_call_state::facts; }

  /// Runs a task that `jobs::pack` has written, as often as the call wants, and leaves its value or its error in `result`, in the place of
  /// what was there, for `jobs::load` or `jobs::load_error`. Lowers `limit` where no further task is wanted after an error. `attempt` is
  /// how often it was begun before in workers that died.
  task_result execute(std::size_t number, std::span<const std::byte> task, writer& result) noexcept {
    std::exception_ptr error;
    observed_task last;
    try {
      reader header(task);
      const packed_header known = load_packed_header(header);
      const std::span<const std::byte> rest = header.take(header.remaining());
      here.task = known.index;
      if (known.what != packed_header::content::task) return pass_on(number, known, rest, result);
      const auto once = [&](bool) { return run_once(rest, result); };
      // It may be run again and again: each time it is made anew of its bytes.
      error = jobs::facts().is_watched() ? run_attempts(
                                               *this, number, true, once, [] {}, last, false)
                                         : once(false);
    } catch (...) {
      error = std::current_exception();
    }
    if (error != nullptr) {
      result.clear();
      save_exception(error, result);
      if (!keeps_errors) stop_at(number);
    }
    if (jobs::facts().tells_runs) save_far_run(last, here.attempt, result);
    return error != nullptr ? task_result::error : task_result::value;
  }
  /// The same for the task that `hold` was given last.
  task_result execute(std::size_t number, writer& result) noexcept override { return execute(number, held_, result); }
  /// The bytes must stay until they were executed.
  void hold(std::span<const std::byte> task) noexcept { held_ = task; }
  /// Lets no task at or above this number start any more.
  void lower_limit(std::size_t number) noexcept { stop_at(number); }
  /// How many tasks there are, for who asks.
  void say_known(std::size_t tasks) noexcept { publish(tasks, true); }

  void abort(std::exception_ptr cause) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      if (aborted_ == nullptr) aborted_ = std::move(cause);
    }
    stop_at(0);
  }
  [[nodiscard]] std::exception_ptr aborted() const noexcept override {
    const std::lock_guard lock(mutex_);
    return aborted_;
  }

  // --- nobody's on this side

  void run(index_range) noexcept override {}
  void fail(std::size_t, std::exception_ptr) noexcept override {}
  void load(std::size_t, reader&) override {}
  void load_error(std::size_t, reader&) noexcept override {}
  [[nodiscard]] result_transport transport() const override { return {}; }
  bool read(std::size_t) noexcept override { return false; }

 private:
  [[nodiscard]] static packed_call_state load(reader& in) {
    packed_call_state made;
    made.run = reinterpret_cast<task_packing::runner>(const_cast<void*>(find_function(load_identity(in))));
    call_facts& facts = made.facts;
    facts.initializer = scope_codec::load_function(in);
    const auto take = [&] {
      std::uint64_t word = 0;
      in.read(&word, sizeof word);
      return word;
    };
    made.keeps_errors = take() != 0;
    facts.initializing = take() != 0;
    facts.seed = take();
    facts.where = place::process;
    facts.budget = static_cast<int>(take());
    facts.inner.most = static_cast<int>(take());
    facts.inner.exactly = take() != 0;
    facts.retries = static_cast<int>(take());
    facts.timeout = std::chrono::nanoseconds(take());
    facts.tasks_per_worker = take();
    facts.memory_limit = take();
    facts.tells_runs = take() != 0;
    facts.unobserved = true;
    facts.depth = static_cast<int>(take());
    if (take() != 0) {
      made.scope = {scope_codec::load(in)};
      facts.scope = &made.scope;  // of this object, which moves: the constructor corrects it
    }
    return made;
  }

  /// What the caller knew beforehand.
  task_result pass_on(std::size_t number, packed_header known, std::span<const std::byte> bytes, writer& result) {
    result.clear();
    result.write(bytes.data(), bytes.size());
    const bool is_error = known.what == packed_header::content::error;
    if (is_error && !keeps_errors) stop_at(number);
    if (jobs::facts().tells_runs) {
      const auto now = observed_call::clock::now();
      save_far_run({.index = known.index, .worker = here.worker, .begin = now, .end = now}, 0, result);
    }
    return is_error ? task_result::error : task_result::value;
  }
  /// One attempt.
  [[nodiscard]] std::exception_ptr run_once(std::span<const std::byte> task, writer& result) noexcept {
    result.clear();
    try {
      reader bytes(task);
      packed_call_state::run(bytes, result);
      return nullptr;
    } catch (...) {
      // No C++ exception but pthread_exit(): there is no way on, and who swallows it aborts.
      if (abi::__cxa_current_exception_type() == nullptr) std::_Exit(0);
      return std::current_exception();
    }
  }

  std::span<const std::byte> held_;
  mutable std::mutex mutex_;
  std::exception_ptr aborted_;  // guarded by mutex_
};
using packed_call = basic_packed_call<void>;

}  // namespace manyhands::detail
