"""Older operator versions against ONNX Runtime.

    old_versions.py RUNNER FOLDER

The node tests of onnx cover each operator's newest version. Here every such one-node case is asked again of each older
version (opset 6 and up) that the registry claims, wherever that version's schema accepts the node, and hand-made cases
cover what changed its form (axes, bounds, pads and sizes that were attributes). ONNX Runtime gives the expected
outputs; what it cannot run is counted, not judged. Prints the counts per operator and version.
"""
import collections
import os
import subprocess
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))


def skip(why):
    print("skip: " + why)
    sys.exit(77)


try:
    import numpy as np
    import onnx
    import onnx.backend.test.case.node
    import onnxruntime
    from onnx import TensorProto, helper
    from case_files import Writer, has_sequences
except ImportError as e:
    skip(f"python package missing: {e}")

OLDEST = 6
onnxruntime.set_default_logger_severity(4)


def claimed(operators, op, version):
    return any(name == op and since <= version and (until < 0 or version <= until) for name, since, until in operators)


def versions_of(op):
    return sorted({s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == op and s.domain == ""})


def one_node(node, feeds, outputs, version):
    """A model of one node; outputs: names. Input types from the arrays, output types left to the reader."""
    def info(name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)
    inputs = [info(k, v) for k, v in feeds.items()]
    graph = helper.make_graph([node], "old", inputs, [onnx.ValueInfoProto(name=o) for o in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    model.ir_version = 4 if version < 10 else helper.find_min_ir_version_for(model.opset_import)
    return onnx.shape_inference.infer_shapes(model)


def reference(model, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def schema_takes(node, version):
    """Does this version of the schema know the node's attributes and take as many inputs?"""
    schema = onnx.defs.get_schema(node.op_type, version, "")
    if schema.deprecated or any(a.name not in schema.attributes for a in node.attribute):
        return False
    if any(a.required and n not in {x.name for x in node.attribute} for n, a in schema.attributes.items()):
        return False
    return schema.min_input <= len(node.input) <= schema.max_input and schema.min_output <= len(node.output) <= schema.max_output


# What changed its form: operator, versions, attributes, inputs.
R = np.random.default_rng(7)
X = R.standard_normal((2, 3, 4, 5)).astype(np.float32)
M = R.standard_normal((3, 4)).astype(np.float32)


def hand_made():
    for v in (6,):
        yield "Clip", v, {"min": -0.5, "max": 0.75}, [X]
        yield "Clip", v, {"max": 0.25}, [X]
        yield "Clip", v, {}, [X]
    for v in (11, 12, 13):
        yield "Clip", v, {}, [X, np.float32(-0.5), np.float32(0.5)]
        yield "Clip", v, {}, [X, None, np.float32(0.5)]
    for v in (7, 11):
        yield "Squeeze", v, {"axes": [0, 2]}, [X[:1, :, :1]]
        yield "Squeeze", v, {}, [X[:1, :, :1]]
        yield "Unsqueeze", v, {"axes": [0, 3]}, [M]
        yield "Split", v, {"axis": 1, "split": [1, 2]}, [X], 2
        yield "Split", v, {"axis": 0}, [X], 2
    yield "Squeeze", 11, {"axes": [-2]}, [X[:, :, :1]]
    yield "Unsqueeze", 11, {"axes": [-1]}, [M]
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"):
        data = np.abs(X) + np.float32(0.1)
        for v in (7, 11, 13) if op != "ReduceSum" else (7, 11):
            yield op, v, {"axes": [1]}, [data]
            yield op, v, {"axes": [0, 2], "keepdims": 0}, [data]
            yield op, v, {}, [data]
            yield op, v, {"keepdims": 0}, [data]
        if op not in ("ReduceSum",):
            yield op, 11, {"axes": [-1]}, [data]
    for v in (7, 9):
        yield "Slice", v, {"starts": [1, -3], "ends": [3, 1000], "axes": [1, 3]}, [X]
        yield "Slice", v, {"starts": [0, 1], "ends": [1, -1]}, [X]
        yield "Pad", v, {"pads": [0, 1, 0, 2, 1, 0, 2, 0], "value": 1.5}, [X]
        yield "Pad", v, {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "reflect"}, [X]
        yield "Pad", v, {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "edge"}, [X]
        yield "Pad", v, {"pads": [0, 0, -1, -2, 0, 0, 0, 1]}, [X]
        yield "TopK", v, {"k": 2, "axis": 1}, [X], 2
        yield "Dropout", v, {"ratio": 0.3}, [X]
        yield "Cast", v, {"to": TensorProto.INT32}, [X * 3]
        yield "Cast", v, {"to": TensorProto.DOUBLE}, [X]
        yield "BatchNormalization", v, {"epsilon": 1e-3}, [X, np.float32([1, 2, 3]), np.float32([0, 1, -1]), np.float32([0.1, 0, 0.2]), np.float32([1, 0.5, 2])]
        yield "Gemm", v, {"alpha": 0.5, "beta": 2.0, "transB": 1}, [M, M, np.float32([1, 2, 3])]
    for v in (10, 11):
        yield "TopK", v, {"axis": -1}, [X, np.int64([3])], 2
        yield "Slice", v, {}, [X, np.int64([1, -3]), np.int64([3, 1000]), np.int64([1, 3]), np.int64([1, 2])]
        yield "Slice", v, {}, [X, np.int64([-1]), np.int64([-1000]), np.int64([2]), np.int64([-2])]
    for v in (11, 13, 18):
        yield "Pad", v, {"mode": "constant"}, [X, np.int64([0, 1, 0, 2, 1, 0, 2, 0]), np.float32(2)]
        yield "Pad", v, {"mode": "reflect"}, [X, np.int64([0, 0, 1, 2, 0, 0, 2, 1])]
    for v in (7, 9, 11, 12):
        for op in ("Softmax", "LogSoftmax", "Hardmax"):
            yield op, v, {}, [X]
            yield op, v, {"axis": 2}, [X]
        yield "Flatten", v, {"axis": 2}, [X]
        yield "Flatten", v, {"axis": 0}, [X]
        yield "Concat", v, {"axis": 1}, [X, X[:, :1]]
        yield "ArgMax", v, {"axis": 2, "keepdims": 0}, [X]
        yield "ArgMin", v, {"axis": 0}, [X]
        yield "Gather", v, {"axis": 1}, [X, np.int64([[0, 2], [1, 0]])]
        yield "DepthToSpace", v, {"blocksize": 2}, [R.standard_normal((1, 8, 2, 3)).astype(np.float32)]
        yield "OneHot" if v >= 9 else "Tile", v, {}, [np.int64([0, 2, 1]), np.int64(4), np.float32([0, 1])] if v >= 9 else [M, np.int64([2, 1])]
    yield "Scatter", 9, {"axis": 1}, [M, np.int64([[0, 3], [1, 0]]), np.float32([[9, 8], [7, 6]])]
    yield "Scatter", 10, {"axis": 0}, [M, np.int64([[0, 1]]), np.float32([[9, 8]])]
    for v in (7, 8, 12):
        for op in ("Max", "Min", "Sum", "Mean"):
            if v >= 8:
                yield op, v, {}, [X, X[0, 0], X[:, :1]]
            yield op, v, {}, [X, X[::-1].copy()]
            yield op, v, {}, [X]
        yield "Pow", v, {}, [np.abs(X), np.float32(1.7)]
        yield "PRelu", v, {}, [X, np.float32([[[0.1]], [[0.2]], [[0.3]]])]
        yield "Upsample" if v < 9 else "Resize", v, *(({"mode": "nearest", "scales": [1.0, 1.0, 2.0, 2.0]}, [X]) if v < 9 else ({"mode": "nearest"}, [X, np.float32([]), np.float32([1, 1, 2, 2])]))
    yield "Upsample", 9, {"mode": "linear"}, [X, np.float32([1, 1, 2, 2])]
    yield "Resize", 10, {"mode": "linear"}, [X, np.float32([1, 1, 2, 2])]
    for op in ("Add", "Sub", "Mul", "Div"):
        yield op, 6, {"broadcast": 1, "axis": 1}, [X, M]
        yield op, 6, {"broadcast": 1}, [X, X[0, 0]]
        yield op, 6, {}, [X, X + 3]


def main():
    runner, folder = sys.argv[1:3]
    listed = subprocess.run([runner, "--operators"], capture_output=True, text=True, check=True).stdout
    operators = []
    for line in listed.splitlines():
        domain, op, since, until = line.split("\t")
        if domain == "ai.onnx":
            operators.append((op, int(since), int(until)))
    writer = Writer(folder)
    tried = collections.Counter()
    number = collections.Counter()

    def add(node, feeds, version):
        op = node.op_type
        if not claimed(operators, op, version):
            return
        try:
            model = one_node(node, feeds, [o for o in node.output if o], version)
            onnx.checker.check_model(model)
            expected = reference(model, feeds)
        except Exception:  # ONNX Runtime does not have this version, or not for this type
            tried["not run by ONNX Runtime"] += 1
            return
        if any(not isinstance(e, np.ndarray) or e.dtype == object for e in expected):
            return
        number[op, version] += 1
        writer.add(f"{op}-{version}-{number[op, version]}", op, "", version, model, feeds, dict(zip([o for o in node.output if o], expected)), 1e-3, 1e-6)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = onnx.backend.test.case.node.collect_testcases(None)
        for case in cases:
            nodes = case.model.graph.node
            if len(nodes) != 1 or nodes[0].domain or "_expanded" in case.name:
                continue
            newest = {o.domain: o.version for o in case.model.opset_import}.get("", 0)
            inputs, _ = case.data_sets[0]
            if has_sequences(inputs) or any(not isinstance(a, np.ndarray) or a.dtype == object for a in inputs):
                continue
            feeds = {v.name: a for v, a in zip(case.model.graph.input, inputs)}
            for since in versions_of(nodes[0].op_type):
                version = max(since, OLDEST)
                later = [s for s in versions_of(nodes[0].op_type) if s > since]
                if version >= newest or (later and version >= later[0]):
                    continue
                try:
                    if schema_takes(nodes[0], version):
                        add(nodes[0], feeds, version)
                except onnx.defs.SchemaError:
                    pass
        for op, version, attributes, arrays, *count in hand_made():
            names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
            outputs = [f"y{i}" for i in range(count[0] if count else 1)]
            node = helper.make_node(op, names, outputs, **attributes)
            add(node, {n: np.asarray(a) for n, a in zip(names, arrays) if n}, version)
    writer.close()

    exceptions = {}
    for line in open(os.path.join(HERE, "old_exceptions.txt")):
        if line.strip() and not line.startswith("#"):
            name, reason = line.split(None, 1)
            exceptions[name] = reason.strip()
    done = subprocess.run([runner, folder], capture_output=True, text=True)
    counts = collections.defaultdict(collections.Counter)
    bad = []
    for line in done.stdout.splitlines():
        word, name, op, _, reason = line.split("\t", 4)
        counts[op][int(name.split("-")[1])] += word == "passed"
        if word != "passed" and name not in exceptions:
            bad.append(f"{word}: {name}: {reason}")
        if word == "passed" and name in exceptions:
            bad.append(f"passes, but is listed as an exception: {name}")
    ran = len(done.stdout.splitlines())
    if done.returncode != 0 or ran != len(writer.lines):
        bad.append(f"the runner ended with {done.returncode} after {ran} of {len(writer.lines)} cases: {done.stderr[-300:]}")
    for op in sorted(counts):
        print(f"{op}: " + ", ".join(f"v{v} {n}" for v, n in sorted(counts[op].items())))
    passed = sum(sum(c.values()) for c in counts.values())
    versions = sum(len(c) for c in counts.values())
    print(f"older versions against ONNX Runtime {onnxruntime.__version__}: {passed} of {len(writer.lines)} cases agree, "
          f"{versions} operator versions of {len(counts)} operators; {tried['not run by ONNX Runtime']} more ONNX Runtime does not run")
    for line in bad:
        print(line)
    print(f"tests: {passed} passed, {len(bad)} failed, 0 skipped")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
