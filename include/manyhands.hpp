#pragma once

// joblib's Parallel for C++20: one line turns a loop into a parallel map, on threads or on crash-isolated processes.

#include <manyhands/backend.hpp>
#include <manyhands/backends/asio.hpp>
#include <manyhands/codec.hpp>
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
