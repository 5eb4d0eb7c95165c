#!/usr/bin/env python3
"""The layer check: a file includes its own folder and lower ranks only (docs/architecture.md).

Reads the #include lines of every C++ source and header of the repository. Fails, one line per finding, when
  - a file includes a folder of higher rank, or another folder of the same rank;
  - a folder has no rank (a new room must be placed in the table below and in docs/architecture.md);
  - a file under bindings/ names a C++ header;
  - a committed text file names the machine it was written on (absolute paths of a workplace or of /tmp).

    python3 tests/layers.py [ROOT]      exit code 0: clean
"""
import os
import re
import subprocess
import sys

RANK = {
    "base": 0, "num": 1, "tensor": 2, "quant": 3, "kernels": 4, "calib": 5, "ir": 6, "io": 6, "ops": 7,
    "exec": 8, "onnx": 8, "data": 8, "weights": 8, "passes": 9, "report": 10, "emit": 10, "pipeline": 11,
    "capi": 12, "cli": 12, "bindings": 13,
}
# Headers directly under include/quantal/ gather others: what they may include.
UMBRELLA = {"core.hpp": 5.5, "quantal.hpp": 11.5, "version.hpp": 0}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
SOURCE = (".hpp", ".h", ".cpp", ".c", ".inc")
# Written in two parts so that this file passes its own check.
WORKPLACE = re.compile("/" + r"work/|/" + r"tmp/qm|/" + "tmp/issues")


def tracked(root):
    """Files that git knows or would add; every file where there is no git (an unpacked archive)."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], check=True,
                             capture_output=True, text=True).stdout.splitlines()
        if out:
            return [f for f in out if os.path.isfile(os.path.join(root, f))]
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in ("build", ".git", ".venv", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return found


def room_of(path):
    """(folder name, rank) of a repository file; None where the layer rule does not apply (tests, examples)."""
    parts = path.split("/")
    if parts[:2] == ["include", "quantal"]:
        if len(parts) == 3:
            return parts[2], UMBRELLA.get(parts[2])
        return parts[2], RANK.get(parts[2])
    if parts[0] == "src" and len(parts) > 2:
        return parts[1], RANK.get(parts[1])
    if parts[0] in ("capi", "bindings"):
        return parts[0], RANK[parts[0]]
    return None


def included_room(target, includer, root):
    """Room of an included file, None for system and third-party headers."""
    if target.startswith("quantal/"):
        parts = target.split("/")
        if len(parts) == 2:
            return parts[1], UMBRELLA.get(parts[1])
        return parts[1], RANK.get(parts[1])
    if target == "quantal.h":
        return "capi", RANK["capi"]
    beside = os.path.normpath(os.path.join(os.path.dirname(includer), target))
    if os.path.isfile(os.path.join(root, beside)):
        return room_of(beside.replace(os.sep, "/"))
    if os.path.isfile(os.path.join(root, "src", target)):
        return room_of("src/" + target)
    return None


def check(root):
    findings = []
    for path in sorted(tracked(root)):
        full = os.path.join(root, path)
        try:
            with open(full, encoding="utf-8") as f:
                lines = f.read().splitlines()
        except (UnicodeDecodeError, OSError):
            continue  # binary
        for number, line in enumerate(lines, 1):
            if WORKPLACE.search(line):
                findings.append(f"{path}:{number}: names a workplace path: {line.strip()[:80]}")
        if not path.endswith(SOURCE):
            continue
        mine = room_of(path)
        if mine is None:
            continue
        name, rank = mine
        if rank is None:
            findings.append(f"{path}: folder '{name}' has no rank (tests/layers.py, docs/architecture.md)")
            continue
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            other = included_room(match.group(1), path, root)
            if other is None:
                continue
            other_name, other_rank = other
            if other_rank is None:
                findings.append(f"{path}:{number}: includes '{match.group(1)}', a folder without a rank")
            elif other_rank > rank or (other_rank == rank and other_name != name):
                findings.append(f"{path}:{number}: {name} (rank {rank}) includes {match.group(1)} (rank {other_rank})")
            elif name == "bindings" and other_name != "capi":
                findings.append(f"{path}:{number}: bindings include the C header only")
    return findings


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    findings = check(root)
    for line in findings:
        print(line)
    print(f"layers: {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
