#!/usr/bin/env bash
# One checksum everywhere: the header-only self-test compiled as consumers would (scalar, SSE4.1, AVX2, -march=native with
# -ffp-contract=fast, unoptimised, clang) and for aarch64 and s390x (big-endian) under QEMU.
# usage: run.sh ROOT
set -u
root=$(cd "$1" && pwd); work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

check() {  # check LABEL RUNNER COMPILER FLAGS...
  local label=$1 runner=$2 compiler=$3; shift 3
  for tool in "$compiler" $runner; do
    command -v "$tool" >/dev/null || { skipped=$((skipped + 1)); echo "skip: $label: $tool is not installed"; return; }
  done
  if "$compiler" -std=c++20 -I "$root/include" "$@" "$root/tests/cross/selftest_main.cpp" -o "$work/selftest" &&
    $runner "$work/selftest" >"$work/out" 2>&1; then
    passed=$((passed + 1)); echo "ok: $label: $(cut -d' ' -f1 "$work/out" | tr '\n' ' ')"
  else
    failed=$((failed + 1)); echo "FAILED: $label"; cat "$work/out"
  fi
}

first() { for tool in "$@"; do command -v "$tool" && return; done; echo "$1"; }
has() { grep -qw "$1" /proc/cpuinfo; }

check "scalar, unoptimised" "" g++ -O0
if [ "$(uname -m)" = x86_64 ]; then
  if has sse4_1; then check "SSE4.1" "" g++ -O2 -msse4.1; fi
  check "consumer: -march=native -ffp-contract=fast" "" g++ -O3 -march=native -ffp-contract=fast
  check "consumer: clang -march=native -ffp-contract=fast" "" "$(first clang++ clang++-14)" -O3 -march=native -ffp-contract=fast
fi
check "aarch64 (QEMU)" "$(first qemu-aarch64-static qemu-aarch64)" aarch64-linux-gnu-g++ -O2 -static
check "s390x, big-endian (QEMU)" "$(first qemu-s390x-static qemu-s390x)" s390x-linux-gnu-g++ -O2 -static
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
