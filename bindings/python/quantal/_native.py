"""Everything that touches the C library: finding it, every declaration of quantal.h that is used here, and `check`.

The rest of the package never sees ctypes errors or status numbers: `check(status, diag)` turns a failure into an
exception of the fitting Python type that carries the library's code, status name and place.
"""
from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from ctypes import POINTER, Structure, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Optional

import numpy as np

__all__ = ["library", "check", "Error", "UnsupportedError", "ModelError", "DataError", "CancelledError"]

ABI_VERSION = 2


# ---- exceptions --------------------------------------------------------------------------------------------------


class Error(Exception):
    """A failure of the library. `code`: status number, `status`: its name, `where`: file, node, tensor or sample."""

    code: int = 0
    status: str = ""
    where: str = ""


class UnsupportedError(Error, NotImplementedError):
    """Valid, but not something Quantal can do."""


class ModelError(Error, ValueError):
    """The model is damaged or contradicts itself."""


class DataError(Error, ValueError):
    """Samples are missing or do not fit the model."""


class ArgumentError(Error, ValueError):
    """A bad argument or configuration."""


class DtypeError(Error, TypeError):
    """An element type that is not allowed here."""


class FileError(Error, OSError):
    """Reading or writing a file failed."""


class MissingFileError(FileError, FileNotFoundError):
    """A file or directory does not exist."""


class OutOfMemoryError(Error, MemoryError):
    """There is not enough memory."""


class CancelledError(Error):
    """A callback stopped the job."""


class InternalError(Error, RuntimeError):
    """A defect of Quantal; please report it."""


def _exception_type(code: int) -> type:
    exact = {-24: DtypeError, -41: MissingFileError, -43: OutOfMemoryError, -44: CancelledError, -61: UnsupportedError, -70: InternalError}
    if code in exact:
        return exact[code]
    if code > -30 or -70 < code <= -60:
        return ArgumentError
    if code > -40:
        return DataError
    if code > -50:
        return FileError
    return ModelError


# ---- structs -----------------------------------------------------------------------------------------------------


class _Sized(Structure):
    """A struct that begins with its own size; everything else starts as zero."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.struct_size = ctypes.sizeof(self)


class Diag(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("code", c_int32), ("reserved", c_uint32), ("message", c_char * 512),
                ("where", c_char * 256)]


class QuantDesc(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("dtype", c_int32), ("rank", c_int32), ("dims", POINTER(c_int64)),
                ("axis", c_int32), ("reserved", c_uint32), ("scales", c_void_p), ("zero_points", c_void_p), ("count", c_uint64),
                ("preset", c_char_p)]


class Tensor(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("name", c_char_p), ("dtype", c_int32), ("rank", c_int32),
                ("dims", POINTER(c_int64)), ("data", c_void_p), ("bytes", c_uint64)]


class Feed(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("tensors", POINTER(Tensor)), ("count", c_uint64), ("samples", c_int64)]


PullFn = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Feed))
RewindFn = ctypes.CFUNCTYPE(c_int32, c_void_p)
ProgressFn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_char_p, c_int64, c_int64)


class Job(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("quant_type", c_char_p), ("preset", c_char_p),
                ("activation_observer", c_char_p), ("weight_observer", c_char_p), ("activation_type", c_char_p), ("weight_type", c_char_p),
                ("format", c_char_p), ("include", POINTER(c_char_p)), ("include_count", c_uint64), ("exclude", POINTER(c_char_p)),
                ("exclude_count", c_uint64), ("calibration_cache", c_char_p), ("batch_size", c_int64), ("num_calib_batches", c_int64),
                ("min_samples", c_int64), ("workers", c_int32), ("threads", c_int32), ("data", c_char_p), ("pull", PullFn),
                ("rewind", RewindFn), ("pull_context", c_void_p), ("progress", ProgressFn), ("progress_context", c_void_p), ("labels", c_char_p),
                ("split", c_char_p), ("eval_data", c_char_p), ("imgsz", c_char_p), ("layout", c_char_p), ("mean", c_char_p), ("std", c_char_p),
                ("value_range", c_char_p), ("color", c_char_p), ("percentile", c_double), ("stddev", c_double), ("scale", c_double),
                ("bins", c_int32), ("reserved", c_uint32), ("target", c_char_p)]


class ValueInfo(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("name", c_char_p), ("dtype", c_int32), ("rank", c_int32),
                ("dims", c_int64 * 8)]


class View(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("dtype", c_int32), ("rank", c_int32), ("data", c_void_p), ("dims", c_int64 * 8),
                ("strides", c_int64 * 8)]


class ObserverOptions(_Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("bins", c_int32), ("quantized_bins", c_int32), ("percentile", c_double),
                ("stddev", c_double), ("scale", c_double), ("averaging_constant", c_double), ("axis", c_int32), ("reserved", c_uint32)]


ReleaseFn = ctypes.CFUNCTYPE(None, c_void_p)
VIEW_READ_ONLY = 1
SYMMETRIC, REDUCE_RANGE, POWER_OF_TWO, STRICT, PER_CHANNEL, LETTERBOX = 1, 2, 4, 8, 16, 32

# ---- the library -------------------------------------------------------------------------------------------------

_DECLARATIONS = {
    "quantal_version_string": (c_char_p, []),
    "quantal_abi_version": (c_uint32, []),
    "quantal_status_name": (c_char_p, [c_int32]),
    "quantal_strerror": (c_char_p, [c_int32]),
    "quantal_dtype_from_name": (c_int32, [c_char_p]),
    "quantal_dtype_name": (c_char_p, [c_int32]),
    "quantal_dtype_bits": (c_uint32, [c_int32]),
    "quantal_choose_params": (c_int32, [c_double, c_double, c_int32, c_char_p, c_uint32, POINTER(c_float), POINTER(c_int32)]),
    "quantal_quantize": (c_int32, [POINTER(QuantDesc), c_void_p, c_size_t, c_void_p, c_size_t]),
    "quantal_dequantize": (c_int32, [POINTER(QuantDesc), c_void_p, c_size_t, c_void_p, c_size_t]),
    "quantal_quantize_file": (c_int32, [POINTER(Job), c_char_p, c_char_p, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_quantize_memory": (c_int32, [POINTER(Job), c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p), POINTER(Diag)]),
    "quantal_free": (None, [c_void_p]),
    "quantal_session_create_file": (c_int32, [c_char_p, c_int32, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_session_create_memory": (c_int32, [c_char_p, c_size_t, c_int32, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_session_free": (None, [c_void_p]),
    "quantal_session_input_count": (c_uint64, [c_void_p]),
    "quantal_session_output_count": (c_uint64, [c_void_p]),
    "quantal_session_input": (c_int32, [c_void_p, c_uint64, POINTER(ValueInfo)]),
    "quantal_session_output": (c_int32, [c_void_p, c_uint64, POINTER(ValueInfo)]),
    "quantal_session_run": (c_int32, [c_void_p, POINTER(Tensor), c_uint64, POINTER(c_char_p), c_uint64, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_results_count": (c_uint64, [c_void_p]),
    "quantal_results_get": (c_int32, [c_void_p, c_uint64, POINTER(Tensor)]),
    "quantal_results_free": (None, [c_void_p]),
    "quantal_compare": (c_int32, [POINTER(Job), c_char_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_cpu": (c_int32, [POINTER(c_void_p)]),
    "quantal_selftest": (c_int32, [POINTER(c_void_p)]),
    "quantal_dlpack_read": (c_int32, [c_void_p, c_int32, POINTER(View)]),
    "quantal_dlpack_write": (c_int32, [POINTER(View), c_int32, ReleaseFn, c_void_p, POINTER(c_void_p)]),
    "quantal_observer_create": (c_int32, [c_char_p, POINTER(ObserverOptions), POINTER(c_void_p), POINTER(Diag)]),
    "quantal_observer_free": (None, [c_void_p]),
    "quantal_observer_observe": (c_int32, [c_void_p, POINTER(Tensor), POINTER(Diag)]),
    "quantal_observer_merge": (c_int32, [c_void_p, c_void_p, POINTER(Diag)]),
    "quantal_observer_count": (c_uint64, [c_void_p]),
    "quantal_observer_ranges": (c_int32, [c_void_p, c_int32, c_uint32, c_void_p, c_void_p, c_void_p, c_uint64, POINTER(Diag)]),
    "quantal_observer_params": (c_int32, [c_void_p, c_int32, c_char_p, c_uint32, c_void_p, c_void_p, c_uint64, POINTER(Diag)]),
    "quantal_observer_save": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(Diag)]),
    "quantal_observer_load": (c_int32, [c_char_p, c_size_t, c_char_p, POINTER(ObserverOptions), POINTER(c_void_p), POINTER(Diag)]),
}


def _candidates():
    if os.environ.get("QUANTAL_LIBRARY"):
        yield os.environ["QUANTAL_LIBRARY"]
        return  # asked for by name: no other is tried
    here = os.path.dirname(os.path.abspath(__file__))
    yield os.path.join(here, "libquantal.so")
    root = os.path.dirname(os.path.dirname(os.path.dirname(here)))  # a source checkout
    yield os.path.join(root, "build", "release", "lib", "libquantal.so")
    yield "libquantal.so.0"


def declare(functions, loaded=None) -> None:
    """Result and argument types of functions of the library. Errors: ImportError (it has no such function)."""
    loaded = loaded or library
    for name, (result, arguments) in functions.items():
        try:
            function = getattr(loaded, name)
        except AttributeError:
            raise ImportError(f"{loaded._name} is too old for this package: it has no {name}") from None
        function.restype, function.argtypes = result, arguments


def _load() -> ctypes.CDLL:
    tried = []
    for path in _candidates():
        if os.sep in path and not os.path.exists(path):
            tried.append(f"{path} (not there)")
            continue
        try:
            loaded = ctypes.CDLL(path)  # releases the GIL during each call
        except OSError as problem:
            tried.append(f"{path} ({problem})")
            continue
        declare(_DECLARATIONS, loaded)
        if loaded.quantal_abi_version() < ABI_VERSION:
            raise ImportError(f"{path} has ABI version {loaded.quantal_abi_version()}, this package needs {ABI_VERSION}")
        return loaded
    raise ImportError("libquantal.so was not found; build it (cmake --preset release && cmake --build --preset release) or set "
                      "QUANTAL_LIBRARY. Tried: " + "; ".join(tried))


library = _load()


def dtype_number(dtype) -> int:
    """The library's number of an element type: "u8", "s4"... or anything numpy takes. Errors: TypeError."""
    text = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    number = library.quantal_dtype_from_name(word(text, "dtype"))
    if number == 0:
        raise TypeError(f"unknown element type {text!r}")
    return number


def number(value, name: str, least: int, most: int) -> int:
    """A keyword argument that is a whole number; ctypes would cut it to the field's bits. Errors: TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, not {value}")
    return int(value)


def integer(value, name: str, bits: int) -> int:
    """A signed number of so many bits."""
    return number(value, name, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def check(status: int, diag: Optional[Diag] = None, what: str = "") -> None:
    """Raises the exception that belongs to a failed status; does nothing for success."""
    if status == 0:
        return
    text = diag.message.decode("utf-8", "replace") if diag is not None and diag.message else ""
    if not text:
        text = library.quantal_strerror(status).decode()
        text = f"{what}: {text}" if what else text
    kind = _exception_type(status)
    problem = kind(text)
    problem.code = status
    problem.status = library.quantal_status_name(status).decode()
    problem.where = diag.where.decode("utf-8", "replace") if diag is not None else ""
    raise problem


def take_string(pointer: c_void_p) -> str:
    """The text that a char** output received; frees it."""
    try:
        return ctypes.string_at(pointer).decode("utf-8", "replace")
    finally:
        library.quantal_free(pointer)


def path_bytes(path) -> bytes:
    """A path as the library takes it. Errors: TypeError, ValueError (a NUL in it)."""
    encoded = os.fsencode(os.fspath(path))
    if b"\0" in encoded:
        raise ValueError("a path contains a NUL character")
    return encoded


def word(value: Optional[str], name: str) -> Optional[bytes]:
    """A keyword argument that is a word, as bytes. Errors: TypeError, ValueError."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if "\0" in value:
        raise ValueError(f"{name} contains a NUL character")
    return value.encode()


def write_file(path, data: bytes) -> None:
    """The file appears complete or not at all; what was there stays until then. Errors: OSError."""
    path = os.path.realpath(os.fspath(path))  # a link keeps pointing at the file
    if os.path.lexists(path):
        if not os.path.isfile(path):
            raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(path))
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "file is write-protected", os.fsdecode(path))
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=b".quantal-" if isinstance(path, bytes) else ".quantal-")
    try:
        with os.fdopen(descriptor, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(descriptor)
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        else:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
