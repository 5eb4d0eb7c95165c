#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets: small, synthetic, one file per feature. Standard library only.

Run it after changing it and commit what it writes:  python3 tests/fuzz/make_corpus.py
"""
import base64
import io
import pathlib
import struct
import zipfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent / "corpus"


def put(folder, name, data):
    path = HERE / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))


def text():
    put("text", "plain", "layer1/conv:0")
    put("text", "escape", "a\x1b[31mred\x1b[0m\r\n\t\\\x7f\x00")
    put("text", "bidi", "abc\u202edef\u2066\u200b\ufeff\u00ad")
    put("text", "invalid", b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe4\xb8")
    put("text", "html", "<script>alert(\"x\")</script>&'")
    put("text", "path", "./a//b..c/../d\\e")
    put("text", "number", "-1.7976931348623157e308")
    put("text", "integer", "-9223372036854775808")
    put("text", "device", "LPT1.txt")


def npy_bytes(descr, shape, payload, fortran=False, version=1):
    """An .npy file by hand (numpy.lib.format): works without numpy."""
    head = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr if descr[0] in "[" else repr(descr), fortran, shape)
    fixed = 10 if version == 1 else 12
    head += " " * (63 - (fixed + len(head)) % 64) + "\n"
    size = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + size + head.encode() + payload


def npy():
    put("npy", "f32", npy_bytes("<f4", (2, 3), struct.pack("<6f", *range(6))))
    put("npy", "f32_big_endian", npy_bytes(">f4", (3,), struct.pack(">3f", 1, 2, 3)))
    put("npy", "fortran", npy_bytes("<i2", (2, 3), struct.pack("<6h", *range(6)), fortran=True))
    put("npy", "bool", npy_bytes("|b1", (4,), b"\0\1\2\xff"))
    put("npy", "scalar", npy_bytes("<i8", (), struct.pack("<q", 7)))
    put("npy", "empty", npy_bytes("<f8", (0, 4), b""))
    put("npy", "complex", npy_bytes("<c8", (1,), struct.pack("<2f", 1, 2)))
    put("npy", "version2", npy_bytes("<f2", (2,), b"\0\x3c\0\xc0", version=2))
    put("npy", "version3", npy_bytes("|u1", (2,), b"ab", version=3))
    put("npy", "object", npy_bytes("|O", (1,), b"\x80\x04K\x01."))
    put("npy", "structure", npy_bytes("[('a', '<f4')]", (1,), b"\0\0\0\0"))
    put("npy", "negative", npy_bytes("<f4", (-1, 2), b""))
    put("npy", "overflow", npy_bytes("<f4", (4194305, 4194305, 211106198978564), b"\0" * 16))
    put("npy", "huge", npy_bytes("<f4", (1 << 40,), b"\0" * 16))
    put("npy", "deep", npy_bytes("<f4", (1,) * 9, b"\0" * 4))


class Pipe(io.BytesIO):
    """Cannot seek: zipfile then writes sizes and CRC after the data."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError("a pipe has no position")

    seek = tell


def npz_bytes(arrays, method=zipfile.ZIP_STORED, zip64=False, seekable=True):
    """An archive whose zip64 fields can be forced, and one written to a pipe (sizes after the data)."""
    old = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    if zip64:
        zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 10, 0
    buffer = io.BytesIO() if seekable else Pipe()
    with zipfile.ZipFile(buffer, "w", method) as z:
        for name, data in arrays:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            with z.open(info, "w", force_zip64=zip64) as f:
                f.write(data)
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = old
    return buffer.getvalue()


def npz():
    x = npy_bytes("<f4", (2, 3), struct.pack("<6f", *range(6)))
    y = npy_bytes("|u1", (4,), b"abcd")
    two = [("x.npy", x), ("y.npy", y)]
    put("npz", "stored", npz_bytes(two))
    put("npz", "deflated", npz_bytes(two, zipfile.ZIP_DEFLATED))
    put("npz", "zip64", npz_bytes(two, zip64=True))
    put("npz", "streamed", npz_bytes([("x.npy", x)], zipfile.ZIP_DEFLATED, seekable=False))
    put("npz", "empty", npz_bytes([]))
    put("npz", "not_npy", npz_bytes([("readme.txt", b"hello")]))
    put("npz", "traversal", npz_bytes([("../x.npy", x)]))
    put("npz", "slash", npz_bytes([("/block/x.npy", x)]))
    put("npz", "bomb", npz_bytes([("x.npy", npy_bytes("|u1", (4000000,), bytes(4000000)))], zipfile.ZIP_DEFLATED))


def calibration_cache():
    tensor = ('"observer": "%s", "count": %d, "nans": 0, "positive_infinities": 0, "negative_infinities": 1, "min": %s, "max": %s')
    sums = '"sums": {"count": 3, "x": "%x", "x2": "%x"}' % ((1 << 149) * 3 // 2, (1 << 298) * 21 // 4)
    histogram = '"histogram": {"grid": "aligned", "bins": 2, "exponent": 1, "first": -1, "counts": [1,1,1]}'
    head = '{"kind": "quantal.calibration", "schema": 1, "model_hash": "ab", "observer": "entropy", "samples": 3, "tensors": {'
    put("calibration_cache", "histogram", head + '"x": {' + tensor % ("histogram", 3, "-1.0", "2.0") + ", " + sums + ", " + histogram + "}}}")
    put("calibration_cache", "channels", head + '"x": {' + tensor % ("min_max", 2, "-1", "2") + ', "channels": [{' + tensor % ("min_max", 1, "-1", "-1")
        + "}, {" + tensor % ("min_max", 1, "2", "2") + "}]}}}")
    put("calibration_cache", "tool_grid", head + '"x": {' + tensor % ("tool_histogram", 3, "-1", "2") + ', "histogram": {"grid": "onnxruntime", "bins": 2, '
        '"dropped": 1, "edges": [-2,0,2], "counts": [1,1]}}}}')
    put("calibration_cache", "average", head + '"x": {' + tensor % ("moving_average", 2, "-1", "2") + ', "updates": 7}}}')
    put("calibration_cache", "empty", head + "}}")
    put("calibration_cache", "deep", "[" * 40 + "]" * 40)
    put("calibration_cache", "duplicate", '{"kind": 1, "kind": 2}')
    put("calibration_cache", "trt", "TRT-8601-EntropyCalibration2\ninput: 3c010a14\nconv: 0: 3c88edfc\n")
    put("calibration_cache", "ort", '{"CLS": "TensorsData", "data": {"x": {"lowest": {"data": -1.5, "dtype": "float32", "CLS": "numpy.array"}, '
        '"highest": {"data": [2.25], "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"}}, '
        '"calibration_method": {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}, "smooth_quant": false}')
    put("calibration_cache", "ort_table", '{"x": {"lowest": -1.5, "highest": 2.25}, "y": [0, 1]}')


# ---- ONNX: protobuf written by hand, field numbers from onnx.proto ----

def varint(v):
    v &= (1 << 64) - 1
    out = b""
    while v >= 0x80:
        out += bytes([v & 0x7F | 0x80])
        v >>= 7
    return out + bytes([v])


def pb(*fields):
    """(number, int | float | bytes | str)...: a message."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            data = value if isinstance(value, bytes) else value.encode()
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def pb_value(name, *dims):
    shape = pb(*[(1, pb((1, d) if isinstance(d, int) else (2, d))) for d in dims])
    return pb((1, name), (2, pb((1, pb((1, 1), (2, shape))))))


def pb_node(op, inputs, outputs, *attributes, domain="", name=""):
    fields = [(1, i) for i in inputs] + [(2, o) for o in outputs] + ([(3, name)] if name else []) + [(4, op)]
    return pb(*fields, *[(5, a) for a in attributes], *([(7, domain)] if domain else []))


def pb_ints(name, values):
    return pb((1, name), *[(8, v) for v in values], (20, 7))


def pb_int(name, value):
    return pb((1, name), (3, value), (20, 2))


def pb_float(name, value):
    return pb((1, name), (2, value), (20, 1))


def pb_text(name, value):
    return pb((1, name), (4, value), (20, 3))


def pb_model(opset, nodes, inputs=None, initializers=(), more=(), ir=8, functions=()):
    inputs = inputs or [pb_value("x", 2, 3, 4, 5)]
    graph = pb(*[(1, n) for n in nodes], (2, "g"), *[(5, t) for t in initializers], *[(11, v) for v in inputs],
               (12, pb((1, "y"))), *more)
    return pb((1, ir), (7, graph), (8, pb((2, opset))), *[(25, f) for f in functions])


def onnx():
    floats = struct.pack("<6f", *range(6))
    kinds = {"raw": pb((1, 2), (1, 3), (2, 1), (8, "w"), (9, floats)),
             "float_data": pb((1, 6), (2, 1), (4, floats), (8, "w")),
             "float_data_unpacked": pb((1, 2), (2, 1), (4, 1.0), (4, 2.0), (8, "w")),
             "int64_data": pb((1, 3), (2, 7), (7, varint(1) + varint(-1) + varint(300)), (8, "w")),
             "int32_data_u8": pb((1, 2), (2, 2), (5, varint(1) + varint(255)), (8, "w")),
             "int4": pb((1, 3), (2, 22), (5, varint(0x21) + varint(3)), (8, "w")),
             "f16": pb((1, 1), (2, 10), (5, varint(0x3C00)), (8, "w")),
             "double_data": pb((1, 1), (2, 11), (10, struct.pack("<d", 0.5)), (8, "w")),
             "uint64_data": pb((1, 1), (2, 13), (11, varint(5)), (8, "w")),
             "complex": pb((1, 1), (2, 14), (4, floats[:8]), (8, "w")),
             "strings": pb((1, 2), (2, 8), (6, "a"), (6, "b"), (8, "w")),
             "external": pb((1, 2), (2, 1), (8, "w"), (13, pb((1, "location"), (2, "../w.bin"))),
                            (13, pb((1, "offset"), (2, "0"))), (14, 1)),
             "both": pb((1, 1), (2, 1), (4, 1.0), (8, "w"), (9, floats[:4])),
             "huge_dims": pb((1, 1 << 62), (1, 8), (2, 1), (8, "w"), (9, floats))}
    relu = pb_node("Relu", ["x"], ["y"])
    for name, tensor in kinds.items():
        put("onnx", "tensor_" + name, pb_model(13, [relu], initializers=[tensor]))
    branch = pb((1, pb_node("Relu", ["x"], ["b"])), (2, "b"), (12, pb((1, "b"))))
    graph_attributes = [pb((1, n), (6, branch), (20, 5)) for n in ("then_branch", "else_branch")]
    put("onnx", "subgraphs", pb_model(13, [pb_node("If", ["c"], ["y"], *graph_attributes)],
                                      [pb_value("x", -1, "n"), pb_value("c")]))
    function = pb((1, "f"), (4, "a"), (5, "b"), (6, "alpha"), (10, "local"), (9, pb((2, 13))),
                  (7, pb_node("LeakyRelu", ["a"], ["b"], pb((1, "alpha"), (20, 1), (21, "alpha")))))
    put("onnx", "functions", pb_model(13, [pb_node("f", ["x"], ["y"], domain="local")], functions=[function]))
    constants = [pb_node("Constant", [], ["f"], pb_float("value_float", 0.5)),
                 pb_node("Constant", [], ["i"], pb_ints("value_ints", [1, 2])),
                 pb_node("Constant", [], ["t"], pb((1, "value"), (5, kinds["raw"]), (20, 4))),
                 pb_node("Constant", [], ["s"], pb((1, "value_strings"), (9, "a"), (20, 8)))]
    put("onnx", "constants", pb_model(13, constants + [pb_node("Mul", ["x", "f"], ["y"])]))
    sparse = pb((1, kinds["float_data_unpacked"]), (2, kinds["int64_data"]), (3, 9))
    put("onnx", "opaque", pb_model(13, [relu], more=[(13, pb((1, "q"), (2, pb((4, pb((1, pb((1, pb((1, 1)))))))))) ),
                                                     (14, pb((1, "x"))), (15, sparse), (16, pb((1, "k"), (2, "v")))])
        + pb((14, pb((1, "k"), (2, "v"))), (20, b""), (26, pb((1, "cpu")))))
    stats = [pb((1, 3), (2, 1), (8, n), (9, struct.pack("<3f", 1, 2, 3))) for n in ("s", "b", "m", "v")]
    batch_norm = ["x", "s", "b", "m", "v"]
    old = {"broadcast_6": (6, [pb_node("Add", ["x", "s"], ["y"], pb_int("broadcast", 1), pb_int("axis", 1))]),
           "batch_norm_6": (6, [pb_node("BatchNormalization", batch_norm, ["y"], pb_int("is_test", 1))]),
           "batch_norm_7": (7, [pb_node("BatchNormalization", batch_norm, ["y"], pb_int("spatial", 0))]),
           "clip_6": (6, [pb_node("Clip", ["x"], ["y"], pb_float("min", 0.0), pb_float("max", 6.0), name="c")]),
           "pad_10": (10, [pb_node("Pad", ["x"], ["y"], pb_ints("pads", [0, 0, 1, 1, 0, 0, 1, 1]), pb_float("value", 1.0))]),
           "slice_9": (9, [pb_node("Slice", ["x"], ["y"], pb_ints("starts", [1]), pb_ints("ends", [-1]), pb_ints("axes", [3]))]),
           "topk_9": (9, [pb_node("TopK", ["x"], ["y", "i"], pb_int("k", 2))]),
           "upsample_7": (7, [pb_node("Upsample", ["x"], ["y"],
                                      pb((1, "scales"), *[(7, v) for v in (1.0, 1.0, 2.0, 2.0)], (20, 6)))]),
           "resize_10": (10, [pb_node("Resize", ["x", "s"], ["y"], pb_text("mode", "nearest"))]),
           "softmax_9": (9, [pb_node("Softmax", ["x"], ["y"], pb_int("axis", 1))]),
           "squeeze_11": (11, [pb_node("Unsqueeze", ["x"], ["u"], pb_ints("axes", [0])),
                               pb_node("Squeeze", ["u"], ["y"], pb_ints("axes", [0]))]),
           "split_12": (12, [pb_node("Split", ["x"], ["y", "z"], pb_int("axis", 3), pb_ints("split", [2, 3]))]),
           "reduce_12": (12, [pb_node("ReduceSum", ["x"], ["r"], pb_ints("axes", [1])),
                              pb_node("ReduceMean", ["r"], ["y"], pb_ints("axes", [-1]))]),
           "dropout_9": (9, [pb_node("Dropout", ["x"], ["y", "mask"], pb_float("ratio", 0.5)),
                             pb_node("Relu", ["mask"], ["m2"])]),
           "prelu_6": (6, [pb_node("PRelu", ["x", "s"], ["y"])])}
    for name, (opset, nodes) in old.items():
        put("onnx", "old_" + name, pb_model(opset, nodes, initializers=stats, ir=3,
                                            inputs=[pb_value("x", 2, 3, 4, 5)] + [pb_value(n, 3) for n in "sbmv"]))
        put("onnx", "old_" + name + "_ir4", pb_model(opset, nodes, initializers=stats, ir=4))
    put("onnx", "groups", pb((1, 8)) + b"\x3b\x3c")
    put("onnx", "cycle", pb_model(13, [pb_node("Relu", ["y"], ["y"])]))

# 10 x 9 pixels at quality 30, baseline and progressive (written once with Pillow).
JPEG = (
    '|JeWF01!$>Nk#wx0RR9200961|JwjV02>k%7Zed27Zw*D92+1gLMtdGB`8rkJupIGRb^yfRb5+Zc$tA}agcLcU4^xVke;Kft*d8%yve$z$C;?B'
    'r2pFhLjfEf9w;LyPAe-'
    ';q;6eqq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@@4A01*fP2>=QM0U`hb5di}c0sq7R6aWDL000000000'
    '000000000F4!~hx)009L7000000000000000009IAAu&P!!~him0RaF200000000000000000RHS02mPf0|5a50000000000000000RjXP|Jnc'
    'y0|5X65d#qbKL9Ie{GrJoSS7ayrV^=)+Aov;*#')
PROGRESSIVE_JPEG = (
    '|JeWF01!$>Nk#wx0RR9200961|JwjV02>k%7Zed27Zw*D92+1gLMtdGB`8rkJupIGRb^yfRb5+Zc$tA}agcLcU4^xVke;Kft*d8%yve$z$C;?B'
    'r2pFhLjfEf9w;LyPAe-'
    ';q;6eqq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@<*zq@@4C01*fP2>=QM0U`hb5di}c0sq7R6#xMN000000000'
    '00000000097|HJ?l0RaI300000000000000000061+5ij#0RRFJ0}ucJ0Vhf$|HJ?o5C8%L000000000000000000655EK8}00;pA009L8Sj@$'
    '*|HJ?n5dZ@L000000000000000000345&zl%2mu2D0Y3qq9v}b202L7d0RR910000000000000005&zl%2mt~C0Y3q+|HJ?k5CH%H000000000'
    '00000003iR`00;pA00ut-AOFMv6c7Ob000000000000000001EW+5iXv0RRC%Ap!r|01N{G00IC50000GBmcwz6cGUc0000000000000000003'
    '0+5iXv0|5a)5Lf@i02L7d0RR910000000000000010RP$m2mt~C0Y4BG|HJ?o5C8)K0RR9100000000000003oAwmDz00;pA00BP`mJ1N%Q2*H')

# Found by libFuzzer: a Huffman table of 409 codes before the frame header.
HUFFMAN_JPEG = (
    '|JeWF01!$>Nk#wx0RR9200961|JwjV02>kj00000000*r92+1gLMtdGB`8rkJ*1?hq@<*zr2oJG5eNVY015*EA^-'
    'vr0Rs^M|HJ?k0096100000000000000000jTU02&Yg0R;g70000000000000000R#mhF+u;t02KiN0RR910H8Mj0AOGM000000{_GS7!d#i0Ra'
    'F20000000000000010t6EO+5ij#0RRFK1DFv2KL9Ie{GrJoSS7ayrV^=)+9#9$*#'
)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, colour_type, bits, rows, extra=b"", interlace=0):
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def image():
    line = bytes(range(12))
    put("image", "rgb.png", png(4, 3, 2, 8, b"".join(bytes([f]) + line for f in (0, 1, 4))))
    put("image", "gray16.png", png(4, 1, 0, 16, b"\0" + line[:8]))
    put("image", "palette.png", png(8, 2, 3, 4, (b"\0" + b"\x01\x23\x10\x32") * 2, chunk(b"PLTE", bytes(range(48)))))
    put("image", "alpha.png", png(3, 1, 6, 8, b"\2" + line))
    put("image", "interlaced.png", png(2, 2, 0, 8, b"\0a\0b\0cd", interlace=1))
    put("image", "claims.png", png(60000, 60000, 2, 8, b"\0"))
    header = b"BM" + struct.pack("<IIIIiiHHIIIIII", 54 + 24, 0, 54, 40, 3, 2, 1, 24, 0, 24, 0, 0, 0, 0)
    put("image", "rgb.bmp", header + bytes(range(24)))
    palette = b"BM" + struct.pack("<IIIIiiHHIIIIII", 70, 0, 62, 40, 4, 2, 1, 8, 0, 8, 0, 0, 2, 0)
    put("image", "palette.bmp", palette + bytes(8) + b"\0\1\0\1" * 2)
    put("image", "baseline.jpg", base64.b85decode("".join(JPEG)))
    put("image", "huffman.jpg", base64.b85decode("".join(HUFFMAN_JPEG)))
    put("image", "filled.jpg", b"\xff" + base64.b85decode("".join(HUFFMAN_JPEG)))
    put("image", "progressive.jpg", base64.b85decode("".join(PROGRESSIVE_JPEG)))


def dataset():
    put("dataset", "list.txt", "# files\n./images/a.jpg\nb.png 3\r\n/abs/c.bmp 0\n")
    put("dataset", "yolo.yaml", "path: ../set\ntrain: images/train\nval: [a.txt, 'b c']\nnc: 2\nnames:\n  0: cat\n  1: \"dog\"\n")
    put("dataset", "flow.yaml", "{train: [a, b], names: {0: x, 1: y}}")
    put("dataset", "block.yaml", "train:\n  - a\n  - b\nnames:\n- x\n- y\ndownload: |\n  import os\n   more\n")
    put("dataset", "anchors.yaml", "a: &a [x, y]\ntrain: *a\nnames: *a\n? complex\n: !!str 5\n")


if __name__ == "__main__":
    text()
    npy()
    npz()
    calibration_cache()
    onnx()
    image()
    dataset()
