#!/usr/bin/env bash
# Consumers of an installed Quantal:  check.sh SOURCE BUILD
# Installs BUILD, moves the tree (it must be relocatable), builds C99, C11 and C++20 programs against it with CMake and with
# pkg-config, and reads what the shipped files need.
set -u
source=$1 build=$2
export CMAKE_GENERATOR=Ninja  # what the project itself is built with; make need not be there
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
check() { local name=$1; shift; if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); echo "ok: $name"; else failed=$((failed + 1)); echo "FAILED: $name"; tail -n 25 "$work/log"; fi; }
refuse() { local name=$1; shift; if "$@" >"$work/log" 2>&1; then failed=$((failed + 1)); echo "FAILED (was accepted): $name"; else passed=$((passed + 1)); echo "ok: $name"; fi; }
skip() { skipped=$((skipped + 1)); echo "skip: $*"; }

check "install" cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
prefix=$work/moved lib=$(dirname "$(find "$work/moved" -name libquantal.so | head -n 1)")
model=$source/examples/digits/digits.onnx

check "C99 and C11 with CMake: configure" cmake -S "$source/tests/install/c99" -B "$work/c" -DCMAKE_PREFIX_PATH="$prefix"
check "C99 and C11 with CMake: build" cmake --build "$work/c"
check "C99 runs" "$work/c/consumer_c99"
check "C11 runs" "$work/c/consumer_c11"
check "C++20 with CMake: configure" cmake -S "$source/tests/install/cpp" -B "$work/cpp" -DCMAKE_PREFIX_PATH="$prefix"
check "C++20 with CMake: build" cmake --build "$work/cpp"
check "C++20 core runs" "$work/cpp/consumer_core"
check "C++20 library runs" "$work/cpp/consumer_library" "$model"
check "static C library runs" "$work/cpp/consumer_static"
sed 's/COMPONENTS c)/COMPONENTS c nonsense)/' "$source/tests/install/c99/CMakeLists.txt" >"$work/CMakeLists.txt"; cp "$source/tests/install/c99/main.c" "$work/"
refuse "an unknown component" cmake -S "$work" -B "$work/unknown" -DCMAKE_PREFIX_PATH="$prefix"
sed 's/quantal 0.1 /quantal 9.0 /' "$source/tests/install/c99/CMakeLists.txt" >"$work/CMakeLists.txt"
refuse "a version that is not there" cmake -S "$work" -B "$work/version" -DCMAKE_PREFIX_PATH="$prefix"

if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$lib/pkgconfig
  check "pkg-config: version" test "$(pkg-config --modversion quantal 2>&1)" = 0.1.0
  # shellcheck disable=SC2046
  check "pkg-config: shared" gcc -std=c99 -o "$work/shared" "$source/tests/install/c99/main.c" $(pkg-config --cflags --libs quantal)
  check "pkg-config: shared runs" env LD_LIBRARY_PATH="$lib" "$work/shared"
  mkdir "$work/only_static"; cp "$lib/libquantal.a" "$work/only_static/"
  # shellcheck disable=SC2046
  check "pkg-config: static" gcc -std=c99 -o "$work/static" "$source/tests/install/c99/main.c" -L"$work/only_static" $(pkg-config --static --cflags --libs quantal | tr ' ' '\n' | grep -v '^-L')
  check "pkg-config: static runs" "$work/static"
  check "pkg-config: every form of the library directory" cmake -DSOURCE="$source" -DOUT="$work/pc" -P "$source/tests/install/pkgconfig.cmake"
  for libdir in lib lib64 lib/x86_64-linux-gnu absolute; do
    for variable in prefix= libdir=/$libdir includedir=/include; do
      found=$(PKG_CONFIG_PATH=$work/pc/$libdir/pkgconfig pkg-config --variable="${variable%%=*}" quantal)
      check "pkg-config: ${variable%%=*} from $libdir" test "$(realpath -m "$found")" = "$(realpath "$work/pc")${variable#*=}"
    done
  done
else
  skip "pkg-config is not installed"
fi

# What the shipped binaries load: the C and C++ run time, zlib, and nothing of another quantizer.
allowed='^(libc|libm|libstdc\+\+|libgcc_s|libz|libpthread|librt|libdl|ld-linux.*)\.so'
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
for binary in "$lib/libquantal.so" "$prefix/bin/quantal"; do
  extra=$(needed "$binary" | grep -Ev "$allowed")
  check "$(basename "$binary") needs only system libraries (${extra:-none else})" test -z "$extra"
  check "$(basename "$binary") has no search path of the build machine" test -z "$(readelf -d "$binary" | grep -E 'RPATH|RUNPATH')"
  check "$(basename "$binary") loads no other quantizer at run time" test -z "$(strings -n 6 "$binary" | grep -iE 'lib(onnxruntime|torch|dnnl|onednn|XNNPACK|tensorflow)[a-z_]*\.so')"
done
check "libquantal.so has a versioned name" test "$(readelf -d "$lib/libquantal.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" = libquantal.so.0
exported=$(nm -D --defined-only "$lib/libquantal.so" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | grep -v '^quantal_')
check "libquantal.so exports quantal_* only (${exported:-nothing else})" test -z "$exported"
declared=$(grep -oE '\bquantal_[a-z_0-9]+\(' "$prefix/include/quantal.h" | tr -d '(' | sort -u)
missing=$(for name in $declared; do nm -D --defined-only "$lib/libquantal.so" | grep -q " $name@" || echo "$name"; done)
check "every function of quantal.h is exported (${missing:-none missing})" test -z "$missing"
check "the CMake files name no other quantizer" test -z "$(grep -riE 'onnxruntime|torch|dnnl|onednn|xnnpack|tflite|tensorflow' "$lib/cmake" "$lib/pkgconfig")"
check "the CMake files name no build-only dependency" test -z "$(grep -riE 'eigen|nlohmann|protozero|cli11|catch2' "$lib/cmake" | grep -v '^[^:]*:#')"
check "no installed text names the source or build folder" test -z "$(grep -rlF -e "$source/" -e "$build/" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h' --include='*.hpp')"

echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
