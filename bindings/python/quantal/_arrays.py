"""numpy arrays and the library's tensors: types, contiguity, lifetime."""
from __future__ import annotations

import ctypes
from typing import List, Mapping, Tuple

import numpy as np

from . import _dlpack
from . import _native as native

# The library's dtype numbers (quantal.h) and numpy's types.
NUMPY_OF = {1: np.float32, 2: np.float64, 3: np.float16, 16: np.int8, 17: np.uint8, 18: np.int16, 19: np.uint16, 20: np.int32, 21: np.uint32,
            22: np.int64, 23: np.uint64, 32: np.bool_}
NUMBER_OF = {np.dtype(t): number for number, t in NUMPY_OF.items()}


def dense(array: np.ndarray, dtype=None) -> np.ndarray:
    """The array as the library reads it: an aligned, C-contiguous, native-endian one; the same object where it is one already."""
    wanted = np.dtype(dtype) if dtype is not None else array.dtype.newbyteorder("=")
    out = np.require(array, dtype=wanted, requirements=["C", "A"])
    # np.require turns a 0-d array into itself; ascontiguousarray would make it 1-d.
    return out


def as_array(value, name: str) -> np.ndarray:
    """An ndarray of a numeric type; tensors of other frameworks through DLPack. Errors: TypeError, ValueError."""
    array = _dlpack.view(value, name, NUMPY_OF) if _dlpack.is_foreign(value) else np.asarray(value)
    if array.dtype.newbyteorder("=") not in NUMBER_OF:
        raise TypeError(f"{name}: arrays of type {array.dtype} are not numeric tensors")
    return array


def fit(array: np.ndarray, dtype, name: str) -> np.ndarray:
    """The array dense and in an input's type (None: its own). As for files, nothing is lost that was meant: integers must fit,
    floats are no integers. Errors: quantal.DataError."""
    wanted = array.dtype if dtype is None else np.dtype(dtype)
    if array.dtype != wanted and wanted.kind in "iub":
        if array.dtype.kind not in "iub":
            raise native.DataError(f"{name}: {array.dtype} data for an input of type {wanted}: save the array as integers")
        low, high = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
        if array.size and (int(array.min()) < low or int(array.max()) > high):
            raise native.DataError(f"{name}: a value does not fit into {wanted}")
    return dense(array, wanted.newbyteorder("="))


def pack(feed: Mapping[str, np.ndarray]) -> Tuple[ctypes.Array, List[object]]:
    """The feed as an array of quantal_tensor, and the objects that must stay alive while it is used."""
    tensors = (native.Tensor * max(len(feed), 1))()
    alive: List[object] = []
    for i, (name, array) in enumerate(feed.items()):
        array = dense(array)
        dims = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        encoded = name.encode()
        alive += [array, dims, encoded]
        t = tensors[i]
        t.struct_size = ctypes.sizeof(native.Tensor)
        t.name, t.dtype, t.rank = encoded, NUMBER_OF[array.dtype], array.ndim
        t.dims = ctypes.cast(dims, ctypes.POINTER(ctypes.c_int64))
        t.data, t.bytes = array.ctypes.data, array.nbytes
    return tensors, alive


def unpack(tensor: "native.Tensor") -> np.ndarray:
    """A copy of what a result tensor holds."""
    shape = tuple(tensor.dims[i] for i in range(tensor.rank))
    if tensor.dtype not in NUMPY_OF:
        name = native.library.quantal_dtype_name(tensor.dtype).decode()
        raise native.UnsupportedError(f"numpy has no type for {name}")
    dtype = np.dtype(NUMPY_OF[tensor.dtype])
    if tensor.bytes == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(ctypes.string_at(tensor.data, tensor.bytes), dtype).reshape(shape).copy()
