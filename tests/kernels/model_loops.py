#!/usr/bin/env python3
"""What LLVM's model of a CPU says about the hot loops of kernels that no machine here can run: cycles and share of the limit.

    model_loops.py [--mca TOOL] CPU PER_CYCLE OBJECT [NAME...]     e.g. icelake-server 2 avx512vnni.cpp.o block_of

For each hot loop (hot_loops.py) of the functions whose names contain a NAME: instructions, loads, modelled cycles of an
iteration, and share: its multiplies over what PER_CYCLE allow in that time. Not a measurement: every load is a
hit in L1, the loop runs for ever, nothing else does. Needs llvm-mca (Debian: llvm-19). Corrected, as LLVM 19 is wrong there: a
broadcast from memory takes no vector pipe (Zen 3, 4), nor does any load of 64 bytes (Ice Lake).
LLVM has no figures for AMX tiles, and halves vpdpbusd on 512 bits for sapphirerapids (servers do two a cycle): use
icelake-server for AVX-512. On Zen 3 (znver3) the AVX2 block is modelled at 1.00 and measured at 0.95 to 0.97.
"""
import re
import subprocess
import sys

from hot_loops import JUMP, MULTIPLY, functions, hot_loops

LOAD = re.compile(r"^(?:vpbroadcastd|vmovdq[au]\d*|vmov[au]p[sd])\s+(\S*\(.*\)),")  # vmovntdqa is modelled as what these are


def assembly(loop):
    """The loop as llvm-mca reads it: jumps within it are dropped, the last one closes it."""
    lines = []
    for address, text in loop:
        if JUMP.match(text):
            text = text.split()[0] + " 1b" if address == loop[-1][0] else ""
        text = re.sub(r"\s*(?:<.*|#.*)", "", text)
        text = LOAD.sub(r"vmovntdqa \1,", text)
        if text and "nop" not in text.split("%")[0]:
            lines.append(text)
    return lines


def cycles(mca, cpu, lines, iterations=300):
    command = [mca, "-mtriple=x86_64", "-mcpu=" + cpu, f"-iterations={iterations}", "-"]
    run = subprocess.run(command, input="1:\n" + "\n".join(lines) + "\n", capture_output=True, text=True)
    found = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    if run.returncode != 0 or not found:
        raise SystemExit(run.stderr)
    return int(found.group(1)) / iterations


def main(arguments):
    mca = "llvm-mca-19"
    if arguments[:1] == ["--mca"]:
        mca, arguments = arguments[1], arguments[2:]
    if len(arguments) < 3:
        raise SystemExit(__doc__)
    cpu, per_cycle, path, names = arguments[0], float(arguments[1]), arguments[2], arguments[3:]
    for name, body in functions("objdump", path):
        if "pack" in name or (names and not any(n in name for n in names)):
            continue
        for first, last in hot_loops(body):
            lines = assembly([(a, t) for a, t in body if first <= a <= last])
            products = sum(1 for t in lines if MULTIPLY.match(t))
            loads = sum(1 for t in lines if "(" in t and not t.startswith(("lea", "prefetch")))
            took = cycles(mca, cpu, lines)
            short = re.sub(r"(?:\w+::)+|^void ", "", name.split("(")[0])
            print(f"{short[:56]:56} {first:6x}  {products:3} products {len(lines):3} instructions {loads:3} loads"
                  f" {took:6.2f} cycles {products / per_cycle / took:5.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
