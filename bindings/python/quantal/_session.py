"""Session: runs a float or quantized model."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _native as native
from ._arrays import NUMPY_OF, as_array, fit, pack, unpack


@dataclass(frozen=True)
class ValueInfo:
    """An input or output: its name, numpy type, and shape (None where the model fixes no dimension; shape None: unknown rank)."""

    name: str
    dtype: Optional[np.dtype]
    shape: Optional[Tuple[Optional[int], ...]]


class Session:
    """A loaded model. Threads may share one session; the GIL is free while it runs.

    model:   path of an .onnx file, or its bytes (without external data)
    threads: 0 = all cores the process may use, 1 = the caller's only

    Errors: FileNotFoundError, OSError, quantal.ModelError (damaged), quantal.UnsupportedError (an operator).
    """

    def __init__(self, model: Union[str, bytes, "object"], threads: int = 0):
        self._handle = ctypes.c_void_p()
        diag = native.Diag()
        handle = ctypes.c_void_p()
        threads = native.number(threads, "threads", 0, 1024)
        if isinstance(model, (bytes, bytearray, memoryview)):
            data = bytes(model)
            status = native.library.quantal_session_create_memory(data, len(data), threads, ctypes.byref(handle), ctypes.byref(diag))
        else:
            status = native.library.quantal_session_create_file(native.path_bytes(model), threads, ctypes.byref(handle), ctypes.byref(diag))
        native.check(status, diag)
        self._handle = handle
        lib = native.library
        self.inputs: List[ValueInfo] = self._values(lib.quantal_session_input_count, lib.quantal_session_input)
        self.outputs: List[ValueInfo] = self._values(lib.quantal_session_output_count, lib.quantal_session_output)

    def _values(self, count, get) -> List[ValueInfo]:
        out = []
        for i in range(count(self._handle)):
            info = native.ValueInfo()
            native.check(get(self._handle, i, ctypes.byref(info)))
            shape = None if info.rank < 0 else tuple(None if d < 0 else int(d) for d in info.dims[:info.rank])
            dtype = np.dtype(NUMPY_OF[info.dtype]) if info.dtype in NUMPY_OF else None
            out.append(ValueInfo(info.name.decode("utf-8", "replace"), dtype, shape))
        return out

    def run(self, feeds: Union[np.ndarray, Mapping[str, np.ndarray]], outputs: Optional[Sequence[str]] = None) -> Dict[str, np.ndarray]:
        """Runs the model once: a dict of arrays in, a dict of new arrays out.

        feeds:   arrays by input name (one array is enough for a single-input model); they are converted to the inputs' types (docs/data.md)
        outputs: names to return; any value of the main graph; default: the model's outputs

        Errors: quantal.DataError (missing input, wrong shape, floats for an integer input), TypeError (an array that is not numeric).
        """
        if not self._handle:
            raise ValueError("the session is closed")
        feed = named(feeds, self.inputs)
        tensors, alive = pack(feed)
        names = [n.encode() for n in outputs] if outputs else []
        wanted = (ctypes.c_char_p * max(len(names), 1))(*names)
        results, diag = ctypes.c_void_p(), native.Diag()
        status = native.library.quantal_session_run(self._handle, tensors, len(feed), wanted, len(names), ctypes.byref(results), ctypes.byref(diag))
        del alive
        native.check(status, diag)
        try:
            out = {}
            for i in range(native.library.quantal_results_count(results)):
                t = native.Tensor()
                native.check(native.library.quantal_results_get(results, i, ctypes.byref(t)))
                out[t.name.decode("utf-8", "replace")] = unpack(t)
            return out
        finally:
            native.library.quantal_results_free(results)

    def close(self) -> None:
        """Frees the model. The session cannot be used afterwards; it is also freed when it is garbage-collected."""
        if self._handle:
            native.library.quantal_session_free(self._handle)
            self._handle = ctypes.c_void_p()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) and native is not None and native.library is not None:
            self.close()


def named(feed, inputs: Sequence[ValueInfo]) -> Dict[str, np.ndarray]:
    """One feed as dense arrays of the inputs' types, by name. An array alone is the only input. Names with '_' first are kept."""
    if not isinstance(feed, Mapping):
        if len(inputs) != 1:
            raise native.DataError(f"the model has {len(inputs)} inputs ({', '.join(v.name for v in inputs)}): pass a dict of arrays")
        feed = {inputs[0].name: feed}
    types = {v.name: v.dtype for v in inputs}
    types.setdefault("_label", np.dtype(np.int64))
    return {name: fit(as_array(value, name), types.get(name), name) for name, value in feed.items() if not is_extra(name)}


def is_extra(name) -> bool:
    """A name that begins with '_' and is not `_label` belongs to the caller. Errors: TypeError (not a str)."""
    if not isinstance(name, str):
        raise TypeError(f"names of arrays must be str, not {type(name).__name__}")
    return name.startswith("_") and name != "_label"
