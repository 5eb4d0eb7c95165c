"""DLPack: tensors of other frameworks (torch, jax...) as numpy arrays, without a copy.

Anything with `__dlpack__` and `__dlpack_device__` can be passed where an array is wanted. Version 1 is asked for, version 0 is
taken. The library reads the tensor (quantal_dlpack_read); the array that shows it keeps the capsule, and with it the memory,
alive. Results are numpy arrays, which speak DLPack themselves: torch.from_dlpack(y) makes no copy either.
"""
from __future__ import annotations

import ctypes

import numpy as np

from . import _native as native

_CPU = 1
_BF16 = 4

_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class _Memory:
    """What numpy needs to know of the tensor. numpy keeps this object, this object keeps the capsule."""

    def __init__(self, capsule, interface):
        self.capsule = capsule
        self.__array_interface__ = interface


def is_foreign(value) -> bool:
    return not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__")


def _capsule(value):
    try:
        return value.__dlpack__(max_version=(1, 1))
    except TypeError:  # it only knows version 0
        return value.__dlpack__()


def view(value, name: str, numpy_of) -> np.ndarray:
    """The tensor as an array over its memory; bfloat16, which numpy does not have, as a float32 copy.

    Errors: ValueError (not in CPU memory, a used or wrong capsule), TypeError (an element type without a numpy type)."""
    kind, index = (int(i) for i in value.__dlpack_device__())
    if kind != _CPU:
        raise ValueError(f"{name}: the tensor is on device {kind}:{index}, not in CPU memory: copy it there first (torch: .cpu())")
    capsule = _capsule(value)
    for capsule_name, major in ((b"dltensor_versioned", 1), (b"dltensor", 0)):
        if _is_valid(capsule, capsule_name):
            break
    else:
        raise ValueError(f"{name}: __dlpack__() gave no capsule of DLPack version 0 or 1, or one that was used before")
    v = native.View()
    native.check(native.library.quantal_dlpack_read(_pointer(capsule, capsule_name), major, ctypes.byref(v)), what=f"{name}: DLPack tensor")
    dtype = np.dtype(np.uint16) if v.dtype == _BF16 else numpy_of.get(v.dtype)
    if dtype is None:
        raise TypeError(f"{name}: numpy has no type for {native.library.quantal_dtype_name(v.dtype).decode()}")
    dtype = np.dtype(dtype)
    shape = tuple(v.dims[:v.rank])
    if 0 in shape:
        array = np.empty(shape, dtype)
    else:
        strides = tuple(s * dtype.itemsize for s in v.strides[:v.rank])
        read_only = bool(v.flags & native.VIEW_READ_ONLY)
        array = np.asarray(_Memory(capsule, {"version": 3, "data": (v.data, read_only), "shape": shape, "strides": strides, "typestr": dtype.str}))
    return (array.astype(np.uint32) << 16).view(np.float32) if v.dtype == _BF16 else array
