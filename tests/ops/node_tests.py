"""Node tests: every case that onnx.backend.test.case generates, run through exec::session by quantal_node_runner.

    node_tests.py RUNNER FOLDER [--write-table docs/operators.md | --check-table docs/operators.md] [--filter RE]

Cases are written into FOLDER once (re-made when the onnx version changes). An operator the registry claims must pass
all its cases, but for those in exceptions.txt, each with its reason; an exception that passes is an error too.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))


def skip(why):
    print("skip: " + why)
    sys.exit(77)


try:
    import onnx
    import onnx.backend.test.case.node
    from case_files import Writer, base_name, has_sequences
except ImportError as e:
    skip(f"python package missing: {e}")


def operators_under_test(cases):
    """Case name -> (operator, domain). An expanded case tests the operator of the case it expands."""
    found = {}
    for c in cases:
        if "_expanded" not in c.name:
            nodes = c.model.graph.node
            found[c.name] = (nodes[0].op_type, nodes[0].domain) if len(nodes) == 1 else (nodes[-1].op_type, nodes[-1].domain)
    for c in cases:
        if "_expanded" in c.name:
            found[c.name] = found.get(base_name(c.name), (c.model.graph.node[-1].op_type, c.model.graph.node[-1].domain))
    return found


def write_cases(folder, pattern):
    stamp = os.path.join(folder, "onnx-version.txt")
    want = onnx.__version__ + " " + (pattern or "")
    if os.path.exists(stamp) and open(stamp).read() == want:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = onnx.backend.test.case.node.collect_testcases(None)
    under_test = operators_under_test(cases)
    writer = Writer(folder)
    left_out = []
    for c in cases:
        if pattern and not re.search(pattern, c.name):
            continue
        op, domain = under_test[c.name]
        version = {o.domain: o.version for o in c.model.opset_import}.get(domain, 1)
        for i, (inputs, outputs) in enumerate(c.data_sets):
            typed = list(c.model.graph.input) + list(c.model.graph.output)
            if has_sequences(list(inputs) + list(outputs)) or any(v.type.WhichOneof("value") != "tensor_type" for v in typed):
                left_out.append(f"{c.name}\t{op}\tsequence or optional type\n")
                continue
            name = c.name if i == 0 else f"{c.name}.{i}"
            feeds = {v.name: a for v, a in zip(c.model.graph.input, inputs) if a is not None}
            expected = {v.name: a for v, a in zip(c.model.graph.output, outputs)}
            writer.add(name, op, domain, version, c.model, feeds, expected, c.rtol, c.atol)
    writer.close()
    with open(os.path.join(folder, "left_out.txt"), "w") as f:
        f.writelines(left_out)
    with open(stamp, "w") as f:
        f.write(want)


def read_exceptions():
    reasons = {}
    for line in open(os.path.join(HERE, "exceptions.txt")):
        line = line.strip()
        if line and not line.startswith("#"):
            name, reason = line.split(None, 1)
            reasons[name] = reason
    return reasons


def table_text(operators, counts, left_out, exceptions):
    ranges = collections.defaultdict(list)
    for line in operators.splitlines():
        domain, op, since, until = line.split("\t")
        ranges[(domain, op)].append((int(since), int(until)))
    total = sum(c["passed"] for c in counts.values())
    lines = [
        "# Operators",
        "",
        "Written by `tests/ops/node_tests.py --write-table`; a test checks that it is up to date.",
        "",
        f"The float executor claims {len(ranges)} operators. \"Node tests\" are the cases of onnx {onnx.__version__}'s",
        "`onnx.backend.test.case` (each operator's newest version, and its function body expanded into other operators);",
        f"{total} pass. Older versions are compared with ONNX Runtime by `tests/ops/old_versions.py`.",
        "",
        "| operator | opset | node tests passed | of | why not all |",
        "|---|---|---|---|---|",
    ]
    for (domain, op), spans in sorted(ranges.items(), key=lambda kv: (kv[0][0] != "ai.onnx", kv[0])):
        first = min(s for s, _ in spans)
        last = max((u if u > 0 else 10**6) for _, u in spans)
        opsets = f"{first}-{last}" if last < 10**6 else f"{first}+"
        c = counts[op] if domain == "ai.onnx" else {"passed": 0, "failed": 0, "unclaimed": 0, "names": []}
        reasons = sorted({exceptions[n] for n in c["names"] if n in exceptions} | {r for _, r in left_out.get(op, []) if domain == 'ai.onnx'})
        left = left_out.get(op, []) if domain == "ai.onnx" else []
        of = c["passed"] + c["failed"] + len(left)
        name = op if domain == "ai.onnx" else f"{domain}.{op}"
        lines.append(f"| {name} | {opsets} | {c['passed']} | {of} | {'; '.join(reasons)} |")
    unclaimed = collections.Counter()
    for op, c in counts.items():
        if c["unclaimed"]:
            unclaimed[op] += c["unclaimed"]
    for op, cases in left_out.items():
        if ("ai.onnx", op) not in ranges and ("ai.onnx.ml", op) not in ranges:
            unclaimed[op] += len(cases)
    lines += ["", "Operators with node tests that Quantal does not have (cases): " +
              ", ".join(f"{op} ({n})" for op, n in sorted(unclaimed.items())) + ".", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("folder")
    parser.add_argument("--write-table")
    parser.add_argument("--check-table")
    parser.add_argument("--filter")
    args = parser.parse_args()
    write_cases(args.folder, args.filter)
    exceptions = read_exceptions()
    done = subprocess.run([args.runner, args.folder], capture_output=True, text=True)
    counts = collections.defaultdict(lambda: {"passed": 0, "failed": 0, "unclaimed": 0, "names": []})
    bad = []
    seen = set()
    inferred = 0
    for line in done.stdout.splitlines():
        word, name, op, shapes, reason = line.split("\t", 4)
        inferred += word == "passed" and shapes == "shapes"
        seen.add(name)
        counts[op][word] += 1
        counts[op]["names"].append(name)
        if word == "failed" and name not in exceptions:
            bad.append(f"failed: {name} ({op}): {reason}")
        if word == "passed" and name in exceptions:
            bad.append(f"passes, but is listed as an exception: {name}")
    listed = [line.split("\t")[0] for line in open(os.path.join(args.folder, "cases.txt"))]
    missing = [n for n in listed if n not in seen]
    if done.returncode != 0 or missing:
        bad.append(f"the runner ended with {done.returncode} before {missing[:1]}: {done.stderr[-400:]}")
    left_out = collections.defaultdict(list)
    for line in open(os.path.join(args.folder, "left_out.txt")):
        name, op, reason = line.rstrip("\n").split("\t")
        left_out[op].append((name, reason))
    total = {w: sum(c[w] for c in counts.values()) for w in ("passed", "failed", "unclaimed")}
    print(f"node tests of onnx {onnx.__version__}: {total['passed']} passed, {total['failed']} failed, "
          f"{total['unclaimed']} of operators not claimed, {sum(map(len, left_out.values()))} with sequence or optional types")
    print(f"inference found the outputs' shapes in full for {inferred} of the passed, and contradicts none")
    for line in bad:
        print(line)
    operators = subprocess.run([args.runner, "--operators"], capture_output=True, text=True, check=True).stdout
    text = table_text(operators, counts, left_out, exceptions)
    if args.write_table:
        with open(args.write_table, "w") as f:
            f.write(text)
    if args.check_table and open(args.check_table).read() != text:
        bad.append("table is out of date")
        print(f"{args.check_table} is out of date: run with --write-table")
    print(f"tests: {total['passed']} passed, {len(bad)} failed, 0 skipped")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
