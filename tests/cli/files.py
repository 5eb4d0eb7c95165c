"""Files for tests, byte by byte with Python's standard library: .npy and .npz, PNG and BMP, ONNX models."""
import base64
import math
import struct
import zipfile
import zlib


def npy(descr, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, repr(shape))).encode()
    head += b" " * ((-10 - len(head) - 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def npz(path, **arrays):
    with zipfile.ZipFile(path, "w") as z:
        for name, (descr, shape, data) in arrays.items():
            z.writestr(name + ".npy", npy(descr, shape, data))
    return path


def floats(*values):
    return struct.pack("<%df" % len(values), *values)


def read_npz(path):
    """float32 arrays of an .npz: name -> (shape, values)."""
    out = {}
    with zipfile.ZipFile(path) as z:
        for name in z.namelist():
            data = z.read(name)
            size = struct.unpack("<H", data[8:10])[0]
            head = eval(data[10:10 + size].decode())
            assert head["descr"] == "<f4" and not head["fortran_order"], head
            out[name[:-4]] = (head["shape"], list(struct.unpack("<%df" % math.prod(head["shape"]), data[10 + size:])))
    return out


def png(height, width, channels, pixel):
    """pixel(y, x, c) -> 0..255; channels 1 (gray), 3 (RGB) or 4 (RGBA)."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(pixel(y, x, c) for x in range(width) for c in range(channels)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp(height, width, pixel):
    rows = b""
    for y in reversed(range(height)):
        row = bytes(pixel(y, x, c) for x in range(width) for c in (2, 1, 0))
        rows += row + b"\0" * (-len(row) % 4)
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(rows), 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + rows


# 4 x 6 pixels, all 128: every coefficient of the cosine transform is zero, so any decoder gives the same.
FLAT_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/"
    "2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAEAAYDAREAAhEBAxEB/8QA"
    "FAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/xAAUAQEAAAAAAAAAAAAAAAAAAAAA/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwD"
    "AQACEQMRAD8AA//Z")


# ---- ONNX: the few fields of its protobuf messages that a small model needs -----------------------------------------

def _varint(n):
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _value(name, dims, elem=1):
    shape = b"".join(_field(1, _field(2, d) if isinstance(d, str) else _field(1, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, elem) + _field(2, shape)))


def _tensor(name, dims, values):
    return b"".join(_field(1, d) for d in dims) + _field(2, 1) + _field(8, name) + _field(9, floats(*values))


def onnx(nodes, inputs, outputs, constants=(), opset=17):
    """nodes: (op, [inputs], [outputs]); inputs, outputs: (name, dims[, element type]); constants: (name, dims, floats)."""
    graph = b"".join(_field(1, b"".join(_field(1, i) for i in ins) + b"".join(_field(2, o) for o in outs) + _field(3, outs[0]) + _field(4, op))
                     for op, ins, outs in nodes)
    graph += _field(2, "g") + b"".join(_field(5, _tensor(*c)) for c in constants)
    graph += b"".join(_field(11, _value(*v)) for v in inputs) + b"".join(_field(12, _value(*v)) for v in outputs)
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, opset))
