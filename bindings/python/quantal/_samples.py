"""Samples for calibration and comparison: what `data=` may be, and the callback the library pulls them with.

    ndarray                       many samples: cut along its first axis into batches (with one axis more than the input:
                                  along that extra axis into feeds)
    dict of ndarrays              the same for several inputs
    iterable of ndarrays/dicts    each item is one feed, passed as it is
    path                          a file or directory, read by the library (docs/data.md)
"""
from __future__ import annotations

import ctypes
import os
from typing import Callable, Iterable, Iterator, List, Mapping, Optional, Sequence

import numpy as np

from . import _native as native
from ._arrays import as_array, pack
from ._dlpack import is_foreign
from ._session import Session, ValueInfo, named


def _batches(arrays: Mapping[str, np.ndarray], inputs: Sequence[ValueInfo], batch_size: int) -> Callable[[], Iterator[dict]]:
    ranks = {v.name: len(v.shape) for v in inputs if v.shape is not None}
    fixed = {v.name: v.shape[0] for v in inputs if v.shape}
    lengths = {len(np.asarray(a)) if np.asarray(a).ndim else 1 for n, a in arrays.items()}
    if len(lengths) != 1:
        raise native.DataError(f"the arrays hold different numbers of samples: {sorted(lengths)}")
    count = lengths.pop()
    per_feed = any(n in ranks and np.asarray(a).ndim == ranks[n] + 1 for n, a in arrays.items())
    step = 1 if per_feed else next((f for n, f in fixed.items() if f and n in arrays), batch_size)

    def feeds() -> Iterator[dict]:
        for start in range(0, count, step):
            if per_feed:
                yield {n: np.asarray(a)[start] for n, a in arrays.items()}
                continue
            # A short last batch of a model with a fixed batch is filled with repeats of the last sample.
            pick = np.minimum(np.arange(start, start + step), count - 1) if fixed.get(next(iter(arrays))) else slice(start, start + step)
            yield {n: np.asarray(a)[pick] for n, a in arrays.items()}

    return feeds


class Puller:
    """The samples of one job as callbacks. `failure` holds the exception of the caller's iterable, if it raised one."""

    def __init__(self, data, model, batch_size: int):
        with Session(model, threads=1) as session:
            self.inputs = session.inputs
        self.failure: Optional[BaseException] = None
        self._alive: List[object] = []
        if isinstance(data, np.ndarray) or is_foreign(data):
            data = named_whole(as_array(data, "data"), self.inputs)
        if isinstance(data, Mapping):
            self._make = _batches({n: as_array(a, str(n)) for n, a in data.items() if not n.startswith("_") or n == "_label"}, self.inputs, batch_size)
        elif isinstance(data, Iterable):
            self._make = lambda: iter(data)
        else:
            raise TypeError(f"data must be an ndarray, a dict of them, an iterable of those or a path, not {type(data).__name__}")
        once = isinstance(data, Iterator)  # a generator cannot be started again: the library keeps a copy of its first feeds
        self._iterator = self._make()
        self.pull = native.PullFn(self._pull)
        self.rewind = native.RewindFn(0) if once else native.RewindFn(self._rewind)

    def _pull(self, _context, feed) -> int:
        try:
            item = next(self._iterator, None)
            if item is None:
                return 0
            arrays = named(item, self.inputs)
            tensors, self._alive = pack(arrays)
            self._alive.append(tensors)
            feed.contents.tensors = ctypes.cast(tensors, ctypes.POINTER(native.Tensor))
            feed.contents.count = len(arrays)
            feed.contents.samples = 0
            return 1
        except BaseException as problem:  # an exception cannot cross the library: it is raised again after the call
            self.failure = problem
            return -1

    def _rewind(self, _context) -> int:
        try:
            self._iterator = self._make()
            return 0
        except BaseException as problem:
            self.failure = problem
            return -1


def named_whole(array: np.ndarray, inputs: Sequence[ValueInfo]) -> dict:
    if len(inputs) != 1:
        raise native.DataError(f"the model has {len(inputs)} inputs ({', '.join(v.name for v in inputs)}): pass a dict of arrays")
    return {inputs[0].name: array}


def is_path(data) -> bool:
    return isinstance(data, (str, bytes, os.PathLike))
