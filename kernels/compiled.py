"""Which arrays go to compiled kernels: large ones of float32 or float64, in memory without gaps; on a GPU, small ones too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import cast

import numpy as np

from .arrays import Array
from .dispatch import chosen, module, on_gpu

GPU_PARTS = ("columns", "elementwise", "optimizer", "random", "rows")
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LARGE = 1 << 15  # elements, from which on a kernel is quicker than NumPy, whose calls cost less


def compiled(name: str, *arrays: Array) -> ModuleType | None:
    """The module `cpu.<name>`, if it is to take these arrays: NumPy's, of one type, the first of them large.

    For CuPy's arrays of any size `cuda.<name>`. None too without Numba, or without NVRTC, or where `kernels.use` asks for another
    implementation.
    """
    first = arrays[0]
    if type(first) is not np.ndarray:
        return _on_gpu(name, arrays)
    if first.size < LARGE or first.dtype.char not in "fd":
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


def gpu_part(name: str, array: Array) -> ModuleType | None:
    """The module `cuda.<name>`, if there is one and it is to take arrays such as this."""
    return _gpu_part(name) if chosen.get() in (None, "cuda") and on_gpu(array) else None


@cache
def _gpu_part(name: str) -> ModuleType | None:
    return import_module(f".cuda.{name}", __package__) if name in GPU_PARTS else None


def _on_gpu(name: str, arrays: Sequence[Array]) -> ModuleType | None:
    first = arrays[0]
    kind, dtype = type(first), getattr(first, "dtype", None)
    if dtype not in FLOATS or not first.size or any(type(a) is not kind or a.dtype != dtype for a in arrays[1:]):
        return None
    return gpu_part(name, first)


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
