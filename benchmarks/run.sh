#!/bin/sh
# benchmarks/run.sh [compare.py's arguments]
#
# Installs what is missing, builds manyhands and its contenders, and lets them answer in turn. Without arguments it asks everything, which takes an
# hour, and writes benchmarks/RESULTS.md; with some it only prints: `benchmarks/run.sh --rounds 3 --contenders manyhands,onetbb uneven`.
set -eu
cd "$(dirname "$0")/.."

. cmake/bootstrap.sh
bootstrap libtbb-dev clang libomp-dev python3-joblib openmpi-bin libopenmpi-dev python3-mpi4py python3-distributed iproute2

mkdir -p build
log=build/bench.log
echo "building the benchmarks" >&2
if ! { cmake --preset release -B build/bench -DMANYHANDS_BUILD_TESTS=OFF -DMANYHANDS_BUILD_EXAMPLES=OFF -DMANYHANDS_BUILD_BENCHMARKS=ON &&
  cmake --build build/bench; } >$log 2>&1; then
  cat $log >&2
  exit 1
fi
grep '^-- benchmarks: ' $log >&2 || true

[ $# != 0 ] || set -- --write benchmarks/RESULTS.md
exec benchmarks/compare.py "$@"
