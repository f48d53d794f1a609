#pragma once

namespace manyhands {

/// The library's version, after semver.org. CMake reads it from these three lines.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace manyhands
