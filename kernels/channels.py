"""Vectors of one value per channel against (N, C, *spatial) arrays in channels-last memory.

Adding a (C,) vector to each short row of the matrix (positions, channels) would cost NumPy one inner loop per row, so several
rows are taken as one long row, and the vector is tiled to match.
"""

from functools import lru_cache

import numpy as np

from . import columns
from .arrays import Array, channels_last

LONG_ROW = 2048  # elements: past this an inner loop's start costs nothing


@lru_cache(maxsize=1024)
def rows_together(positions: int, channels: int) -> int:
    """The largest divisor of `positions` whose rows together are at most a long row."""
    most = min(positions, LONG_ROW // max(channels, 1))
    return next((k for k in range(most, 1, -1) if positions % k == 0), 1)


def long_rows(matrix: Array) -> Array:
    """(positions, C) as (positions / k, k C)."""
    positions, channels = matrix.shape
    k = rows_together(positions, channels)
    return matrix.reshape(positions // k, k * channels)


def tiled(vector: Array, length: int) -> Array:
    """A (C,) vector repeated to `length`, to meet a long row."""
    if len(vector) == length:
        return vector
    copies = np.empty_like(vector, shape=(length // len(vector), len(vector)))  # np.tile takes ten times as long
    copies[...] = vector
    return copies.reshape(length)


def add_channels(y: Array, b: Array) -> Array:
    """Add b (C,) to y (N, C, *spatial) in place; returns y."""
    last = y.transpose(0, *range(2, y.ndim), 1)
    if last.flags.c_contiguous and y.size:
        last = long_rows(last.reshape(-1, y.shape[1]))
        b = tiled(b, last.shape[1])
    last += b
    return y


def rows(x: Array) -> Array:
    """(N, C, *spatial) as a contiguous (positions, C): a view of channels-last memory, a copy of any other."""
    return channels_last(x).reshape(x.size // max(x.shape[1], 1), x.shape[1])


def fold(total: Array, channels: int) -> Array:
    """What was summed in long rows, per channel."""
    return total if len(total) == channels else np.add.reduce(total.reshape(-1, channels), axis=0)


def column_sums(matrix: Array, channels: int) -> Array:
    """Sums over the positions of a matrix of long rows: (channels,)."""
    return fold(np.add.reduce(matrix, axis=0), channels)


def channel_sum(x: Array) -> Array:
    """Sum over all axes but the second: (N, C, *spatial) -> (C,)."""
    matrix = rows(x)
    total = columns.sums(matrix)
    return column_sums(long_rows(matrix), x.shape[1]) if total is None else total.astype(x.dtype)
