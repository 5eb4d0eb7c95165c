#!/usr/bin/env bash
# Quantal by add_subdirectory:  subdirectory.sh SOURCE   (compiles the library once more, unoptimised: slow)
set -u
source=$1; work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
run() { "$@" >"$work/log" 2>&1 || { echo "FAILED: $*"; tail -n 30 "$work/log"; echo "tests: 0 passed, 1 failed, 0 skipped"; exit 1; }; }
run cmake -S "$source/tests/install/subdirectory" -B "$work/build" -G Ninja -DQUANTAL_SOURCE_DIR="$source" -DCMAKE_CXX_FLAGS=-O0
run cmake --build "$work/build" -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target consumer_core consumer_c
run "$work/build/consumer_core"
run "$work/build/consumer_c"
echo "tests: 2 passed, 0 failed, 0 skipped"
