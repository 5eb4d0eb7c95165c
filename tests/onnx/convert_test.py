#!/usr/bin/env python3
"""Opset conversion: a converted model computes what the original computes.

`quantal_roundtrip --convert TARGET` converts each model to opsets 13, 17 and 21. The onnx checker and
its strict type inference must accept the result. What is compared:
  1. one-node models of each operator whose meaning or signature changed, at each older version: the original in ONNX
     Runtime against the converted model in ONNX Runtime (opset 6 is older than ONNX Runtime: there against numpy);
  2. the opset 6 and 9 models of the onnx package with the outputs that come with them;
  3. the light models of the onnx package (AlexNet to VGG), original against converted;
  4. models that cannot be converted give an error that names the operator and both versions.

usage: convert_test.py PROGRAM [MODEL.onnx...]     more models, run with random inputs
"""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"skip: {missing}")
    sys.exit(77)

TARGETS = (13, 17, 21)
IR = {6: 3, 7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}
random = np.random.default_rng(7)
ort.set_default_logger_severity(4)


def f32(*shape):
    return random.standard_normal(shape).astype(np.float32)


class Case:
    """One node at one opset. inputs: name -> array (fed); constants: name -> array (initializers)."""

    def __init__(self, op, opset, inputs, constants=None, outputs=1, expected=None, unknown_rank=False, error=None,
                 names=None, targets=TARGETS, compare=None, **attributes):
        self.op, self.opset, self.inputs, self.constants = op, opset, inputs, constants or {}
        self.outputs = [f"y{i}" for i in range(outputs)]
        self.expected, self.unknown_rank, self.error = expected, unknown_rank, error
        self.names = names if names is not None else list(self.inputs) + list(self.constants)
        self.attributes, self.targets, self.compare = attributes, targets, compare or outputs

    def label(self):
        return f"{self.op} opset {self.opset} {self.attributes or ''}"

    def model(self):
        node = helper.make_node(self.op, self.names, self.outputs, name="node", **self.attributes)
        inputs = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype),
                                                None if self.unknown_rank else a.shape) for n, a in self.inputs.items()]
        # Outputs without a type: what the converter must find out for itself.
        outputs = [onnx.ValueInfoProto(name=n) for n in self.outputs]
        constants = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        if self.opset <= 8:  # up to IR version 3 an initializer is also an input
            inputs += [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                       for n, a in self.constants.items()]
        graph = helper.make_graph([node], "g", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=IR[self.opset])


def cases():
    x = {"x": f32(2, 3, 4, 5)}
    # Broadcasting of opset 6: against numpy.
    for op, f in {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}.items():
        for axis, shape in [(None, (4, 5)), (None, (5,)), (None, ()), (1, (3, 4)), (0, (2,)), (0, (2, 3)), (-1, (5,)),
                            (1, (1,)), (2, (4, 5))]:
            a, b = f32(2, 3, 4, 5), f32(*shape) + 3
            at = {} if axis is None else {"axis": axis}
            start = 4 - len(shape) if axis is None else axis % 4
            want = f(a, b.reshape(shape + (1,) * max(0, 4 - start - len(shape))))
            for unknown in (False, True):
                yield Case(op, 6, {"a": a, "b": np.asarray(b)}, expected=[want], broadcast=1, unknown_rank=unknown, **at)
        yield Case(op, 6, {"a": a, "b": a + 5}, expected=[f(a, a + 5)])
    a, b = f32(2, 3, 4), f32(3)
    for op, f in {"Greater": np.greater, "Less": np.less}.items():
        yield Case(op, 6, {"a": a, "b": b}, expected=[f(a, b[:, None])], broadcast=1, axis=1)
    for op, f in {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}.items():
        yield Case(op, 6, {"a": a > 0, "b": b > 0}, expected=[f(a > 0, (b > 0)[:, None])], broadcast=1, axis=1)
    i, j = (a * 2).astype(np.int32), (b * 2).astype(np.int32)
    yield Case("Equal", 6, {"a": i, "b": j}, expected=[i == j[:, None]], broadcast=1, axis=1)
    yield Case("Pow", 6, {"a": np.abs(a) + 1, "b": b}, expected=[(np.abs(a) + 1) ** b[:, None]], broadcast=1, axis=1)
    for slope in (f32(3), f32(1)):
        for unknown in (False, True):
            for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5)):
                p = f32(*shape)
                want = np.where(p < 0, p * slope.reshape((-1,) + (1,) * (p.ndim - 2)), p)
                yield Case("PRelu", 6, {"p": p}, {"s": slope}, expected=[want], unknown_rank=unknown)
    m, w, c = f32(4, 6), f32(6, 5), f32(5)
    yield Case("Gemm", 6, {"m": m}, {"w": w, "c": c}, expected=[2 * m @ w + 0.5 * c], broadcast=1, alpha=2.0, beta=0.5)
    # BatchNormalization
    stats = {"scale": f32(3), "bias": f32(3), "mean": f32(3), "var": np.abs(f32(3)) + 0.5}
    x4 = x["x"]
    c1 = {k: v[:, None, None] for k, v in stats.items()}
    want = (x4 - c1["mean"]) / np.sqrt(c1["var"] + np.float32(1e-3)) * c1["scale"] + c1["bias"]
    yield Case("BatchNormalization", 6, x, stats, expected=[want], is_test=1, epsilon=1e-3)
    yield Case("BatchNormalization", 6, x, stats, error="BatchNormalization", epsilon=1e-3)
    for opset in (7, 8, 9, 13):
        yield Case("BatchNormalization", opset, x, stats, epsilon=1e-3)
    each = {k: np.abs(f32(3, 4, 5)) + 0.5 for k in stats}
    want = (x4 - each["mean"]) / np.sqrt(each["var"] + np.float32(1e-3)) * each["scale"] + each["bias"]
    yield Case("BatchNormalization", 7, x, each, expected=[want], spatial=0, epsilon=1e-3)
    # Dropout
    yield Case("Dropout", 6, x, expected=[x4], is_test=1, ratio=0.3)
    for opset in (7, 10):
        yield Case("Dropout", opset, x, ratio=0.3)
        # In inference the content of the mask is not specified before opset 12.
        yield Case("Dropout", opset, x, outputs=2, compare=1, ratio=0.3)
    yield Case("Dropout", 12, x)
    # Attributes that became inputs
    for opset in (6, 7, 10):
        yield Case("Clip", opset, x, expected=[np.clip(x4, -0.5, 1)] if opset == 6 else None, min=-0.5, max=1.0)
        yield Case("Clip", opset, x, expected=[np.maximum(x4, 0.1)], min=0.1)
        yield Case("Clip", opset, x, expected=[np.minimum(x4, 0.1)], max=0.1)
        yield Case("Clip", opset, x, expected=[x4])
        yield Case("Pad", opset, x, expected=[np.pad(x4, [(0, 0), (0, 1), (1, 0), (2, 2)], constant_values=1.5)],
                   pads=[0, 0, 1, 2, 0, 1, 0, 2], value=1.5)
        yield Case("Pad", opset, x, expected=[np.pad(x4, [(0, 0), (0, 0), (1, 1), (2, 2)], mode="reflect")],
                   pads=[0, 0, 1, 2, 0, 0, 1, 2], mode="reflect")
        yield Case("Pad", opset, x, expected=[np.pad(x4, [(0, 0), (0, 0), (1, 1), (2, 2)], mode="edge")],
                   pads=[0, 0, 1, 2, 0, 0, 1, 2], mode="edge")
    yield Case("Clip", 6, {"x": x4.astype(np.float16)}, expected=[np.clip(x4.astype(np.float16), -0.5, 1)], min=-0.5, max=1.0)
    yield Case("Clip", 6, {"x": x4.astype(np.float64)}, expected=[np.clip(x4.astype(np.float64), -0.5, 1)], min=-0.5, max=1.0)
    for opset in (6, 7, 9):
        yield Case("Slice", opset, x, expected=[x4[:, 1:3, :, -3:-1]], starts=[1, -3], ends=[3, -1], axes=[1, 3])
        yield Case("Slice", opset, x, expected=[x4[0:1, 1:]], starts=[0, 1], ends=[1, 1000])
        yield Case("TopK", opset, x, outputs=2, axis=3, k=2,
                   expected=[np.sort(x4, 3)[..., :-3:-1], np.argsort(-x4, 3)[..., :2].astype(np.int64)])
    for opset in (7, 11, 12):
        yield Case("Squeeze", opset, {"x": f32(2, 1, 3, 1)}, axes=[1, 3])
        yield Case("Squeeze", opset, {"x": f32(2, 1, 3, 1)})
        yield Case("Unsqueeze", opset, x, axes=[0, 3])
        yield Case("Split", opset, x, outputs=2, axis=3, split=[2, 3])
        yield Case("Split", opset, x, outputs=3, axis=1)
        yield Case("ReduceSum", opset, x, axes=[1, 2], keepdims=0)
        yield Case("ReduceSum", opset, x)
    yield Case("Split", 13, x, {"s": np.array([2, 3], np.int64)}, outputs=2, axis=3)
    yield Case("Split", 13, x, outputs=2, axis=2)
    for op in ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
               "ReduceSumSquare"):
        for opset in (7, 11, 13, 17):
            yield Case(op, opset, x, axes=[1, 3], keepdims=0)
            yield Case(op, opset, x, keepdims=1)
    yield Case("ReduceLogSum", 13, {"x": np.abs(x4) + 1}, axes=[2])
    # Softmax
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for opset in (7, 11, 12):
            for axis in (0, 1, 2, 3) if opset < 11 else (0, 1, 2, 3, -1, -2):
                for unknown in (False, True):
                    yield Case(op, opset, x, axis=axis, unknown_rank=unknown)
            yield Case(op, opset, x)
            yield Case(op, opset, {"x": f32(2, 7)})
            yield Case(op, opset, {"x": f32(2, 7, 1, 1)}, axis=1)
            yield Case(op, opset, {"x": f32(2, 7, 1, 1)}, axis=1, unknown_rank=True)
    # Upsample, Resize
    image = {"x": f32(1, 2, 4, 6)}
    up, down, both = ([1, 1, 2, 3], [1, 1, 0.6, 0.5], [1, 1, 0.6, 2.5])
    for mode in ("nearest", "linear"):
        yield Case("Upsample", 7, image, mode=mode, scales=[float(s) for s in up])
        yield Case("Upsample", 9, image, {"s": np.array(up, np.float32)}, mode=mode)
        yield Case("Upsample", 9, {**image, "s": np.array(up, np.float32)}, mode=mode)
        for scales in (up, down, both, [1, 1, 1.5, 1.7], [1, 1, 1, 1]):
            s = np.array(scales, np.float32)
            yield Case("Resize", 10, image, {"s": s}, mode=mode)
            yield Case("Resize", 10, {**image, "s": s}, mode=mode)
    n = image["x"]
    yield Case("Upsample", 6, image, expected=[n.repeat(2, 2).repeat(3, 3)], mode="nearest", height_scale=2.0, width_scale=3.0)
    roi, none = np.zeros(0, np.float32), np.zeros(0, np.float32)
    for opset in (11, 12):
        for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"):
            for mode in ("nearest", "linear", "cubic"):
                for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil") if mode == "nearest" else (None,):
                    if coordinates == "tf_half_pixel_for_nn" and rounding != "floor":
                        yield Case("Resize", opset, image, {"r": roi, "s": np.array(up, np.float32)}, mode=mode,
                                   coordinate_transformation_mode=coordinates, error="Resize",
                                   **({"nearest_mode": rounding} if rounding else {}))
                        continue
                    for scales in (up, [1, 1, 0.6, 0.7]):
                        yield Case("Resize", opset, image, {"r": roi, "s": np.array(scales, np.float32)}, mode=mode,
                                   coordinate_transformation_mode=coordinates, **({"nearest_mode": rounding} if rounding else {}))
                    yield Case("Resize", opset, image, {"r": roi, "s": none, "z": np.array([1, 2, 7, 9], np.int64)}, mode=mode,
                               coordinate_transformation_mode=coordinates, **({"nearest_mode": rounding} if rounding else {}))
    # Recurrent: opset 6 had output_sequence
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        weights = {"w": f32(1, gates * 4, 3), "r": f32(1, gates * 4, 4), "b": f32(1, 8 * gates)}
        yield Case(op, 7, {"x": f32(5, 2, 3)}, weights, outputs=2, hidden_size=4)
    # Others
    index = {"x": f32(3, 3)}
    scatter = {"i": np.array([[1, 0, 2], [0, 2, 1]], np.int64), "u": f32(2, 3)}
    for opset in (9, 10):
        yield Case("Scatter", opset, index, scatter)
        yield Case("Scatter", opset, index, scatter, axis=0)
    rois = {"rois": np.array([[0, 0, 3, 3], [1, 1, 3, 4]], np.float32), "b": np.array([0, 0], np.int64)}
    yield Case("RoiAlign", 10, image, rois, output_height=2, output_width=2, sampling_ratio=2)
    yield Case("RoiAlign", 10, image, rois, mode="max", output_height=2, output_width=2, sampling_ratio=2)
    grid = {"g": random.uniform(-1, 1, (1, 3, 3, 2)).astype(np.float32)}
    for mode in ("bilinear", "nearest", "bicubic"):
        yield Case("GridSample", 16, image, grid, mode=mode)
    yield Case("GridSample", 16, image, grid)
    yield Case("DFT", 17, {"x": f32(2, 4, 5, 1)})
    yield Case("DFT", 17, {"x": f32(2, 4, 5, 1)}, axis=2)
    group = {"s": f32(2), "b": f32(2)}
    g = f32(2, 4, 3, 3)
    p = g.reshape(2, 2, -1).astype(np.float64)
    p = (p - p.mean(2, keepdims=True)) / np.sqrt(p.var(2, keepdims=True) + 1e-5)
    want = (p * group["s"][:, None] + group["b"][:, None]).reshape(g.shape).astype(np.float32)
    yield Case("GroupNormalization", 18, {"x": g}, group, num_groups=2, expected=[want], targets=(21,))
    # Unchanged operators around the boundaries
    for opset in (7, 8, 9, 10, 11, 12):
        yield Case("MaxPool", opset, x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
        yield Case("AveragePool", opset, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        yield Case("AveragePool", opset, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
        yield Case("Cast", opset, x, to=TensorProto.INT32)
        yield Case("ArgMax", opset, x, axis=1)
        yield Case("Flatten", opset, x, axis=2)
        yield Case("Gather", opset, x, {"i": np.array([0, 2], np.int64)}, axis=1)
        yield Case("Max", opset, {"a": f32(2, 3), "b": f32(2, 3)})
        yield Case("Transpose", opset, x, perm=[0, 2, 3, 1])
        yield Case("Concat", opset, {"a": f32(2, 3), "b": f32(2, 4)}, axis=1)
    yield Case("Scan", 8, x, error="Scan", names=["", "x"], num_scan_inputs=1,
               body=helper.make_graph([helper.make_node("Identity", ["i"], ["o"])], "body",
                                      [helper.make_tensor_value_info("i", 1, None)],
                                      [helper.make_tensor_value_info("o", 1, None)]))


def run(model, feeds, names=None):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    return session.run(names, {n: a for n, a in feeds.items() if n in known})


def same(a, b, tolerance=1e-5):
    if len(a) != len(b):
        return "another number of outputs"
    for i, (x, y) in enumerate(zip(a, b)):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            return f"output {i}: shape {x.shape}, {y.shape}"
        if x.dtype != y.dtype:
            return f"output {i}: type {x.dtype}, {y.dtype}"
        if x.dtype == object:
            if not np.array_equal(x, y):
                return f"output {i}: other strings"
        elif not np.allclose(x, y, rtol=tolerance, atol=tolerance * max(1, np.abs(x).max(initial=0)), equal_nan=True):
            return f"output {i}: differs by {np.abs(x.astype(float) - y.astype(float)).max()}"
    return None


def accepted(path):
    """Raises unless strict type inference and, where it finds every shape, the checker accept the model."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True)
    if all(v.type.tensor_type.HasField("shape") for v in list(model.graph.input) + list(model.graph.output)):
        onnx.checker.check_model(model)


class Converter:
    def __init__(self, program, work):
        self.program, self.work = program, work
        self.source, self.out = os.path.join(work, "in.onnx"), os.path.join(work, "out.onnx")

    def convert(self, path, target):
        """(path of the converted model, None) or (None, error text)."""
        done = subprocess.run([self.program, "--convert", str(target), path, self.out], capture_output=True, text=True)
        if done.returncode != 0:
            return None, done.stderr.strip() or f"exit {done.returncode}"
        version = [o.version for o in onnx.load(self.out, load_external_data=False).opset_import if o.domain == ""]
        if version != [max(target, version[0])]:
            return None, f"opset is {version}"
        return self.out, None


def check_case(converter, case):
    model = case.model()
    onnx.save(model, converter.source)
    want = case.expected
    if want is None and case.error is None:
        want = run(converter.source, {**case.inputs, **case.constants})
    for target in case.targets:
        if case.opset >= target:
            continue
        out, problem = converter.convert(converter.source, target)
        if case.error is not None:
            if problem is None:
                return f"-> {target}: was converted"
            if f"cannot convert {case.error} from opset {case.opset} to {target}" not in problem:
                return f"-> {target}: {problem}"
            continue
        if problem:
            return f"-> {target}: {problem}"
        try:
            accepted(out)
            problem = same(want[:case.compare], run(out, {**case.inputs, **case.constants})[:case.compare])
        except Exception as e:  # checker and runtime have many exception types
            problem = f"{type(e).__name__}: {str(e)[:200]}"
        if problem:
            return f"-> {target}: {problem}"
    return None


def check_data(converter, folder):
    """A model of the onnx package with its recorded inputs and outputs. None: same; text: not; False: not usable."""
    path = os.path.join(folder, "model.onnx")
    model = onnx.load(path)
    if model.opset_import[0].version >= 13:
        return False
    sets = sorted(glob.glob(os.path.join(folder, "test_data_set_*")))

    def tensor(file):
        with open(file, "rb") as f:
            return numpy_helper.to_array(onnx.load_tensor_from_string(f.read()))

    constants = {c.name for c in model.graph.initializer}
    inputs = [i.name for i in model.graph.input if i.name not in constants]
    for target in TARGETS:
        out, problem = converter.convert(path, target)
        if problem:
            return problem
        for data in sets:
            try:
                feeds = {n: tensor(os.path.join(data, f"input_{k}.pb")) for k, n in enumerate(inputs)}
                want = [tensor(os.path.join(data, f"output_{k}.pb")) for k in range(len(model.graph.output))]
                if model.opset_import[0].version >= 7:
                    run(path, feeds)
            except Exception:
                return False  # sequences instead of tensors, or not for this ONNX Runtime (Gradient, missing locales)
            try:
                problem = same(want, run(out, feeds), 1e-3)
            except Exception as e:
                problem = f"{type(e).__name__}: {str(e)[:300]}"
            if problem:
                return f"-> {target}: {problem}"
    return None


def random_feeds(model):
    constants = {c.name for c in model.graph.initializer}
    feeds = {}
    for i in model.graph.input:
        if i.name in constants:
            continue
        shape = [d.dim_value if d.dim_value > 0 else 1 for d in i.type.tensor_type.shape.dim]
        if len(shape) == 4:
            shape = [s if d.dim_value > 0 else (1 if k == 0 else 64) for k, (s, d) in
                     enumerate(zip(shape, i.type.tensor_type.shape.dim))]
        dtype = helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
        feeds[i.name] = random.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)
    return feeds


def check_model(converter, path, targets):
    model = onnx.load(path)
    feeds = random_feeds(model)
    names = [o.name for o in model.graph.output]
    want = run(path, feeds, names)
    for target in targets:
        out, problem = converter.convert(path, target)
        if problem:
            return problem
        try:
            onnx.checker.check_model(out, full_check=False)
            problem = same(want, run(out, feeds, names), 1e-4)
        except Exception as e:
            problem = f"{type(e).__name__}: {str(e)[:300]}"
        if problem:
            return f"-> {target}: {problem}"
    return None


def main():
    program, extra = sys.argv[1], sys.argv[2:]
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    passed = failed = 0

    def count(group, label, problem):
        nonlocal passed, failed
        if problem is False:
            return
        tally = groups.setdefault(group, [0, 0])
        tally[0 if problem is None else 1] += 1
        if problem is None:
            passed += 1
        else:
            failed += 1
            print(f"FAILED {group}: {label}: {problem}")

    groups = {}
    with tempfile.TemporaryDirectory() as work:
        converter = Converter(program, work)
        operators = set()
        for case in cases():
            try:
                problem = check_case(converter, case)
            except Exception as e:
                problem = f"{type(e).__name__}: {str(e)[:200]}"
            operators.add((case.op, case.opset))
            count("one-node models", case.label(), problem)
        for folder in sorted(glob.glob(data + "/pytorch-*/*/") + glob.glob(data + "/simple/*/")):
            count("recorded data", os.path.basename(folder.rstrip("/")), check_data(converter, folder))
        for path in sorted(glob.glob(data + "/light/*.onnx")):
            count("light models", os.path.basename(path), check_model(converter, path, (13,)))
        for path in extra:
            count("given models", path, check_model(converter, path, TARGETS))
    for group, (good, bad) in groups.items():
        print(f"{group}: {good} of {good + bad} give the same outputs after conversion")
    print(f"one-node models cover {len(operators)} operator versions of {len({o for o, _ in operators})} operators")
    print(f"tests: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or passed < 300 else 0


if __name__ == "__main__":
    sys.exit(main())
