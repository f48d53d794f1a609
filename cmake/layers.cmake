# Every header of the library, in the order of its layers: a header includes only what stands above it here.
#
# This list is what is installed, what is compiled header by header, what the single header is made of, and what the test `layers` holds the
# includes, the tree and the tests against. A new header goes below everything that it includes.

set(manyhands_headers
    # 0 facts
    manyhands/version.hpp
    manyhands/config.hpp
    manyhands/errors.hpp
    manyhands/environment.hpp
    # 1 vocabulary
    manyhands/task.hpp
    manyhands/outcome.hpp
    manyhands/indexed.hpp
    manyhands/pre_dispatch.hpp
    manyhands/observer.hpp
    manyhands/detail/observation.hpp
    manyhands/options.hpp
    manyhands/detail/scope_frame.hpp
    manyhands/this_task.hpp
    manyhands/detail/aggregate.hpp
    manyhands/detail/bytes.hpp
    manyhands/detail/type_name.hpp
    manyhands/detail/standard_forward.hpp
    manyhands/detail/fields.hpp
    manyhands/detail/codec_core.hpp
    manyhands/detail/prefault.hpp
    manyhands/detail/codec_sequences.hpp
    manyhands/detail/codec_scalars.hpp
    manyhands/detail/codec_values.hpp
    manyhands/detail/obstacle.hpp
    manyhands/codec.hpp
    manyhands/detail/exception_forms.hpp
    manyhands/detail/exception_table.hpp
    manyhands/exception_codec.hpp
    manyhands/detail/markup.hpp
    # 2 policy
    manyhands/schedule.hpp
    manyhands/detail/placement.hpp
    # 3 the seam
    manyhands/detail/barrier.hpp
    manyhands/detail/splittable_range.hpp
    manyhands/detail/inner_pools.hpp
    manyhands/detail/inner_limit.hpp
    manyhands/detail/affinity.hpp
    manyhands/detail/pinning.hpp
    manyhands/backend.hpp
    # 4 machinery
    manyhands/detail/os.hpp
    manyhands/detail/journal.hpp
    manyhands/detail/output_file.hpp
    manyhands/detail/far_run.hpp
    manyhands/detail/segmented.hpp
    manyhands/detail/repeatable.hpp
    manyhands/detail/call_stop.hpp
    manyhands/detail/results.hpp
    manyhands/detail/function_identity.hpp
    manyhands/detail/packed_task.hpp
    manyhands/detail/input.hpp
    manyhands/detail/tuple_slots.hpp
    manyhands/detail/slots.hpp
    manyhands/detail/packed_call.hpp
    manyhands/detail/hwloc.hpp
    manyhands/detail/process.hpp
    manyhands/detail/shared_memory.hpp
    manyhands/detail/crash_record.hpp
    manyhands/detail/frame_names.hpp
    manyhands/detail/wire.hpp
    manyhands/detail/worker_board.hpp
    manyhands/detail/direct_results.hpp
    manyhands/detail/assignment.hpp
    manyhands/detail/supervisor.hpp
    manyhands/detail/worker_process.hpp
    manyhands/detail/worker_loop.hpp
    manyhands/detail/task_ring.hpp
    manyhands/detail/pooled_worker.hpp
    manyhands/detail/worker_link.hpp
    manyhands/detail/worker_pool.hpp
    manyhands/detail/result_intake.hpp
    manyhands/detail/forked_call.hpp
    manyhands/detail/cgroup.hpp
    manyhands/topology.hpp
    manyhands/detail/quiet_calls.hpp
    manyhands/detail/crew.hpp
    manyhands/detail/team_call.hpp
    manyhands/detail/team.hpp
    manyhands/detail/block_table.hpp
    manyhands/detail/stream_watch.hpp
    manyhands/detail/stream_slots.hpp
    manyhands/detail/stream_driver.hpp
    manyhands/detail/stream_in_processes.hpp
    # 5 workers
    manyhands/backends/sequential.hpp
    manyhands/backends/threads.hpp
    manyhands/backends/asio.hpp
    manyhands/backends/processes.hpp
    manyhands/backends/loky.hpp
    # 5 watchers
    manyhands/observers/verbose.hpp
    manyhands/observers/progress.hpp
    manyhands/observers/trace.hpp
    manyhands/detail/report_tally.hpp
    manyhands/detail/report_page.hpp
    manyhands/observers/report.hpp
    manyhands/detail/watchers.hpp
    # 6 selection
    manyhands/registry.hpp
    manyhands/scope.hpp
    manyhands/detail/worker_setup.hpp
    manyhands/detail/task_timer.hpp
    # 7 front door
    manyhands/detail/call_extras.hpp
    manyhands/detail/call_setup.hpp
    manyhands/generator.hpp
    manyhands/parallel.hpp
    manyhands/async.hpp
    manyhands/detail/engine.hpp
    manyhands.hpp
    # 8 opt-in: who uses these has MPI, and includes them by name; whatever has mpi in its name is left out of the single header
    manyhands/backends/mpi_options.hpp
    manyhands/detail/mpi_ledger.hpp
    manyhands/detail/mpi_letter.hpp
    manyhands/detail/mpi_patience.hpp
    manyhands/detail/mpi_buffer.hpp
    manyhands/detail/mpi_post.hpp
    manyhands/detail/mpi_desk.hpp
    manyhands/detail/mpi_worker.hpp
    manyhands/detail/mpi_far_tasks.hpp
    manyhands/detail/mpi_call.hpp
    manyhands/detail/mpi_stream.hpp
    manyhands/detail/mpi_roster.hpp
    manyhands/detail/mpi_world.hpp
    manyhands/backends/mpi.hpp)

set(manyhands_mpi_headers ${manyhands_headers})
list(FILTER manyhands_mpi_headers INCLUDE REGEX "/mpi[_.]")
