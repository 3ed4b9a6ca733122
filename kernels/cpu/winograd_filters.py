"""Winograd's filters: G w G' in the tiles' order, and the way back for their gradient."""

import numpy as np

from .launch import parallel
from .linear_maps import linear_map
from .packing import Filters, pack, padded_lanes, unpack
from .phases import Tiles
from .simd import WIDEST, aligned, at, kernel, lanes

POINTS = 36  # of a tile at most
CHUNK = 512  # elements transformed at a time


def transformed(w: Filters, tiles: Tiles, m: int, r: int) -> np.ndarray:
    """G w G' as (phases of the result, (m + r - 1)^2, -1): per point the panels (phases of the source, depth, columns)."""
    dtype, width = w.data.dtype, padded_lanes(w.outputs, w.data.dtype)
    phases, stacked = len(tiles.taps), tiles.sources[0] * tiles.sources[1]
    filters = aligned((phases // stacked, (m + r - 1) ** 2, width * w.depth * stacked), dtype)
    vectors, chunk = width // lanes(dtype), max(1, CHUNK // (WIDEST * lanes(dtype)))
    items = phases * -(-vectors // WIDEST) * -(-w.depth // chunk)
    packed = pack(w, tiles.taps.reshape(-1)).reshape(-1)
    _filters(items, packed, filters, stacked, m, r, w.depth, vectors, lanes(dtype), nanoseconds=filters.size)
    return filters


def transformed_back(sums: np.ndarray, gw: Filters, tiles: Tiles, m: int, r: int) -> None:
    """gw = G' (sum over parts of sums) G; sums is (parts, (m + r - 1)^2, phases * depth, outputs), padded, and is overwritten."""
    parts, _, depth, width = sums.shape
    total = aligned((1, 1, r * r, depth, width), sums.dtype)
    size = depth * width
    _filters_back(-(-size // CHUNK), sums.reshape(parts, -1), total.reshape(-1), m, r, size, nanoseconds=sums.size)
    phases, taps = tiles.taps.shape
    starts = np.arange(taps) * size + np.arange(phases)[:, None] * (gw.depth * width)
    unpack(total, gw, tiles.taps.reshape(-1), starts.reshape(-1))


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


@kernel
def _map_filter(m, r, source, places, target, targets, channels):
    if r == 3:
        if m == 4:
            linear_map("filter43", source, places, source, target, targets, target, channels)
        else:
            linear_map("filter23", source, places, source, target, targets, target, channels)
    elif m == 4:
        linear_map("filter42", source, places, source, target, targets, target, channels)
    else:
        linear_map("filter22", source, places, source, target, targets, target, channels)


@kernel
def _map_filter_back(m, r, source, places, target, targets, channels):
    if r == 3:
        if m == 4:
            linear_map("filter'43", source, places, source, target, targets, target, channels)
        else:
            linear_map("filter'23", source, places, source, target, targets, target, channels)
    elif m == 4:
        linear_map("filter'42", source, places, source, target, targets, target, channels)
    else:
        linear_map("filter'22", source, places, source, target, targets, target, channels)


@parallel
def _filters(item, packed, filters, stacked, m, r, depth, vectors, lanes):
    """filters[result][(a, b)] = G w G' in panels (source, depth, columns), from panels (phase, r * r, depth, columns)."""
    n = m + r - 1
    chunk = max(1, CHUNK // (WIDEST * lanes))
    chunks, phases = (depth + chunk - 1) // chunk, len(filters) * stacked
    item, part = divmod(item, chunks)
    vector, phase = item // phases * WIDEST, item % phases
    end = min(vectors, vector + WIDEST)
    first, last = part * chunk, min(depth, part * chunk + chunk)
    half = np.empty(n * r * chunk * WIDEST * lanes, filters.dtype)
    sources, halves, quarters, targets = tables()
    point = filters.shape[2]
    result = phase // stacked * n * n * point
    while vector < end:
        columns = (4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1) * lanes
        size, base = (last - first) * columns, vector * lanes * depth
        vector += columns // lanes
        grid(sources, r, r, r * depth * columns, depth * columns)
        grid(halves, n, r, r * size, size)
        grid(quarters, r, n, size, r * size)
        grid(targets, n, n, point, n * point)
        source = base * phases * r * r + phase * r * r * depth * columns + first * columns
        target = result + base * stacked + (phase % stacked * depth + first) * columns
        for b in range(r):
            _map_filter(m, r, at(packed, source), at(sources, r * b), at(half, 0), at(halves, n * b), size)
        for a in range(n):
            _map_filter(m, r, at(half, 0), at(quarters, r * a), at(filters, target), at(targets, n * a), size)


@parallel
def _filters_back(item, sums, total, m, r, size):
    """total[(ky, kx)] = G' (sum over parts of sums) G."""
    n, start = m + r - 1, item * CHUNK
    count = min(CHUNK, size - start)
    for point in range(n * n):
        whole = sums[0, point * size + start : point * size + start + count]
        for part in range(1, len(sums)):
            other = sums[part, point * size + start : point * size + start + count]
            for i in range(count):
                whole[i] += other[i]
    half = np.empty(r * n * CHUNK, sums.dtype)
    sources, halves, quarters, targets = tables()
    grid(sources, n, n, n * size, size)
    grid(halves, r, n, n * CHUNK, CHUNK)
    grid(quarters, n, r, CHUNK, n * CHUNK)
    grid(targets, r, r, size, r * size)
    for b in range(n):
        _map_filter_back(m, r, at(sums, start), at(sources, n * b), at(half, 0), at(halves, r * b), count)
    for a in range(r):
        _map_filter_back(m, r, at(half, 0), at(quarters, n * a), at(total, start), at(targets, r * a), count)
