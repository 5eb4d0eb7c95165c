#!/usr/bin/env python3
"""The reference convolution against ONNX Runtime's ConvInteger and QLinearConv, on seeded random layers.

usage: conv_oracle.py TOOL      TOOL: the program of conv_oracle_tool.cpp
Weights stay within 7 bits: with larger ones ONNX Runtime's AVX2 kernels saturate in s16 and are wrong.
"""
import subprocess
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper
except ImportError as missing:
    print(f"skip: {missing}")
    sys.exit(77)

TOOL = sys.argv[1]
NAMES = {np.dtype(np.uint8): "u8", np.dtype(np.int8): "s8", np.dtype(np.int32): "s32"}
TYPES = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}
random = np.random.default_rng(5)


def layer(index):
    groups = int(random.choice([1, 1, 1, 2, 4]))
    depthwise = index % 5 == 4
    in_c = groups * int(random.integers(1, 9))
    out_c = groups * int(random.integers(1, 9))
    if depthwise:
        groups, out_c = in_c, in_c * int(random.integers(1, 3))
    kernel = [int(k) for k in random.integers(1, 6, 2)]
    stride = [int(x) for x in random.integers(1, 4, 2)]
    dilation = [int(x) for x in random.integers(1, 3, 2)]
    pads = [int(x) for x in random.integers(0, 3, 4)]  # top, left, bottom, right
    window = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    size = [w + int(random.integers(0, 9)) for w in window]
    batch = int(random.integers(1, 3))
    return dict(batch=batch, size=size, in_c=in_c, out_c=out_c, kernel=kernel, stride=stride, dilation=dilation,
                pads=pads, groups=groups)


def codes(dtype, shape, low=None, high=None):
    info = np.iinfo(dtype)
    low, high = info.min if low is None else low, info.max if high is None else high
    return random.integers(low, high + 1, shape).astype(dtype)


def run_ours(s, x, x_zero, w, w_zero, bias, ratios, out_type, out_zero):
    args = [s["batch"], *s["size"], s["in_c"], s["out_c"], *s["kernel"], *s["stride"], *s["dilation"], *s["pads"],
            s["groups"], NAMES[x.dtype], x_zero, NAMES[w.dtype], w_zero, NAMES[np.dtype(out_type)], out_zero]
    data = (np.ascontiguousarray(x.transpose(0, 2, 3, 1)).tobytes() + np.ascontiguousarray(w.transpose(0, 2, 3, 1)).tobytes()
            + bias.tobytes() + ratios.tobytes())
    out = subprocess.run([TOOL, *map(str, args)], input=data, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(out, out_type)


def run_theirs(nodes, initializers, x, out_type):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TYPES[x.dtype], x.shape)],
                              [helper.make_tensor_value_info("y", out_type, None)],
                              [onnx.numpy_helper.from_array(value, name) for name, value in initializers.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].transpose(0, 2, 3, 1).reshape(-1)


def attributes(s):
    return dict(kernel_shape=s["kernel"], strides=s["stride"], dilations=s["dilation"], pads=s["pads"], group=s["groups"])


def main():
    passed = failed = compared = 0
    for index in range(60):
        s = layer(index)
        x_type = np.uint8 if index % 3 else np.int8
        w_type = np.int8 if index % 2 or x_type == np.int8 else np.uint8
        x = codes(x_type, (s["batch"], s["in_c"], *s["size"]))
        middle = 128 if w_type == np.uint8 else 0
        w = codes(w_type, (s["out_c"], s["in_c"] // s["groups"], *s["kernel"]), middle - 63, middle + 63)
        x_zero, w_zero = codes(x_type, ()), np.asarray(middle, w_type)
        bias = random.integers(-5000, 5000, s["out_c"]).astype(np.int32)
        if index % 4 == 0 and x_type == np.uint8:  # ConvInteger takes u8 images only
            w_zero = codes(w_type, (), middle - 40, middle + 40)
            node = helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], **attributes(s))
            theirs = run_theirs([node], dict(w=w, xz=x_zero, wz=w_zero), x, TensorProto.INT32)
            ours = run_ours(s, x, int(x_zero), w, int(w_zero), bias * 0, np.ones(s["out_c"], np.float32), np.int32, 0)
        else:
            depth = w[0].size
            y_zero = codes(x_type, ())
            scales = random.uniform(0.001, 0.02, s["out_c"]).astype(np.float32)
            x_scale, y_scale = np.float32(0.02), np.float32(0.02 * np.sqrt(depth))
            node = helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], **attributes(s))
            zeros = np.full(s["out_c"], w_zero, w_type)
            theirs = run_theirs([node], dict(xs=x_scale, xz=x_zero, w=w, ws=scales, wz=zeros, ys=y_scale, yz=y_zero, b=bias),
                                x, TYPES[np.dtype(x_type)])
            ours = run_ours(s, x, int(x_zero), w, int(w_zero), bias, (x_scale * scales) / y_scale, x_type, int(y_zero))
        compared += ours.size
        if np.array_equal(ours, theirs):
            passed += 1
        else:
            failed += 1
            print(f"FAILED: layer {index} {s}: {np.count_nonzero(ours != theirs)} of {ours.size} differ")
    print(f"{compared} results compared with ONNX Runtime {onnxruntime.__version__}")
    print(f"tests: {passed} passed, {failed} failed, 0 skipped")
    return failed != 0


sys.exit(main())
