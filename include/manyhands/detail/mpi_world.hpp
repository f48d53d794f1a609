#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <manyhands/backend.hpp>
#include <manyhands/backends/mpi_options.hpp>
#include <manyhands/detail/mpi_call.hpp>
#include <manyhands/detail/mpi_desk.hpp>
#include <manyhands/detail/mpi_far_tasks.hpp>
#include <manyhands/detail/mpi_patience.hpp>
#include <manyhands/detail/mpi_post.hpp>
#include <manyhands/detail/mpi_roster.hpp>
#include <manyhands/detail/mpi_stream.hpp>
#include <manyhands/detail/mpi_worker.hpp>
#include <manyhands/detail/os.hpp>
#include <manyhands/detail/shared_memory.hpp>
#include <manyhands/detail/worker_process.hpp>
#include <manyhands/errors.hpp>

namespace manyhands::detail {

/// The ranks of this program's MPI job, from the beginning of its session to the end of the program. There is one at most.
template <class>
class basic_mpi_world {
 public:
  basic_mpi_world(const basic_mpi_world&) = delete;
  basic_mpi_world& operator=(const basic_mpi_world&) = delete;
  ~basic_mpi_world() = default;

  /// Null before the session begins, and after its end.
  [[nodiscard]] static basic_mpi_world* current() noexcept { return the_one.load(std::memory_order_acquire); }

  /// Begins the session. Returns on rank 0 only: the others serve until the session ends, and then end themselves.
  static basic_mpi_world& begin(const mpi_options& options) {
    if (current() != nullptr) throw error("there is an mpi_session already: a program has one, made by the first statement of main");
    if (options.silence < std::chrono::seconds(1)) {
      throw std::invalid_argument("mpi_options: silence is " + std::to_string(options.silence.count()) + " ms: use at least 1000");
    }
    if (options.max_retries < 0) {
      throw std::invalid_argument("mpi_options: max_retries is " + std::to_string(options.max_retries) + ": use 0 or more");
    }
    // The end of the program ends it, in whatever way main is left: destructors of local objects do not see exit().
    static std::unique_ptr<basic_mpi_world, end_of_world> kept;
    kept.reset(new basic_mpi_world(options));
    if (kept->workers() > 0) keep_freed_memory();
    if (kept->roster_->rank() != 0) kept->serve();
    kept->open();
    the_one.store(kept.get(), std::memory_order_release);
    return *kept;
  }

  /// How many ranks run tasks: 0 where this rank is alone.
  [[nodiscard]] int workers() const noexcept { return roster_->size() - 1; }
  [[nodiscard]] const mpi_roster& roster() const noexcept { return *roster_; }

  /// Runs a call's tasks on the ranks. Any thread.
  void run(jobs& work, const plan& how) { mpi_call(*desk_, work, how, surroundings()).run(); }
  /// Runs those of a call whose results are taken one by one. The caller owns what this returns.
  [[nodiscard]] stream_driver* stream(jobs& work, const plan& how) { return new mpi_stream(*desk_, work, how, surroundings()); }

 private:
  struct end_of_world {
    void operator()(basic_mpi_world* ended) const noexcept {
      the_one.store(nullptr, std::memory_order_release);
      if (!ended->mark_.is_original()) return;  // a forked copy of the program is no rank; and nothing of MPI is its own
      ended->end();
      delete ended;
    }
  };

  [[nodiscard]] mpi_call::surroundings surroundings() const {
    return {.max_losses = options_.on_lost == on_lost::resubmit ? options_.max_retries : 0,
            .host_of = [this](int rank) -> const std::string& { return roster_->host_of(rank); }};
  }

  explicit basic_mpi_world(const mpi_options& options) : options_(options) {
    initialize();
    mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    mpi_check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    int rank = 0;
    mpi_check(MPI_Comm_rank(comm_, &rank), "MPI_Comm_rank");
    try {
      roster_.emplace(comm_);
    } catch (...) {
      // All ranks are here together. One of them says it.
      if (rank != 0) {
        MPI_Finalize();
        end_worker(0);
      }
      if (is_ours_) MPI_Finalize();
      throw;
    }
    if (roster_->size() == 1) refuse_foreign_launcher();
    post_.emplace(comm_);
  }

  void initialize() {
    int was_finalized = 0;
    int was_initialized = 0;
    mpi_check(MPI_Finalized(&was_finalized), "MPI_Finalized");
    if (was_finalized != 0) throw error("mpi_session: MPI_Finalize was called before: make the session the first statement of main");
    mpi_check(MPI_Initialized(&was_initialized), "MPI_Initialized");
    int level = MPI_THREAD_SINGLE;
    if (was_initialized == 0) {
      mpi_check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
      is_ours_ = true;
    } else {
      mpi_check(MPI_Query_thread(&level), "MPI_Query_thread");
    }
    if (level >= MPI_THREAD_SERIALIZED) return;
    throw error(std::string("mpi_session: MPI runs with ") + (level == MPI_THREAD_SINGLE ? "MPI_THREAD_SINGLE" : "MPI_THREAD_FUNNELED") +
                ", and at least MPI_THREAD_SERIALIZED is needed: leave MPI_Init to mpi_session, or ask MPI_Init_thread for it");
  }
  /// mpirun of another MPI starts N programs that each believe to be alone.
  void refuse_foreign_launcher() const {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
      const char* const value = std::getenv(name);
      if (value == nullptr || std::atoi(value) <= 1) continue;
      if (is_ours_) MPI_Finalize();
      throw error(std::string("mpi_session: the launcher has started ") + value + " processes (" + name +
                  "), and MPI sees only this one: use the mpirun of the MPI that the program was built with, or srun with its --mpi=...");
    }
  }

  // --- rank 0

  void open() {
    desk_.emplace(*post_, roster_->size(), options_.silence, [this](int rank) { lost(rank); });
    // Whoever calls MPI_Finalize, the others are to do so, too: MPI asks us first.
    int key = 0;
    const auto asked = [](MPI_Comm, int, void* self, void*) {
      static_cast<basic_mpi_world*>(self)->dismiss();
      return MPI_SUCCESS;
    };
    mpi_check(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, asked, &key, nullptr), "MPI_Comm_create_keyval");
    mpi_check(MPI_Comm_set_attr(MPI_COMM_SELF, key, this), "MPI_Comm_set_attr");
    if (options_.on_lost == on_lost::resubmit && workers() > 0) pulse_ = std::thread([this] { pulse(); });
  }
  /// Where the launcher lets ranks outlive this one, they must be able to tell.
  void pulse() noexcept {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, mpi_desk::ping_interval, [this] { return is_over_; })) {
      try {
        desk_->send_all({.kind = mpi_letter_kind::alive});
        static_cast<void>(desk_->is_sending());
      } catch (...) {
        return;  // a call will meet it, too
      }
    }
  }
  void lost(int rank) const noexcept {
    if (options_.on_lost == on_lost::resubmit) return;
    std::fprintf(stderr,
                 "manyhands: rank %d on %s gave no sign of life for %lld ms: the run ends. With mpi_options{.on_lost = on_lost::resubmit} "
                 "the other ranks would go on.\n",
                 rank, roster_->host_of(rank).c_str(), static_cast<long long>(options_.silence.count()));
    abort(1);
  }
  /// Lets the other ranks end.
  void dismiss() noexcept {
    if (is_dismissed_.exchange(true)) return;
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    if (pulse_.joinable()) pulse_.join();
    try {
      desk_->send_all({.kind = mpi_letter_kind::finish, .count = desk_->losses()});
      mpi_patience patience;
      const auto last_moment = std::chrono::steady_clock::now() + options_.silence;
      while (desk_->is_sending() && (desk_->losses() == 0 || std::chrono::steady_clock::now() < last_moment)) patience.wait();
    } catch (...) {  // then the launcher ends them
    }
  }
  void end() noexcept {
    int was_finalized = 0;
    if (MPI_Finalized(&was_finalized) != MPI_SUCCESS || was_finalized != 0 || !desk_) return;
    dismiss();
    if (desk_->losses() == 0) MPI_Finalize();  // else it would wait for those for ever
  }

  // --- the others

  [[noreturn]] void serve() noexcept {
    try {
      mpi_worker::watch_over_root watch;
      if (options_.on_lost == on_lost::resubmit) {
        watch.silence = options_.silence;
        watch.orphaned = [this] {
          std::fprintf(stderr, "manyhands: rank %d on %s has no sign of life of rank 0 any more, and ends.\n", roster_->rank(),
                       roster_->host_of(roster_->rank()).c_str());
          end_worker(1);
        };
      }
      worker_.emplace(
          *post_,
          [this](int number, reader& facts, const std::stop_token& stop) {
            return std::make_unique<mpi_far_tasks>(number, facts, stop, roster_->share());
          },
          watch);
      static const exit_guard guard(
          mark_, [](void* self, int code) noexcept { static_cast<const basic_mpi_world*>(self)->exits(code); }, this);
      worker_->serve();
      if (worker_->ranks_were_lost()) end_worker(0);  // MPI_Finalize would wait for those for ever
      worker_.reset();
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "manyhands: rank %d on %s cannot go on: %s\n", roster_->rank(), roster_->host_of(roster_->rank()).c_str(),
                   problem.what());
      abort(1);
    }
    MPI_Finalize();
    end_worker(0);
  }
  /// A task has called exit().
  void exits(int code) const noexcept {
    const std::size_t task = worker_ ? worker_->running() : no_index;
    const std::string where = task != no_index ? " in task " + std::to_string(task) : std::string();
    std::fprintf(stderr, "manyhands: exit(%d) was called%s on rank %d on %s: the rank is lost.\n", code, where.c_str(), roster_->rank(),
                 roster_->host_of(roster_->rank()).c_str());
    if (options_.on_lost == on_lost::stop) abort(code != 0 ? code : 1);
  }
  /// Ends the run.
  static void abort(int code) noexcept {
    // The launcher brings home what was printed, but not what it finds after this.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    MPI_Abort(MPI_COMM_WORLD, code);
  }

  static std::atomic<basic_mpi_world*> the_one;

  const mpi_options options_;
  const process_mark mark_;
  bool is_ours_ = false;  // MPI was begun by us
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::optional<mpi_roster> roster_;
  std::optional<mpi_post> post_;
  std::optional<mpi_desk> desk_;      // rank 0's
  std::optional<mpi_worker> worker_;  // the others'
  std::atomic<bool> is_dismissed_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;  // guarded by mutex_
  std::thread pulse_;
};
using mpi_world = basic_mpi_world<void>;

template <class Unused>
constinit std::atomic<basic_mpi_world<Unused>*> basic_mpi_world<Unused>::the_one{nullptr};

}  // namespace manyhands::detail
