"""Tensors of random numbers.

All draw from `generator` (nnscratch.Generator), or from the default one, which `manual_seed` restarts. Numbers are drawn on the
CPU, or by a GPU's kernels from the same key, so that a seed gives the same ones on every device; float32 is drawn as float32. Few
numbers come from NumPy's Philox 4x64 one after another; many are functions of a key drawn from it and of their places (Philox
4x32-10), the same for any number of threads, with Numba and without.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .. import backend
from ..backend import Generator, generator_or_default
from ..kernels import random as kernels
from ..kernels.compiled import in_memory_order_of
from ..tensor import Tensor, array_of
from .creation import made, size_of

__all__ = ["normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "uniform"]


MANY = 1 << 15  # numbers from which on they are computed from a key that the generator gives, on all threads


def draw_uniform(shape: tuple[int, ...], dtype: Any, generator: Generator | None, device: str | None = None) -> Any:
    """Uniform on [0, 1) as an array, which may be on the device already."""
    return _draw("random", kernels.uniform, shape, dtype, generator, device)


def draw_normal(shape: tuple[int, ...], dtype: Any, generator: Generator | None, device: str | None = None) -> Any:
    """Standard normal as an array, which may be on the device already."""
    return _draw("standard_normal", kernels.normal, shape, dtype, generator, device)


def _draw(
    method: str, by_key: Callable, shape: tuple[int, ...], dtype: Any, generator: Generator | None, device: str | None
) -> Any:
    dtype = backend.get_default_dtype() if dtype is None else np.dtype(dtype)
    if dtype.kind != "f":
        raise RuntimeError(f"random numbers: expected a floating-point dtype, got {dtype}")
    own = dtype if dtype in (backend.float32, backend.float64) else backend.float32
    generator, size = generator_or_default(generator), prod(shape)
    if size >= MANY:
        beside = None if device is None else backend.to_device(np.zeros(0, own), device)
        values = by_key(size, own, generator.key(), beside).reshape(shape)
    else:
        values = np.asarray(getattr(generator.numpy, method)(shape, dtype=own))
    return values.astype(dtype, copy=False)


def draw_kept(like: Any, p: float, generator: Generator | None) -> Any:
    """Booleans, True with probability 1 - p, of the shape of an array and, where they are many, in its memory order."""
    generator = generator_or_default(generator)
    if like.size < MANY:
        return draw_uniform(like.shape, backend.float32, generator) >= p
    return kept_by(like, p, generator.key())


def kept_by(like: Any, p: float, key: tuple[int, int]) -> Any:
    """The mask of `draw_kept` that a key gives for many elements."""
    array = array_of(like)
    return backend.array_module(array).asarray(in_memory_order_of(array, kernels.keep(array.size, p, key, array)))


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    return made(draw_uniform(size_of("rand", size), dtype, generator, device), device, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal."""
    return made(draw_normal(size_of("randn", size), dtype, generator, device), device, requires_grad)


def uniform(
    low: float,
    high: float,
    size: Any,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [low, high)."""
    values = draw_uniform(size_of("uniform", (size,)), dtype, generator) * (high - low) + low
    return made(values, device, requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Uniform integers from low to high - 1: `randint(high, size)` or `randint(low, high, size)`; int64 by default.

    Raises RuntimeError when low >= high.
    """
    if size is None:
        low, high, size = 0, low, high
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: expected a size as a tuple, got {size!r}")
    if low >= high:
        raise RuntimeError(f"randint: expected low < high, got {low} and {high}")
    values = generator_or_default(generator).numpy.integers(low, high, size_of("randint", (size,)))
    return made(values.astype(backend.int64 if dtype is None else dtype), device)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: str | None = None) -> Tensor:
    """A random permutation of 0, ..., n - 1."""
    if n < 0:
        raise RuntimeError(f"randperm: n cannot be negative, got {n}")
    values = generator_or_default(generator).numpy.permutation(n)
    return made(values.astype(backend.int64 if dtype is None else dtype), device)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with this mean and standard deviation: numbers with a size, or tensors (without history) that broadcast.

    Raises RuntimeError for a negative standard deviation.
    """
    mean, std = (array_of(x) for x in (mean, std))
    if np.any(std < 0):
        raise RuntimeError("normal: the standard deviation cannot be negative")
    if size is None:
        shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
        dtype = dtype or next((x.dtype for x in (mean, std) if getattr(x, "dtype", np.dtype(bool)).kind == "f"), None)
    else:
        shape = size_of("normal", (size,))
    values = draw_normal(shape, dtype, generator)
    on = backend.array_module(mean, std)
    return made((on.asarray(values) * std + mean).astype(values.dtype), device, requires_grad)


def _for(input: Any, dtype: Any, device: str | None) -> tuple[tuple[int, ...], Any, str]:
    array = array_of(input)
    return array.shape, dtype or array.dtype, device or backend.device_of(array)


def rand_like(
    input: Any,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1), with the shape, dtype and device of `input`."""
    shape, dtype, device = _for(input, dtype, device)
    return rand(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(
    input: Any,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal, with the shape, dtype and device of `input`."""
    shape, dtype, device = _for(input, dtype, device)
    return randn(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randint_like(
    input: Any,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Uniform integers from low to high - 1 (or from 0 to low - 1), with the shape, dtype and device of `input`."""
    shape, dtype, device = _for(input, dtype, device)
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, shape, generator=generator, dtype=dtype, device=device)
