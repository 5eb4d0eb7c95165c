#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets: small, synthetic, one file per feature. Standard library only.

Run it after changing it and commit what it writes:  python3 tests/fuzz/make_corpus.py
"""
import io
import pathlib
import struct
import zipfile

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


if __name__ == "__main__":
    text()
    npy()
    npz()
    calibration_cache()
