#!/usr/bin/env bash
# The translation units of the instruction sets define only symbols that name their ISA: no inline function of a shared header
# that the linker could take in place of the baseline copy (it would fault on an older CPU), no reference to the C++ library.
# usage: symbols.sh ARCHIVE ISA...      or: symbols.sh --plant ARCHIVE ISA...: with an nm that fails, every ISA must be refused
set -u
set -o pipefail
nm=nm planted=no
if [ "${1-}" = --plant ]; then nm=false planted=yes; shift; fi
archive=$1; shift
passed=0 failed=0
case "$archive" in *.a) ;; *) echo "skip: the library is shared; its object files are not at hand"; exit 77 ;; esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# What of an object's symbols does not belong: defined (weak, or in text and data) without the ISA in its name, or taken from outside.
foreign() {  # foreign OBJECT ISA
  "$nm" -C "$1" >"$work/all" && "$nm" -u "$1" >"$work/undefined" && [ -s "$work/all" ] || { echo "nm cannot read it"; return; }
  awk -v isa="$2" '($2 ~ /^[TWVuDB]$/ || $1 ~ /^[WV]$/) && !index($0, isa)' "$work/all"
  awk '$2 !~ /^(mem(cpy|set|move|cmp)|_GLOBAL_OFFSET_TABLE_)$/ {print "from outside: " $2}' "$work/undefined"
}

for isa; do
  if ! ar p "$archive" "$isa.cpp.o" >"$work/$isa.o"; then problem="it is not in the archive"; else problem=$(foreign "$work/$isa.o" "$isa"); fi
  own=$(awk -v isa="$isa" '$2 ~ /^[TWVDBRr]$/ && index($0, isa)' "$work/all" | wc -l)
  [ "$own" -gt 0 ] || problem="${problem:+$problem$'\n'}it has no symbol of its own"
  if [ -z "$problem" ]; then passed=$((passed + 1)); echo "ok: $isa: $own symbols, all its own"
  else failed=$((failed + 1)); echo "FAILED: $isa:"; echo "$problem"; fi
done
if [ $planted = yes ]; then
  [ $failed -eq $# ] && [ $passed -eq 0 ] && { echo "ok: a failing nm is noticed"; exit 0; }
  echo "FAILED: nm failed and nobody noticed"; exit 1
fi
echo "tests: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
