"""Pools by the kernels of `pool.cuh`."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..arrays import Array, array_module, channels_first, channels_last
from ..spec import PoolSpec
from .launch import Device, device, launch

THREADS = 256
TYPES = (np.dtype(np.float32), np.dtype(np.float64))
LARGEST = 1 << 31


def takes(x: Array, spec: PoolSpec) -> bool:
    """Whether the kernels pool this: floating, not empty, of sizes that they can address."""
    places = max(prod(spec.input), prod(spec.output))
    return x.dtype in TYPES and x.size > 0 and places < LARGEST and x.size < LARGEST * THREADS


def max_pool(x: Array, spec: PoolSpec) -> tuple[Array, Array]:
    x, y = channels_last(x), _empty(x, spec.output)
    indices = array_module(x).empty(y.shape, np.int64)
    _run("max_pool", y, (x, y, indices, _plan(spec, device(x)), np.int32(y.shape[-1])))
    return channels_first(y), channels_first(indices)


def unpool(g: Array, indices: Array, spec: PoolSpec) -> Array:
    """`scatter` where each place lies in its window."""
    gx = _empty(g, spec.input)
    _run("unpool", gx, (channels_last(g), channels_last(indices), gx, _plan(spec, device(g)), np.int32(gx.shape[-1])))
    return channels_first(gx)


def gather(x: Array, indices: Array, spec: PoolSpec) -> Array:
    places = channels_last(indices).astype(np.int64, copy=False)
    y = array_module(x).empty(places.shape, x.dtype)
    sizes = np.int64(prod(spec.input)), np.int64(prod(places.shape[1:-1])), np.int32(places.shape[-1])
    _run("gather", y, (channels_last(x), places, y, *sizes))
    return channels_first(y)


def avg_pool(x: Array, spec: PoolSpec) -> Array:
    y = _empty(x, spec.output)
    _run("avg_pool", y, (channels_last(x), y, _plan(spec, device(x)), *_averaged(y, spec)))
    return channels_first(y)


def avg_pool_input(g: Array, spec: PoolSpec) -> Array:
    gx = _empty(g, spec.input)
    _run("avg_pool_input", gx, (channels_last(g), gx, _plan(spec, device(g)), *_averaged(gx, spec)))
    return channels_first(gx)


def pool_2x2(x: Array) -> tuple[Array, Array]:
    """The 2x2 max-pool of (N, C, H, W), and which of the four it was (uint8)."""
    height, width = x.shape[2:]
    x, y = channels_last(x), _empty(x, (height // 2, width // 2))
    argmax = array_module(x).empty(y.shape, np.uint8)
    _run("pool_2x2", y, (x, y, argmax, np.int32(height), np.int32(width), np.int32(y.shape[-1])))
    return channels_first(y), channels_first(argmax)


def unpool_2x2(g: Array, y: Array, argmax: Array, size: tuple[int, ...], slope: float) -> Array:
    """g act'(y) at the maxima of `pool_2x2` after act, y being its result, 0 elsewhere: (N, C, *size)."""
    gx = _empty(g, size)
    arrays = (channels_last(a) for a in (g, y, argmax))
    _run("unpool_2x2", gx, (*arrays, gx, g.dtype.type(slope), *map(np.int32, size), np.int32(gx.shape[-1])))
    return channels_first(gx)


def _empty(beside: Array, size: tuple[int, ...]) -> Array:
    return array_module(beside).empty((len(beside), *size, beside.shape[1]), beside.dtype)


def _averaged(y: Array, spec: PoolSpec) -> tuple[np.int32, np.int32]:
    return np.int32(y.shape[-1]), np.int32(spec.divisor_override or 0)


def _run(name: str, result: Array, arguments: tuple[Any, ...]) -> None:
    if result.size:
        kind = "f64" if result.dtype == np.float64 else "f32"
        launch("pool", f"{name}_{kind}", (-(-result.size // THREADS),), THREADS, (*arguments, np.int64(result.size)))


@lru_cache(maxsize=1024)
def _plan(spec: PoolSpec, where: Device) -> Array:
    """See `pool.cuh`. There are three axes; what is missing has length 1."""
    missing = 3 - spec.rank
    low = tuple(pair[0] for pair in spec.padding)
    sizes = (spec.input, 1), (spec.output, 1), (spec.kernel, 1), (spec.stride, 1), (low, 0), (spec.dilation, 1)
    header = [v for values, default in sizes for v in (*(default,) * missing, *values)]
    counts = [v for axis in (*((1,),) * missing, *spec.counts) for v in axis]
    return where.asarray(np.array([*header, *counts], np.int32), for_all=True)
