"""Uniform and normal numbers, and random masks, from a key: the same for any number of threads, compiled or not.

`key` is a pair of integers below 2^64, key and stream of Philox 4x32-10; keys in any way different give independent numbers.
Results are flat.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from . import philox
from .arrays import Array, array_module
from .compiled import compiled, gpu_part, in_memory_order_of, memory_order, part

Key = tuple[int, int]
CHUNK = 512  # groups that NumPy passes over again and again


def uniform(size: int, dtype: np.dtype, key: Key, beside: Array = None) -> Array:
    """On [0, 1): multiples of 2^-24 in float32, of 2^-53 in float64. On the device of `beside`, if kernels can draw there."""
    return _draw("uniform", size, dtype, key, beside)


def normal(size: int, dtype: np.dtype, key: Key, beside: Array = None) -> Array:
    """Standard normal; at most 6.8 in absolute value in float32, 9.4 in float64. On a device as `uniform`."""
    return _draw("normal", size, dtype, key, beside)


def keep(size: int, p: float, key: Key, beside: Array = None) -> Array:
    """True with probability 1 - p, which is rounded to a multiple of 2^-24: where `uniform` in float32 is at least p.

    On a device as `uniform`.
    """
    threshold, cpu, gpu = ceil(p * 2**24), part("random"), gpu_part("random", beside)
    if gpu is not None:
        return gpu.keep(size, threshold, key, array_module(beside))
    if cpu is not None:
        return cpu.keep(size, threshold, key)
    return _by_chunks(lambda words: [(w >> 8) >= threshold for w in words], size, np.dtype(np.bool_), 4, key)


def dropout(x: Array, like: Array, p: float, scale: float, key: Key) -> Array:
    """scale x where `keep` holds at the elements' places in `like`'s memory, else 0: in one pass on a device with kernels."""
    gpu, order = compiled("random", x, like) if type(x) is not np.ndarray else None, memory_order(like)
    if gpu is None or order is None:
        kept = in_memory_order_of(like, keep(like.size, p, key, like))
        return np.where(array_module(like).asarray(kept), x * x.dtype.type(scale), 0)
    return gpu.dropout(gpu.ordered(x, like, order), scale, ceil(p * 2**24), key)


def drops(x: Array) -> bool:
    """Whether `dropout` of x is one pass."""
    return type(x) is not np.ndarray and compiled("random", x) is not None and memory_order(x) is not None


def _draw(kind: str, size: int, dtype: np.dtype, key: Key, beside: Array) -> Array:
    cpu, gpu = part("random"), gpu_part("random", beside)
    if gpu is not None:
        return gpu.draw(kind, size, dtype, key, array_module(beside))
    if cpu is not None:
        return cpu.draw(kind, size, dtype, key)
    on = philox.OnArrays(dtype)
    formula = getattr(philox, kind)
    return _by_chunks(lambda words: formula(on, words), size, dtype, 2 if on.double else 4, key)


def _by_chunks(formula: Callable, size: int, dtype: np.dtype, per_counter: int, key: Key) -> np.ndarray:
    """The values that a formula makes of the words of all groups, some groups at a time."""
    groups = -(-size // (per_counter * philox.GROUP))
    y = np.empty((groups, per_counter, philox.GROUP), dtype)
    for first in range(0, groups, CHUNK):
        part = y[first : first + CHUNK]
        for j, values in enumerate(formula(philox.words(first, len(part), key))):
            part[:, j] = values
    return y.reshape(-1)[:size]
