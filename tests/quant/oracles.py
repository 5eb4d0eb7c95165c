#!/usr/bin/env python3
"""Compares the core with the tools whose arithmetic it claims: ml_dtypes and numpy (every code of every small float),
ONNX Runtime (choose, quantize, dequantize, requantize) and torch (choose, quantize) where it is installed.

usage: oracles.py TOOL [torch-only]      TOOL: the program of oracle_tool.cpp
Random inputs are seeded; each line says how many were compared. Not compared: what numerics.md's c.10 rules out (the
unsaturated float8 casts of ONNX Runtime).
"""
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skip: no numpy in this interpreter")
    sys.exit(77)

TOOL = sys.argv[1]
results = {"passed": 0, "failed": 0, "skipped": 0}


def run(args, record):
    out = subprocess.run([TOOL, *args], input=record.tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return out


def check(label, ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    same = ours == theirs
    if ours.dtype.kind == "f":
        same |= np.isnan(ours) & np.isnan(theirs)
    bad = np.flatnonzero(~same)
    if len(bad) == 0 and len(ours) > 0 and ours.shape == theirs.shape:
        results["passed"] += 1
        print(f"ok: {label}: {len(ours)} equal")
    else:
        results["failed"] += 1
        where = [(int(i), ours[i], theirs[i]) for i in bad[:5]]
        print(f"FAILED: {label}: {len(bad)} of {len(ours)} differ: {where}")


def floats(count, seed):
    """Random bit patterns, ordinary numbers, and everything near the middle between two codes of each format."""
    random = np.random.default_rng(seed)
    any_bits = random.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    ordinary = (random.standard_normal(count) * np.exp2(random.integers(-20, 18, count))).astype(np.float32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, 65519.99, 65520, 2.0**-25], np.float32)
    return np.concatenate([any_bits, ordinary, special])


def formats():
    try:
        import ml_dtypes
    except ImportError:
        results["skipped"] += 1
        print("skip: ml_dtypes is not installed")
        return
    table = {
        "f16": (np.float16, 16), "bf16": (ml_dtypes.bfloat16, 16), "f8e4m3fn": (ml_dtypes.float8_e4m3fn, 8),
        "f8e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, 8), "f8e5m2": (ml_dtypes.float8_e5m2, 8),
        "f8e5m2fnuz": (ml_dtypes.float8_e5m2fnuz, 8), "f4e2m1": (ml_dtypes.float4_e2m1fn, 4), "f8e8m0": (ml_dtypes.float8_e8m0fnu, 8),
    }
    np.seterr(all="ignore")
    for name, (dtype, bits) in table.items():
        codes = np.arange(2**bits, dtype=np.uint16)
        stored = codes if bits == 16 else codes.astype(np.uint8)
        theirs = stored.view(dtype).astype(np.float32)
        ours = np.frombuffer(run(["decode", name], codes), np.float32)
        check(f"decode {name}, every code", ours, theirs)
        finite = np.sort(theirs[np.isfinite(theirs)].astype(np.float64))
        middles = ((finite[1:] + finite[:-1]) / 2).astype(np.float32)
        x = np.concatenate([theirs, middles, np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf)),
                            floats(20000, bits)])
        raw = np.uint16 if bits == 16 else np.uint8
        if name == "f8e8m0":
            x = x[(x >= 2.0**-126) | np.isnan(x)]  # ONNX and ml_dtypes disagree on f32's subnormal numbers
            x = x[~np.isinf(x)]
        if name == "f4e2m1":
            x = x[~np.isnan(x)]  # ONNX: the largest value; ml_dtypes: -0
        theirs = x.astype(dtype)
        ours = np.frombuffer(run(["encode", name, "0"], x), np.uint16)
        nan = np.isnan(x)
        check(f"encode {name}, not saturating", ours[~nan].astype(raw), theirs.view(raw)[~nan])
        if nan.any():
            back = np.frombuffer(run(["decode", name], ours[nan]), np.float32)
            check(f"encode {name}, NaN", np.isnan(back), np.ones(len(back), bool))
        if name.startswith("f8e") and name != "f8e8m0":
            largest = float(ml_dtypes.finfo(dtype).max)
            keep = ~np.isnan(x) & (~np.isinf(x) if name.endswith("uz") else True)
            clipped = np.clip(x[keep], -largest, largest).astype(dtype)  # onnx.numpy_helper.saturate_cast
            ours = np.frombuffer(run(["encode", name, "1"], x[keep]), np.uint16)
            check(f"encode {name}, saturating", ours.astype(raw), clipped.view(raw))
    x = np.concatenate([floats(20000, 5).astype(np.float64), np.random.default_rng(6).standard_normal(20000)])
    tie = 1.0 + 2.0**-11 + np.float64(2.0) ** -np.arange(20, 52)
    x = np.concatenate([x, tie])
    x = x[~np.isnan(x)]
    check("f64 -> f16, one rounding", np.frombuffer(run(["encode64", "f16"], x), np.uint16), x.astype(np.float16).view(np.uint16))


def ranges(count, seed):
    random = np.random.default_rng(seed)
    ends = np.sort((random.standard_normal((count, 2)) * np.exp2(random.integers(-30, 30, (count, 1)))).astype(np.float32), axis=1)
    ends[:40] = np.abs(ends[:40])
    ends[:40].sort(axis=1)
    ends[40:44] = [[0, 0], [-2, 2], [5, 5], [-1e-42, 1e-42]]
    ends[44:60] = np.exp2(np.arange(-130, -114))[:, None] * np.array([-1.0, 1.5])
    return ends


CHOSEN = np.dtype([("status", "i4"), ("scale", "f4"), ("zero_point", "i4")])


def choose(preset, type_name, symmetric, reduce, ends):
    return np.frombuffer(run(["choose", preset, type_name, str(int(symmetric)), str(int(reduce))], ends.astype(np.float64)), CHOSEN)


def onnxruntime_tools():
    try:
        import onnx
        from onnxruntime.quantization import quant_utils
    except ImportError:
        results["skipped"] += 1
        print("skip: onnxruntime is not installed")
        return
    types = {"u8": onnx.TensorProto.UINT8, "s8": onnx.TensorProto.INT8, "s16": onnx.TensorProto.INT16, "u16": onnx.TensorProto.UINT16,
             "s4": onnx.TensorProto.INT4, "u4": onnx.TensorProto.UINT4}
    for name, kind in types.items():
        for symmetric in (False, True):
            for reduce in (False, True):
                ends = ranges(1000, len(name) * 4 + symmetric * 2 + reduce)
                qmin, qmax = quant_utils.get_qmin_qmax_for_qType(kind, reduce, symmetric)
                if name in ("s4", "u4"):  # ml_dtypes' 4-bit arithmetic wraps: give the tool the numbers it means
                    qmin, qmax = np.array(int(qmin), np.int8), np.array(int(qmax), np.int8)
                with np.errstate(all="ignore"):
                    theirs = [quant_utils.compute_scale_zp(np.array(a), np.array(b), qmin.astype(np.int64), qmax.astype(np.int64), symmetric)
                              for a, b in ends]
                ours = choose("onnxruntime", name, symmetric, reduce, ends)
                label = f"choose onnxruntime {name}{' symmetric' if symmetric else ''}{' reduced' if reduce else ''}"
                check(label + ", scale", ours["scale"], np.array([s for _, s in theirs], np.float32))
                check(label + ", zero point", ours["zero_point"], np.array([int(z) for z, _ in theirs]))


VALUE = np.dtype([("x", "f4"), ("scale", "f4"), ("zero_point", "i4")])
CODED = np.dtype([("q", "i4"), ("scale", "f4"), ("zero_point", "i4")])


def probes(scale, low, high, seed):
    random = np.random.default_rng(seed)
    k = np.arange(low - 10, high + 10, max(1, (high - low) // 600)).astype(np.float32)
    ties = ((k + np.float32(0.5)) * np.float32(scale)).astype(np.float32)
    noise = (random.standard_normal(2000) * scale * (high - low) / 3).astype(np.float32)
    special = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -0.0, 1e-45], np.float32)
    return np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf)), noise, special])


def onnxruntime_kernels():
    try:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper
    except ImportError:
        return
    limits = {"u8": (0, 255, TensorProto.UINT8, np.uint8), "s8": (-128, 127, TensorProto.INT8, np.int8),
              "u16": (0, 65535, TensorProto.UINT16, np.uint16), "s16": (-32768, 32767, TensorProto.INT16, np.int16)}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3

    def session(node, inputs, outputs):
        graph = helper.make_graph([node], "g", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    info = helper.make_tensor_value_info
    for name, (low, high, kind, dtype) in limits.items():
        quantize = session(helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"]),
                           [info("x", 1, [None]), info("s", 1, []), info("z", kind, [])], [info("y", kind, [None])])
        dequantize = session(helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"]),
                             [info("x", kind, [None]), info("s", 1, []), info("z", kind, [])], [info("y", 1, [None])])
        ours, theirs, back, back_theirs = [], [], [], []
        for i, (scale, zero) in enumerate([(0.1, 3), (1.0, 0), (0.0078431377, low), (1 / 3, high), (3.7e-5, (low + high) // 2)]):
            scale = np.float32(scale)
            x = probes(scale, low, high, i)
            x = x[~np.isnan(x)] if kind in (TensorProto.UINT16, TensorProto.INT16) else x
            theirs.append(quantize.run(None, {"x": x, "s": np.array(scale), "z": np.array(zero, dtype)})[0].astype(np.int32))
            record = np.zeros(len(x), VALUE)
            record["x"], record["scale"], record["zero_point"] = x, scale, zero
            ours.append(np.frombuffer(run(["quantize", "onnxruntime", name], record), np.int32))
            codes = theirs[-1]
            back_theirs.append(dequantize.run(None, {"x": codes.astype(dtype), "s": np.array(scale), "z": np.array(zero, dtype)})[0])
            record = np.zeros(len(x), CODED)
            record["q"], record["scale"], record["zero_point"] = codes, scale, zero
            back.append(np.frombuffer(run(["dequantize"], record), np.float32))
        check(f"quantize onnxruntime {name}", np.concatenate(ours), np.concatenate(theirs))
        check(f"dequantize onnxruntime {name}", np.concatenate(back), np.concatenate(back_theirs))

    # QLinearMatMul: accumulators from integers, then the fp32_rne contract with ratios formed in float32.
    random = np.random.default_rng(9)
    for name in ("u8", "s8"):
        low, high, kind, dtype = limits[name]
        mul = session(helper.make_node("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"]),
                      [info("a", kind, [None, None]), info("as", 1, []), info("az", kind, []), info("b", TensorProto.INT8, [None, None]),
                       info("bs", 1, []), info("bz", TensorProto.INT8, []), info("ys", 1, []), info("yz", kind, [])],
                      [info("y", kind, [None, None])])
        ours, theirs = [], []
        for _ in range(40):
            a = random.integers(low, high + 1, (7, 33)).astype(dtype)
            b = random.integers(-64, 64, (33, 9)).astype(np.int8)
            a_zero, y_zero = (int(random.integers(low, high + 1)) for _ in range(2))
            a_scale, b_scale = (np.float32(v) for v in random.uniform(0.001, 0.1, 2))
            acc = (a.astype(np.int32) - a_zero) @ b.astype(np.int32)
            y_scale = np.float32(a_scale * b_scale * np.abs(acc).max() / 127 * random.uniform(0.5, 4))
            theirs.append(mul.run(None, {"a": a, "as": np.array(a_scale), "az": np.array(a_zero, dtype), "b": b, "bs": np.array(b_scale),
                                         "bz": np.array(0, np.int8), "ys": np.array(y_scale), "yz": np.array(y_zero, dtype)})[0].ravel().astype(np.int32))
            record = np.zeros(acc.size, np.dtype([("acc", "i4"), ("a", "f4"), ("b", "f4"), ("y", "f4"), ("z", "i4")]))
            record["acc"], record["a"], record["b"], record["y"], record["z"] = acc.ravel(), a_scale, b_scale, y_scale, y_zero
            ours.append(np.frombuffer(run(["requant", "fp32_rne", name], record), np.int32))
        check(f"requant fp32_rne against QLinearMatMul {name}", np.concatenate(ours), np.concatenate(theirs))


def onnxruntime_known_answers():
    """c.8 and c.14 on random inputs: DynamicQuantizeLinear, QuantizeLinear to float8, MatMulNBits."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper
    except ImportError:
        return
    info = helper.make_tensor_value_info
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3

    def session(node, inputs, outputs, extra=()):
        graph = helper.make_graph([node], "g", inputs, outputs)
        opsets = [helper.make_opsetid("", 21), *extra]
        return onnxruntime.InferenceSession(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(), options,
                                            providers=["CPUExecutionProvider"])

    random = np.random.default_rng(14)
    dynamic = session(helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"]), [info("x", 1, [None])],
                      [info("y", TensorProto.UINT8, [None]), info("s", 1, []), info("z", TensorProto.UINT8, [])])
    inputs = [np.zeros(3, np.float32), np.full(2, 5, np.float32), np.array([0, 2, -3, -2.5, 1.34, 0.5], np.float32)]
    inputs += [((random.standard_normal(int(random.integers(1, 60))) + random.choice([0, 0, 3])) * np.exp(random.uniform(-5, 5))).astype(np.float32)
               for _ in range(1000)]
    theirs = [dynamic.run(None, {"x": x}) for x in inputs]
    chosen = choose("torch", "u8", False, False, np.array([[x.min(), x.max()] for x in inputs], np.float32))  # f32, as the operator is specified
    same = chosen["scale"] == np.array([t[1] for t in theirs])
    # All zeros: scale 1 in ONNX, the floor eps in torch's preset; scales below that floor do not occur here.
    same |= np.array([not x.any() and t[1] == 1 for x, t in zip(inputs, theirs)])
    check("DynamicQuantizeLinear, scale", same, np.ones(len(inputs), bool))
    ours, codes = [], []
    for x, (y, s, z) in zip(inputs, theirs):
        record = np.zeros(len(x), VALUE)
        record["x"], record["scale"], record["zero_point"] = x, s, z
        ours.append(record)
        codes.append(y.astype(np.int32))
    check("DynamicQuantizeLinear, codes", np.frombuffer(run(["quantize", "onnxruntime", "u8"], np.concatenate(ours)), np.int32), np.concatenate(codes))
    zeros = np.array([z for _, _, z in theirs], np.int32)
    near = chosen["zero_point"] == zeros
    near |= np.array([not x.any() for x in inputs])
    check("DynamicQuantizeLinear, zero point", near, np.ones(len(inputs), bool))

    for name, kind in (("f8e4m3fn", TensorProto.FLOAT8E4M3FN), ("f8e5m2", TensorProto.FLOAT8E5M2)):
        graph = helper.make_graph([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("Cast", ["q"], ["y"], to=1)], "g",
                                  [info("x", 1, [None]), info("s", 1, [])], [info("y", 1, [None])],
                                  [helper.make_tensor("z", kind, [], b"\0", raw=True)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        quantize = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        ours, theirs = [], []
        for _ in range(20):
            scale = np.float32(np.exp(random.uniform(-4, 4)))
            x = np.concatenate([[1e5, 200, -1e5, 0], random.standard_normal(500) * scale * np.exp(random.uniform(-3, 6, 500))]).astype(np.float32)
            theirs.append(quantize.run(None, {"x": x, "s": np.array(scale)})[0])
            record = np.zeros(len(x), VALUE)
            record["x"], record["scale"] = x, scale
            codes = np.frombuffer(run(["small", name], record), np.int32).astype(np.uint16)
            ours.append(np.frombuffer(run(["decode", name], codes), np.float32))
        check(f"QuantizeLinear to {name}, saturating", np.concatenate(ours), np.concatenate(theirs))

    depth, block, columns = 48, 16, 25
    kb = depth // block
    ours, theirs = [], []
    for with_zeros in (False, True):
        names = ["a", "b", "s"] + (["z"] if with_zeros else [])
        node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=depth, N=columns, bits=4, block_size=block)
        shapes = [info("a", 1, [depth, depth]), info("b", TensorProto.UINT8, [columns, kb, block // 2]), info("s", 1, [columns * kb])]
        shapes += [info("z", TensorProto.UINT8, [columns * ((kb + 1) // 2)])] if with_zeros else []
        multiply = session(node, shapes, [info("y", 1, [depth, columns])], [helper.make_opsetid("com.microsoft", 1)])
        for _ in range(20):
            b = random.integers(0, 256, (columns, kb, block // 2)).astype(np.uint8)
            s = np.exp(random.uniform(-4, 1, (columns, kb))).astype(np.float32)
            z = random.integers(0, 256, (columns, (kb + 1) // 2)).astype(np.uint8) if with_zeros else np.full((columns, (kb + 1) // 2), 0x88, np.uint8)
            feed = {"a": np.eye(depth, dtype=np.float32), "b": b, "s": s.ravel()}
            theirs.append(multiply.run(None, {**feed, "z": z.ravel()} if with_zeros else feed)[0].T.ravel())
            rows = b"".join(b[n].tobytes() + s[n].tobytes() + z[n].tobytes() for n in range(columns))
            ours.append(np.frombuffer(run(["nbits", str(depth), str(block)], np.frombuffer(rows, np.uint8)), np.float32))
    check(f"MatMulNBits with the identity, {2 * 20 * columns} rows", np.concatenate(ours), np.concatenate(theirs))


def torch_observers():
    try:
        import torch
        from torch.ao.quantization.observer import MinMaxObserver
    except ImportError:
        results["skipped"] += 1
        print("skip: torch is not installed in this interpreter")
        return
    for dtype, name in ((torch.quint8, "u8"), (torch.qint8, "s8")):
        for symmetric in (False, True):
            for reduce in (False, True):
                if dtype == torch.quint8 and symmetric and reduce:
                    continue  # torch gives zero point 128, which is not a code of [0, 127]
                ends = ranges(1000, 50 + symmetric * 2 + reduce)
                scheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
                observer = MinMaxObserver(dtype=dtype, qscheme=scheme, reduce_range=reduce)
                scales, points = [], []
                for low, high in ends:
                    observer.min_val, observer.max_val = torch.tensor(float(low)), torch.tensor(float(high))
                    scale, point = observer.calculate_qparams()
                    scales.append(scale.item())
                    points.append(point.item())
                ours = choose("torch", name, symmetric, reduce, ends)
                label = f"choose torch {name}{' symmetric' if symmetric else ''}{' reduced' if reduce else ''}"
                check(label + ", scale", ours["scale"], np.array(scales, np.float32))
                check(label + ", zero point", ours["zero_point"], np.array(points))
        low, high = (0, 255) if name == "u8" else (-128, 127)
        ours, theirs = [], []
        for i, (scale, zero) in enumerate([(0.1, 3), (1.0, 0), (0.0078431377, low), (1 / 3, high), (3.7e-5, (low + high) // 2)]):
            x = probes(np.float32(scale), low, high, i)
            x = x[np.abs(x) < 1e6]  # torch's conversion of huge quotients and NaN depends on the CPU
            theirs.append(torch.quantize_per_tensor(torch.from_numpy(x), float(np.float32(scale)), zero, dtype).int_repr().numpy().astype(np.int32))
            record = np.zeros(len(x), VALUE)
            record["x"], record["scale"], record["zero_point"] = x, np.float32(scale), zero
            ours.append(np.frombuffer(run(["quantize", "torch", name], record), np.int32))
        check(f"quantize torch {name}", np.concatenate(ours), np.concatenate(theirs))


if sys.argv[2:] == ["torch-only"]:
    torch_observers()
    if results["passed"] + results["failed"] == 0:
        sys.exit(77)
else:
    formats()
    onnxruntime_tools()
    onnxruntime_kernels()
    onnxruntime_known_answers()
print(f"tests: {results['passed']} passed, {results['failed']} failed, {results['skipped']} skipped")
sys.exit(1 if results["failed"] else 0)
