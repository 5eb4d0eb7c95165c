"""Random one-node models against ONNX Runtime: convolutions and pools of every geometry, and older opset versions.

    onnxruntime_test.py RUNNER [--count N]

RUNNER is quantal_run_model. Seeded; prints how many models ran. Exit 77 without onnxruntime.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as e:
    print(f"skip: python package missing: {e}")
    sys.exit(77)

random = np.random.default_rng(20)
KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64, np.dtype(np.uint8): TensorProto.UINT8,
         np.dtype(np.int8): TensorProto.INT8, np.dtype(np.int32): TensorProto.INT32}


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


def pick(*values):
    return values[random.integers(len(values))]


def geometry(spatial, kernel=None):
    kernel = kernel or [int(random.integers(1, 5)) for _ in range(spatial)]
    a = {"kernel_shape": kernel, "strides": [int(random.integers(1, 4)) for _ in range(spatial)]}
    way = pick("pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID")
    if way == "pads":
        a["pads"] = [int(random.integers(0, k)) for k in kernel + kernel]
    else:
        a["auto_pad"] = way
    return a


def conv_case():
    spatial, groups = pick(1, 2, 2, 3), pick(1, 1, 2, 4)
    channels, maps = groups * pick(1, 3, 4), groups * pick(1, 2, 5, 9)
    a = geometry(spatial)
    a["group"] = groups
    if "auto_pad" not in a or a["auto_pad"] == "VALID":
        a["dilations"] = [int(random.integers(1, 3)) for _ in range(spatial)]
    extent = [int(random.integers(9, 24)) for _ in range(spatial)]
    inputs = [floats(int(random.integers(1, 4)), channels, *extent), floats(maps, channels // groups, *a["kernel_shape"])]
    if random.integers(2):
        inputs.append(floats(maps))
    return "Conv", pick(1, 11, 22), inputs, a


def conv_transpose_case():
    spatial, groups = pick(1, 2), pick(1, 2)
    a = {"group": groups, "strides": [int(random.integers(1, 4)) for _ in range(spatial)]}
    kernel = [int(random.integers(2, 5)) for _ in range(spatial)]
    a["pads"] = [int(random.integers(0, 2)) for _ in range(2 * spatial)]
    a["output_padding"] = [int(random.integers(0, s)) for s in a["strides"]]
    inputs = [floats(2, groups * 3, *[int(random.integers(3, 9)) for _ in range(spatial)]), floats(groups * 3, 4, *kernel)]
    if random.integers(2):
        inputs.append(floats(groups * 4))
    return "ConvTranspose", pick(1, 11), inputs, a


def pool_case():
    spatial = pick(1, 2, 2, 3)
    op = pick("MaxPool", "AveragePool")
    a = geometry(spatial)
    version = pick(7, 11, 12, 22) if op == "AveragePool" else pick(1, 8, 11, 12, 22)
    if op == "AveragePool":
        a["count_include_pad"] = pick(0, 1)
    if version >= 10 and "auto_pad" not in a:
        a["ceil_mode"] = pick(0, 1) if op == "MaxPool" else 0
    return op, version, [floats(2, 3, *[int(random.integers(6, 20)) for _ in range(spatial)])], a


def product_case():
    k = int(random.integers(1, 70))
    m, n = int(random.integers(1, 40)), int(random.integers(1, 60))
    if random.integers(2):
        lead = pick([], [3], [2, 1], [2, 3])
        right = pick([], lead, [1] * len(lead))
        return "MatMul", pick(9, 13), [floats(*lead, m, k), floats(*right, k, n)], {}
    ta, tb = pick(0, 1), pick(0, 1)
    c = pick(None, (n,), (m, n), (1, n), (m, 1))
    inputs = [floats(k, m) if ta else floats(m, k), floats(n, k) if tb else floats(k, n)] + ([floats(*c)] if c else [])
    version = pick(7, 9, 11, 13) if c else pick(11, 13)
    return "Gemm", version, inputs, {"transA": ta, "transB": tb, "alpha": pick(1.0, 0.5), "beta": pick(1.0, 0.25)}


def normal_case():
    op = pick("BatchNormalization", "InstanceNormalization", "Softmax", "LogSoftmax", "LayerNormalization", "LRN", "LpNormalization")
    x = floats(2, 5, *pick((7,), (4, 6)))
    if op == "BatchNormalization":
        return op, pick(7, 9, 14, 15), [x, floats(5), floats(5), floats(5), np.abs(floats(5)) + 0.1], {"epsilon": 1e-3}
    if op == "InstanceNormalization":
        return op, 6, [x, floats(5), floats(5)], {}
    if op == "LayerNormalization":
        return op, 17, [x, floats(*x.shape[1:]), floats(*x.shape[1:])], {"axis": 1}
    if op == "LRN":
        return op, pick(1, 13), [x], {"size": pick(1, 3, 5), "alpha": 0.1}
    if op == "LpNormalization":
        return op, 1, [x], {"p": pick(1, 2), "axis": pick(0, 1, -1)}
    return op, pick(1, 11, 13), [x], {"axis": pick(0, 1, 2)}


def quantize_case():
    code = pick(np.uint8, np.int8)
    x = floats(3, 4, 6) * 3
    axis = pick(None, 0, 1, 2)
    count = () if axis is None else (x.shape[axis],)
    scale = (np.abs(floats(*count)) + 0.01).astype(np.float32)
    zero = np.asarray(random.integers(np.iinfo(code).min, np.iinfo(code).max, count), dtype=code)
    a = {} if axis is None else {"axis": axis}
    version = pick(13, 19) if axis is not None else pick(10, 13, 19)
    if random.integers(2):
        return "QuantizeLinear", version, [x, scale, zero], a
    q = random.integers(np.iinfo(code).min, np.iinfo(code).max, x.shape).astype(code)
    return "DequantizeLinear", version, [q, scale, zero], a


def recurrent_case():
    op = pick("LSTM", "GRU", "RNN")
    gates, hidden, width, steps, batch = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 5, 4, 6, 3
    way = pick("forward", "reverse", "bidirectional")
    d = 2 if way == "bidirectional" else 1
    a = {"hidden_size": hidden, "direction": way}
    if op == "GRU":
        a["linear_before_reset"] = pick(0, 1)
    inputs = [floats(steps, batch, width), floats(d, gates * hidden, width), floats(d, gates * hidden, hidden), floats(d, 2 * gates * hidden)]
    if random.integers(2):
        inputs += [random.integers(1, steps + 1, batch).astype(np.int32), floats(d, batch, hidden)]
    return op, pick(7, 14), inputs, a


def resize_case():
    x = floats(1, 2, int(random.integers(3, 9)), int(random.integers(3, 9)))
    version = pick(11, 13, 18)
    mode = pick("nearest", "linear", "cubic")
    a = {"mode": mode, "coordinate_transformation_mode": pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")}
    if mode == "nearest":
        a["nearest_mode"] = pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    sizes = np.array([1, 2, int(random.integers(2, 17)), int(random.integers(2, 17))], dtype=np.int64)
    return "Resize", version, [x, np.zeros(0, np.float32), np.zeros(0, np.float32), sizes], a


CASES = [conv_case, conv_transpose_case, pool_case, product_case, normal_case, quantize_case, recurrent_case, resize_case]


def save_tensors(path, tensors):
    graph = helper.make_graph([], "tensors", [], [], [numpy_helper.from_array(np.array(v, order="C"), k) for k, v in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.save(model, path)


def build(op, version, inputs, attributes):
    names = [f"i{k}" for k in range(len(inputs))]
    used = ["" if v.size == 0 else n for n, v in zip(names, inputs)]
    outputs = ["y"]
    if op in ("LSTM", "GRU", "RNN"):
        outputs = ["y", "y_h"] + (["y_c"] if op == "LSTM" else [])
    node = helper.make_node(op, used, outputs, **attributes)
    infos = [helper.make_tensor_value_info(n, KINDS[v.dtype], v.shape) for n, v in zip(names, inputs) if v.size]
    graph = helper.make_graph([node], "one", infos, [onnx.ValueInfoProto(name=o) for o in outputs])
    # Weights constant in half of the models, so that packed and cached forms are used too.
    if len(inputs) > 1 and inputs[1].size and random.integers(2):
        graph.initializer.append(numpy_helper.from_array(inputs[1], names[1]))
        del graph.input[1]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    model.ir_version = 8
    return model, {i.name: inputs[names.index(i.name)] for i in graph.input}


def main():
    runner = sys.argv[1]
    count = int(sys.argv[sys.argv.index("--count") + 1]) if "--count" in sys.argv else 12
    passed, failed, refused = 0, [], 0
    with tempfile.TemporaryDirectory() as folder:
        path, feeds, results = (os.path.join(folder, n) for n in ("m.onnx", "f.onnx", "r.onnx"))
        for case in CASES:
            for _ in range(count):
                op, version, inputs, attributes = case()
                model, feed = build(op, version, inputs, attributes)
                onnx.save(model, path)
                options = ort.SessionOptions()
                options.log_severity_level = 4
                try:
                    reference = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feed)
                except Exception:  # a geometry that ONNX Runtime refuses
                    refused += 1
                    continue
                save_tensors(feeds, feed)
                done = subprocess.run([runner, path, feeds, results, "--threads", "2", "--repeat", "2"], capture_output=True, text=True)
                what = f"{op} {version} {attributes} {[v.shape for v in inputs]}"
                if done.returncode != 0:
                    failed.append(f"{what}: {done.stderr.strip()}")
                    continue
                got = {t.name: numpy_helper.to_array(t) for t in onnx.load(results).graph.initializer}
                for o, r in zip(model.graph.output, reference):
                    v = got[o.name]
                    scale = max(1.0, float(np.max(np.abs(r.astype(np.float64)), initial=0)))
                    if v.shape != r.shape or v.dtype != r.dtype:
                        failed.append(f"{what}: {v.dtype} {v.shape}, expected {r.dtype} {r.shape}")
                    elif r.dtype.kind in "iu" and not np.array_equal(v, r):
                        failed.append(f"{what}: integers differ")
                    elif r.dtype.kind == "f" and not np.all(np.abs(v - r) <= 2e-5 * scale):
                        failed.append(f"{what}: differs by {np.max(np.abs(v - r)) / scale:.1e}")
                    else:
                        continue
                    break
                else:
                    passed += 1
    for line in failed:
        print("FAIL " + line)
    print(f"{refused} models that ONNX Runtime refuses were left out")
    print(f"tests: {passed} passed, {len(failed)} failed, 0 skipped")
    sys.exit(1 if failed or passed < 5 * count else 0)


if __name__ == "__main__":
    main()
