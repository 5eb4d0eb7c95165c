#!/usr/bin/env bash
# The translation units of the instruction sets define only symbols that name their ISA: no inline function of a shared header
# that the linker could take in place of the baseline copy (it would fault on an older CPU), no reference to the C++ library.
# usage: symbols.sh ARCHIVE
set -u
archive=$1; passed=0 failed=0
case "$archive" in *.a) ;; *) echo "skip: the library is shared; its object files are not at hand"; exit 77 ;; esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for isa in sse41 avx2 avxvnni avx512vnni amx neon dotprod; do
  member=$(ar t "$archive" | grep -x "$isa.cpp.o") || continue
  ar p "$archive" "$member" >"$work/$isa.o"
  # Without this a failing nm would look like an object with nothing foreign in it.
  nm "$work/$isa.o" | grep -q "$isa" || { failed=$((failed + 1)); echo "FAILED: $isa: nm shows none of its symbols"; continue; }
  foreign=$(nm -C "$work/$isa.o" | awk '$2 ~ /^[TWVuDB]$/ || $1 ~ /^[WV]$/' | grep -v "$isa" || true)
  outside=$(nm -u "$work/$isa.o" | awk '{print $2}' | grep -Ev '^(mem(cpy|set|move|cmp)|_GLOBAL_OFFSET_TABLE_)$' || true)
  if [ -z "$foreign$outside" ]; then passed=$((passed + 1)); echo "ok: $isa: $(nm "$work/$isa.o" | grep -c ' [TWD] ') symbols, all its own"
  else failed=$((failed + 1)); echo "FAILED: $isa:"; echo "$foreign"; echo "$outside"; fi
done
echo "tests: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
