"""The functions of `kernels.columns` by the kernels of `columns.cuh`."""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays import Array, array_module
from .launch import NOTHING, launch
from .versions import MULTIPROCESSORS

THREADS = 256
BLOCKS = 4 * MULTIPROCESSORS  # that a sum is split into at most
MOMENTS, SUM = 24, 8  # bytes of shared memory for each thread
LARGEST = (1 << 31) - (1 << 23)  # elements; the end of the last tile is computed in 32 bits, and lies behind them


def takes(*matrices: Array) -> bool:
    """Whether the kernels take these matrices: contiguous and of sizes that they can address."""
    x = matrices[0]
    fits = x.size and x.size < LARGEST and x.shape[-1] < THREADS * 65535 and prod(x.shape[:-2]) < 65536
    return bool(fits) and all(m.flags.c_contiguous for m in matrices)


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each column, in float64."""
    matrices, positions, channels, kind = _sizes(x)
    grid, size = _tiles(matrices, positions, channels)
    partial = array_module(x).empty((matrices, grid[0], 3, channels), np.float64)
    sizes = np.int32(positions), np.int32(channels), np.int32(size)
    launch("columns", f"moments_{kind}", grid, THREADS, (x, partial, *sizes), THREADS * MOMENTS)
    mean, variance = merge_moments(partial)
    return mean.reshape(*x.shape[:-2], -1), variance.reshape(*x.shape[:-2], -1)


def merge_moments(partial: Array) -> tuple[Array, Array]:
    """(matrices, tiles, 3, C), count, mean and squared deviations of tiles -> mean and biased variance, (matrices, C)."""
    return _merge("merge_moments", partial, MOMENTS)


def dots(
    x: Array, g: Array, middle: Array, scale: Array | None = None, shift: Array | None = None, slope: float = 1.0
) -> tuple[Array, Array]:
    """sum(h) and sum(h (x - middle)) of each column, in float64, with h = g act'((x - middle) scale + shift)."""
    matrices, positions, channels, kind = _sizes(x)
    grid, size = _tiles(matrices, positions, channels)
    partial = array_module(x).empty((matrices, grid[0], 2, channels), np.float64)
    numbers = _numbers(x, middle, scale, shift)
    sizes = (np.int32(n) for n in (positions, channels, size, channels if matrices > 1 else 0))
    arguments = (x, g, *numbers, x.dtype.type(slope), partial, *sizes)
    launch("columns", f"dots_{kind}", grid, THREADS, arguments, 2 * THREADS * SUM)
    total, dot = _merge("merge_sums", partial, 2 * SUM)
    return total.reshape(*x.shape[:-2], -1), dot.reshape(*x.shape[:-2], -1)


def affine(x: Array, middle: Array, scale: Array, shift: Array | None, slope: float = 1.0) -> Array:
    """act((x - middle) scale + shift)."""
    matrices, positions, channels, kind = _sizes(x)
    y = array_module(x).empty(x.shape, x.dtype)
    arguments = (x, y, *_numbers(x, middle, scale, shift), x.dtype.type(slope), *_map_sizes(matrices, positions, channels))
    launch("columns", f"affine_{kind}", _threads(matrices, positions, channels), THREADS, arguments)
    return y


def combine(
    x: Array,
    g: Array,
    middle: Array,
    scale: Array,
    lean: Array,
    constant: Array,
    shift: Array | None = None,
    slope: float = 1.0,
) -> Array:
    """h scale + (x - middle) lean + constant, with h as in `dots`."""
    matrices, positions, channels, kind = _sizes(x)
    y = array_module(x).empty(x.shape, x.dtype)
    numbers = _numbers(x, middle, scale, lean, constant, shift)
    arguments = (x, g, y, *numbers, x.dtype.type(slope), *_map_sizes(matrices, positions, channels))
    launch("columns", f"combine_{kind}", _threads(matrices, positions, channels), THREADS, arguments)
    return y


def _sizes(x: Array) -> tuple[int, int, int, str]:
    return prod(x.shape[:-2]), *x.shape[-2:], "f64" if x.dtype == np.float64 else "f32"


def _tiles(matrices: int, positions: int, channels: int) -> tuple[tuple[int, int, int], int]:
    """(grid: tiles of rows, windows of columns, matrices; rows of a tile)."""
    windows = -(-channels // THREADS)
    at_once = THREADS // min(channels, THREADS)
    most = max(1, BLOCKS // (windows * matrices))
    size = max(-(-positions // most), min(positions, 8 * at_once))
    return (-(-positions // size), windows, matrices), size


def _threads(matrices: int, positions: int, channels: int) -> tuple[int, int, int]:
    """The grid of a map: a few elements a thread, at least a row."""
    wanted = min(-(-positions * channels // (4 * THREADS)), 8 * MULTIPROCESSORS)
    return max(wanted, -(-channels // THREADS)), 1, matrices


def _map_sizes(matrices: int, positions: int, channels: int) -> tuple[np.int32, ...]:
    return np.int32(positions), np.int32(channels), np.int32(channels if matrices > 1 else 0)


def _numbers(x: Array, *vectors: Array | None) -> list[Array]:
    """The vectors as the kernels read them: contiguous, of x's type; a null pointer for None."""
    xp = array_module(x)
    return [NOTHING if v is None else xp.ascontiguousarray(v, dtype=x.dtype) for v in vectors]


def _merge(name: str, partial: Array, shared: int) -> tuple[Array, Array]:
    matrices, tiles, _, channels = partial.shape
    first, second = (array_module(partial).empty((matrices, channels), np.float64) for _ in range(2))
    arguments = (partial, first, second, np.int32(tiles), np.int32(channels))
    launch("columns", name, (-(-channels // 32), 1, matrices), THREADS, arguments, THREADS * shared)
    return first, second
