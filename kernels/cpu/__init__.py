"""Convolutions and pools compiled by Numba for this machine's vectors and cores: float32 and float64.

Other types, and what has no kernel here, go to NumPy's. The first call compiles; the result is cached on disk.
"""

from typing import Any

import numba  # without it this implementation does not exist
import numpy as np

from .. import im2col
from ..arrays import Array
from ..spec import ConvSpec, PoolSpec
from . import conv_direct, conv_winograd, pool
from .chooser import choose, explain

__all__ = ["avg_pool", "avg_pool_input", "conv", "conv_input", "conv_weight", "explain", "gather", "max_pool", "scatter"]

TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    return _convolution("conv", x, w, spec)


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    return _convolution("conv_input", g, w, spec)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    return _convolution("conv_weight", x, g, spec)


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    return _of(x).max_pool(x, spec=spec)


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _of(x).gather(x, indices, spec=spec)


def scatter(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    return _of(g).scatter(g, indices, spec=spec)


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    return _of(x).avg_pool(x, spec=spec)


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    return _of(g).avg_pool_input(g, spec=spec)


def supports(*arrays: Array) -> bool:
    return all(isinstance(array, np.ndarray) and array.dtype in TYPES and array.dtype == arrays[0].dtype for array in arrays)


def _of(array: Array) -> Any:
    """The module whose pools take this array."""
    return pool if supports(array) else im2col


def _convolution(function: str, a: Array, b: Array, spec: ConvSpec) -> Array:
    if not supports(a, b):
        return getattr(im2col, function)(a, b, spec=spec)
    name = choose(function, len(a), spec, a.dtype).name
    if name == "direct":
        return getattr(conv_direct, function)(a, b, spec=spec)
    return getattr(conv_winograd, function)(a, b, spec=spec, m=int(name[-1]))
