"""The few helpers that every array-library implementation needs."""

from types import ModuleType
from typing import Any

import numpy as np

from .memory import aligned

Array = Any  # numpy.ndarray or cupy.ndarray


def array_module(array: Array) -> ModuleType:
    """numpy or cupy: the module that creates arrays beside `array`."""
    if isinstance(array, np.ndarray):
        return np
    import cupy

    return cupy


def empty(beside: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """An uninitialised array where `beside` lives; NumPy's on the memory pool."""
    if not isinstance(beside, np.ndarray) or np.dtype(dtype).hasobject:
        return array_module(beside).empty(shape, dtype)
    return aligned(shape, dtype)


# By the number of axes: np.moveaxis finds the order anew at each call, which takes as long as a small kernel.
LAST = [(), (0,), *((0, *range(2, n), 1) for n in range(2, 9))]
FIRST = [(), (0,), *((0, n - 1, *range(1, n - 1)) for n in range(2, 9))]


def channels_last(x: Array) -> Array:
    """x (N, C, *spatial) as a contiguous (N, *spatial, C); no copy if its memory is so already."""
    return array_module(x).ascontiguousarray(x.transpose(LAST[x.ndim]))


def channels_first(x: Array) -> Array:
    """The (N, C, *spatial) view of a (N, *spatial, C) block."""
    return x.transpose(FIRST[x.ndim])
