"""Winograd's filters: G w G' in the tiles' order, and the way back for their gradient."""

import numpy as np

from .launch import parallel
from .linear_maps import linear_map
from .packing import Filters, padded_lanes, unpack
from .phases import Tiles
from .simd import WIDEST, aligned, at, kernel, lanes
from .transpose import transpose_tile

POINTS = 36  # of a tile at most
CHANNELS = 8  # of filters transformed at a time
CHUNK = 512  # elements of their gradient transformed at a time


def transformed(w: Filters, tiles: Tiles, m: int, r: int) -> np.ndarray:
    """G w G' as (phases of the result, (m + r - 1)^2, -1): per point the panels (phases of the source, depth, columns)."""
    dtype, width = w.data.dtype, padded_lanes(w.outputs, w.data.dtype)
    phases, stacked = len(tiles.taps), tiles.sources[0] * tiles.sources[1]
    filters = aligned((phases // stacked, (m + r - 1) ** 2, width * w.depth * stacked), dtype)
    items = -(-width // (WIDEST * lanes(dtype))) * -(-w.depth // CHANNELS)
    order, (_, output_step, depth_step) = np.argsort(tiles.taps.reshape(-1)), w.steps
    sizes = stacked, m, r, w.outputs, w.depth, output_step, depth_step, lanes(dtype)
    _filters(items, w.data, order, filters, *sizes, nanoseconds=filters.size)
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
def _filters(item, w, order, filters, stacked, m, r, outputs, depth, output_step, depth_step, lanes):
    """filters[result][(a, b)] = G w G' in panels (source, depth, columns), for some channels and up to four vectors of outputs.

    order[t] says where tap t of the kernel stands among those of all phases.
    """
    n, taps, vectors, point = m + r - 1, len(order), (outputs + lanes - 1) // lanes, filters.shape[2]
    vector, first = divmod(item, (depth + CHANNELS - 1) // CHANNELS)
    vector, first = vector * WIDEST, first * CHANNELS
    end, channels = min(vectors, vector + WIDEST), min(CHANNELS, depth - first)
    most = CHANNELS * WIDEST * lanes
    packed, half = np.empty(taps * most, filters.dtype), np.empty(n * r * most, filters.dtype)
    sources, halves, quarters, targets = tables()
    rows, columns_of = np.arange(lanes) * output_step, np.empty(lanes, np.int64)
    grid(targets, n, n, point, n * point)
    length = channels * taps if depth_step == taps else taps  # of what is contiguous
    while vector < end:
        wide = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        columns = wide * lanes
        size = channels * columns
        for v in range(vector, vector + wide):  # taps and channels of 16 outputs, as rows of 16 lanes
            count, c, t = min(lanes, outputs - v * lanes), 0, 0
            for stretch in range(channels * taps // length):
                for k in range(0, length, lanes):
                    some = min(lanes, length - k)
                    for j in range(some):
                        columns_of[j] = order[t] * size + c * columns + (v - vector) * lanes
                        c, t = (c + 1, 0) if t + 1 == taps else (c, t + 1)
                    source = at(w, v * lanes * output_step + (first + stretch) * depth_step + k)
                    transpose_tile(source, at(rows, 0), count, some, 1, 0, at(packed, 0), at(columns_of, 0), lanes)
        grid(sources, r, r, r * size, size)
        grid(halves, n, r, r * size, size)
        grid(quarters, r, n, size, r * size)
        for phase in range(taps // (r * r)):
            result, source = divmod(phase, stacked)
            target = result * n * n * point + vector * lanes * depth * stacked + (source * depth + first) * columns
            for b in range(r):
                _map_filter(
                    m, r, at(packed, phase * r * r * size), at(sources, r * b), at(half, 0), at(halves, n * b), size
                )  # fmt: skip
            for a in range(n):
                _map_filter(m, r, at(half, 0), at(quarters, r * a), at(filters, target), at(targets, n * a), size)
        vector += wide


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
