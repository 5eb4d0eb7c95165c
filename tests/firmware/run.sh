#!/usr/bin/env bash
# The core on microcontrollers: every header of ranks 0 to 4 that claims it compiles freestanding for Cortex-M0, M4 and rv32imc;
# the run-time path needs nothing but mem* and libgcc's integer helpers and has no floating-point instruction; a self-test without
# libc or heap runs on an emulated Cortex-M4 (QEMU mps2-an386).
# usage: run.sh ROOT
set -u
root=$(cd "$1" && pwd); here=$root/tests/firmware; work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); echo "ok: $*"; }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }
skip() { skipped=$((skipped + 1)); echo "skip: $*"; }
language=(-std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wall -Wextra -Wconversion -Wshadow -Werror
  -ffunction-sections -fdata-sections -I "$root/include")
# Integer helpers of libgcc: Arm's run-time ABI names and the generic ones (64-bit shift, multiply, divide; count of zeros; Thumb-1 switch tables).
allowed='^(mem(cpy|set|move|cmp)|__aeabi_(lmul|llsl|llsr|lasr|uldivmod|ldivmod|idiv|uidiv|idivmod|uidivmod|memcpy4?|memset|memclr4?)|__(mul|div|udiv|mod|umod|ashl|ashr|lshr)[sd]i3|__clz[sd]i2|__gnu_thumb1_case_[us][qhs]i)$'

# foreign TOOLS OBJECT [ALSO]: undefined symbols beyond the allowed ones (and those that match ALSO).
foreign() { "$1-nm" -u "$2" | awk '{print $2}' | grep -Ev "$allowed|${3:-$allowed}" || true; }

headers=$(cd "$root/include" && grep -rl --include='*.hpp' 'Freestanding' quantal | LC_ALL=C sort)
cores=("m0 arm-none-eabi -mcpu=cortex-m0 -mthumb" "m4 arm-none-eabi -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16"
  "rv32imc riscv64-unknown-elf -march=rv32imc -mabi=ilp32")
for core in "${cores[@]}"; do
  read -r name tools flags <<<"$core"
  if ! command -v "$tools-g++" >/dev/null; then skip "$name: $tools-g++ is not installed"; continue; fi
  for header in $headers; do echo "#include \"$header\""; done >"$work/all.cpp"
  if "$tools-g++" $flags "${language[@]}" -fsyntax-only "$work/all.cpp"; then pass "$name: $(wc -w <<<"$headers") headers compile"; else fail "$name: headers"; fi
  for level in -Os -O2; do
    if ! "$tools-g++" $flags "${language[@]}" $level -c "$here/requant_path.cpp" -o "$work/path-$name.o"; then fail "$name $level: requant_path"; continue; fi
    # Without this a failing nm would look like an object that needs nothing.
    if ! "$tools-nm" "$work/path-$name.o" | grep -q ' T '; then fail "$name $level: nm shows no function"; continue; fi
    found=$(foreign "$tools" "$work/path-$name.o")
    if [ -z "$found" ]; then
      pass "$name $level: $("$tools-size" "$work/path-$name.o" | awk 'NR==2{print $1}') bytes, needs: $("$tools-nm" -u "$work/path-$name.o" | awk '{printf "%s ", $2}')"
    else fail "$name $level: undefined symbols: $found"; fi
    # K16: usable with the FPU off.
    if "$tools-objdump" -d "$work/path-$name.o" | awk -F'\t' '{print $3}' | grep -E '^(v(add|sub|mul|div|cvt|ldr|str|mov|cmp|neg|abs|fma|ml)|f(add|sub|mul|div|lw|sw|cvt|mv))' | head -3 | grep .; then
      fail "$name $level: floating-point instructions in the integer path"
    else pass "$name $level: no floating-point instruction"; fi
  done
done

# K16: planned kernels. Without FPU code floating-point arithmetic is a call of libgcc's helpers: only f32 outputs and the residual
# of the f32 contract may have one.
soft=(-mcpu=cortex-m4 -mthumb -mfloat-abi=soft)
float_users() {  # float_users OBJECT: the functions that compute with floats
  arm-none-eabi-objdump -drC "$1" | awk '/^[0-9a-f]+ </{name=$0} /__aeabi_([fd](add|sub|mul|div|rsub|2)|c[fd]|[fd]cmp|u?[il]2[fd])/{print name}' |
    grep -oE '[a-z_]+\(' | sort -u | grep -E '^[a-z_]+\($' | tr -d '(' | tr '\n' ' '
}
if command -v arm-none-eabi-g++ >/dev/null; then
  if arm-none-eabi-g++ "${soft[@]}" "${language[@]}" -O1 -fno-inline -c "$here/kernels_path.cpp" -o "$work/kernels.o" &&
    [ "$(float_users "$work/kernels.o")" = "finish_code finish_real " ]; then pass "K16 gemm, conv, depthwise: floats only in f32 outputs and f32 residuals"
  else fail "K16: floats in $(float_users "$work/kernels.o")"; fi
  # No allocation, no call of a system: nothing beyond mem* and libgcc's helpers, those of floats for f32 outputs among them.
  floats='^__aeabi_(f[a-z0-9]+|u?i2f)$'
  found=$(foreign arm-none-eabi "$work/kernels.o" "$floats")
  if arm-none-eabi-nm "$work/kernels.o" | grep -q ' T device_gemm' && [ -z "$found" ]; then
    pass "kernels: need nothing but $(arm-none-eabi-nm -u "$work/kernels.o" | awk '{print $2}' | grep -v __ | tr '\n' ' ')and libgcc"
  else fail "kernels: undefined symbols: $found"; fi
  echo 'extern "C" void* malloc(unsigned); extern "C" int planted(int x, float y) { return int(float(x) * y) + *static_cast<int*>(malloc(4)); }' >"$work/planted.cpp"
  arm-none-eabi-g++ "${soft[@]}" "${language[@]}" -O1 -c "$work/planted.cpp" -o "$work/planted.o"
  if arm-none-eabi-objdump -dr "$work/planted.o" | grep -q __aeabi_fmul; then pass "K16: a planted product of floats is seen"; else fail "K16: a planted product of floats is not seen"; fi
  if [ "$(foreign arm-none-eabi "$work/planted.o" "$floats")" = malloc ]; then pass "kernels: a planted allocation is seen"; else fail "kernels: a planted allocation is not seen"; fi
fi

for tool in arm-none-eabi-g++ qemu-system-arm; do
  command -v $tool >/dev/null || { skip "Cortex-M4: $tool is not installed"; echo "tests: $passed passed, $failed failed, $skipped skipped"; [ $failed -eq 0 ]; exit; }
done
m4=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
for level in -Os -O2; do
  if arm-none-eabi-g++ "${m4[@]}" "${language[@]}" $level -c "$here/firmware_main.cpp" -o "$work/main.o" &&
    arm-none-eabi-g++ "${m4[@]}" "${language[@]}" $level -c "$here/requant_path.cpp" -o "$work/path.o" &&
    arm-none-eabi-gcc "${m4[@]}" -std=c11 -ffreestanding -fno-tree-loop-distribute-patterns $level -Wall -c "$here/start.c" -o "$work/start.o" &&
    arm-none-eabi-gcc "${m4[@]}" -nostdlib -Wl,--gc-sections -T "$here/mps2.ld" "$work/start.o" "$work/main.o" "$work/path.o" -lgcc -o "$work/firmware.elf"; then
    timeout 60 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting-config enable=on,target=native \
      -kernel "$work/firmware.elf" >"$work/out" 2>&1 </dev/null
    code=$?
    if [ $code -eq 0 ] && grep -q 'self-test passed' "$work/out"; then
      pass "Cortex-M4 $level: runs in QEMU, $(arm-none-eabi-size "$work/firmware.elf" | awk 'NR==2{print $1}') bytes with the self-test"
    else fail "Cortex-M4 $level: check $code failed"; cat "$work/out"; fi
  else fail "Cortex-M4 $level: does not build"; fi
done
for level in -Os -O2; do
  if arm-none-eabi-g++ "${soft[@]}" "${language[@]}" $level -c "$here/kernels_main.cpp" -o "$work/main.o" &&
    arm-none-eabi-g++ "${soft[@]}" "${language[@]}" $level -c "$here/kernels_path.cpp" -o "$work/path.o" &&
    arm-none-eabi-gcc "${soft[@]}" -std=c11 -ffreestanding -fno-tree-loop-distribute-patterns $level -Wall -c "$here/start.c" -o "$work/start.o" &&
    arm-none-eabi-gcc "${soft[@]}" -nostdlib -Wl,--gc-sections -T "$here/mps2.ld" "$work/start.o" "$work/main.o" "$work/path.o" -lgcc -o "$work/kernels.elf" &&
    ! arm-none-eabi-objdump -d "$work/kernels.elf" | awk -F'\t' '{print $3}' | grep -E '^v[a-z]' &&
    timeout 60 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting-config enable=on,target=native \
      -kernel "$work/kernels.elf" >"$work/out" 2>&1 </dev/null && grep -q 'K16 passed' "$work/out"; then
    pass "K16 Cortex-M4 $level: gemm, conv, depthwise run with the FPU off, $(arm-none-eabi-size "$work/kernels.elf" | awk 'NR==2{print $1}') bytes"
  else fail "K16 Cortex-M4 $level: $(cat "$work/out")"; fi
done
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
