#pragma once

#include <cstdint>

/// Keeps a processor busy: the work of every task that is to take a while. Gives back `rounds`, which no compiler can know.
///
/// It lies in a library of its own, so that all contenders, whatever compiled them, run the same instructions.
extern "C" std::uint64_t benchmark_spin(std::uint64_t rounds);
