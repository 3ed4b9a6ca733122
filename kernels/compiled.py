"""Which arrays go to compiled kernels: large ones of float32 or float64, in memory without gaps."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import cast

import numpy as np

from .arrays import Array
from .dispatch import chosen, module

LARGE = 1 << 15  # elements, from which on a kernel is quicker than NumPy, whose calls cost less


def compiled(name: str, *arrays: Array) -> ModuleType | None:
    """The module `cpu.<name>`, if it is to take these arrays: NumPy's, of one type, the first of them large.

    None too without Numba, or where `kernels.use` asks for another implementation.
    """
    first = arrays[0]
    if type(first) is not np.ndarray or first.size < LARGE or first.dtype.char not in "fd":
        return None
    for other in arrays[1:]:
        if type(other) is not np.ndarray or other.dtype != first.dtype:
            return None
    return part(name)


def part(name: str) -> ModuleType | None:
    """The module `cpu.<name>`; None without Numba, or where `kernels.use` asks for another implementation."""
    return _part(name) if chosen.get() in (None, "cpu") else None


def part_in_use(name: str) -> ModuleType:
    """The module `cpu.<name>` for arrays that it has taken, whatever `kernels.use` asks for by now."""
    return cast(ModuleType, _part(name))


@cache
def _part(name: str) -> ModuleType | None:
    return None if module("cpu") is None else import_module(f".cpu.{name}", __package__)


def memory_order(x: np.ndarray) -> tuple[int, ...] | None:
    """The axes of x from the slowest in memory to the fastest; None where there are gaps or repetitions."""
    return _memory_order(x.shape, x.strides, x.itemsize)


@lru_cache(maxsize=4096)
def _memory_order(shape: tuple[int, ...], strides: tuple[int, ...], step: int) -> tuple[int, ...] | None:
    if 0 in shape:
        return tuple(range(len(shape)))
    axes = sorted(range(len(shape)), key=lambda i: (shape[i] != 1, -strides[i]))
    for i in reversed(axes):
        if shape[i] != 1 and strides[i] != step:
            return None
        step *= shape[i]
    return tuple(axes)


def in_memory_order_of(x: Array, values: np.ndarray) -> np.ndarray:
    """Flat values as an array of x's shape and memory order (C's, where x has gaps): a view."""
    order = memory_order(x) or tuple(range(x.ndim))
    back = [0] * x.ndim
    for place, axis in enumerate(order):
        back[axis] = place
    return values.reshape([x.shape[axis] for axis in order]).transpose(back)
