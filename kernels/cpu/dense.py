"""Arrays as flat runs of memory, whatever the order of their axes."""

from __future__ import annotations

import numpy as np

from ..compiled import in_memory_order_of, memory_order
from .simd import aligned, plain


def flat(x: np.ndarray) -> np.ndarray | None:
    """The elements of x as they lie in memory, a view; None where it has gaps or is read-only (to Numba, another type)."""
    flags = x.flags
    if flags.carray:
        return x.reshape(-1)
    order = memory_order(x)
    if order is None or not flags.behaved:
        return None
    return x.transpose(order).reshape(-1)


def flat_like(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The elements of g in the memory order of a dense x of the same shape: a view, or a copy."""
    if g.flags.carray and x.flags.c_contiguous:
        return g.reshape(-1)
    order = memory_order(x)
    return plain(g.transpose(order)).reshape(-1)  # type: ignore[arg-type]


def empty_like(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A new array with the shape and memory order of a dense x; and its elements as `flat` gives them."""
    if x.flags.c_contiguous:
        y = aligned(x.shape, x.dtype)
        return y, y.reshape(-1)
    block = aligned((x.size,), x.dtype)
    return in_memory_order_of(x, block), block
