"""Blocks of products, the common core of direct convolution and matrix product; and the matrix product itself."""

import math

import numpy as np

from .launch import parallel
from .packing import Filters, pack
from .simd import ROWS_1, ROWS_2, ROWS_4, WIDEST, aligned, at, inlined, lanes, shifted
from .tiles import gather_tile

BLOCK = 96  # rows (pixels); a multiple of every tile's rows
DEPTH = 512  # products per pass over a block: their weights, read once for every tile, stay in the cache
RATE = 50  # products a nanosecond of one core, to estimate times
ITEMS = 16  # of work at least, where the shape allows it
ACTIVATIONS = (None, "relu", "leaky_relu", "tanh", "sigmoid")


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None, slope: float = 0.01
) -> np.ndarray:
    """activation(a @ b + bias) for a (M, K), b (K, N) in any memory order, bias (N,), all of one type, float32 or float64.

    `activation` is None, "relu", "leaky_relu" (with `slope`), "tanh" or "sigmoid". Raises ValueError where
    shapes do not fit, TypeError for other types.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or (bias is not None and bias.shape != b.shape[1:]):
        given = f"{a.shape} @ {b.shape}" + (f" + {bias.shape}" if bias is not None else "")
        raise ValueError(f"matmul: expected (M, K) @ (K, N) + (N,), got {given}")
    types = {array.dtype.name for array in (a, b, bias) if array is not None}
    if len(types) > 1 or not types <= {"float32", "float64"}:
        raise TypeError(f"matmul: expected arrays of one type, float32 or float64, got {', '.join(sorted(types))}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"matmul: activation must be one of {ACTIVATIONS}, got {activation!r}")
    (rows, depth), columns = a.shape, b.shape[1]
    y = aligned((rows, columns), a.dtype)
    if not depth:
        y.fill(0)
    bias = np.zeros(columns, a.dtype) if bias is None else np.require(bias, requirements=["C", "A", "W"])
    a, filters = np.require(a, requirements=["C", "A", "W"]), _filters(b)
    packed = pack(filters, np.zeros(1, np.int64))
    split = split_vectors(columns, -(-rows // BLOCK), a.dtype)
    kind = ACTIVATIONS.index(activation)
    if y.size:
        items = -(-rows // BLOCK) * -(-columns // (split * lanes(a.dtype)))
        sizes = rows, depth, columns, split, lanes(a.dtype)
        _matmul(items, a.reshape(-1), packed, y.reshape(-1), *sizes, bias, kind, slope, nanoseconds=y.size * (depth + 10) / RATE)
    return y


def _filters(b: np.ndarray) -> Filters:
    depth, columns = b.shape
    if b.flags.f_contiguous and not b.flags.c_contiguous:
        return Filters(np.require(b.T, requirements=["C", "A", "W"]).reshape(-1), 1, columns, depth, 1, (0, depth, 1))
    return Filters(np.require(b, requirements=["C", "A", "W"]).reshape(-1), 1, columns, depth, 1, (0, 1, columns))


def split_vectors(columns: int, blocks: int, dtype: np.dtype) -> int:
    """Vectors of result columns per item of work, so that `blocks` of rows make enough items."""
    vectors = -(-columns // lanes(dtype))
    splits = max(1, min(-(-vectors // WIDEST), ITEMS // max(1, blocks)))
    return -(-vectors // (splits * WIDEST)) * WIDEST


@inlined
def gather_panel(source, target, zeros, table, targets, taps, weights, base, count, depth, width, vector, vectors, lanes):
    """Result channels from `vector` on, `vectors` wide, of one block; in passes whose weights, at `base`, stay cached."""
    stride, columns = BLOCK, vectors * lanes
    width = min(columns, width - vector * lanes)
    target = shifted(target, vector * lanes)
    tap_step = depth * columns
    channels = min(depth, DEPTH)
    together = max(1, DEPTH // depth)
    for t in range(0, taps, together):
        n_taps = min(together, taps - t)
        for c in range(0, depth, channels):
            n = min(channels, depth - c)
            panel = at(weights, base + t * tap_step + c * columns)
            more = t + c > 0
            start = shifted(source, c)
            if vectors == 4:
                for i in range(0, count, ROWS_4):
                    gather_tile(
                        ROWS_4, 4, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more,
                    )  # fmt: skip
            elif vectors == 2:
                for i in range(0, count, ROWS_2):
                    gather_tile(
                        ROWS_2, 2, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more,
                    )  # fmt: skip
            else:
                for i in range(0, count, ROWS_1):
                    gather_tile(
                        ROWS_1, 1, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more,
                    )  # fmt: skip


@parallel
def _matmul(item, a, packed, y, rows, depth, columns, split, lanes, bias, kind, slope):
    vectors = (columns + lanes - 1) // lanes
    splits = (vectors + split - 1) // split
    block, part = divmod(item, splits)
    first, count = block * BLOCK, min(BLOCK, rows - block * BLOCK)
    table, targets = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    for i in range(BLOCK):
        row = min(first + i, rows - 1)
        table[i] = row * depth
        targets[i] = row * columns
    vector, end = part * split, min(vectors, (part + 1) * split)
    while vector < end and depth > 0:
        step = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        source, target = at(a, 0), at(y, 0)
        gather_panel(
            source, target, source, table, targets, 1, packed, vector * lanes * depth, count, depth, columns, vector, step, lanes
        )
        vector += step
    low, high = part * split * lanes, min(columns, (part + 1) * split * lanes)
    for i in range(count):
        values = y[(first + i) * columns + low : (first + i) * columns + high]
        for j in range(high - low):
            values[j] += bias[low + j]
        if kind == 1 or kind == 2:
            factor = values.dtype.type(slope if kind == 2 else 0.0)
            for j in range(high - low):
                values[j] = values[j] * factor if values[j] <= 0 else values[j]
        elif kind == 3:
            for j in range(high - low):
                values[j] = math.tanh(values[j])
        elif kind == 4:
            for j in range(high - low):
                values[j] = 1 / (1 + math.exp(-values[j]))
