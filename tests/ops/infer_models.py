"""Inference on whole models against onnx.shape_inference.

    infer_models.py RUNNER [MODEL...]

Models: those that the onnx package ships (light_* CNNs, PyTorch exports) and any given. Every value that
onnx.shape_inference types must have the same element type, rank and known dimensions here; what only one of the two
knows is counted.
"""
import collections
import glob
import os
import subprocess
import sys


def skip(why):
    print("skip: " + why)
    sys.exit(77)


try:
    import onnx
except ImportError as e:
    skip(f"python package missing: {e}")

NAMES = {"FLOAT": "f32", "DOUBLE": "f64", "FLOAT16": "f16", "BFLOAT16": "bf16", "INT8": "s8", "UINT8": "u8", "INT16": "s16",
         "UINT16": "u16", "INT32": "s32", "UINT32": "u32", "INT64": "s64", "UINT64": "u64", "BOOL": "bool", "STRING": "string"}


def compare(ours, value, counts):
    """None, or how the two contradict each other."""
    theirs = value.type.tensor_type
    if not theirs.HasField("shape"):
        return None
    if value.name not in ours:
        counts["only onnx"] += 1
        return None
    elem, dims = ours[value.name]
    if elem != NAMES.get(onnx.TensorProto.DataType.Name(theirs.elem_type), elem):
        return f"{value.name}: {elem} here"
    if dims == "...":
        counts["only onnx"] += 1
        return None
    dims = dims.split(",") if dims else []
    if len(dims) != len(theirs.shape.dim):
        return f"{value.name}: rank {len(dims)} here, {len(theirs.shape.dim)} there"
    kind = "equal"
    for a, d in zip(dims, theirs.shape.dim):
        known = d.HasField("dim_value") and d.dim_value >= 0
        if known and a.isdigit() and int(a) != d.dim_value:
            return f"{value.name}: {','.join(dims)} here, {d.dim_value} there"
        if known and not a.isdigit():
            kind = "only onnx"
        elif a.isdigit() and not known and kind == "equal":
            kind = "only Quantal"
    counts[kind] += 1
    return None


def main():
    runner = sys.argv[1]
    package = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    models = sys.argv[2:]
    for folder in ("light", "pytorch-converted/*", "pytorch-operator/*", "simple/*"):
        models += sorted(glob.glob(os.path.join(package, folder, "*.onnx")))
    counts = collections.Counter()
    bad = []
    for path in models:
        name = os.path.relpath(path, package)
        done = subprocess.run([runner, "--infer", path], capture_output=True, text=True)
        if done.returncode != 0:
            bad.append(f"{name}: {done.stderr.strip()}")
            continue
        ours = {n: (t, d) for n, t, d in (line.split("\t") for line in done.stdout.splitlines())}
        try:
            theirs = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
        except Exception as e:  # onnx cannot: nothing to compare with
            print(f"{name}: onnx.shape_inference fails: {str(e)[:100]}")
            continue
        for value in list(theirs.graph.value_info) + list(theirs.graph.output):
            wrong = compare(ours, value, counts)
            if wrong:
                bad.append(f"{name}: {wrong}")
    print(f"{len(models)} models: " + ", ".join(f"{n} {k}" for k, n in sorted(counts.items())))
    for line in bad:
        print(line)
    print(f"tests: {len(models) - len({b.split(':')[0] for b in bad})} passed, {len(bad)} failed, 0 skipped")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
