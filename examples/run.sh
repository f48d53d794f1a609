#!/bin/sh
# examples/run.sh [wordcount arguments]
#
# Installs what is missing, builds the main example and runs it: it counts the words of the system's C headers on every backend. All arguments go to the
# example, `--help` too.
set -eu
caller=$PWD
cd "$(dirname "$0")/.."
root=$PWD

. cmake/bootstrap.sh
bootstrap

echo "building examples/wordcount.cpp"
mkdir -p build
log=build/demo.log
if ! { cmake --preset release -B build/demo -DMANYHANDS_BUILD_TESTS=OFF && cmake --build build/demo --target wordcount; } >$log 2>&1; then
  cat $log >&2
  exit 1
fi
cd "$caller"
exec "$root/build/demo/examples/wordcount" "$@"
