"""Winograd's filters: G w G' in the tiles' order, and the way back for their gradient."""

import numpy as np

from .launch import parallel
from .linear_maps import linear_map
from .packing import Filters, pack, padded_lanes, unpack
from .simd import WIDEST, aligned, at, inlined, kernel, lanes

POINTS = 36  # of a tile at most
CHUNK = 512  # elements transformed at a time


def transformed(w: Filters, taps: np.ndarray, m: int) -> np.ndarray:
    """G w G' as ((m + 2)^2, -1): per point the panels (depth, columns) of `pack`."""
    dtype = w.data.dtype
    width = padded_lanes(w.outputs, dtype)
    filters = aligned(((m + 2) ** 2, width * w.depth), dtype)
    vectors, chunk = width // lanes(dtype), max(1, CHUNK // (WIDEST * lanes(dtype)))
    items = -(-vectors // WIDEST) * -(-w.depth // chunk)
    packed = pack(w, taps).reshape(-1)
    _filters(items, packed, filters, m, w.depth, vectors, lanes(dtype), nanoseconds=filters.size)
    return filters


def transformed_back(sums: np.ndarray, gw: Filters, taps: np.ndarray, m: int) -> None:
    """gw = G' (sum over parts of sums) G; sums is (parts, (m + 2)^2, depth, outputs), padded, and is overwritten."""
    parts, _, depth, width = sums.shape
    total = aligned((1, 1, 9, depth, width), sums.dtype)
    size = depth * width
    _filters_back(-(-size // CHUNK), sums.reshape(parts, -1), total.reshape(-1), m, size, nanoseconds=sums.size)
    unpack(total, gw, taps)


@kernel
def tables():
    """Room for four tables of offsets."""
    tables = np.empty((4, POINTS), np.int64)
    return tables[0], tables[1], tables[2], tables[3]


@kernel
def grid(table, rows, columns, row_step, column_step):
    """table[j * rows + i] = i * row_step + j * column_step: a matrix of blocks in memory, listed by columns."""
    for j in range(columns):
        for i in range(rows):
            table[j * rows + i] = i * row_step + j * column_step


@inlined
def _map_filter(m, source, places, target, targets, channels):
    if m == 4:
        linear_map("filter4", source, places, source, target, targets, target, channels)
    else:
        linear_map("filter2", source, places, source, target, targets, target, channels)


@inlined
def _map_filter_back(m, source, places, target, targets, channels):
    if m == 4:
        linear_map("filter'4", source, places, source, target, targets, target, channels)
    else:
        linear_map("filter'2", source, places, source, target, targets, target, channels)


@parallel
def _filters(item, packed, filters, m, depth, vectors, lanes):
    """filters[(a, b)] = G w G' in panels (depth, columns), from packed panels (9, depth, columns)."""
    n = m + 2
    chunk = max(1, CHUNK // (WIDEST * lanes))
    chunks = (depth + chunk - 1) // chunk
    vector, part = item // chunks * WIDEST, item % chunks
    end = min(vectors, vector + WIDEST)
    first, last = part * chunk, min(depth, part * chunk + chunk)
    half = np.empty(n * 3 * chunk * WIDEST * lanes, filters.dtype)
    sources, halves, quarters, targets = tables()
    while vector < end:
        columns = (4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1) * lanes
        size, base = (last - first) * columns, vector * lanes * depth
        vector += columns // lanes
        grid(sources, 3, 3, 3 * depth * columns, depth * columns)
        grid(halves, n, 3, 3 * size, size)
        grid(quarters, 3, n, size, 3 * size)
        grid(targets, n, n, filters.shape[1], n * filters.shape[1])
        for b in range(3):
            _map_filter(m, at(packed, base * 9 + first * columns), at(sources, 3 * b), at(half, 0), at(halves, n * b), size)
        for a in range(n):
            _map_filter(m, at(half, 0), at(quarters, 3 * a), at(filters, base + first * columns), at(targets, n * a), size)


@parallel
def _filters_back(item, sums, total, m, size):
    """total[(ky, kx)] = G' (sum over parts of sums) G."""
    n, start = m + 2, item * CHUNK
    count = min(CHUNK, size - start)
    for point in range(n * n):
        whole = sums[0, point * size + start : point * size + start + count]
        for part in range(1, len(sums)):
            other = sums[part, point * size + start : point * size + start + count]
            for i in range(count):
                whole[i] += other[i]
    half = np.empty(3 * n * CHUNK, sums.dtype)
    sources, halves, quarters, targets = tables()
    grid(sources, n, n, n * size, size)
    grid(halves, 3, n, n * CHUNK, CHUNK)
    grid(quarters, n, 3, CHUNK, n * CHUNK)
    grid(targets, 3, 3, size, 3 * size)
    for b in range(n):
        _map_filter_back(m, at(sums, start), at(sources, n * b), at(half, 0), at(halves, 3 * b), count)
    for a in range(3):
        _map_filter_back(m, at(half, 0), at(quarters, n * a), at(total, start), at(targets, 3 * a), count)
