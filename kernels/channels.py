"""Vectors of one value per channel against (N, C, *spatial) arrays in channels-last memory, and what follows a convolution.

Adding a (C,) vector to each short row of the matrix (positions, channels) would cost NumPy one inner loop per row, so several
rows are taken as one long row, and the vector is tiled to match.
"""

from functools import lru_cache

import numpy as np

from .arrays import Array, array_module, channels_last
from .select import select
from .spec import ConvSpec

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


def finish(y: Array, bias: Array | None, slope: float) -> Array:
    """act(y + bias) in place: act(v) = v where v > 0, else slope v, for 0 <= slope <= 1. Returns y."""
    if bias is not None:
        add_channels(y, bias)
    if slope == 0:
        np.maximum(y, 0, out=y)
    elif slope != 1:
        np.maximum(y, y * y.dtype.type(slope), out=y)
    return y


def unfinish(g: Array, y: Array, slope: float) -> Array:
    """g act'(y), y being `finish`'s result: at 0 the slope, at a NaN what relu and leaky_relu have."""
    if slope == 1:
        return g
    return select(y != 0, g, 0) if slope == 0 else select(y > 0, g, g * g.dtype.type(slope))


def pool_2x2(y: Array) -> tuple[Array, Array]:
    """The 2x2 max-pool of (N, C, H, W), and which of the four it was (uint8); the first of equals, a NaN over all before it."""
    height, width = (size // 2 * 2 for size in y.shape[2:])
    quarters = [y[:, :, dy:height:2, dx:width:2] for dy in (0, 1) for dx in (0, 1)]
    best = quarters[0].copy("K")
    argmax = np.zeros_like(best, np.uint8)
    for q, value in enumerate(quarters[1:], 1):
        better = ~(value <= best) & ((best == best) | (value != value))
        np.copyto(best, value, where=better)
        np.copyto(argmax, q, where=better, casting="unsafe")
    return best, argmax


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
    return column_sums(long_rows(rows(x)), x.shape[1])


def unpool_2x2(g: Array, y: Array, argmax: Array, spec: ConvSpec, slope: float, bias: bool = False) -> tuple[Array, Array | None]:
    """(gradient (N, C, *spec.output) of `pool_2x2(finish(...))`, y being its result, and its sum per channel if `bias`).

    It is g act'(y) at the maxima, 0 elsewhere.
    """
    gx = array_module(g).zeros((len(g), *spec.output, g.shape[1]), g.dtype).transpose(0, 3, 1, 2)
    g = unfinish(g, y, slope)
    height, width = (size // 2 * 2 for size in spec.output)
    for q in range(4):
        gx[:, :, q // 2 : height : 2, q % 2 : width : 2] = np.where(argmax == q, g, 0)
    return gx, channel_sum(g) if bias else None
