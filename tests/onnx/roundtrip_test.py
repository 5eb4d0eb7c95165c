#!/usr/bin/env python3
"""import -> export -> import is a fixed point, and what is written is the same model.

Each model file is read and written by `quantal_roundtrip`, which checks the fixed point. The written file is then
loaded by the onnx package (the oracle): every message is compared with the original's, tensors by value; the checker
must accept it; serialized again by the onnx package it has the same bytes (canonical field order).

usage: roundtrip_test.py PROGRAM [DIR_OR_FILE...]   more models than those the onnx package has or generates
"""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skip: {missing}")
    sys.exit(77)


def normal(domain):
    return "" if domain == "ai.onnx" else domain


def differences(a, b, path):
    """Yields where message b is not what a says. What Quantal normalises: how elements are stored, "ai.onnx" == "",
    dim_value -1 is unknown, scalars that are present with their default value."""
    kind = a.DESCRIPTOR.name
    skip = set()
    if kind == "TensorProto":
        skip = {"float_data", "int32_data", "string_data", "int64_data", "raw_data", "double_data", "uint64_data",
                "external_data", "data_location"}
        if a.data_type == onnx.TensorProto.STRING:
            if list(a.string_data) != list(b.string_data):
                yield path + ".string_data"
        else:
            x, y = numpy_helper.to_array(a), numpy_helper.to_array(b)
            if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                yield path + ".data"
    for field in a.DESCRIPTOR.fields:
        name = field.name
        if name in skip:
            continue
        x, y = getattr(a, name), getattr(b, name)
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is not None:
            if repeated:
                if len(x) != len(y):
                    yield f"{path}.{name}: {len(x)} and {len(y)}"
                    continue
                for i, (p, q) in enumerate(zip(x, y)):
                    yield from differences(p, q, f"{path}.{name}[{i}]")
            elif a.HasField(name) != b.HasField(name):
                if x.ByteSize() or y.ByteSize():
                    yield f"{path}.{name}: present in one"
            elif a.HasField(name):
                yield from differences(x, y, f"{path}.{name}")
        elif name == "domain":
            if normal(x) != normal(y):
                yield f"{path}.{name}"
        elif kind == "Dimension" and name == "dim_value":
            if max(x, -1) != (y if b.HasField("dim_value") else -1 if x == -1 else 0):
                yield f"{path}.{name}: {x} {y}"
        elif repeated:
            if list(x) != list(y) and not np.array_equal(np.array(list(x)), np.array(list(y)), equal_nan=True):
                yield f"{path}.{name}"
        elif x != y and not (x != x and y != y):
            yield f"{path}.{name}: {x!r} {y!r}"


def check_accepts(path):
    try:
        onnx.checker.check_model(path)
        return True
    except Exception:  # the checker has several exception types; any means "no"
        return False


def check(program, source, work):
    """An error text, or None."""
    out = os.path.join(work, "out.onnx")
    done = subprocess.run([program, source, out], capture_output=True, text=True)
    if done.returncode != 0:
        return "not a fixed point" if done.returncode == 1 else done.stderr.strip() or f"exit {done.returncode}"
    a, b = onnx.load(source), onnx.load(out)
    found = list(differences(a, b, "model"))
    if found:
        return "; ".join(found[:3])
    if check_accepts(source) and not check_accepts(out):
        return "the onnx checker accepts the original, but not what was written"
    with open(out, "rb") as f:
        written = f.read()
    if b.SerializeToString(deterministic=True) != written:
        return "the onnx package serializes it differently"
    return None


def generated(work):
    """The node models of onnx.backend.test.case: one per case."""
    from onnx.backend.test.case.node import collect_testcases
    import warnings
    warnings.simplefilter("ignore")
    folder = os.path.join(work, "node")
    os.mkdir(folder)
    for case in collect_testcases(None):
        if case.model is None:
            continue
        path = os.path.join(folder, case.name + ".onnx")
        with open(path, "wb") as f:
            f.write(case.model.SerializeToString())
        yield path


def main():
    program, extra = sys.argv[1], sys.argv[2:]
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        groups = {"files of the onnx package": sorted(glob.glob(data + "/**/*.onnx", recursive=True)),
                  "generated node models": generated(work)}
        for place in extra:
            groups[place] = [place] if os.path.isfile(place) else sorted(glob.glob(place + "/**/*.onnx", recursive=True))
        total = 0
        for group, files in groups.items():
            count = bad = 0
            for source in files:
                count += 1
                problem = check(program, source, work)
                if problem:
                    bad += 1
                    print(f"FAILED {source}: {problem}")
            print(f"{group}: {count - bad} of {count} models are the same after import and export")
            failed += bad
            total += count
    print(f"tests: {total - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed or total < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
