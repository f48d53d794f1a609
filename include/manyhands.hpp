#pragma once

// joblib's Parallel for C++20: one line turns a loop into a parallel map, on threads or on crash-isolated processes.
//
// What only a call needs is written as templates without a real parameter (`basic_x<void>`, `template <class = void>`): a compiler
// instantiates whatever the body of a plain inline function mentions, in every source that includes it, and what a template mentions only
// where it is called. It saves a source that includes this about 80 MB of what g++ 12 would need, a fifth.

#include <manyhands/backend.hpp>
#include <manyhands/backends/asio.hpp>
#include <manyhands/codec.hpp>
#include <manyhands/detail/engine.hpp>
#include <manyhands/errors.hpp>
#include <manyhands/exception_codec.hpp>
#include <manyhands/generator.hpp>
#include <manyhands/indexed.hpp>
#include <manyhands/options.hpp>
#include <manyhands/outcome.hpp>
#include <manyhands/parallel.hpp>
#include <manyhands/registry.hpp>
#include <manyhands/scope.hpp>
#include <manyhands/task.hpp>
#include <manyhands/this_task.hpp>
#include <manyhands/topology.hpp>
#include <manyhands/version.hpp>
