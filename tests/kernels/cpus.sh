#!/usr/bin/env bash
# P11: on emulated CPUs (QEMU faults on instructions that the CPU lacks) dispatch takes what is there and nothing else.
# usage: cpus.sh KERNELS MATRIX     the programs quantal_test_kernels and quantal_test_gemm_matrix
set -u
program=$1 matrix=$2; passed=0 failed=0
[ "$(uname -m)" = x86_64 ] || { echo "skip: not an x86-64 machine"; exit 77; }
qemu=$(command -v qemu-x86_64-static || command -v qemu-x86_64) || { echo "skip: qemu-x86_64 is not installed"; exit 77; }
unset QUANTAL_ISA
while read -r cpu expected leaves; do
  out=$("$qemu" -cpu "$cpu" "$program" 'this*,min and*' 2>/dev/null)
  if grep -q "best ISA: $expected;" <<<"$out" && grep -q '^All tests passed' <<<"$out"; then passed=$((passed + 1)); echo "ok: $cpu: $expected"
  else failed=$((failed + 1)); echo "FAILED: $cpu: expected $expected"; echo "$out" | tail -n 15; fi
  out=$("$qemu" -cpu "$cpu" "$matrix" '[.small]' 2>/dev/null)
  if grep -qx "gemm leaves: $leaves" <<<"$out" && grep -q '^All tests passed' <<<"$out"; then passed=$((passed + 1)); echo "ok: $cpu: gemm $leaves"
  else failed=$((failed + 1)); echo "FAILED: $cpu: gemm: expected $leaves"; echo "$out" | tail -n 15; fi
done <<'CPUS'
qemu64 ref ref
Nehalem sse41 ref
SandyBridge sse41 ref
Haswell avx2 ref avx2
EPYC avx2 ref avx2
max,-avx2 sse41 ref
Haswell,-fma sse41 ref
CPUS
for cap in ref sse41; do
  if QUANTAL_ISA=$cap "$program" 'this*' | grep -q "best ISA: $cap;"; then passed=$((passed + 1)); echo "ok: QUANTAL_ISA=$cap"
  else failed=$((failed + 1)); echo "FAILED: QUANTAL_ISA=$cap"; fi
done
echo "tests: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
