#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <manyhands/detail/direct_results.hpp>

namespace manyhands_test {

/// The bytes of a task's result, none where it is not in its place.
inline std::vector<std::byte> result_in(const manyhands::detail::direct_results& places, std::uint32_t range, std::size_t task) {
  std::vector<std::byte> bytes(places.size());
  if (places.of_range(range).take(task, task + 1, bytes) == 0) bytes.clear();
  return bytes;
}
inline bool has_result(const manyhands::detail::direct_results& places, std::uint32_t range, std::size_t task) {
  return !result_in(places, range, task).empty();
}

}  // namespace manyhands_test
