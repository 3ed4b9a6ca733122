"""Weight gradients by Winograd's adjoint: gw = G' (sum over tiles of (B' x B) * (A g A')) G.

The products are a small matrix product for each of the (m + r - 1)^2 points, summed over tiles. An item of work takes some
channels and some outputs, so that their sums at all points stay in the second-level cache, and transforms again what others
transform too: that is cheaper than to go through memory, unless there are few tiles (winograd_apart.py).
"""

import numpy as np

from ..spec import ConvSpec
from . import winograd_apart
from .launch import parallel, threads
from .layout import operand
from .packing import Filters, padded_lanes
from .phases import taps_of, tiles
from .simd import WEIGHT_VECTORS, aligned, at, inlined, lanes
from .tiles import pixel_tile
from .winograd_filters import POINTS, transformed_back
from .winograd_tiles import transform_cotangent, transform_tile

TILES = 48  # of a block
MOST_CHANNELS, MOST_OUTPUTS = 64, 128  # of an item
PARTS = 8  # of the tiles at most, each with a weight gradient of its own
ITEMS = 8  # of work at least, where there are tiles enough
MOST_PARTIAL_BYTES = 1 << 25


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    r = taps_of(spec) or 0
    x, g, gather = operand(x), operand(g), tiles(spec, m, False)
    channels, outputs, points = spec.in_channels, spec.out_channels, (m + r - 1) ** 2
    count, depth, width = len(x) * gather.per_phase, len(gather.taps) * channels, padded_lanes(outputs, x.dtype)
    if not count * depth * outputs:
        return np.zeros(spec.weight_shape, x.dtype)
    gw = aligned(spec.weight_shape, x.dtype)
    if winograd_apart.pays(count, depth, outputs):
        flat = x.reshape(-1), g.reshape(-1)
        sums = winograd_apart.correlate(*flat, gather, count, channels, outputs, m, r)
        transformed_back(sums, Filters.of(gw, spec), gather, m, r)
        return gw
    size, across = -(-channels // -(-channels // MOST_CHANNELS)), -(-width // -(-width // MOST_OUTPUTS))
    across = padded_lanes(across, x.dtype, WEIGHT_VECTORS)
    shares = len(gather.taps) * -(-channels // size) * -(-width // across)
    parts = min(PARTS, -(-ITEMS // shares), count // TILES, MOST_PARTIAL_BYTES // (points * depth * width * x.itemsize))
    parts = max(1, parts)
    sums = aligned((parts, points, depth, width), x.dtype)
    steps = padded_lanes(size + 4, x.dtype), across
    memory = aligned((threads(), points * TILES * sum(steps)), x.dtype)
    flat, zeros = (x.reshape(-1), g.reshape(-1)), np.zeros(max(size, across), x.dtype)
    sizes = count, channels, outputs, size, across, *steps
    nanoseconds = count * points * (depth * width / 50 + (depth * (width // across) + width * (depth // size)) / 2)
    _weight(parts * shares, *flat, gather, *sizes, zeros, memory, sums, m, r, lanes(x.dtype), nanoseconds=nanoseconds)
    transformed_back(sums, Filters.of(gw, spec), gather, m, r)
    return gw


@inlined
def _products(rows, vectors, left, lines, count, right, step, target, row_step, skip, end, add):
    """target[r, j] (+)= sum over tiles of left[lines[tile] + r] * right[tile * step + j]."""
    if rows == 12:
        if vectors == WEIGHT_VECTORS:
            pixel_tile(12, WEIGHT_VECTORS, left, left, lines, count, right, step, target, row_step, skip, end, add, right, 0)
        else:
            pixel_tile(12, 1, left, left, lines, count, right, step, target, row_step, skip, end, add, right, 0)
    elif vectors == WEIGHT_VECTORS:
        pixel_tile(8, WEIGHT_VECTORS, left, left, lines, count, right, step, target, row_step, skip, end, add, right, 0)
    else:
        pixel_tile(8, 1, left, left, lines, count, right, step, target, row_step, skip, end, add, right, 0)


@parallel
def _weight(
    item, worker, x, g, gather, tiles, channels, outputs, size, across, depth, width, zeros, memory, sums, m, r, lanes
):  # fmt: skip
    """sums = sum over a part's tiles of (B' x B) * (A g A'), for some channels of one phase and some outputs."""
    parts, points, rows, columns = sums.shape
    item, column = divmod(item, (columns + across - 1) // across)
    item, piece = divmod(item, (channels + size - 1) // size)
    part, phase = divmod(item, rows // channels)
    begin, column = piece * size, column * across
    size, across = min(size, channels - begin), min(across, columns - column)
    used, row = min(across, outputs - column), phase * channels + begin
    left, right = memory[worker, : points * TILES * depth], memory[worker, points * TILES * depth :]
    if used < across or size < 12:
        left[:] = 0  # what fills up the last vectors may be slow to multiply
        right[:] = 0
    places = np.empty(POINTS, np.int64)
    lines = np.arange(TILES) * depth
    start, end = part * tiles // parts, (part + 1) * tiles // parts
    for first in range(start, end, TILES):
        count = min(TILES, end - first)
        for i in range(count):
            transform_tile(
                m, r, first + i, phase, at(x, begin), gather, 0, 0, at(zeros, 0), size, places, at(left, i * depth), TILES * depth
            )  # fmt: skip
        for i in range(count):
            transform_cotangent(
                m, r, first + i, at(g, column), gather, at(zeros, 0), used, places, at(right, i * width), TILES * width
            )  # fmt: skip
        for e in range(points):
            for j in range(0, across, WEIGHT_VECTORS * lanes):
                panel, vectors = at(right, e * TILES * width + j), min(WEIGHT_VECTORS, (across - j) // lanes)
                k = 0
                while k < size:
                    tile = 12 if size >= 12 and (size - k > 16 or 8 < size - k <= 12) else 8
                    top = max(0, min(k, size - tile))
                    target = at(sums, ((part * points + e) * rows + row + top) * columns + column + j)
                    _products(
                        tile, vectors, at(left, e * TILES * depth + top), at(lines, 0), count, panel, width, target, columns,
                        k - top, size - top, first > start,
                    )  # fmt: skip
                    k += tile
