#!/usr/bin/env bash
# One checksum everywhere: the header-only self-tests compiled as consumers would (scalar, SSE4.1, AVX2, -march=native with
# -ffp-contract=fast, unoptimised, clang) and for aarch64 (with and without dot products), s390x (big-endian) and 32-bit Arm
# under QEMU. The matrix product also equals its reference on a small matrix of shapes, and observers keep the same figures.
# usage: run.sh ROOT
set -u
root=$(cd "$1" && pwd); work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

check() {  # check LABEL RUNNER COMPILER FLAGS...: all programs
  run_one selftest "$@"
  run_one gemm "$@"
  expected=ref run_one conv "$@"
  expected=calib run_one calib "$@"
}

run_one() {  # run_one PROGRAM LABEL RUNNER COMPILER FLAGS...
  local program=$1 label="$1: $2" runner=$3 compiler=$4; shift 4
  for tool in "$compiler" ${runner%% *}; do
    command -v "$tool" >/dev/null || { skipped=$((skipped + 1)); echo "skip: $label: $tool is not installed"; return; }
  done
  if "$compiler" -std=c++20 -I "$root/include" -I "$root/tests" "$@" "$root/tests/cross/${program}_main.cpp" -o "$work/program" 2>"$work/out" &&
    $runner "$work/program" >"$work/out" 2>&1 && grep -q "^$expected " "$work/out"; then
    passed=$((passed + 1)); echo "ok: $label: $(cut -d' ' -f1 "$work/out" | tr '\n' ' ')"
  else
    failed=$((failed + 1)); echo "FAILED: $label"; cat "$work/out"
  fi
}

first() { for tool in "$@"; do command -v "$tool" && return; done; echo "$1"; }
has() { grep -qw "$1" /proc/cpuinfo; }

expected=ref  # the kernel that must be among those that ran
check "scalar, unoptimised" "" g++ -O0
if [ "$(uname -m)" = x86_64 ]; then
  if has sse4_1; then check "SSE4.1" "" g++ -O2 -msse4.1; fi
  check "consumer: -march=native -ffp-contract=fast" "" g++ -O3 -march=native -ffp-contract=fast
  check "consumer: clang -march=native -ffp-contract=fast" "" "$(first clang++ clang++-14)" -O3 -march=native -ffp-contract=fast
fi
arm64=$(first qemu-aarch64-static qemu-aarch64)
expected=neon
check "aarch64, Cortex-A53 (QEMU)" "$arm64 -cpu cortex-a53" aarch64-linux-gnu-g++ -O2 -static
expected=dotprod
run_one conv "aarch64 with dot products (QEMU)" "$arm64 -cpu max" aarch64-linux-gnu-g++ -O2 -static -march=armv8.2-a+dotprod
run_one gemm "aarch64 with dot products (QEMU)" "$arm64 -cpu max" aarch64-linux-gnu-g++ -O2 -static -march=armv8.2-a+dotprod
expected=ref
check "s390x, big-endian (QEMU)" "$(first qemu-s390x-static qemu-s390x)" s390x-linux-gnu-g++ -O2 -static
check "32-bit Arm (QEMU)" "$(first qemu-arm-static qemu-arm)" arm-linux-gnueabihf-g++ -O2 -static -Wno-psabi
# What the library's dispatch takes on CPUs with and without dot products.
for cpu in cortex-a53:neon max:dotprod; do
  if [ ! -e "$work/dispatch" ]; then
    sources=(); for name in cpu dispatch gemm_leaves neon; do sources+=("$root/src/kernels/$name.cpp"); done
    flags=(-std=c++20 -O1 -I "$root/include" -DQUANTAL_KERNELS_AARCH64 -fno-exceptions)
    aarch64-linux-gnu-g++ "${flags[@]}" -march=armv8.2-a+dotprod -c "$root/src/kernels/dotprod.cpp" -o "$work/dotprod.o" &&
      aarch64-linux-gnu-g++ "${flags[@]}" -static "$root/tests/cross/dispatch_main.cpp" "${sources[@]}" "$work/dotprod.o" -o "$work/dispatch"
  fi
  out=$($arm64 -cpu "${cpu%:*}" "$work/dispatch" 2>&1)
  if [ "$out" = "${cpu#*:} ${cpu#*:}" ]; then passed=$((passed + 1)); echo "ok: dispatch on ${cpu%:*}: $out"
  else failed=$((failed + 1)); echo "FAILED: dispatch on ${cpu%:*}: $out"; fi
done
# The AArch64 kernels keep their sums in registers.
for name in neon dotprod; do
  aarch64-linux-gnu-g++ -std=c++20 -O3 -I "$root/include" -fno-exceptions $([ $name = dotprod ] && echo -march=armv8.2-a+dotprod) \
    -c "$root/src/kernels/$name.cpp" -o "$work/$name.cpp.o"
done
if python3 "$root/tests/kernels/hot_loops.py" --objdump aarch64-linux-gnu-objdump "$work/neon.cpp.o" "$work/dotprod.cpp.o" >"$work/out"; then
  passed=$((passed + 1)); grep '^ok' "$work/out"
else failed=$((failed + 1)); cat "$work/out"; fi
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
