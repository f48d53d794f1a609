#!/bin/sh
# tests/run.sh [ctest arguments]
#
# Installs what is missing, builds the tests and runs them; without arguments all but those that take minutes, which `tests/run.sh -L slow` runs. CXX
# names the compiler; MANYHANDS_PRESET a preset of CMakePresets.json: dev (the default), release, asan, tsan, coverage or tidy.
set -eu
cd "$(dirname "$0")/.."

. cmake/bootstrap.sh
bootstrap tests

preset=${MANYHANDS_PRESET:-dev}
if [ -n "${CXX:-}" ]; then
  MANYHANDS_BUILD_SUFFIX=-$(basename "$CXX" | tr ' ' _)
  export MANYHANDS_BUILD_SUFFIX
fi
launch=
case "$preset" in
  asan | tsan) # they may lose their way in a randomised address space, and the build too runs the tests, to list them
    if setarch -R true 2>/dev/null; then launch="setarch -R"; fi
    ;;
esac

[ $# -gt 0 ] || set -- -LE slow

cmake --preset "$preset"
$launch cmake --build --preset "$preset" --parallel "$(nproc)" -- -k 0
exec $launch ctest --preset "$preset" --no-tests=error --output-on-failure -j "$(nproc)" "$@"
