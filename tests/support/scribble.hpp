#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include <manyhands/detail/crash_record.hpp>
#include <manyhands/detail/direct_results.hpp>
#include <manyhands/detail/wire.hpp>
#include <manyhands/detail/worker_board.hpp>
#include <manyhands/detail/worker_link.hpp>

namespace manyhands_test {

/// In a worker: the memory that it shares with its caller, found as a stray pointer would.
inline std::byte* memory_shared_with_caller() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx rw-s", &first, &last) != 2 || line.find(" rw-s ") == std::string::npos) continue;
    const std::size_t size = last - first;
    constexpr std::size_t rest = manyhands::detail::worker_link::ring_size + manyhands::detail::direct_results::memory_size;
    if (size > rest && size <= rest + 4096) return reinterpret_cast<std::byte*>(first);
  }
  return nullptr;
}

/// In a worker: overwrites `bytes` bytes at random of what it shares with its caller, `span` bytes of it from byte `begin` on.
inline void scribble(unsigned seed, int bytes, std::size_t span, std::size_t begin = 0) {
  std::byte* const memory = memory_shared_with_caller();
  std::mt19937 random(seed);
  for (int i = 0; i < bytes && memory != nullptr; ++i) memory[begin + random() % span] = static_cast<std::byte>(random());
}

/// The part of it that is no ring, as `worker_link` lays it out.
struct control {
  manyhands::detail::worker_board board;
  manyhands::detail::ring_positions positions;
  manyhands::detail::crash_record crash;
};
inline constexpr std::size_t control_size = sizeof(control);
/// Where the ring begins, behind the places of results.
inline constexpr std::size_t ring_at = control_size + manyhands::detail::direct_results::memory_size;

}  // namespace manyhands_test
