// The machinery of a call, compiled once for all programs that define MANYHANDS_SEPARATE_COMPILATION.
#define MANYHANDS_IMPLEMENTATION
#include <manyhands.hpp>
