#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include <manyhands/options.hpp>

// Where workers belong on a machine, decided without one.

namespace manyhands::detail {

/// A processor, and what it is part of.
struct located_processor {
  int number = 0;
  int core = -1;  // the lowest processor of its physical core, -1 where nobody knows
  int node = -1;  // its NUMA node, the lowest of several, -1 where nobody knows

  friend bool operator==(const located_processor&, const located_processor&) = default;
};

/// What workers can be bound to on these processors, for `pin::cores` and `pin::numa`: of each core, or node, those that are given, lowest
/// core or node first. One of which nobody knows the core is a core of its own; those of which nobody knows the node are one node.
/// Worker k belongs to place k, and where there are fewer, they are gone through again.
template <class = void>
[[nodiscard]] std::vector<std::vector<int>> places_on(std::span<const located_processor> processors, pin what) {
  std::map<int, std::vector<int>> places;
  for (const located_processor& one : processors) {
    const int core = one.core < 0 ? one.number : one.core;
    places[what == pin::numa ? one.node : core].push_back(one.number);
  }
  std::vector<std::vector<int>> in_order;
  for (auto& [key, numbers] : places) in_order.push_back(std::move(numbers));
  return in_order;
}

}  // namespace manyhands::detail
