"""The few helpers that every array-library implementation needs."""

from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray


def array_module(array: Array) -> ModuleType:
    """numpy or cupy: the module that creates arrays beside `array`."""
    if isinstance(array, np.ndarray):
        return np
    import cupy

    return cupy


def channels_last(x: Array) -> Array:
    """x (N, C, *spatial) as a contiguous (N, *spatial, C); no copy if its memory is so already."""
    return array_module(x).ascontiguousarray(np.moveaxis(x, 1, -1))


def channels_first(x: Array) -> Array:
    """The (N, C, *spatial) view of a (N, *spatial, C) block."""
    return np.moveaxis(x, -1, 1)
