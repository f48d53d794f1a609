#pragma once

#include <system_error>

#include <manyhands/config.hpp>

#if MANYHANDS_HAS_STANDARD_FORWARD
#include <bits/fs_fwd.h>
#else
#include <filesystem>
#include <future>
#endif

// The names of standard types whose headers are a tenth of what a program with this library compiles, and which few programs use: their
// codecs look at the types only where those are complete, in a source that includes the headers.

#if MANYHANDS_HAS_STANDARD_FORWARD
// The formatter takes the macros for names.
// clang-format off
namespace std _GLIBCXX_VISIBILITY(default) {
_GLIBCXX_BEGIN_NAMESPACE_VERSION
class future_error;
enum class future_errc;
const error_category& future_category() noexcept;
_GLIBCXX_END_NAMESPACE_VERSION
}  // namespace std
// clang-format on
#endif
