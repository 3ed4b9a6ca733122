"""Choosing between two arrays by a mask, at the speed of arithmetic.

np.where branches on each element, and an unpredictable mask (the sign of an activation) costs it ten times what a multiplication
does. Here the bits of the numbers are taken as integers, where 0 and 1 times them is exact for infinities and NaN too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}
_ZERO = {np.dtype(f): np.zeros((), f) for f in (np.float16, np.float32, np.float64)}
_SMALL = 2048  # below, np.where is quicker


def select(condition: Any, a: Any, b: Any) -> Any:
    """np.where(condition, a, b), bit for bit."""
    if isinstance(condition, np.ndarray) and condition.size > _SMALL:
        if not isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            condition, a, b = ~condition, b, a
        if isinstance(a, np.ndarray) and a.dtype.itemsize in _BITS and condition.shape == a.shape:
            bits = _BITS[a.dtype.itemsize]
            if isinstance(b, int) and b == 0:
                return np.multiply(condition, a.view(bits)).view(a.dtype)
            if not isinstance(b, np.ndarray):
                b = np.asarray(b, a.dtype)
            if b.dtype == a.dtype:
                b = b.view(bits)
                y = np.subtract(a.view(bits), b)  # wraps round, and back
                y *= condition
                y += b
                return y.view(a.dtype)
    if isinstance(a, np.ndarray) and type(b) is int and b == 0:
        b = _ZERO.get(a.dtype, b)  # np.where is slower with a Python number
    return np.where(condition, a, b)
