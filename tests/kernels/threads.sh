#!/usr/bin/env bash
# Concurrent runs of one plan under ThreadSanitizer; and the same program finds a race that is put into it. Then the C interface: its own
# tests of the kernels and the engine of the examples, on the reference kernels.
# usage: threads.sh ROOT SIMDE_INCLUDE_DIR
set -u
root=$1 simde=$2; work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
flags=(-std=c++20 -O1 -fsanitize=thread -Wno-psabi -I "$root/include" -I "$root/tests" -idirafter "$simde")
case $(uname -m) in x86_64) grep -qw avx2 /proc/cpuinfo && flags+=(-mavx2) ;; esac
echo 'int main() {}' | g++ -x c++ -fsanitize=thread - -o "$work/probe" 2>/dev/null && "$work/probe" ||
  { echo "skip: ThreadSanitizer does not run here"; exit 77; }
passed=0 failed=0
# Without -mavx2: emulation stands on the baseline.
g++ "${flags[@]}" -mno-avx2 -c "$root/tests/kernels/emulate/leaves.cpp" -o "$work/leaves.o" || exit 1
g++ "${flags[@]}" "$root/tests/kernels/threads_main.cpp" "$work/leaves.o" -o "$work/threads" || exit 1
if "$work/threads" >"$work/out" 2>&1; then passed=$((passed + 1)); sed 's/^/ok: /' "$work/out"
else failed=$((failed + 1)); echo "FAILED:"; head -n 30 "$work/out"; fi
if ! "$work/threads" race >"$work/out" 2>&1 && grep -q 'data race' "$work/out"; then passed=$((passed + 1)); echo "ok: a planted race is found"
else failed=$((failed + 1)); echo "FAILED: a planted race was not found"; fi
objects=()
for unit in capi/{gemm,conv,elementwise,numbers} src/kernels/{cpu,dispatch,gemm_leaves,depthwise_leaves,quantize_array}; do
  objects+=("$work/${unit//\//_}.o")
  g++ -std=c++20 -O1 -fsanitize=thread -I "$root/include" -I "$root/capi/include" -c "$root/$unit.cpp" -o "${objects[-1]}" || exit 1
done
for program in tests/capi/kernels_test examples/engine/engine; do
  if { gcc -std=gnu11 -O1 -fsanitize=thread -DTEST_KERNELS= -I "$root/capi/include" -c "$root/$program.c" -o "$work/program.o" &&
    g++ -fsanitize=thread "$work/program.o" "${objects[@]}" -o "$work/program" -pthread && "$work/program"; } >"$work/out" 2>&1; then
    passed=$((passed + 1)); echo "ok: $program"
  else failed=$((failed + 1)); echo "FAILED: $program"; head -n 30 "$work/out"; fi
done
echo "tests: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
