#pragma once

#include <cstddef>

namespace manyhands {

/// A result, and the position in the input of the task that gave it. `indexed<void>` is the position alone.
template <class Value>
struct indexed {
  std::size_t index;
  Value value;
};
template <>
struct indexed<void> {
  std::size_t index;
};

}  // namespace manyhands
