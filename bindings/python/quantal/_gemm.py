"""gemm: the exact product of two matrices of 8-bit codes, through the library's plan, pack and run."""
from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import Optional

import numpy as np

from . import _native as native
from ._arrays import NUMBER_OF, NUMPY_OF, as_array, dense

__all__ = ["gemm"]

_CONTRACTS = {"fp32_rne": 0, "fixed_double": 1, "fixed_single": 2}
_CLAMP = 16
_ALIGNMENT = 64  # of packed weights and workspace


class _Multiplier(ctypes.Structure):
    _fields_ = [("multiplier", c_int32), ("shift", c_int32)]


class _Epilogue(native._Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("contract", c_int32), ("zero_point", c_int32), ("min", c_int32), ("max", c_int32),
                ("ratios", POINTER(c_float)), ("multipliers", POINTER(_Multiplier)), ("count", c_uint64), ("residual_dtype", c_int32),
                ("residual_zero_point", c_int32), ("residual_ratio", c_float), ("reserved", c_uint32), ("residual_multiplier", _Multiplier),
                ("table", c_void_p)]


class _Desc(native._Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("m", c_int64), ("n", c_int64), ("k", c_int64), ("lhs_dtype", c_int32),
                ("rhs_dtype", c_int32), ("out_dtype", c_int32), ("lhs_zero_point", c_int32), ("rhs_zero_point", c_int32), ("threads", c_uint32),
                ("lhs_stride", c_int64), ("out_stride", c_int64), ("residual_stride", c_int64), ("rhs_row_stride", c_int64),
                ("rhs_column_stride", c_int64), ("epilogue", POINTER(_Epilogue)), ("kernel", c_char_p)]


class _Weights(native._Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("data", c_void_p), ("bytes", c_uint64), ("bias", c_void_p), ("real_bias", c_void_p),
                ("epilogue", POINTER(_Epilogue))]


class _Buffers(native._Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32)] + [
        field for name in ("in", "packed", "out", "workspace", "residual") for field in ((name, c_void_p), (name + "_bytes", c_uint64))
    ] + [("row_zero_points", c_void_p), ("row_scales", c_void_p), ("row_sums", c_void_p)]


class _PlanInfo(native._Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32)] + [(name, c_uint64) for name in (
        "packed_bytes", "workspace_bytes", "tasks", "in_bytes", "out_bytes", "weight_bytes", "residual_bytes")] + [("kernel", c_char_p)]


native.declare({
    "quantal_gemm_plan_size": (c_int32, [POINTER(_Desc), POINTER(ctypes.c_size_t), POINTER(ctypes.c_size_t)]),
    "quantal_gemm_plan_init": (c_int32, [c_void_p, ctypes.c_size_t, POINTER(_Desc), POINTER(native.Diag)]),
    "quantal_gemm_pack": (c_int32, [c_void_p, POINTER(_Weights), c_void_p, ctypes.c_size_t, POINTER(native.Diag)]),
    "quantal_gemm_run": (c_int32, [c_void_p, POINTER(_Buffers), c_void_p]),
    "quantal_plan_get_info": (c_int32, [c_void_p, POINTER(_PlanInfo)]),
    "quantal_multiplier_of": (c_int32, [ctypes.c_double, POINTER(_Multiplier)]),
})


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first:first + size]


def _matrix(value, name: str) -> np.ndarray:
    array = as_array(value, name)
    if array.ndim != 2 or array.dtype not in (np.uint8, np.int8):
        raise TypeError(f"{name} must be a matrix of uint8 or int8, not {array.dtype}{list(array.shape)}")
    return dense(array)


def _vector(values, kind, length: int, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.shape not in ((), (1,), (length,)):
        raise ValueError(f"{name} must be one number or [{length}], not {list(array.shape)}")
    if kind is np.int32 and (array.dtype.kind not in "iu" or array.size and (array.min() < -2**31 or array.max() >= 2**31)):
        raise TypeError(f"{name} must be integers of 32 bits")
    return np.ascontiguousarray(array.reshape(-1), kind)


def gemm(a, b, *, bias=None, lhs_zero_point: int = 0, rhs_zero_point: int = 0, dtype: Optional[str] = None, ratios=None, zero_point: int = 0,
         contract: str = "fp32_rne", min: Optional[int] = None, max: Optional[int] = None, kernel: Optional[str] = None) -> np.ndarray:
    """Multiplies two matrices of 8-bit codes; integer results are equal to the bit on every CPU.

        sum[i, j] = (a[i, :] - lhs_zero_point) @ (b[:, j] - rhs_zero_point) + bias[j]

    a: [m, k], b: [k, n], uint8 or int8 in any combination; bias: int32 [n] or one number
    dtype: "s32" (default without ratios): the sums themselves; "s8" (default with ratios) or "u8": round(sum * ratios) + zero_point,
        saturated; "f32": sum * ratios
    ratios: one number or [n]: scale of a * scale of b / scale of the result
    contract: how the result is rounded: "fp32_rne", "fixed_double", "fixed_single"
    min, max: lowest and highest code of the result (a fused ReLU is min=zero_point); "f32": whole numbers that bound it (ReLU6: 0 and 6)
    kernel: an instruction set of `quantal.cpu()`; None: the best

    It plans, packs b and runs, each time; who multiplies often uses the C or C++ interface. Errors: TypeError, ValueError,
    quantal.UnsupportedError (a kernel this CPU has not).

    >>> gemm(np.array([[1, 2]], np.uint8), np.array([[3], [-4]], np.int8)).tolist()
    [[-5]]
    """
    a, b = _matrix(a, "a"), _matrix(b, "b")
    (m, k), (rows, n) = a.shape, b.shape
    if rows != k:
        raise ValueError(f"a has {k} columns and b has {rows} rows")
    if contract not in _CONTRACTS:
        raise ValueError(f"contract must be one of {', '.join(_CONTRACTS)}, not {contract!r}")
    out_dtype = native.dtype_number(dtype if dtype is not None else "s32" if ratios is None else "s8")
    if out_dtype not in NUMPY_OF:
        raise TypeError(f"a product has no results of type {dtype!r}")
    out_type = np.dtype(NUMPY_OF[out_dtype])
    if (out_type == np.int32) != (ratios is None):
        raise ValueError('dtype "s32" takes no ratios, the others need them')
    desc = _Desc(m=m, n=n, k=k, lhs_dtype=NUMBER_OF[a.dtype], rhs_dtype=NUMBER_OF[b.dtype], out_dtype=out_dtype,
                 lhs_zero_point=native.integer(lhs_zero_point, "lhs_zero_point", 32), rhs_zero_point=native.integer(rhs_zero_point, "rhs_zero_point", 32),
                 kernel=native.word(kernel, "kernel"))
    epilogue = None
    if ratios is not None:
        real = contract == "fp32_rne" or out_type == np.float32
        # Multipliers are made of doubles: 0.1 and float32(0.1) give different ones.
        ratios = _vector(ratios, np.float32 if real else np.float64, n, "ratios")
        epilogue = _Epilogue(contract=_CONTRACTS[contract], zero_point=native.integer(zero_point, "zero_point", 32), count=len(ratios))
        if real:
            epilogue.ratios = ratios.ctypes.data_as(POINTER(c_float))
        else:
            multipliers = (_Multiplier * len(ratios))()
            for i, ratio in enumerate(ratios):
                native.check(native.library.quantal_multiplier_of(float(ratio), ctypes.byref(multipliers[i])), what=f"ratios[{i}]")
            epilogue.multipliers = multipliers
        if min is not None or max is not None:
            open_ends = np.iinfo(np.int32 if out_type == np.float32 else out_type)
            epilogue.flags |= _CLAMP
            epilogue.min = native.integer(open_ends.min if min is None else min, "min", 32)
            epilogue.max = native.integer(open_ends.max if max is None else max, "max", 32)
        desc.epilogue = ctypes.pointer(epilogue)
    elif min is not None or max is not None or zero_point != 0:
        raise ValueError('dtype "s32" has neither zero_point nor min and max')

    lib, diag = native.library, native.Diag()
    size, alignment = ctypes.c_size_t(), ctypes.c_size_t()
    native.check(lib.quantal_gemm_plan_size(ctypes.byref(desc), ctypes.byref(size), ctypes.byref(alignment)), what="gemm")
    plan = _aligned(size.value)
    native.check(lib.quantal_gemm_plan_init(plan.ctypes.data, size.value, ctypes.byref(desc), ctypes.byref(diag)), diag)
    info = _PlanInfo()
    native.check(lib.quantal_plan_get_info(plan.ctypes.data, ctypes.byref(info)))
    weights = _Weights(data=b.ctypes.data, bytes=b.nbytes, epilogue=desc.epilogue)
    if bias is not None:
        bias = np.ascontiguousarray(np.broadcast_to(_vector(bias, np.int32, n, "bias"), n))
        weights.bias = bias.ctypes.data
    packed, workspace = _aligned(info.packed_bytes), _aligned(info.workspace_bytes)
    native.check(lib.quantal_gemm_pack(plan.ctypes.data, ctypes.byref(weights), packed.ctypes.data, packed.nbytes, ctypes.byref(diag)), diag)
    out = np.empty((m, n), out_type)
    buffers = _Buffers(packed=packed.ctypes.data, packed_bytes=packed.nbytes, out=out.ctypes.data, out_bytes=out.nbytes, workspace=workspace.ctypes.data,
                       workspace_bytes=workspace.nbytes, in_bytes=a.nbytes)
    setattr(buffers, "in", a.ctypes.data)
    native.check(lib.quantal_gemm_run(plan.ctypes.data, ctypes.byref(buffers), None), what="gemm")
    return out
