#!/usr/bin/env python3
"""No kernel keeps its accumulators on the stack: reads the disassembly of the inner loops of each instruction set.

A hot loop is the smallest loop around a multiply instruction (vpmaddwd, vpdpbusd, sdot...). In it no vector
register may be stored on the stack: GCC 12 does that to vpdpbusd loops unless they are compiled with care, and halves
their speed without a word. Packing is not looked at. For AMX, whose sums cannot be spilled: one tile load
for each tile of sums and one more, and no configuration inside the loop.

    hot_loops.py [--objdump TOOL] ARCHIVE ISA...        checks its members <isa>.cpp.o; or OBJECT..., named so
    hot_loops.py --plant COMPILER                       a block of 56 sums in 32 registers must be found guilty
"""
import os
import re
import subprocess
import sys
import tempfile

# What multiplies on x86 and on AArch64; fewer of them in every loop of an object than this, and it is not the kernel (or
# the disassembly is not read well).
X86 = r"(?:\{vex\} )?(?:v?pmaddwd|vpdp[bw][su]{2}ds?|tdpb[su]{2}d)"
AARCH64 = r"(?:smlal2?|(?:[su]|us|su)dot|(?:[su]|us)mmla)"
MULTIPLY = re.compile(f"(?:{X86}|{AARCH64})\\b")
ENOUGH = 8
ADDRESS = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
JUMP = re.compile(r"^(?:j[a-z]+|b(?:\.[a-z]+)?|cbn?z|tbn?z)\s+.*?([0-9a-f]+) <")


def functions(objdump, path):
    """(name, [(address, text)]) of each function of an object file."""
    text = subprocess.run([objdump, "-d", "-C", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        head = FUNCTION.match(line)
        if head:
            if name:
                yield name, body
            name, body = head.group(1), []
            continue
        row = ADDRESS.match(line)
        if row and name:
            body.append((int(row.group(1), 16), row.group(2).strip()))
    if name:
        yield name, body


def hot_loops(body):
    """The smallest loops (first address, last address) around instructions that multiply."""
    loops = []
    for address, text in body:
        jump = JUMP.match(text)
        if jump and body[0][0] <= int(jump.group(1), 16) <= address:
            loops.append((int(jump.group(1), 16), address))
    found = set()
    for address, text in body:
        around = [l for l in loops if l[0] <= address <= l[1]]
        if MULTIPLY.match(text) and around:
            found.add(min(around, key=lambda l: l[1] - l[0]))
    return sorted(found)


def spills(text, framed):
    """Does this instruction store a vector register on the stack? (Loads alone are constants that found no register.)"""
    if "%" in text:  # x86: the stack pointer, or the frame pointer where the function has one
        stack = r"%rsp" + ("|%rbp" if framed else "")
        return bool(re.search(r"%[xyz]mm\d+(?:\{%k\d\})?,-?[0-9a-fx]*\((?:" + stack + r")[^)]*\)", text))
    stack = r"\[(?:sp|x29)[\],]" if framed else r"\[sp[\],]"
    return bool(re.match(r"(?:str|stp|stur|st1)\s.*\b[qdv]\d", text) and re.search(stack, text))


def check_object(objdump, path, isa):
    """(problems, loops read) of one object."""
    problems, seen, most, tiles = [], 0, 0, False
    for name, body in functions(objdump, path):
        if "pack" in name:  # transposes with all registers, once per weight
            continue
        framed = any(re.match(r"mov\s+%rsp,%rbp|mov\s+x29, sp|add\s+x29, sp", text) for _, text in body)
        for first, last in hot_loops(body):
            loop = [text for address, text in body if first <= address <= last]
            count = sum(1 for text in loop if MULTIPLY.match(text))
            seen, most = seen + 1, max(most, count)
            where = f"{isa}: {name.split('(')[0]}, loop at {first:x}"
            if any(text.startswith("tdp") for text in loop):
                tiles = True
                loads = sum(1 for text in loop if text.startswith("tileload"))
                sums = len({text.split("%")[-1] for text in loop if text.startswith("tdp")})
                if loads * sums > count * (sums + 1):  # one of rows, and one of weights for each tile of sums
                    problems.append(f"{where}: {loads} tile loads for {count} products")
                problems += [f"{where}: {text}" for text in loop if re.match(r"(ld|st)tilecfg|tilerelease", text)]
            else:
                bad = [text for text in loop if spills(text, framed)]
                if bad:
                    problems.append(f"{where}: {len(bad)} vectors go to the stack, e.g. {bad[0]}")
    if most < ENOUGH and not tiles:
        problems.append(f"{isa}: the largest hot loop has {most} multiplies, {ENOUGH} were expected: is the kernel still there?")
    if seen == 0:
        problems.append(f"{isa}: no hot loop found")
    return problems, seen


def objects(arguments, work):
    if not arguments[0].endswith(".a"):
        return arguments
    members = [isa + ".cpp.o" for isa in arguments[1:]]
    subprocess.run(["ar", "x", os.path.abspath(arguments[0])] + members, check=True, cwd=work)
    return [os.path.join(work, m) for m in members]


PLANT = """
#include <immintrin.h>
void block(const int* lhs, const __m512i* panel, int steps, __m512i* out) {
  __m512i sum[56];
#pragma GCC unroll 56
  for (int i = 0; i < 56; ++i) sum[i] = out[i];
  for (int s = 0; s < steps; ++s) {
#pragma GCC unroll 56
    for (int i = 0; i < 56; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_set1_epi32(lhs[8 * s + i / 8]), panel[8 * s + i % 8]);
  }
#pragma GCC unroll 56
  for (int i = 0; i < 56; ++i) out[i] = sum[i];
}
"""


def plant(compiler, work):
    source, made = os.path.join(work, "plant.cpp"), os.path.join(work, "avx512vnni.cpp.o")
    with open(source, "w", encoding="utf-8") as f:
        f.write(PLANT)
    subprocess.run([compiler, "-O3", "-mavx512f", "-mavx512vnni", "-c", source, "-o", made], check=True)
    problems, _ = check_object("objdump", made, "avx512vnni")
    return any("go to the stack" in p for p in problems)


def main(arguments):
    with tempfile.TemporaryDirectory() as work:
        if arguments[:1] == ["--plant"]:
            found = plant(arguments[1], work)
            print("ok: spilled sums are found" if found else "FAILED: spilled sums were not noticed")
            return 0 if found else 1
        objdump = "objdump"
        if arguments[:1] == ["--objdump"]:
            objdump, arguments = arguments[1], arguments[2:]
        passed = failed = 0
        for path in objects(arguments, work):
            isa = os.path.basename(path).split(".")[0]
            problems, seen = check_object(objdump, path, isa)
            passed, failed = passed + (not problems), failed + bool(problems)
            print("\n".join("FAILED: " + p for p in problems) if problems else f"ok: {isa}: {seen} hot loops, sums in registers")
        print(f"tests: {passed} passed, {failed} failed, 0 skipped")
        return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
