"""Max and average pools channels-last: one pass over each window's pixels, the channels innermost.

Plain loops over slices, which LLVM vectorises. Work is divided by images and rows, so results do not depend on threads.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..spec import PoolSpec
from .channel_tiles import max_tile, mean_tile, share_tile
from .geometry import divisors, windows
from .launch import parallel, result_like
from .layout import operand
from .simd import at, inlined

CHANNELS = 64  # per item of work where images are few


def max_pool(x: np.ndarray, *, spec: PoolSpec) -> tuple[np.ndarray, np.ndarray]:
    shape = (*x.shape[:2], *spec.output)
    y = result_like(x, shape)
    indices = np.empty(y.shape, np.int64)
    x, table = operand(x), windows(spec)
    if y.size:
        flat = x.reshape(-1), y.reshape(-1), indices.reshape(-1)
        _max(len(x) * len(table.rows), *flat, table.rows, table.cols, *_sizes(x), nanoseconds=x.size)
    return channels_first(y), channels_first(indices)


def gather(x: np.ndarray, indices: np.ndarray, *, spec: PoolSpec) -> np.ndarray:  # noqa: ARG001 (one signature for all)
    x, indices = operand(x), operand(indices.astype(np.int64, copy=False))
    y = np.empty(indices.shape, x.dtype)
    if y.size:
        flat = x.reshape(-1), indices.reshape(-1), y.reshape(-1)
        _take(len(x), *flat, *_sizes(x), prod(indices.shape[1:-1]), nanoseconds=y.size)
    return channels_first(y)


def scatter(g: np.ndarray, indices: np.ndarray, *, spec: PoolSpec) -> np.ndarray:
    gx = result_like(g, (*g.shape[:2], *spec.input))
    done = not gx.size
    g, indices = operand(g), operand(indices.astype(np.int64, copy=False))
    flat = g.reshape(-1), indices.reshape(-1), gx.reshape(-1)
    if not done and _windows_tile(spec) and g.shape[1:-1] == spec.output:
        table, strays = windows(spec), np.zeros(len(g), np.bool_)
        _put_in_windows(len(gx), *flat, table.rows, table.cols, *_sizes(gx), strays, nanoseconds=gx.size)
        done = not strays.any()
    if not done:
        chunk = _chunk(g)
        items = len(g) * -(-g.shape[-1] // chunk)
        _put(items, *flat, *_sizes(gx), prod(g.shape[1:-1]), chunk, nanoseconds=gx.size)
    return channels_first(gx)


def avg_pool(x: np.ndarray, *, spec: PoolSpec) -> np.ndarray:
    y = result_like(x, (*x.shape[:2], *spec.output))
    x, table = operand(x), windows(spec)
    if y.size:
        divisor = divisors(spec).astype(x.dtype)
        flat = x.reshape(-1), y.reshape(-1)
        _mean(len(x) * len(table.rows), *flat, table.rows, table.cols, divisor, *_sizes(x), nanoseconds=x.size)
    return channels_first(y)


def avg_pool_input(g: np.ndarray, *, spec: PoolSpec) -> np.ndarray:
    gx = result_like(g, (*g.shape[:2], *spec.input))
    g, table = operand(g), windows(spec)
    if gx.size:
        divisor = divisors(spec).astype(g.dtype)
        flat, chunk = (g.reshape(-1), gx.reshape(-1)), _chunk(g)
        items = len(g) * -(-g.shape[-1] // chunk)
        tile = _windows_tile(spec)
        _spread(items, *flat, table.rows, table.cols, divisor, *_sizes(gx), chunk, tile, nanoseconds=gx.size)
    return channels_first(gx)


def _sizes(x: np.ndarray) -> tuple[int, int]:
    """Elements of one image, channels."""
    return x[0].size, x.shape[-1]


def _chunk(g: np.ndarray) -> int:
    """Channels per item: all, but where images are few."""
    return g.shape[-1] if len(g) >= 8 else CHANNELS


def _windows_tile(spec: PoolSpec) -> bool:
    """Whether every input pixel lies in exactly one window."""
    whole = all(k == s and k * p == size for k, s, p, size in zip(spec.kernel, spec.stride, spec.output, spec.input, strict=True))
    return whole and set(spec.dilation) == {1} and not any(map(any, spec.padding))


@parallel
def _max(item, x, y, indices, rows, cols, image, channels):
    P, Q = len(rows), len(cols)
    n, a = divmod(item, P)
    inside = np.empty(rows.shape[1] * cols.shape[1], np.int64)
    for b in range(Q):
        count = _pixels(rows, a, cols, b, inside)
        start = (item * Q + b) * channels
        max_tile(at(x, n * image), channels, at(inside, 0), count, at(y, start), at(indices, start), channels)


@parallel
def _take(n, x, indices, y, image, channels, pixels):
    source = x[n * image : (n + 1) * image]
    for p in range(n * pixels, (n + 1) * pixels):
        places, values = indices[p * channels : (p + 1) * channels], y[p * channels : (p + 1) * channels]
        for c in range(channels):
            values[c] = source[places[c] * channels + c]


@parallel
def _put(item, g, indices, x, image, channels, pixels, chunk):
    chunks = (channels + chunk - 1) // chunk
    n, part = divmod(item, chunks)
    low, high = part * chunk, min(channels, part * chunk + chunk)
    target = x[n * image : (n + 1) * image]
    for p in range(0, image, channels):
        target[p + low : p + high] = 0
    for p in range(n * pixels, (n + 1) * pixels):
        values, places = g[p * channels : (p + 1) * channels], indices[p * channels : (p + 1) * channels]
        for c in range(low, high):
            target[places[c] * channels + c] += values[c]


@parallel
def _put_in_windows(n, g, indices, x, rows, cols, image, channels, strays):
    """As _put, for windows that tile the input; marks the images with an index outside its window."""
    P, Q = len(rows), len(cols)
    found = 0
    for a in range(P):
        for b in range(Q):
            p = ((n * P + a) * Q + b) * channels
            values, places = g[p : p + channels], indices[p : p + channels]
            for row in rows[a]:
                for col in cols[b]:
                    index = row + col
                    target = x[n * image + index * channels : n * image + (index + 1) * channels]
                    for c in range(channels):
                        here = places[c] == index
                        target[c] = values[c] if here else 0
                        found += here
    strays[n] = found != P * Q * channels


@parallel
def _mean(item, x, y, rows, cols, divisor, image, channels):
    P, Q = len(rows), len(cols)
    n, a = divmod(item, P)
    inside = np.empty(rows.shape[1] * cols.shape[1], np.int64)
    for b in range(Q):
        count = _pixels(rows, a, cols, b, inside)
        start = (item * Q + b) * channels
        mean_tile(at(x, n * image), channels, at(inside, 0), count, divisor[a, b], at(y, start), channels)


@parallel
def _spread(item, g, x, rows, cols, divisor, image, channels, chunk, tile):
    """As _mean, back; where the windows `tile` the input nothing is added up."""
    P, Q = len(rows), len(cols)
    chunks = (channels + chunk - 1) // chunk
    n, part = divmod(item, chunks)
    low, high = part * chunk, min(channels, part * chunk + chunk)
    inside = np.empty(rows.shape[1] * cols.shape[1], np.int64)
    if not tile:
        for p in range(n * image, (n + 1) * image, channels):
            x[p + low : p + high] = 0
    for a in range(P):
        for b in range(Q):
            count = _pixels(rows, a, cols, b, inside)
            start = ((n * P + a) * Q + b) * channels + low
            share_tile(at(g, start), divisor[a, b], at(inside, 0), count, at(x, n * image + low), channels, not tile, high - low)


@inlined
def _pixels(rows, a, cols, b, inside):
    """The offsets of a window's pixels that lie in the image, and how many they are.

    A view of a table would be counted, by all threads in one place.
    """
    count = 0
    for i in range(rows.shape[1]):
        for j in range(cols.shape[1]):
            if rows[a, i] >= 0 and cols[b, j] >= 0:
                inside[count] = rows[a, i] + cols[b, j]
                count += 1
    return count
