#pragma once

// The only feature tests of the library: everybody else asks these macros.

#include <version>

/// 1 where hwloc may be used. The CMake target sets it where it links hwloc; a plain `-I include` build never needs the library.
#ifndef MANYHANDS_WITH_HWLOC
#define MANYHANDS_WITH_HWLOC 0
#endif

/// 1 where worker processes can be forked and their ends be told apart.
#ifndef MANYHANDS_HAS_FORK
#if defined(__linux__)
#define MANYHANDS_HAS_FORK 1
#else
#define MANYHANDS_HAS_FORK 0
#endif
#endif

/// 1 in a build under AddressSanitizer, 1 in a build under ThreadSanitizer.
#if defined(__SANITIZE_ADDRESS__)
#define MANYHANDS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MANYHANDS_ASAN 1
#endif
#endif
#ifndef MANYHANDS_ASAN
#define MANYHANDS_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define MANYHANDS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MANYHANDS_TSAN 1
#endif
#endif
#ifndef MANYHANDS_TSAN
#define MANYHANDS_TSAN 0
#endif

/// For functions that every call passes through. The linker puts them side by side, into a few pages of the program: after a pause each
/// page costs a walk through the page tables, which takes longer than what is in it.
#define MANYHANDS_EACH_CALL [[gnu::hot]]

/// 1 where the standard library is libstdc++ 12 or later, whose names may be declared without <filesystem> and <future>: its own headers do
/// so, and its ABI keeps them as they are.
#ifndef MANYHANDS_HAS_STANDARD_FORWARD
#if defined(__has_include)
#if defined(__GLIBCXX__) && __has_include(<bits/fs_fwd.h>)
#define MANYHANDS_HAS_STANDARD_FORWARD 1
#endif
#endif
#ifndef MANYHANDS_HAS_STANDARD_FORWARD
#define MANYHANDS_HAS_STANDARD_FORWARD 0
#endif
#endif

namespace manyhands::detail {

/// Two objects this far apart never share a cache line. Not `std::hardware_destructive_interference_size`: clang 14 and 16 lack it, and g++
/// 12 warns of it in a header.
#if defined(__aarch64__) || defined(__powerpc64__)
inline constexpr unsigned cache_line = 128;
#else
inline constexpr unsigned cache_line = 64;
#endif

}  // namespace manyhands::detail
