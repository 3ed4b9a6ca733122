"""Per-channel sums and affine maps of (N, C, *spatial), in long contiguous passes over channels-last memory.

The array is viewed as a matrix (positions, channels). Adding a (C,) vector to each of its short rows would cost NumPy one
inner loop per row, so several rows are taken as one long row, and the vector is tiled to match.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import defvjp, primitive
from ..kernels import columns
from ..kernels.channels import fold, long_rows, rows, rows_together, tiled
from .views import expand, reshape

__all__ = ["channel_affine", "channel_sum"]

CHUNK = 1 << 16  # elements that several passes go over while they are in the cache


def unrows(matrix: Any, shape: tuple[int, ...]) -> Any:
    """The view (N, C, *spatial) of a (positions, C) matrix."""
    last = matrix.reshape(shape[0], *shape[2:], shape[1])
    return last.transpose(0, last.ndim - 1, *range(1, last.ndim - 1))


def by_image(x: Any) -> Any:
    """(N, C, *spatial) as (N, positions / k, k C): long rows, none across two images."""
    n, channels, positions = x.shape[0], x.shape[1], prod(x.shape[2:])
    k = rows_together(positions, channels)
    return rows(x).reshape(n, positions // k, k * channels)


def column_dots(a: Any, b: Any, channels: int) -> Any:
    """Sums over the positions of the product of two matrices of long rows: (channels,)."""
    return fold(np.einsum("ij,ij->j", a, b), channels)


def chunks(matrix: Any) -> Iterator[slice]:
    """Slices of rows that fit the cache; on a GPU, which has no use for that, all rows."""
    size = builtins.max(1, CHUNK // builtins.max(1, matrix.shape[1])) if isinstance(matrix, np.ndarray) else len(matrix)
    for begin in range(0, len(matrix), size):
        yield slice(begin, begin + size)


def image_chunks(images: Any) -> Iterator[slice]:
    """`chunks`, for the images of `by_image`."""
    return chunks(images.reshape(len(images), prod(images.shape[1:])))


@primitive
def channel_sum(x):
    """Sum over all axes but the second: (N, C, *spatial) -> (C,)."""
    if x.dtype == np.float16:  # its running sums would overflow
        return channel_sum(x.astype(np.float32)).astype(x.dtype)
    return kernels.channels.channel_sum(x)


defvjp(channel_sum, lambda g, _y, _x: expand(reshape(g, (-1, *(1,) * (_x.ndim - 2))), _x.shape))


@primitive
def channel_affine(x, s, t):
    """y[n, c] = x[n, c] * s[c] + t[c]: (N, C, *spatial), (C,), (C,); s and t may be None."""
    matrix = rows(x)
    y = columns.affine(matrix, np.zeros_like(t if s is None else s), np.ones_like(t) if s is None else s, t)
    if y is not None:
        return unrows(y, x.shape)
    matrix = long_rows(matrix)
    width = matrix.shape[1]
    if s is None:
        y = matrix + tiled(t, width)
    else:
        y = matrix * tiled(s, width)
        if t is not None:
            y += tiled(t, width)
    return unrows(y, x.shape)


defvjp(
    channel_affine,
    lambda g, _y, _x, s, _t: g if s is None else channel_affine(g, s, None),
    lambda g, _y, x, _s, _t: channel_sum(g * x),
    lambda g, _y, _x, _s, _t: channel_sum(g),
)
