"""Random numbers and dropout by the kernels of `random.cuh`: flat, and bit for bit what a CPU draws from the same key."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from ..compiled import memory_order
from ..philox import GROUP
from .elementwise import empty_like, ordered
from .launch import launch

__all__ = ["draw", "dropout", "keep", "ordered"]

THREADS = 256
Key = tuple[int, int]


def draw(kind: str, size: int, dtype: np.dtype, key: Key, xp: Any) -> Array:
    """`size` numbers "uniform" on [0, 1) or "normal", on the current device of xp."""
    double = dtype == np.float64
    y = xp.empty((size,), dtype)
    _run(f"{kind}_{'f64' if double else 'f32'}", (y,), size, 2 if double else 4, (), key)
    return y


def keep(size: int, threshold: int, key: Key, xp: Any) -> Array:
    """`size` booleans: whether 24 random bits are at least the threshold."""
    y = xp.empty((size,), np.uint8)
    _run("keep", (y,), size, 4, (np.int32(threshold),), key)
    return y.view(np.bool_)


def dropout(x: Array, scale: float, threshold: int, key: Key) -> Array | None:
    """scale x where `keep` with this key holds in x's memory order, else 0; None where x has gaps."""
    order = memory_order(x)
    if order is None:
        return None
    y, kind = empty_like(x, order), "f64" if x.dtype == np.float64 else "f32"
    _run(f"dropout_{kind}", (x, y), x.size, 4, (x.dtype.type(scale), np.int32(threshold)), key)
    return y


def _run(name: str, arrays: tuple[Array, ...], size: int, per_counter: int, numbers: tuple[Any, ...], key: Key) -> None:
    if not size:
        return
    counters = -(-size // (per_counter * GROUP)) * GROUP
    words = (np.uint64(k).view(np.int64) for k in key)
    launch("random", name, (-(-counters // THREADS),), THREADS, (*arrays, np.int64(size), *numbers, *words))
