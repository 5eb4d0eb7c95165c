"""Observer: statistics of arrays, and the range, scale and zero point that a calibration method makes of them."""
from __future__ import annotations

import ctypes
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from . import _native as native
from ._arrays import as_array, pack

__all__ = ["Observer", "Range"]


class Range(NamedTuple):
    """The real range that codes will cover (floats, or arrays per channel), and how many the method tried (0: none)."""

    min: Union[float, np.ndarray]
    max: Union[float, np.ndarray]
    candidates: Union[int, np.ndarray]


class Observer:
    """Sees arrays batch by batch, remembers statistics, never values.

    method: "minmax", "moving_average", "percentile", "percentile_symmetric", "entropy", "entropy_onnxruntime", "mse",
        "histogram", "octav", "avgmax", "stddev", "scale", "max" or "qat_shift", in any case
    axis: one range per index of this axis; None: one for the whole array
    bins, quantized_bins, percentile, stddev, scale, averaging_constant: options of the methods; None: their defaults

    Two observers that saw two shards of the data merge into what one would know of all of it, bit for bit (except
    "moving_average", which depends on order). One thread at a time.

    >>> obs = Observer("minmax"); obs.observe(np.array([-2.0, 2.0], np.float32)); obs.params(dtype="s8", preset="torch")[1]
    -1
    """

    def __init__(self, method: str = "minmax", *, axis: Optional[int] = None, bins: Optional[int] = None, quantized_bins: Optional[int] = None,
                 percentile: Optional[float] = None, stddev: Optional[float] = None, scale: Optional[float] = None,
                 averaging_constant: Optional[float] = None):
        self._handle = ctypes.c_void_p()
        if method is None:
            raise TypeError("method must be a str, not NoneType")
        self._axis = axis
        self._options = self._make_options(axis, bins=bins, quantized_bins=quantized_bins, percentile=percentile, stddev=stddev, scale=scale,
                                           averaging_constant=averaging_constant)
        diag = native.Diag()
        native.check(native.library.quantal_observer_create(native.word(method, "method"), ctypes.byref(self._options), ctypes.byref(self._handle),
                                                            ctypes.byref(diag)), diag)

    @staticmethod
    def _make_options(axis, **values) -> "native.ObserverOptions":
        options = native.ObserverOptions()
        for name, value in values.items():
            if value is None:
                continue
            if value == 0:
                raise ValueError(f"{name} must not be 0")
            setattr(options, name, native.number(value, name, 1, 2**31 - 1) if name.endswith("bins") else value)
        if axis is not None:  # not negative: the observer has not seen the rank yet
            options.flags, options.axis = native.PER_CHANNEL, native.number(axis, "axis", 0, 7)
        return options

    def __del__(self):
        if getattr(self, "_handle", None):
            native.library.quantal_observer_free(self._handle)
            self._handle = None

    def observe(self, x) -> None:
        """Adds one batch: an array of float32, float16 or float64, any shape. Errors: TypeError (other types), ValueError."""
        array = as_array(x, "x")
        tensors, alive = pack({"x": array})
        diag = native.Diag()
        native.check(native.library.quantal_observer_observe(self._handle, tensors, ctypes.byref(diag)), diag)
        del alive

    def merge(self, other: "Observer") -> None:
        """Adds what `other` has seen. Errors: TypeError, quantal.UnsupportedError, quantal.DataError, ValueError."""
        if not isinstance(other, Observer):
            raise TypeError(f"an Observer merges with an Observer, not {type(other).__name__}")
        diag = native.Diag()
        native.check(native.library.quantal_observer_merge(self._handle, other._handle, ctypes.byref(diag)), diag)

    def _count(self) -> int:
        return max(int(native.library.quantal_observer_count(self._handle)), 1)

    def range(self, dtype: str = "u8", *, symmetric: bool = False, reduce_range: bool = False) -> Range:
        """The range chosen for an integer type. Errors: quantal.DataError (nothing was observed), TypeError (dtype)."""
        n = self._count()
        low, high, tried = np.empty(n, np.float64), np.empty(n, np.float64), np.empty(n, np.int32)
        flags = (native.SYMMETRIC if symmetric else 0) | (native.REDUCE_RANGE if reduce_range else 0)
        diag = native.Diag()
        native.check(native.library.quantal_observer_ranges(self._handle, native.dtype_number(dtype), flags, low.ctypes.data, high.ctypes.data,
                                                            tried.ctypes.data, n, ctypes.byref(diag)), diag)
        if self._axis is None:
            return Range(float(low[0]), float(high[0]), int(tried[0]))
        return Range(low, high, tried)

    def params(self, dtype: str = "u8", *, preset: Optional[str] = None, symmetric: bool = False, reduce_range: bool = False,
               power_of_two: bool = False) -> Tuple[Union[float, np.ndarray], Union[int, np.ndarray]]:
        """(scale, zero_point) for an integer type: numbers, or arrays per channel. The keywords are those of `choose_params`."""
        n = self._count()
        scales, zeros = np.empty(n, np.float32), np.empty(n, np.int32)
        flags = (native.SYMMETRIC if symmetric else 0) | (native.REDUCE_RANGE if reduce_range else 0) | (native.POWER_OF_TWO if power_of_two else 0)
        diag = native.Diag()
        native.check(native.library.quantal_observer_params(self._handle, native.dtype_number(dtype), native.word(preset, "preset"), flags, scales.ctypes.data,
                                                            zeros.ctypes.data, n, ctypes.byref(diag)), diag)
        return (float(scales[0]), int(zeros[0])) if self._axis is None else (scales, zeros)

    def save(self, path=None) -> str:
        """The statistics as JSON text (a calibration cache with one tensor); written to `path` if given."""
        text, diag = ctypes.c_void_p(), native.Diag()
        native.check(native.library.quantal_observer_save(self._handle, ctypes.byref(text), ctypes.byref(diag)), diag)
        out = native.take_string(text)
        if path is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(out)
        return out

    @classmethod
    def load(cls, text: str, method: Optional[str] = None, *, axis: Optional[int] = None, **options) -> "Observer":
        """Continues from what `save` returned. method: another one may be applied to the same statistics. Options as for Observer."""
        if not isinstance(text, str):
            raise TypeError(f"text must be what save returned, not {type(text).__name__}")
        made = cls.__new__(cls)
        made._handle, made._axis = ctypes.c_void_p(), axis
        made._options = cls._make_options(axis, **options)
        encoded, diag = text.encode(), native.Diag()
        native.check(native.library.quantal_observer_load(encoded, len(encoded), native.word(method, "method"), ctypes.byref(made._options),
                                                          ctypes.byref(made._handle), ctypes.byref(diag)), diag)
        return made
