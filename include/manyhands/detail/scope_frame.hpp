#pragma once

#include <manyhands/options.hpp>

namespace manyhands::detail {

/// The defaults of a scope: its own and those of the scopes around it.
struct scope_frame {
  options merged;
};

}  // namespace manyhands::detail
