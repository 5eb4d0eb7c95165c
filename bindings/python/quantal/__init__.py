"""Quantal: smaller integer models out of float ONNX models, and the arithmetic behind them.

    report = quantal.quantize("m.onnx", "m_int8.onnx", quant_type="static_int8", data=samples)
    y = quantal.Session("m_int8.onnx").run({"x": x})

Where an array is wanted, a tensor of another framework in CPU memory will do (torch, jax...: anything with `__dlpack__`).
Pure ctypes over libquantal.so (set QUANTAL_LIBRARY to choose one). Every failure is a Python exception with the
library's `code`, `status` and `where`. The GIL is free while the library works.
"""
from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from . import _native as native
from ._arrays import NUMPY_OF, as_array, dense
from ._gemm import gemm
from ._native import CancelledError, DataError, Error, ModelError, UnsupportedError
from ._observer import Observer, Range
from ._samples import Puller, is_path
from ._session import Session, ValueInfo

__all__ = ["quantize", "Session", "ValueInfo", "Observer", "Range", "choose_params", "quantize_array", "dequantize_array", "gemm", "compare", "cpu", "selftest", "Error",
           "UnsupportedError", "ModelError", "DataError", "CancelledError", "__version__"]
__version__ = native.library.quantal_version_string().decode()

ProgressFn = Callable[[str, int, Optional[int]], Any]


def _words(values, name):
    if values is None:
        return None, 0
    values = [values] if isinstance(values, str) else list(values)
    return (ctypes.c_char_p * max(len(values), 1))(*[native.word(v, name) for v in values]), len(values)


def _set_numbers(job, batch_size, num_calib_batches, workers, threads):
    """In a job 0 is the default: what means "none" there is -1."""
    job.batch_size = native.number(batch_size, "batch_size", 1, 2**20)
    job.num_calib_batches = native.number(num_calib_batches, "num_calib_batches", -1, 2**40)
    if job.num_calib_batches == 0:
        raise ValueError("num_calib_batches must be at least 1, or -1 for all")
    job.workers = native.number(workers, "workers", 0, 256) or -1
    job.threads = native.number(threads, "threads", 0, 1024)


def _set_file_options(job, letterbox: bool, **options):
    """What files of samples need: each option in the spelling of the command line, numbers as numbers if that is easier."""
    for name, value in options.items():
        if value is None:
            continue
        if name == "labels":
            job.labels = native.path_bytes(value)
            continue
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
            value = str(value)
        elif not isinstance(value, str) and name in ("imgsz", "mean", "std", "value_range"):
            value = {"imgsz": "x", "value_range": ".."}.get(name, ",").join(str(part) for part in value)
        setattr(job, name, native.word(value, name))
    if letterbox:
        job.flags |= native.LETTERBOX


def _attach(job, model, data, batch_size: int, progress: Optional[ProgressFn]):
    """Puts samples and callbacks into a job. Returns what must stay alive during the call."""
    puller = None
    if data is not None and is_path(data):
        job.data = native.path_bytes(data)
    elif data is not None:
        puller = Puller(data, model, batch_size)
        job.pull, job.rewind = puller.pull, puller.rewind
    failures = []
    if progress is not None:

        def report(_context, stage, done, total):
            try:
                return 1 if progress(stage.decode(), done, None if total < 0 else total) is False else 0
            except BaseException as problem:
                failures.append(problem)
                return 1

        job.progress = native.ProgressFn(report)
    return puller, failures


def _finish(status, diag, puller, failures):
    if puller is not None and puller.failure is not None:
        raise puller.failure
    if failures:
        raise failures[0]
    native.check(status, diag)


def quantize(model, output=None, *, quant_type: str = "static_int8", data=None, batch_size: int = 16, num_calib_batches: int = 100,
             min_samples: int = 100, workers: int = 4, threads: int = 0, preset: Optional[str] = None,
             activation_observer: Optional[str] = None, weight_observer: Optional[str] = None, activation_type: Optional[str] = None,
             weight_type: Optional[str] = None, symmetric: bool = False, reduce_range: bool = False, format: Optional[str] = None,
             target: Optional[str] = None, include: Optional[Sequence[str]] = None, exclude: Optional[Sequence[str]] = None, calibration_cache=None, strict: bool = False,
             percentile: Optional[float] = None, stddev: Optional[float] = None, scale: Optional[float] = None, bins: Optional[int] = None, eval_data=None, labels=None, split: Optional[str] = None,
             imgsz=None, layout: Optional[str] = None, mean=None, std=None, value_range=None, color: Optional[str] = None, letterbox: bool = False,
             progress: Optional[ProgressFn] = None) -> Union[Dict[str, Any], Tuple[bytes, Dict[str, Any]]]:
    """Quantizes an ONNX model. The keywords are the options of `quantal quantize`.

    model:  path, or the bytes of a model without external data
    output: path to write; None (only for bytes): the quantized model is returned as bytes
    target: "onnxruntime" (default): forms that ONNX Runtime runs in integers; "any"
    num_calib_batches: -1: all
    data:   ndarray [samples, ...], dict of them, an iterable of feeds, or a path; needed by static types
    percentile, stddev, scale, bins: of the observers; None: their defaults
    eval_data: path of held-out samples; the report warns where `data` differs from them
    labels, split, imgsz, layout, mean, std, value_range, color, letterbox: about files of samples, as on the command line;
        also imgsz=(480, 640), mean=(0.485, 0.456, 0.406), value_range=(-1, 1)
    progress: called as progress(stage, done, total or None); returning False stops the job

    Returns the report, a dict with the keys of `quantal quantize --json` (original_bytes, quantized_bytes,
    compression_ratio, coverage, integer_macs, outputs, warnings...); for bytes without output: (bytes, report).

    Errors: FileNotFoundError, OSError, ValueError (a bad option), quantal.ModelError, quantal.DataError,
    quantal.UnsupportedError, quantal.CancelledError; what the iterable or `progress` raised is raised again.
    """
    in_memory = isinstance(model, (bytes, bytearray, memoryview))
    if output is None and not in_memory:
        raise TypeError("output is needed when model is a path")
    job = native.Job()
    job.quant_type = native.word(quant_type, "quant_type")
    for name, value in (("preset", preset), ("activation_observer", activation_observer), ("weight_observer", weight_observer),
                        ("activation_type", activation_type), ("weight_type", weight_type), ("format", format), ("target", target)):
        setattr(job, name, native.word(value, name))
    job.include, job.include_count = _words(include, "include")
    job.exclude, job.exclude_count = _words(exclude, "exclude")
    if calibration_cache is not None:
        job.calibration_cache = native.path_bytes(calibration_cache)
    job.flags = (native.SYMMETRIC if symmetric else 0) | (native.REDUCE_RANGE if reduce_range else 0) | (native.STRICT if strict else 0)
    for name, value in (("percentile", percentile), ("stddev", stddev), ("scale", scale)):
        if value is not None and not value:  # 0 is "not given" in the C job
            raise ValueError(f"{name} must not be 0")
        setattr(job, name, 0 if value is None else value)
    job.bins = 0 if bins is None else native.number(bins, "bins", 1, 2**31 - 1)
    if eval_data is not None:
        job.eval_data = native.path_bytes(eval_data)
    _set_file_options(job, letterbox, labels=labels, split=split, imgsz=imgsz, layout=layout, mean=mean, std=std, value_range=value_range, color=color)
    _set_numbers(job, batch_size, num_calib_batches, workers, threads)
    job.min_samples = native.number(min_samples, "min_samples", 0, 2**40) or -1
    if not in_memory:
        model_path = native.path_bytes(model)
    puller, failures = _attach(job, model, data, batch_size, progress)
    report, diag = ctypes.c_void_p(), native.Diag()
    if in_memory and output is not None:  # the library refuses this where it knows the path
        for name, path in (("data", data), ("eval_data", eval_data), ("labels", labels), ("calibration_cache", calibration_cache)):
            if path is not None and is_path(path) and os.path.realpath(path) == os.path.realpath(output):
                raise ValueError(f"output would replace {name}: {os.fsdecode(output)}")
    if in_memory:
        source = bytes(model)
        out, size = ctypes.c_void_p(), ctypes.c_size_t()
        status = native.library.quantal_quantize_memory(ctypes.byref(job), source, len(source), ctypes.byref(out), ctypes.byref(size),
                                                        ctypes.byref(report), ctypes.byref(diag))
        _finish(status, diag, puller, failures)
        try:
            result = ctypes.string_at(out, size.value)
        finally:
            native.library.quantal_free(out)
        parsed = json.loads(native.take_string(report))
        if output is None:
            return result, parsed
        native.write_file(output, result)
        parsed["quantized_model"] = os.fsdecode(output)
        return parsed
    status = native.library.quantal_quantize_file(ctypes.byref(job), model_path, native.path_bytes(output), ctypes.byref(report), ctypes.byref(diag))
    _finish(status, diag, puller, failures)
    return json.loads(native.take_string(report))


def compare(model_a, model_b, data, *, metric: Optional[str] = None, batch_size: int = 16, num_calib_batches: int = -1, threads: int = 0,
            labels=None, split: Optional[str] = None, imgsz=None, layout: Optional[str] = None, mean=None, std=None, value_range=None,
            color: Optional[str] = None, letterbox: bool = False, progress: Optional[ProgressFn] = None) -> Dict[str, Any]:
    """How far two models are apart on the same samples: a dict with the keys of `quantal compare --json`.

    model_a, model_b: paths; data, labels, imgsz...: as for `quantize`; metric: "top1" or "top5" (the samples need labels).
    An infinite SQNR (identical outputs) is None.
    """
    job = native.Job()
    _set_numbers(job, batch_size, num_calib_batches, 4, threads)
    _set_file_options(job, letterbox, labels=labels, split=split, imgsz=imgsz, layout=layout, mean=mean, std=std, value_range=value_range, color=color)
    puller, failures = _attach(job, model_a, data, batch_size, progress)
    out, diag = ctypes.c_void_p(), native.Diag()
    status = native.library.quantal_compare(ctypes.byref(job), native.path_bytes(model_a), native.path_bytes(model_b), native.word(metric, "metric"),
                                            ctypes.byref(out), ctypes.byref(diag))
    _finish(status, diag, puller, failures)
    return json.loads(native.take_string(out))


def choose_params(min: float, max: float, dtype: str = "u8", *, preset: Optional[str] = None, symmetric: bool = False,
                  reduce_range: bool = False, power_of_two: bool = False) -> Tuple[float, int]:
    """Scale and zero point that map the real range [min, max] onto an integer type (s8, u8, s16, u16, s4...).

    preset: "onnxruntime", "torch", "tflite", "tensorrt", "ai8x": whose rounding decides the last bit; None: Quantal's own.
    Errors: ValueError (min > max, NaN, infinite, unknown preset), TypeError (dtype).

    >>> choose_params(-2.0, 2.0, dtype="s8", preset="torch")[1]
    -1
    """
    scale, zero_point = ctypes.c_float(), ctypes.c_int32()
    flags = (native.SYMMETRIC if symmetric else 0) | (native.REDUCE_RANGE if reduce_range else 0) | (native.POWER_OF_TWO if power_of_two else 0)
    status = native.library.quantal_choose_params(min, max, native.dtype_number(dtype), native.word(preset, "preset"), flags, ctypes.byref(scale),
                                                  ctypes.byref(zero_point))
    native.check(status, what=f"choose_params({min}, {max}, {dtype!r})")
    return scale.value, zero_point.value


def _describe(shape: Tuple[int, ...], scale, zero_point, number: int, axis: Optional[int], preset: Optional[str]):
    """A quantal_quant_desc, and what must stay alive with it."""
    scales = dense(np.atleast_1d(np.asarray(scale, np.float32)))
    zeros = np.atleast_1d(np.asarray(zero_point))
    if zeros.dtype.kind not in "iub":
        raise TypeError(f"zero_point must be integers, not {zeros.dtype}")
    if zeros.size and (zeros.min() < -(2**31) or zeros.max() >= 2**31):
        raise ValueError("zero_point is outside 32 bits")
    zeros = dense(zeros, np.int32)
    if scales.ndim != 1 or zeros.ndim != 1:
        raise ValueError("scale and zero_point must be numbers or one-dimensional")
    if zeros.size == 1 and scales.size > 1:
        zeros = np.full(scales.size, zeros[0], np.int32)
    if zeros.size != scales.size:
        raise ValueError(f"{scales.size} scales but {zeros.size} zero points")
    if axis is not None and not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis {axis} is out of range for {len(shape)} dimensions")
    dims = (ctypes.c_int64 * (len(shape) or 1))(*shape)
    d = native.QuantDesc(dtype=number, rank=len(shape), axis=-1 if axis is None else axis % len(shape), count=scales.size)
    d.dims = ctypes.cast(dims, ctypes.POINTER(ctypes.c_int64))
    d.scales, d.zero_points = scales.ctypes.data, zeros.ctypes.data
    d.preset = native.word(preset, "preset")
    return d, (scales, zeros, dims)


def quantize_array(x, scale, zero_point=0, dtype: str = "s8", axis: Optional[int] = None, *, preset: Optional[str] = None) -> np.ndarray:
    """q = saturate(round_half_to_even(x / scale) + zero_point), a new array of x's shape.

    scale, zero_point: numbers, or arrays [x.shape[axis]] with `axis`. NaN becomes the zero point (preset "onnxruntime",
    "torch": the lowest value). dtype: s8 u8 s16 u16 s32. Errors: ValueError, TypeError.
    """
    number = native.dtype_number(dtype)
    if number not in NUMPY_OF or np.dtype(NUMPY_OF[number]).kind not in "iu" or np.dtype(NUMPY_OF[number]).itemsize > 4:
        raise TypeError(f"{dtype} is not a type that arrays are quantized to here: s8 u8 s16 u16 s32")
    x = dense(as_array(x, "x"), np.float32)
    d, alive = _describe(x.shape, scale, zero_point, number, axis, preset)
    q = np.empty(x.shape, NUMPY_OF[number])
    status = native.library.quantal_quantize(ctypes.byref(d), x.ctypes.data, x.nbytes, q.ctypes.data, q.nbytes)
    del alive
    native.check(status, what="quantize_array")
    return q


def dequantize_array(q, scale, zero_point=0, axis: Optional[int] = None) -> np.ndarray:
    """x = (q - zero_point) * scale, a new float32 array of q's shape. q: an integer array (int8, uint8, int16, uint16, int32)."""
    q = as_array(q, "q")
    if q.dtype.kind not in "iu" or q.dtype.itemsize > 4:
        raise TypeError(f"q must be an array of 8, 16 or 32-bit integers, not {q.dtype}")
    q = dense(q)
    d, alive = _describe(q.shape, scale, zero_point, native.dtype_number(q.dtype), axis, None)
    x = np.empty(q.shape, np.float32)
    status = native.library.quantal_dequantize(ctypes.byref(d), q.ctypes.data, q.nbytes, x.ctypes.data, x.nbytes)
    del alive
    native.check(status, what="dequantize_array")
    return x


def cpu() -> Dict[str, Any]:
    """What this CPU offers and which kernels run here."""
    out = ctypes.c_void_p()
    native.check(native.library.quantal_cpu(ctypes.byref(out)))
    return json.loads(native.take_string(out))


def selftest() -> Dict[str, Any]:
    """Runs every integer kernel of this CPU on known inputs: a dict with the keys of `quantal selftest --json`. Whether they all
    computed what they must is in `passed`."""
    out = ctypes.c_void_p()
    status = native.library.quantal_selftest(ctypes.byref(out))
    if not out:
        native.check(status)
    return json.loads(native.take_string(out))
