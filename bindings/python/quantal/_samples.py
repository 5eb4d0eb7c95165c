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
from typing import Callable, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import _native as native
from ._arrays import as_array, pack
from ._dlpack import is_foreign
from ._session import Session, ValueInfo, is_extra, named

_END = object()  # None may be an item, and a wrong one


def _batches(arrays: Mapping[str, np.ndarray], inputs: Sequence[ValueInfo], batch_size: int) -> Callable[[], Iterator[Tuple[dict, int]]]:
    """Feeds, each with how many samples it holds (0: as many as its first array has rows)."""
    shapes = {v.name: v.shape for v in inputs if v.shape is not None}
    cut = {n: a for n, a in arrays.items() if a.ndim or shapes.get(n) != ()}  # an input without dimensions is the same in every feed
    lengths = {len(a) if a.ndim else 1 for a in cut.values()}
    if len(lengths) != 1:
        raise native.DataError(f"the arrays hold different numbers of samples: {sorted(lengths)}")
    count = lengths.pop()
    per_feed = any(n in shapes and a.ndim == len(shapes[n]) + 1 for n, a in cut.items())
    fixed = next((s[0] for n, s in shapes.items() if n in cut and s and s[0]), None)
    step = 1 if per_feed else fixed or batch_size

    def part(name: str, array: np.ndarray, start: int) -> np.ndarray:
        if name not in cut or array.ndim == 0:
            return array
        if per_feed:
            return array[start]
        if fixed and name != "_label":  # a short last batch of a model with a fixed batch is filled with repeats of the last sample
            return array[np.minimum(np.arange(start, start + step), count - 1)]
        return array[start:start + step]

    def feeds() -> Iterator[Tuple[dict, int]]:
        for start in range(0, count, step):
            yield {n: part(n, a, start) for n, a in arrays.items()}, 0 if per_feed else min(step, count - start)

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
            arrays = {n: as_array(a, n) for n, a in data.items() if not is_extra(n)}
            self._make = _batches(arrays, self.inputs, batch_size)
        elif isinstance(data, Iterable):
            self._make = lambda: ((item, 0) for item in data)
        else:
            raise TypeError(f"data must be an ndarray, a dict of them, an iterable of those or a path, not {type(data).__name__}")
        once = isinstance(data, Iterator)  # a generator cannot be started again: the library keeps a copy of its first feeds
        self._iterator = self._make()
        self.pull = native.PullFn(self._pull)
        self.rewind = native.RewindFn(0) if once else native.RewindFn(self._rewind)

    def _pull(self, _context, feed) -> int:
        try:
            item, samples = next(self._iterator, (_END, 0))
            if item is _END:
                return 0
            arrays = named(item, self.inputs)
            tensors, self._alive = pack(arrays)
            self._alive.append(tensors)
            feed.contents.tensors = ctypes.cast(tensors, ctypes.POINTER(native.Tensor))
            feed.contents.count = len(arrays)
            feed.contents.samples = samples
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
