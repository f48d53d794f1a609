#pragma once

// What all calls of a program share, and which it may compile once instead of in each source that makes a call: see README, "How to use it
// in your build". MANYHANDS_SEPARATE_COMPILATION declares it, for all sources; MANYHANDS_IMPLEMENTATION compiles it, in one. Without them
// this header is empty. Small classes, and functions that few call, are left out: each source compiles what it uses of them, as without the
// macros.

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <manyhands/detail/function_identity.hpp>
#include <manyhands/detail/packed_call.hpp>
#include <manyhands/generator.hpp>
#include <manyhands/parallel.hpp>

#if defined(MANYHANDS_IMPLEMENTATION)
#define MANYHANDS_ENGINE template
#elif defined(MANYHANDS_SEPARATE_COMPILATION)
#define MANYHANDS_ENGINE extern template
#endif

#ifdef MANYHANDS_ENGINE
namespace manyhands {

MANYHANDS_ENGINE class basic_sequential_backend<void>;
MANYHANDS_ENGINE class basic_threads_backend<void>;
MANYHANDS_ENGINE class basic_trace_observer<void>;
MANYHANDS_ENGINE class basic_report_observer<void>;
MANYHANDS_ENGINE class basic_worker_scope<void>;

namespace detail {

MANYHANDS_ENGINE class basic_adaptive_batch<void>;
MANYHANDS_ENGINE class basic_observation<void>;
MANYHANDS_ENGINE class basic_inner_pool<void>;
MANYHANDS_ENGINE class basic_inner_pools<void>;
MANYHANDS_ENGINE class basic_shared_inner_limit<void>;
MANYHANDS_ENGINE class basic_inner_limit<void>;
MANYHANDS_ENGINE class basic_affinity_mask<void>;
MANYHANDS_ENGINE class basic_worker_pin<void>;
MANYHANDS_ENGINE class basic_worker_unpin<void>;
MANYHANDS_ENGINE class basic_journal<void>;
MANYHANDS_ENGINE class basic_output_file<void>;
MANYHANDS_ENGINE class basic_call_stop<void>;
MANYHANDS_ENGINE class basic_employer<void>;
MANYHANDS_ENGINE class basic_invitation<void>;
MANYHANDS_ENGINE class basic_crew<void>;
MANYHANDS_ENGINE class basic_team_call<void>;
MANYHANDS_ENGINE class basic_team<void>;
MANYHANDS_ENGINE class basic_expected_team<void>;
MANYHANDS_ENGINE class basic_stream_in_caller<void>;
MANYHANDS_ENGINE class basic_stream_on_team<void>;
MANYHANDS_ENGINE class basic_part_of_jobs<void>;
MANYHANDS_ENGINE class basic_stream_in_turns<void>;
MANYHANDS_ENGINE class basic_report_tally<void>;
MANYHANDS_ENGINE class basic_report_page<void>;
MANYHANDS_ENGINE class basic_watchers<void>;
MANYHANDS_ENGINE class basic_task_timer<void>;
MANYHANDS_ENGINE class basic_call_extras<void>;
MANYHANDS_ENGINE class basic_call_setup<void>;
MANYHANDS_ENGINE class basic_image_table<void>;
MANYHANDS_ENGINE class basic_scope_codec<void>;
MANYHANDS_ENGINE class basic_packed_call<void>;

MANYHANDS_ENGINE std::string current_exception_text<void>();
MANYHANDS_ENGINE void save_exception<void>(const std::exception_ptr&, writer&) noexcept;
MANYHANDS_ENGINE void save_exception_chain<void>(const std::exception_ptr&, int, writer&);
MANYHANDS_ENGINE std::exception_ptr load_exception<void>(reader&) noexcept;
MANYHANDS_ENGINE std::exception_ptr load_exception_chain<void>(reader&, int);
MANYHANDS_ENGINE function_identity identify_own<void>(const void*);
MANYHANDS_ENGINE function_identity identify<void>(const void*);
MANYHANDS_ENGINE const void* find_function<void>(const function_identity&);
MANYHANDS_ENGINE void save_call<void>(const jobs&, writer&);
MANYHANDS_ENGINE std::atomic<const backend_table*>& current_table<void>();
MANYHANDS_ENGINE const backend_factory& factory_of<void>(std::string_view, const char*);
MANYHANDS_ENGINE std::shared_ptr<backend> make_backend<void>(std::string_view, const char*);
MANYHANDS_ENGINE std::shared_ptr<backend> make_preferred_backend<void>();
MANYHANDS_ENGINE void check<void>(const options&);
MANYHANDS_ENGINE options overlaid<void>(options, const options&);
MANYHANDS_ENGINE selection select<void>(const options&);
MANYHANDS_ENGINE void run_on_team<void>(jobs&, const plan&, int, outside_helpers*);

#if MANYHANDS_HAS_FORK
MANYHANDS_ENGINE class basic_signals_blocked<void>;
MANYHANDS_ENGINE class basic_child_process<void>;
MANYHANDS_ENGINE class basic_direct_results<void>;
MANYHANDS_ENGINE class basic_frame_writer<void>;
MANYHANDS_ENGINE class basic_frame_reader<void>;
MANYHANDS_ENGINE class basic_worker_board<void>;
MANYHANDS_ENGINE class basic_assignment<void>;
MANYHANDS_ENGINE class basic_supervisor<void>;
MANYHANDS_ENGINE class basic_worker_loop<void>;
MANYHANDS_ENGINE class basic_parcel_sender<void>;
MANYHANDS_ENGINE class basic_parcel_receiver<void>;
MANYHANDS_ENGINE class basic_pooled_worker<void>;
MANYHANDS_ENGINE class basic_worker_pool<void>;
MANYHANDS_ENGINE class basic_worker_link<void>;
MANYHANDS_ENGINE class basic_result_intake<void>;
MANYHANDS_ENGINE class basic_forked_call<void>;
MANYHANDS_ENGINE class basic_stream_in_processes<void>;
MANYHANDS_ENGINE std::vector<std::string> frame_names<void>(const std::vector<std::uintptr_t>&);
#endif

}  // namespace detail

#if MANYHANDS_HAS_FORK
MANYHANDS_ENGINE class basic_processes_backend<void>;
MANYHANDS_ENGINE class basic_loky_backend<void>;
#endif
MANYHANDS_ENGINE int cpu_count<void>(bool);

}  // namespace manyhands
#undef MANYHANDS_ENGINE
#endif
