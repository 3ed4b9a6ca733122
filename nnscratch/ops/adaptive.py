"""Adaptive pools, whose windows divide the input evenly: output i covers floor(i n / m) .. ceil((i + 1) n / m) - 1.

Where the windows are all alike they are ordinary pools. Otherwise the mean is a small matrix along each axis, by `axis_map`,
which `interpolate` shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..autograd import defvjp, nondifferentiable, primitive
from ..backend import array_module
from ..kernels import PoolSpec
from .pool import _avg_pool, _max_pool, batched, floating, take_plane, unbatched
from .reduce import mean

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


@primitive
def axis_map(x, *, maps):
    """A matrix (out, in), or None for the identity, applied along each spatial axis of x (N, C, *spatial)."""
    y = x.transpose(0, *range(2, x.ndim), 1)
    for axis, matrix in enumerate(maps, start=1):
        if matrix is not None:
            before, after = y.shape[:axis], y.shape[axis + 1 :]
            flat = y.reshape(prod(before), y.shape[axis], prod(after))  # channels stay innermost: contiguous products
            y = np.matmul(array_module(x).asarray(matrix, x.dtype), flat).reshape(*before, len(matrix), *after)
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))


defvjp(axis_map, lambda g, _y, _x, *, maps: axis_map(g, maps=tuple(None if m is None else m.T for m in maps)))


def adaptive_avg_pool1d(input: Any, output_size: int | Sequence[int | None]) -> Any:
    """Mean over `output_size` windows that divide (N, C, L) or (C, L) evenly; see `adaptive_avg_pool2d`."""
    x = batched("adaptive_avg_pool1d", 1, input)
    return unbatched(adaptive_avg_pool(x, _output_sizes("adaptive_avg_pool1d", x, output_size)), input)


def adaptive_avg_pool2d(input: Any, output_size: int | Sequence[int | None]) -> Any:
    """Mean over an OH x OW grid of windows: (N, C, H, W) or (C, H, W) -> (N, C, OH, OW).

    Window i of an axis covers floor(i n / m) .. ceil((i + 1) n / m) - 1. `output_size` is one int, or one per axis; None keeps
    the input's. Raises ValueError for a wrong number of axes or sizes.
    """
    x = batched("adaptive_avg_pool2d", 2, input)
    return unbatched(adaptive_avg_pool(x, _output_sizes("adaptive_avg_pool2d", x, output_size)), input)


def adaptive_avg_pool3d(input: Any, output_size: int | Sequence[int | None]) -> Any:
    """Mean over an OD x OH x OW grid of windows of (N, C, D, H, W) or (C, D, H, W); see `adaptive_avg_pool2d`."""
    x = batched("adaptive_avg_pool3d", 3, input)
    return unbatched(adaptive_avg_pool(x, _output_sizes("adaptive_avg_pool3d", x, output_size)), input)


def adaptive_avg_pool(x: Any, sizes: tuple[int, ...]) -> Any:
    """The same for (N, C, *spatial) of any rank."""
    x, spatial = floating(x), tuple(x.shape[2:])
    if all(m == 1 for m in sizes) and 0 not in spatial:
        return mean(x, tuple(range(2, x.ndim)), keepdim=True)
    if all(m and n and n % m == 0 for n, m in zip(spatial, sizes)):
        return _avg_pool(x, spec=_even_windows(x, sizes))
    return axis_map(x, maps=tuple(None if n == m else _mean_matrix(n, m) for n, m in zip(spatial, sizes)))


@lru_cache(maxsize=256)
def _mean_matrix(n: int, m: int) -> np.ndarray:
    matrix = np.zeros((m, n))
    for i, (start, stop) in enumerate(_windows(n, m)):
        matrix[i, start:stop] = 1 / (stop - start)
    matrix.flags.writeable = False
    return matrix


def _windows(n: int, m: int) -> list[tuple[int, int]]:
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _even_windows(x: Any, sizes: tuple[int, ...]) -> PoolSpec:
    return PoolSpec.of(x.shape, kernel_size=tuple(n // m for n, m in zip(x.shape[2:], sizes)))


def adaptive_max_pool1d(input: Any, output_size: int | Sequence[int | None], return_indices: bool = False) -> Any:
    """Maximum over `output_size` windows that divide (N, C, L) or (C, L) evenly; see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: int | Sequence[int | None], return_indices: bool = False) -> Any:
    """Maximum over an OH x OW grid of windows, divided as in `adaptive_avg_pool2d`: (N, C, H, W) or (C, H, W) -> (N, C, OH, OW).

    The gradient goes to the first maximum; a NaN wins. With `return_indices` gives (values, int64 positions in the H W plane).
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: int | Sequence[int | None], return_indices: bool = False) -> Any:
    """Maximum over an OD x OH x OW grid of windows of (N, C, D, H, W) or (C, D, H, W); see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def _adaptive_max_pool(rank, input, output_size, return_indices):
    name = f"adaptive_max_pool{rank}d"
    x = batched(name, rank, input)
    sizes = _output_sizes(name, x, output_size)
    if 0 in x.shape[2:]:
        raise ValueError(f"{name}: input has an empty spatial axis, shape {tuple(input.shape)}")
    if all(m and n % m == 0 for n, m in zip(x.shape[2:], sizes)):
        y, indices = _max_pool(x, spec=_even_windows(x, sizes))
    else:
        indices = _argmax_of_windows(x, sizes=sizes)
        y = take_plane(x, indices, spec=PoolSpec.of(x.shape, kernel_size=1))
    return (unbatched(y, input), unbatched(indices, input)) if return_indices else unbatched(y, input)


@nondifferentiable
def _argmax_of_windows(x, *, sizes):
    """Plane indices (N, C, *sizes) of the first maximum, or of the last NaN, of each adaptive window."""
    xp, spatial = array_module(x), x.shape[2:]
    places = np.zeros((1,) * 2 * len(sizes), np.int64)  # (m1, k1, m2, k2, ...): output position and place in its window
    for axis, (n, m) in enumerate(zip(spatial, sizes)):
        windows = _windows(n, m)
        longest = max((stop - start for start, stop in windows), default=1)
        # A shorter window repeats its last element, which changes neither its maximum nor where that is first.
        table = np.array([min(start + k, stop - 1) for start, stop in windows for k in range(longest)], np.int64)
        shape = [1] * 2 * len(sizes)
        shape[2 * axis : 2 * axis + 2] = m, longest
        places = places * n + table.reshape(shape)
    rank = len(sizes)
    places = places.transpose(*range(0, 2 * rank, 2), *range(1, 2 * rank, 2))
    places = places.reshape(*sizes, prod(places.shape[rank:]))
    values = x.reshape(*x.shape[:2], prod(spatial))[:, :, xp.asarray(places)]
    best = np.argmax(values, axis=-1)
    if x.dtype.kind == "f":
        nan = np.isnan(values)
        last = values.shape[-1] - 1 - np.argmax(nan[..., ::-1], axis=-1)
        best = np.where(nan.any(axis=-1), last, best)
    return xp.take_along_axis(xp.broadcast_to(xp.asarray(places), values.shape), best[..., None], -1)[..., 0]


def _output_sizes(name: str, x: Any, output_size: Any) -> tuple[int, ...]:
    rank = x.ndim - 2
    sizes = (output_size,) * rank if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(sizes) == 1:
        sizes = sizes * rank
    if len(sizes) != rank or any(m is not None and m < 0 for m in sizes):
        raise ValueError(f"{name}: output_size must be one size or {rank} sizes (None keeps the input's), got {output_size!r}")
    return tuple(n if m is None else int(m) for n, m in zip(x.shape[2:], sizes))
