#!/usr/bin/env bash
# Every public header compiles alone, without warnings, with g++ (C++20), and all of them together with clang++; the C header also as C99, C11, C++11 and C++20.
# usage: check.sh ROOT [CACHE]    CACHE: a folder for stamps; a header whose text and compiler are unchanged is not compiled again.
set -u
root=$(cd "$1" && pwd); cache=${2:-}
passed=0 failed=0 skipped=0 list=$(mktemp -d)
trap 'rm -rf "$list"' EXIT
# A header includes others: one stamp for the whole set of headers.
digest=$(cd "$root" && find include capi -name '*.h' -o -name '*.hpp' | LC_ALL=C sort | xargs cat 2>/dev/null | sha256sum | cut -c1-16)

compile() {  # compile LABEL COMPILER FLAGS... -- HEADER
  local label=$1 compiler=$2; shift 2
  local flags=(); while [ "$1" != -- ]; do flags+=("$1"); shift; done
  local header=$2 language=c++ key
  case "${flags[0]}" in -std=c99 | -std=c11) language=c ;; esac
  key=$(echo "$label $header" | tr '/ ' '__')
  if [ -n "$cache" ] && [ -e "$cache/$digest-$key" ]; then passed=$((passed + 1)); return; fi
  if echo "#include <$header>" | "$compiler" -x "$language" "${flags[@]}" -Wall -Wextra -Wshadow -Werror -fsyntax-only \
      -I "$root/include" -I "$root/capi/include" - 2>"$list/out"; then
    passed=$((passed + 1)); [ -z "$cache" ] || { mkdir -p "$cache"; touch "$cache/$digest-$key"; }
  else
    failed=$((failed + 1)); echo "FAILED $label: $header"; head -n 12 "$list/out"
  fi
}

[ -z "$cache" ] || [ ! -d "$cache" ] || find "$cache" -type f ! -name "$digest-*" -delete
headers=$(cd "$root/include" && find . -name '*.hpp' | sed 's#^\./##' | LC_ALL=C sort)
for header in $headers; do compile g++ g++ -std=c++20 -Wconversion -- "$header"; done
# GCC's sanitizers take fewer expressions for constants; the choice of the native kernels is one.
compile g++-ubsan g++ -std=c++20 -fsanitize=undefined -- quantal/kernels/native.hpp
# clang++ sees them all in one file: its own warnings, without parsing the standard library once per header.
if command -v clang++ >/dev/null; then
  for header in $headers; do echo "#include <$header>"; done >"$list/all.hpp"
  compile clang++ clang++ -std=c++20 -Wconversion -I "$list" -- all.hpp
else
  skipped=$((skipped + 1)); echo "skip: clang++ is not installed"
fi
if [ -e "$root/capi/include/quantal.h" ]; then
  compile gcc-c99 gcc -std=c99 -pedantic -Wconversion -- quantal.h
  compile gcc-c11 gcc -std=c11 -pedantic -Wconversion -- quantal.h
  compile g++-11 g++ -std=c++11 -pedantic -- quantal.h
  compile g++-20 g++ -std=c++20 -pedantic -- quantal.h
  if command -v clang >/dev/null; then compile clang-c99 clang -std=c99 -pedantic -Wconversion -- quantal.h; fi
fi
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
