"""Weight gradients by direct sums: gw[t, c, o] = sum over pixels p of source[place(p, t), c] * g[p, o].

An item of work takes a part of the pixels, some taps or channels and some outputs, so that its sums stay in the second-level
cache. Block by block the cotangents are copied side by side, and where there are few products for each pixel the columns
too; otherwise tiles find the source by tables. Only where the weights are too few to share out are the pixels
split, and the parts added at the end.
"""

from typing import NamedTuple

import numpy as np

from .gemm import ITEMS, RATE
from .geometry import Gather
from .launch import parallel, threads
from .packing import Filters, padded_lanes, unpack
from .places import block_places, padded
from .simd import WEIGHT_ROWS, WEIGHT_VECTORS, aligned, at, inlined, lanes
from .tiles import copy_rows, pixel_tile

BLOCK = 96
MOST_ROWS, MOST_COLUMNS = 256, 256
LEAST = 8  # rows of a tile: fewer are copied side by side
MOST_PARTIAL_BYTES = 1 << 26


class _Shares(NamedTuple):
    """An item's share of the taps, of the channels and of the outputs, and how the blocks lie in memory."""

    taps: int
    channels: int
    outputs: int
    copied: bool
    left_step: int
    right_step: int
    left_fresh: int  # elements of the source and of the cotangents that belong to one pixel
    right_fresh: int


def correlate(source: np.ndarray, g: np.ndarray, gw: Filters, gather: Gather) -> None:
    """gw[o, c, t] = sum over p of g[p, o] * source[place(p, t), c], by groups; other taps are left alone."""
    groups, outputs, depth, taps = gw.groups, gw.outputs, gw.depth * gather.side, len(gather.taps) // gather.side
    source, pixels = padded(source, gather), len(source) * gather.pixels
    if not pixels * taps * depth * outputs * groups:
        return
    width, unit = padded_lanes(outputs, source.dtype), lanes(source.dtype)
    copied = depth < LEAST
    channels = -(-depth // -(-depth // MOST_ROWS))
    together = max(1, min(taps, MOST_ROWS // depth))
    across = padded_lanes(-(-width // -(-width // MOST_COLUMNS)), source.dtype, WEIGHT_VECTORS)
    steps = _odd(channels * together + WEIGHT_ROWS + unit, unit) if copied else 0, _odd(across, unit)
    fresh = gather.image // gather.pixels, gather.target_image // gather.pixels
    shares = _Shares(together, channels, across, copied, *steps, *fresh)
    sums = groups * -(-taps // together) * -(-depth // channels) * -(-width // across)
    parts = max(1, min(-(-ITEMS // sums), pixels // (2 * BLOCK)))
    parts = max(1, min(parts, MOST_PARTIAL_BYTES // (groups * taps * depth * width * source.itemsize)))
    total = aligned((parts, groups, taps, depth, width), source.dtype)
    memory = aligned((threads(), BLOCK * sum(steps)), source.dtype)
    zeros = np.zeros(max(channels, WEIGHT_ROWS), source.dtype)
    nanoseconds = 1.1 * pixels * taps * groups * depth * width / RATE + pixels * taps
    flat = source.reshape(-1), g.reshape(-1), total
    _correlate(parts * sums, *flat, zeros, gather, pixels, outputs, unit, memory, shares, nanoseconds=nanoseconds)
    unpack(total.reshape(parts, groups, taps * gather.side, gw.depth, width), gw, gather.taps)


def _odd(size: int, unit: int) -> int:
    """`size` rounded up to an odd number of vectors, so that equal places of many rows use all sets of the cache."""
    return (-(-size // unit) | 1) * unit


@inlined
def row_tile(rows, vectors, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch):
    if rows == 12:
        if vectors == WEIGHT_VECTORS:
            pixel_tile(
                12, WEIGHT_VECTORS, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch
            )
        else:
            pixel_tile(12, 1, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch)
    elif rows == 9:
        if vectors == WEIGHT_VECTORS:
            pixel_tile(
                9, WEIGHT_VECTORS, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch
            )
        else:
            pixel_tile(9, 1, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch)
    elif vectors == WEIGHT_VECTORS:
        pixel_tile(8, WEIGHT_VECTORS, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch)
    else:
        pixel_tile(8, 1, source, zeros, table, pixels, panel, step, target, row_step, skip, count, add, ahead, fetch)


@inlined
def rows_of_tile(rows, r):
    """Of the next tile from row r on, so that tiles of 12, 9 and 8 cover the rows with little overlap."""
    rest = rows - r
    return 12 if rows >= 12 and (rest > 16 or 9 < rest <= 12) else 9 if 8 < rest < 12 else 8


@parallel
def _correlate(item, worker, source, g, total, zeros, gather, pixels, outputs, lanes, memory, shares):
    parts, groups, taps, depth, width = total.shape
    left, right = memory[worker, : BLOCK * shares.left_step], memory[worker, BLOCK * shares.left_step :]
    item, column = divmod(item, (width + shares.outputs - 1) // shares.outputs)
    item, piece = divmod(item, (depth + shares.channels - 1) // shares.channels)
    item, tap = divmod(item, (taps + shares.taps - 1) // shares.taps)
    part, group = divmod(item, groups)
    low, begin, column = tap * shares.taps, piece * shares.channels, column * shares.outputs
    high, size = min(taps, low + shares.taps), min(shares.channels, depth - begin)
    across = min(shares.outputs, width - column)
    used = min(across, outputs - column)
    base = ((part * groups + group) * taps * depth + low * depth + begin) * width + column
    blocks = (pixels + BLOCK - 1) // BLOCK
    start, end = part * blocks // parts * BLOCK, min(pixels, (part + 1) * blocks // parts * BLOCK)
    table, targets = np.empty((high - low) * BLOCK, np.int64), np.empty(BLOCK, np.int64)
    origin, rows, runs = group * depth + begin, size, high - low
    if shares.copied:
        rows, runs = size * (high - low), 1
        for i in range(BLOCK):  # the rows that fill up the last tile: what lies there by chance may be slow to multiply
            left[i * shares.left_step + rows : i * shares.left_step + rows + WEIGHT_ROWS] = 0
    places = np.arange(BLOCK) * shares.left_step
    for first in range(start, end, BLOCK):
        count = block_places(gather, first, pixels, low, high, table, targets, BLOCK)
        if shares.copied:
            for t in range(high - low):
                copy_rows(
                    at(source, origin), at(zeros, 0), at(table, t * BLOCK), count, size, at(left, t * size), shares.left_step
                )
        copy_rows(at(g, group * outputs + column), at(zeros, 0), at(targets, 0), count, used, at(right, 0), shares.right_step)
        fetched, right_lines = 0, (used + lanes - 1) // lanes
        left_lines, left_ahead = 0, (first + BLOCK) * shares.left_fresh
        right_ahead = group * outputs + column + (first + BLOCK) * shares.right_fresh
        if shares.left_fresh == depth * groups:
            left_lines, left_ahead = (size + lanes - 1) // lanes, left_ahead + origin
        elif shares.left_fresh <= rows * runs:
            left_lines = (shares.left_fresh + lanes - 1) // lanes
        for j in range(0, across, WEIGHT_VECTORS * lanes):
            for t in range(runs):
                r = 0
                while r < rows:
                    tile = rows_of_tile(rows, r)
                    ahead, ahead_step = at(right, j), 0
                    if fetched < right_lines:
                        ahead, ahead_step = at(g, right_ahead + fetched * lanes), shares.right_fresh
                    elif fetched < right_lines + left_lines:
                        ahead, ahead_step = at(source, left_ahead + (fetched - right_lines) * lanes), shares.left_fresh
                    fetched += 1
                    start_row = max(0, min(r, rows - tile))
                    a, lines = at(source, origin + start_row), at(table, t * BLOCK)
                    if shares.copied:
                        a, lines = at(left, start_row), at(places, 0)
                    place = base + (t * rows + start_row) * width + j
                    vectors = min(WEIGHT_VECTORS, (across - j) // lanes)
                    row_tile(
                        tile, vectors, a, at(zeros, 0), lines, count, at(right, j), shares.right_step, at(total, place), width,
                        r - start_row, rows - start_row, first > start, ahead, ahead_step,
                    )  # fmt: skip
                    r += tile
