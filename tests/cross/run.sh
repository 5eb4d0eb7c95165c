#!/usr/bin/env bash
# One checksum everywhere: the header-only self-tests compiled as consumers would (scalar, -march=native with -ffp-contract=fast,
# unoptimised, clang), and under QEMU for x86 families (which fault on what they lack), AArch64 (one run per row of isa_list.hpp),
# s390x (big-endian) and 32-bit Arm. Products and convolutions also equal their reference, and observers keep the same figures.
# The AArch64 rows, their flags and what they bring are read from isa_list.hpp, src/kernels/CMakeLists.txt and their folders.
# usage: run.sh ROOT
set -u
root=$(cd "$1" && pwd); work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

check() {  # check LABEL RUNNER COMPILER FLAGS...: all programs; `elementwise`: whose elementwise kernels, where not $expected's
  expected=${elementwise:-$expected} run_one selftest "$@"
  run_one gemm "$@"
  run_one conv "$@"
  expected=calib run_one calib "$@"
}

run_one() {  # run_one PROGRAM LABEL RUNNER COMPILER FLAGS...
  local program=$1 label="$1: $2" runner=$3 compiler=$4; shift 4
  for tool in "$compiler" ${runner%% *}; do
    command -v "$tool" >/dev/null || { skipped=$((skipped + 1)); echo "skip: $label: $tool is not installed"; return; }
  done
  if "$compiler" -std=c++20 -I "$root/include" -I "$root/tests" "$@" "$root/tests/cross/${program}_main.cpp" -o "$work/program" 2>"$work/out" &&
    $runner "$work/program" >"$work/out" 2>&1 && grep -q "^$expected " "$work/out"; then
    passed=$((passed + 1)); echo "ok: $label: $(grep -v '^qemu' "$work/out" | cut -d' ' -f1 | tr '\n' ' ')"
  else
    failed=$((failed + 1)); echo "FAILED: $label"; cat "$work/out"
  fi
}

first() { for tool in "$@"; do command -v "$tool" && return; done; echo "$1"; }

expected=ref  # the kernel that must be among those that ran
check "scalar, unoptimised" "" g++ -O0
if [ "$(uname -m)" = x86_64 ]; then
  check "consumer: -march=native -ffp-contract=fast" "" g++ -O3 -march=native -ffp-contract=fast
  check "consumer: clang -march=native -ffp-contract=fast" "" "$(first clang++ clang++-14)" -O3 -march=native -ffp-contract=fast
  x86=$(first qemu-x86_64-static qemu-x86_64)
  elementwise=sse41 check "x86, Nehalem (QEMU)" "$x86 -cpu Nehalem" g++ -O1 -static -march=nehalem
  for program in selftest gemm conv; do
    expected=avx2 run_one $program "x86, Haswell (QEMU)" "$x86 -cpu Haswell" g++ -O1 -static -march=haswell
  done
fi

# isas: the AArch64 rows, parents first; the first is the base architecture's.
isas=($(sed -n 's/^ *ISA(aarch64, *\([a-z0-9]*\),.*/\1/p' "$root/include/quantal/kernels/isa_list.hpp"))
[ ${#isas[@]} -gt 0 ] || { failed=$((failed + 1)); echo "FAILED: no AArch64 row found in isa_list.hpp"; isas=(none); }
flags_of() { sed -n "s/^ *quantal_isa($1 *\(.*\))\$/\1/p" "$root/src/kernels/CMakeLists.txt"; }
has_products() { [ -e "$root/include/quantal/kernels/$1/gemm.hpp" ]; }
arm64=$(first qemu-aarch64-static qemu-aarch64)
expected=${isas[0]} check "aarch64, Cortex-A53 (QEMU)" "$arm64 -cpu cortex-a53" aarch64-linux-gnu-g++ -O2 -static
for isa in "${isas[@]:1}"; do
  has_products "$isa" || continue
  for program in gemm conv; do
    expected=$isa run_one $program "aarch64 with $isa (QEMU)" "$arm64 -cpu max" aarch64-linux-gnu-g++ -O2 -static $(flags_of "$isa")
  done
done
expected=ref
check "s390x, big-endian (QEMU)" "$(first qemu-s390x-static qemu-s390x)" s390x-linux-gnu-g++ -O2 -static
check "32-bit Arm (QEMU)" "$(first qemu-arm-static qemu-arm)" arm-linux-gnueabihf-g++ -O2 -static -Wno-psabi

# What the library's dispatch takes: on a CPU with the base architecture alone, on one with everything, and there capped at each row.
compile=(aarch64-linux-gnu-g++ -std=c++20 -I "$root/include" -DQUANTAL_KERNELS_AARCH64 -fno-exceptions)
units=(); products=()
for isa in "${isas[@]}"; do
  "${compile[@]}" -O3 $(flags_of "$isa") -c "$root/src/kernels/$isa.cpp" -o "$work/$isa.cpp.o" && units+=("$work/$isa.cpp.o")
  if has_products "$isa"; then products+=("$work/$isa.cpp.o"); fi
done
sources=(); for name in cpu dispatch gemm_leaves; do sources+=("$root/src/kernels/$name.cpp"); done
"${compile[@]}" -O1 -static "$root/tests/cross/dispatch_main.cpp" "${sources[@]}" "${units[@]}" -o "$work/dispatch"
dispatch() {  # dispatch CPU EXPECTED_ISA [CAP]
  local leaf=${isas[0]} isa out
  for isa in "${isas[@]}"; do if has_products "$isa"; then leaf=$isa; fi; [ "$isa" != "$2" ] || break; done
  out=$(QUANTAL_ISA=${3:-} $arm64 -cpu "$1" "$work/dispatch" 2>&1)
  if [ "$out" = "$2 $leaf" ]; then passed=$((passed + 1)); echo "ok: dispatch on $1${3:+, capped at $3}: $out"
  else failed=$((failed + 1)); echo "FAILED: dispatch on $1${3:+, capped at $3}: $out, expected $2 $leaf"; fi
}
dispatch cortex-a53 "${isas[0]}"
dispatch max "${isas[-1]}"
for isa in "${isas[@]}"; do dispatch max "$isa" "$isa"; done
# The AArch64 kernels keep their sums in registers.
if python3 "$root/tests/kernels/hot_loops.py" --objdump aarch64-linux-gnu-objdump "${products[@]}" >"$work/out"; then
  passed=$((passed + 1)); grep '^ok' "$work/out"
else failed=$((failed + 1)); cat "$work/out"; fi
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
