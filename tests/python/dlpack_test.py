#!/usr/bin/env python3
"""DLPack 0 and 1, in and out, with the frameworks that speak it.   dlpack_test.py DIGITS_DIR [torch]   (QUANTAL_LIBRARY is set)

numpy 2.1 and later asks for and gives version 1; numpy 1 and torch 1.13 know version 0 only. With `torch` a missing torch is a skip.
"""
import ctypes
import gc
import os
import sys
import unittest

DIGITS = sys.argv[1]
WITH_TORCH = sys.argv[2:3] == ["torch"]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python"))

try:
    import numpy as np
    torch = None
    if WITH_TORCH:
        import torch
except ImportError as missing:
    print(f"skip: {missing.name} is not installed")
    sys.exit(77)

import quantal  # noqa: E402
from quantal import _native as native  # noqa: E402
from quantal._arrays import NUMBER_OF, as_array  # noqa: E402

MODEL = os.path.join(DIGITS, "digits.onnx")
X = dict(np.load(os.path.join(DIGITS, "calib.npz")))["x"]
KNOWS_1 = tuple(int(n) for n in np.__version__.split(".")[:2]) >= (2, 1)

new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Only:
    """An array that is no ndarray: nothing but DLPack leads to its values."""

    def __init__(self, array, versioned=KNOWS_1):
        self.array, self.versioned, self.asked = array, versioned, []

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **options):
        self.asked.append(options)
        if options and not self.versioned:
            raise TypeError("no such argument")
        return self.array.__dlpack__(**options)


class Capsule:
    def __init__(self, capsule, device=(1, 0)):
        self.capsule, self.device = capsule, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **_):
        return self.capsule


# ---- tensors made by hand, for what no framework would give ----------------------------------------------------------

class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32), ("device_id", ctypes.c_int32), ("rank", ctypes.c_int32), ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class Managed(ctypes.Structure):
    _fields_ = [("value", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
                ("flags", ctypes.c_uint64), ("value", Tensor)]


def by_hand(array, major=None, **fields):
    """A capsule of a float32 array of two axes; `fields` overwrite what the tensor says."""
    int64s = lambda values: (ctypes.c_int64 * len(values))(*values)  # noqa: E731
    tensor = Tensor(array.ctypes.data, 1, 0, array.ndim, 2, 32, 1, int64s(array.shape), int64s([s // 4 for s in array.strides]), 0)
    for name, value in fields.items():
        setattr(tensor, name, int64s(value) if isinstance(value, (list, tuple)) else value)
    made = Managed(tensor, None, None) if major is None else Versioned(major, 0, None, None, 0, tensor)
    capsule = Capsule(new_capsule(ctypes.addressof(made), b"dltensor" if major is None else b"dltensor_versioned", None))
    capsule.keep = (array, made, tensor)
    return capsule


# ---- what quantal_dlpack_write makes, as an object that frameworks take -----------------------------------------------

class Exported:
    released = []

    @native.ReleaseFn
    def release(owner):
        Exported.released.append(owner)

    def __init__(self, array, major, number, read_only=False):
        self.array, self.major, self.number, self.read_only = array, major, number, read_only

    def write(self, **fields):
        a = self.array
        view = native.View(dtype=NUMBER_OF[a.dtype], rank=a.ndim, data=a.ctypes.data, flags=native.VIEW_READ_ONLY if self.read_only else 0)
        view.dims[:a.ndim], view.strides[:a.ndim] = a.shape, [s // a.itemsize for s in a.strides]
        for name, value in fields.items():
            setattr(view, name, value)
        out = ctypes.c_void_p()
        return native.library.quantal_dlpack_write(ctypes.byref(view), self.major, Exported.release, self.number, ctypes.byref(out)), out

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **_):
        status, managed = self.write()
        native.check(status)
        return new_capsule(managed, b"dltensor_versioned" if self.major == 1 else b"dltensor", None)


class In(unittest.TestCase):
    def same(self, array, **kw):
        np.testing.assert_array_equal(as_array(Only(array, **kw), "x"), array)

    def test_types_and_layouts(self):
        x = np.arange(48, dtype=np.float32).reshape(4, 12) - 20
        for kind in (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
            self.same(x.astype(kind))
        for y in (x.T, x[::2, 1::3], x[:, :0], x[2, 3], np.broadcast_to(x[0], (3, 12)).copy(), x[1:, 5:]):
            self.same(np.asarray(y))
        self.same(x > 0) if KNOWS_1 else None  # numpy 1 gives no bool

    def test_negative_strides(self):
        x = np.arange(12, dtype=np.float32).reshape(3, 4)
        self.same(x[::-1])
        self.same(x[:, ::-2])
        np.testing.assert_array_equal(quantal.quantize_array(Only(x[::-1, ::-1]), 0.5), quantal.quantize_array(x, 0.5)[::-1, ::-1])

    def test_version_1_is_asked_for_and_version_0_is_taken(self):
        for versioned, asked in ((True, [{"max_version": (1, 1)}]), (False, [{"max_version": (1, 1)}, {}])):
            if versioned and not KNOWS_1:
                continue
            tensor = Only(X[:2], versioned=versioned)
            np.testing.assert_array_equal(as_array(tensor, "x"), X[:2])
            self.assertEqual(tensor.asked, asked)

    def test_no_copy_and_the_memory_lives_as_long_as_the_array(self):
        x = np.arange(1000, dtype=np.float32)
        view = as_array(Only(x), "x")
        x[7] = -5
        self.assertEqual(view[7], -5)
        del x
        gc.collect()
        np.testing.assert_array_equal(view[8:], np.arange(8, 1000))

    def test_read_only(self):
        x = np.arange(6, dtype=np.float32)
        x.flags.writeable = False
        if not KNOWS_1:  # version 0 cannot say it: numpy 1 refuses
            with self.assertRaises((BufferError, TypeError)):
                as_array(Only(x), "x")
            return
        view = as_array(Only(x), "x")
        self.assertFalse(view.flags.writeable)
        np.testing.assert_array_equal(quantal.quantize_array(Only(x), 0.5), quantal.quantize_array(x, 0.5))

    def test_A3_device_is_not_the_cpu(self):
        for device in ((2, 0), (10, 3)):
            with self.assertRaises(ValueError) as caught:
                quantal.quantize_array(Capsule(None, device), 0.5)
            self.assertIn("on device %d:%d, not in CPU memory" % device, str(caught.exception))
        with self.assertRaises(quantal.UnsupportedError):
            as_array(by_hand(X[0, 0], device=2), "x")

    def test_A3_capsules_that_cannot_be_used(self):
        used = Capsule(X[:1].__dlpack__())
        np.from_dlpack(used)
        for capsule in (used, Capsule(None), Capsule("text"), Capsule(new_capsule(1, b"something else", None))):
            with self.assertRaises(ValueError) as caught:
                quantal.quantize_array(capsule, 0.5)
            self.assertIn("no capsule of DLPack version 0 or 1", str(caught.exception))

    def test_A3_fields_by_hand(self):
        x = np.arange(24, dtype=np.float32).reshape(4, 6)
        for major in (None, 1):
            for fields, expected in (({}, x), ({"strides": None}, x), ({"byte_offset": 24, "shape": (3, 6)}, x[1:]), ({"strides": (1, 6)}, None),
                                     ({"strides": (0, 1)}, np.broadcast_to(x[0], (4, 6))), ({"rank": 0}, x[0, 0])):
                tensor = by_hand(x, major, **fields)
                if fields.get("strides") == (1, 6):
                    tensor, expected = by_hand(x, major, shape=(6, 4), strides=(1, 6)), x.T
                np.testing.assert_array_equal(as_array(tensor, "x"), expected)
            for fields, kind, status in (({"lanes": 4}, quantal.UnsupportedError, "unsupported"), ({"bits": 24}, TypeError, "dtype"),
                                         ({"code": 99}, TypeError, "dtype"), ({"code": 5, "bits": 64}, TypeError, ""), ({"rank": 9}, quantal.Error, "limit"),
                                         ({"rank": -1}, ValueError, "shape"), ({"shape": (-4, 6)}, ValueError, "shape"),
                                         ({"shape": (2**62, 2**62)}, ValueError, ""), ({"strides": (2**62, 1)}, ValueError, ""),
                                         ({"data": None}, ValueError, "null_pointer"), ({"byte_offset": 2**64 - 1}, ValueError, "overflow")):
                with self.assertRaises(kind, msg=str(fields)) as caught:
                    as_array(by_hand(x, major, **fields), "x")
                if status:
                    self.assertEqual(caught.exception.status, status)
        with self.assertRaises(ValueError) as caught:
            as_array(by_hand(x, 2), "x")
        self.assertEqual(caught.exception.status, "version")

    def test_everywhere_an_array_is_taken(self):
        expected = quantal.Session(MODEL).run(X[:5])["logits"]
        session = quantal.Session(MODEL)
        for feed in (Only(X[:5]), {"x": Only(X[:5])}):
            np.testing.assert_array_equal(session.run(feed)["logits"], expected)
        q = quantal.quantize_array(Only(X[:5]), 0.1)
        np.testing.assert_array_equal(quantal.dequantize_array(Only(q), 0.1), quantal.dequantize_array(q, 0.1))
        with open(MODEL, "rb") as f:
            model = f.read()
        wanted = quantal.quantize(model, data=X)[0]
        for data in (Only(X), {"x": Only(X)}, [Only(X[i:i + 16]) for i in range(0, 200, 16)]):
            self.assertEqual(quantal.quantize(model, data=data)[0], wanted)


class Out(unittest.TestCase):
    def test_results_go_to_numpy(self):
        y = quantal.Session(MODEL).run(X[:3])["logits"]
        z = np.from_dlpack(y)
        self.assertTrue(np.shares_memory(y, z))

    def test_write(self):
        takers = [np.from_dlpack] + ([lambda t: torch.from_dlpack(t)] if torch else [])
        x = np.arange(24, dtype=np.float32).reshape(4, 6)
        for number, take in enumerate(takers, 1):
            for major in (0, 1) if KNOWS_1 and number == 1 else (0,):
                for view in (x, x.T, x[::2, 1:], x[:0]) + ((x[::-1],) if number == 1 else ()):
                    Exported.released.clear()
                    made = take(Exported(view, major, 40 + number))
                    np.testing.assert_array_equal(np.asarray(made), view)
                    if view.size:
                        x[0, 1] += 1  # the same memory
                        np.testing.assert_array_equal(np.asarray(made), view)
                    self.assertEqual(Exported.released, [])
                    del made
                    gc.collect()
                    self.assertEqual(Exported.released, [40 + number])

    def test_read_only_in_version_1(self):
        if not KNOWS_1:
            return  # nobody here takes it
        made = np.from_dlpack(Exported(np.arange(4, dtype=np.int8), 1, 1, read_only=True))
        self.assertFalse(made.flags.writeable)

    def test_errors(self):
        x = np.arange(6, dtype=np.float32)
        name = lambda status: native.library.quantal_status_name(status).decode()  # noqa: E731
        self.assertEqual(name(Exported(x, 0, 0, read_only=True).write()[0]), "unsupported")
        self.assertEqual(name(Exported(x, 2, 0).write()[0]), "version")
        for fields, status in (({"rank": 9}, "limit"), ({"rank": -1}, "shape"), ({"dtype": 0}, "dtype"), ({"dtype": 999}, "dtype"), ({"flags": 2}, "flags"),
                               ({"struct_size": 8}, "struct_size"), ({"data": None}, "null_pointer")):
            for major in (0, 1):
                got, out = Exported(x, major, 0).write(**fields)
                self.assertEqual((name(got), out.value), (status, None), fields)
        null = ctypes.POINTER(native.View)()
        self.assertEqual(name(native.library.quantal_dlpack_read(None, 0, ctypes.byref(native.View()))), "null_pointer")
        self.assertEqual(name(native.library.quantal_dlpack_write(null, 0, Exported.release, None, ctypes.byref(ctypes.c_void_p()))), "null_pointer")


class Torch(unittest.TestCase):
    def test_tensors_in(self):
        t = torch.arange(24, dtype=torch.float32).reshape(4, 6) - 12
        expected = quantal.quantize_array(t.numpy(), 0.5)
        np.testing.assert_array_equal(quantal.quantize_array(t, 0.5), expected)
        np.testing.assert_array_equal(quantal.quantize_array(t.t(), 0.5), expected.T)
        np.testing.assert_array_equal(quantal.quantize_array(t[::2, 3:], 0.5), expected[::2, 3:])
        for kind in (torch.float64, torch.float16, torch.bfloat16):  # exact for these values
            np.testing.assert_array_equal(quantal.quantize_array(t.to(kind), 0.5), expected)
        q = torch.from_numpy(expected)
        np.testing.assert_array_equal(quantal.dequantize_array(q, 0.5), np.clip(t.numpy(), -64, 63.5))

    def test_bfloat16_is_exact(self):
        codes = np.arange(65536, dtype=np.uint32)
        values = (codes << 16).view(np.float32)
        t = torch.from_numpy(values[np.isfinite(values)]).to(torch.bfloat16)
        np.testing.assert_array_equal(as_array(t, "t"), values[np.isfinite(values)])

    def test_samples_and_results(self):
        t = torch.from_numpy(X)
        with open(MODEL, "rb") as f:
            model = f.read()
        wanted = quantal.quantize(model, data=X)[0]
        for data in (t, {"x": t}, list(t.split(16))):
            self.assertEqual(quantal.quantize(model, data=data)[0], wanted)
        y = quantal.Session(MODEL).run(t[:5])["logits"]
        back = torch.from_dlpack(y)
        self.assertEqual(back.data_ptr(), y.ctypes.data)
        self.assertEqual(tuple(back.shape), (5, 10))

    def test_errors(self):
        with self.assertRaises((BufferError, RuntimeError)) as caught:
            quantal.quantize_array(torch.ones(3, requires_grad=True), 0.5)
        self.assertIn("gradient", str(caught.exception))
        with self.assertRaises(TypeError):
            quantal.quantize_array(torch.ones(3, dtype=torch.complex64), 0.5)


if torch is None:
    del Torch

if __name__ == "__main__":
    result = unittest.main(argv=[sys.argv[0]], exit=False).result
    bad = len({str(t).split(" (")[0] for t, _ in result.failures + result.errors})
    print(f"tests: {result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(1 if bad else 0)
