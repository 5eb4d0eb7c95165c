#!/usr/bin/env python3
"""The elementwise kernels of libquantal against ONNX Runtime's integer operators, called through quantal.h.

    python3 onnxruntime_test.py LIBQUANTAL

MaxPool and DynamicQuantizeLinear must agree exactly. ONNX Runtime adds, multiplies and averages in another order of roundings
(one FMA here, a dequantized float there), so those may differ by one code on near-ties: never by more, and on few codes.
Prints how many codes were compared and how many differ.
"""
import ctypes
import sys

try:
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper
except ImportError as missing:
    print(f"skip: {missing}")
    sys.exit(77)


class CodesDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("flags", ctypes.c_uint32)] + \
        [(n, ctypes.c_int32) for n in ("contract", "in_dtype", "out_dtype", "a_zero_point", "b_zero_point", "zero_point", "min", "max")] + \
        [("ratio", ctypes.c_float), ("other_ratio", ctypes.c_float), ("multipliers", ctypes.c_int32 * 4)]


class PoolDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("flags", ctypes.c_uint32)] + \
        [(n, ctypes.c_int64) for n in ("batch", "in_h", "in_w", "channels", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h",
                                       "dilation_w", "pad_top", "pad_left", "pad_bottom", "pad_right")] + \
        [("dtype", ctypes.c_int32), ("contract", ctypes.c_int32), ("in_scale", ctypes.c_float), ("out_scale", ctypes.c_float)] + \
        [(n, ctypes.c_int32) for n in ("in_zero_point", "out_zero_point", "min", "max")]


COUNT_PADDING = 128
TYPES = {np.dtype(np.int8): (16, TensorProto.INT8), np.dtype(np.uint8): (17, TensorProto.UINT8)}
library = ctypes.CDLL(sys.argv[1])
random = np.random.default_rng(5)
passed = failed = 0


def pointer(a):
    return a.ctypes.data_as(ctypes.c_void_p)


def ok(status):
    assert status == 0, status


def peer(op, domain, feeds, constants, inputs, outputs, **attributes):
    """Runs one node in ONNX Runtime; `inputs` orders the names of feeds and constants ('' is left out)."""
    def info(name, a):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
    node = helper.make_node(op, inputs, [f"y{i}" for i in range(len(outputs))], domain=domain, **attributes)
    initializers = [helper.make_tensor(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape, v.tobytes(), raw=True)
                    for n, v in constants.items()]
    graph = helper.make_graph([node], "g", [info(n, a) for n, a in feeds.items()],
                              [helper.make_tensor_value_info(f"y{i}", t, None) for i, t in enumerate(outputs)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, feeds)


def scalar(x, kind):
    return np.array(x, kind)


class Tally:
    def __init__(self, name, share):
        self.name, self.share, self.codes, self.different, self.worst = name, share, 0, 0, 0

    def compare(self, ours, theirs):
        off = np.abs(ours.astype(np.int64).ravel() - theirs.astype(np.int64).ravel())
        self.codes += off.size
        self.different += int((off > 0).sum())
        self.worst = max(self.worst, int(off.max(initial=0)))

    def done(self):
        global passed, failed
        good = self.codes > 0 and self.worst <= (1 if self.share > 0 else 0) and self.different <= self.share * self.codes
        print(f"{'ok    ' if good else 'FAILED'} {self.name}: {self.codes} codes, {self.different} differ, by at most {self.worst}")
        passed, failed = passed + good, failed + (not good)


def draw(kind, shape):
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max + 1, shape).astype(kind)


def params(kind):
    limits = np.iinfo(kind)
    return float(np.float32(random.uniform(0.005, 0.2))), int(random.integers(limits.min, limits.max + 1))


def check_binary(op, function):
    tally = Tally(f"{op} against com.microsoft", 0.001)
    for kind in (np.int8, np.uint8):
        dtype, onnx_type = TYPES[np.dtype(kind)]
        for _ in range(20):
            (sa, za), (sb, zb), (sc, zc) = params(kind), params(kind), params(kind)
            a, b = draw(kind, 4099), draw(kind, 4099)
            out = np.empty_like(a)
            d = CodesDesc(ctypes.sizeof(CodesDesc), 0, 0, dtype, dtype, za, zb, zc)
            d.ratio, d.other_ratio = (sa / sc, sb / sc) if op == "QLinearAdd" else (sa * sb / sc, 0)
            ok(function(ctypes.byref(d), pointer(a), pointer(b), pointer(out), ctypes.c_size_t(a.size)))
            constants = {"sa": scalar(sa, np.float32), "za": scalar(za, kind), "sb": scalar(sb, np.float32), "zb": scalar(zb, kind),
                         "sc": scalar(sc, np.float32), "zc": scalar(zc, kind)}
            tally.compare(out, peer(op, "com.microsoft", {"a": a, "b": b}, constants,
                                    ["a", "sa", "za", "b", "sb", "zb", "sc", "zc"], [onnx_type])[0])
    tally.done()


def pool(function, d, image):
    channels_first = image.transpose(0, 3, 1, 2)
    h = (d.in_h + d.pad_top + d.pad_bottom - d.kernel_h) // d.stride_h + 1
    w = (d.in_w + d.pad_left + d.pad_right - d.kernel_w) // d.stride_w + 1
    out = np.empty((d.batch, h, w, d.channels), image.dtype)
    ok(function(ctypes.byref(d), pointer(image), ctypes.c_size_t(image.nbytes), pointer(out), ctypes.c_size_t(out.nbytes), None))
    return out, np.ascontiguousarray(channels_first)


def check_pools():
    largest, mean, everything = Tally("MaxPool", 0), Tally("QLinearAveragePool", 0.001), Tally("QLinearGlobalAveragePool", 0.001)
    for kind in (np.int8, np.uint8):
        dtype, onnx_type = TYPES[np.dtype(kind)]
        for _ in range(25):
            n, h, w, c = 2, int(random.integers(4, 15)), int(random.integers(4, 15)), int(random.integers(1, 70))
            k, stride, pad = int(random.integers(1, 4)), int(random.integers(1, 3)), 0
            pad = int(random.integers(0, k))
            (si, zi), (so, zo) = params(kind), params(kind)
            image = draw(kind, (n, h, w, c))
            d = PoolDesc(ctypes.sizeof(PoolDesc), 0, n, h, w, c, k, k, stride, stride, 1, 1, pad, pad, pad, pad, dtype, 0, si, so, zi, zo)
            shape = {"kernel_shape": [k, k], "strides": [stride, stride], "pads": [pad] * 4}
            out, first = pool(library.quantal_max_pool, d, image)
            largest.compare(out, peer("MaxPool", "", {"x": first}, {}, ["x"], [onnx_type], **shape)[0].transpose(0, 2, 3, 1))
            constants = {"si": scalar(si, np.float32), "zi": scalar(zi, kind), "so": scalar(so, np.float32), "zo": scalar(zo, kind)}
            names = ["x", "si", "zi", "so", "zo"]
            for padding in (0, 1):
                d.flags = COUNT_PADDING if padding else 0
                out, _ = pool(library.quantal_average_pool, d, image)
                mean.compare(out, peer("QLinearAveragePool", "com.microsoft", {"x": image}, constants, names, [onnx_type],
                                       channels_last=1, count_include_pad=padding, **shape)[0])
            d = PoolDesc(ctypes.sizeof(PoolDesc), 0, n, h, w, c, h, w, 1, 1, 1, 1, 0, 0, 0, 0, dtype, 0, si, so, zi, zo)
            out, _ = pool(library.quantal_average_pool, d, image)
            everything.compare(out, peer("QLinearGlobalAveragePool", "com.microsoft", {"x": image}, constants, names, [onnx_type],
                                         channels_last=1)[0])
    for tally in (largest, mean, everything):
        tally.done()


def check_rows():
    codes_tally, exact = Tally("DynamicQuantizeLinear, codes", 0), Tally("DynamicQuantizeLinear, scale bits and zero points", 0)
    for _ in range(60):
        k = int(random.integers(1, 300))
        x = (random.normal(random.uniform(-2, 2), random.uniform(0.01, 30), k)).astype(np.float32)
        codes, scale, zero, total = np.empty(k, np.uint8), np.empty(1, np.float32), np.empty(1, np.int32), np.empty(1, np.int32)
        ok(library.quantal_quantize_rows(17, pointer(x), ctypes.c_uint64(1), ctypes.c_uint64(k), pointer(codes), ctypes.c_size_t(k),
                                         pointer(scale), pointer(zero), pointer(total)))
        y, s, z = peer("DynamicQuantizeLinear", "", {"x": x}, {}, ["x"], [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.UINT8])
        assert total[0] == codes.astype(np.int64).sum()
        codes_tally.compare(codes, y)
        exact.compare(np.array([scale.view(np.int32)[0], zero[0]]), np.array([s.reshape(1).view(np.int32)[0], int(z)]))
    codes_tally.done()
    exact.done()


check_binary("QLinearAdd", library.quantal_add)
check_binary("QLinearMul", library.quantal_multiply)
check_pools()
check_rows()
print(f"tests: {passed} passed, {failed} failed, 0 skipped")
sys.exit(1 if failed else 0)
