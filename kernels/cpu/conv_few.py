"""Convolutions to few channels, where lanes along the result's channels would be idle: products first, sums afterwards.

    products[p, t, o] = sum over c of source[p, c] * w[o, c, t]        result[i, o] = sum over t of products[place(i, t), t, o]

The first is a matrix product with lanes along taps and outputs, for a band of the source's rows that stays in the second-level
cache; the second adds up, for each pixel of the result, the few products that meet there.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec
from .channel_tiles import FEW, sum_tile
from .gemm import BLOCK, ITEMS, RATE, gather_panel
from .geometry import Meetings, meetings
from .launch import parallel, threads
from .packing import Filters, pack, padded_lanes
from .simd import VECTOR_BYTES, WIDEST, aligned, at, lanes

LEAST = 4  # channels to sum over
BAND_BYTES = 1 << 18  # of products
MOST_BAND_BYTES = 1 << 22


class _Bands(NamedTuple):
    """Rows starts[i] .. starts[i + 1] of the result need the source's rows lows[i] .. highs[i]."""

    starts: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


def conv_few(source: np.ndarray, w: Filters, result: np.ndarray, spec: ConvSpec, flipped: bool) -> bool:
    """result = conv of the source, or conv_input if `flipped`, all channels-last. False where another way is better."""
    if w.outputs > FEW or w.depth < LEAST or not result.size or not source.size:
        return False
    products = padded_lanes(w.taps * w.outputs, source.dtype)
    plan = _plan(spec, flipped, len(source) * w.groups, products, w.outputs, source.itemsize)
    if plan is None:
        return False
    met, bands, source_rows, width, size = plan
    matrix = np.ascontiguousarray(w.array().transpose(0, 3, 1, 2))  # as outputs (t, o) of a convolution with one tap
    outputs = w.taps * w.outputs
    steps = outputs * w.depth, w.depth, 1
    weights = pack(Filters(matrix.reshape(-1), w.groups, outputs, w.depth, 1, steps), np.zeros(1, np.int64))
    memory = aligned((threads(), size + FEW), source.dtype)
    places = len(source) * source_rows * width
    nanoseconds = places * w.groups * w.depth * products / RATE + 3 * result.size
    sizes = source_rows, width, w.depth, products, w.outputs, lanes(source.dtype)
    items = len(source) * w.groups * len(bands.lows)
    _few(items, source.reshape(-1), result.reshape(-1), weights, met, bands, *sizes, memory, nanoseconds=nanoseconds)
    return True


@lru_cache(maxsize=1024)
def _plan(
    spec: ConvSpec, flipped: bool, images: int, products: int, outputs: int, itemsize: int
) -> tuple[Meetings, _Bands, int, int, int] | None:
    """(where products meet, bands, rows and width of the source, products of the largest band); None where they do not pay."""
    met, across = meetings(spec, flipped), spec.kernel[-1] if spec.rank > 1 else 1
    source = spec.output if flipped else spec.input
    width = source[-1] if spec.rank > 1 else 1
    rows, places = prod(source) // width, len(met.row_counts) * len(met.col_counts)
    if rows * width * products > 0.8 * places * met.row_counts.mean() * met.col_counts.mean() * (VECTOR_BYTES // itemsize):
        return None
    bands = _bands(met, images, width * products * itemsize)
    size = int((bands.highs - bands.lows).max()) * width * products
    if size * itemsize > MOST_BAND_BYTES:
        return None
    met = met._replace(
        row_places=met.row_places * (width * products) + met.row_taps * (across * outputs),
        col_places=met.col_places * products + met.col_taps * outputs,
    )
    return met, bands, rows, width, size


def _bands(met: Meetings, images: int, row_bytes: int) -> _Bands:
    """As few bands as leave their products in the cache and make enough items of work."""
    valid = np.arange(met.row_places.shape[1]) < met.row_counts[:, None]
    lows = np.where(valid, met.row_places, np.iinfo(np.int64).max).min(1)
    highs = np.where(valid, met.row_places, -1).max(1) + 1
    rows = height = len(lows)
    while True:
        starts = np.arange(0, rows, height)
        low, high = np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts)
        low = np.minimum(low, high)
        fits = (high - low).max() * row_bytes <= BAND_BYTES
        if height == 1 or (fits and (height <= 4 or images * len(starts) >= ITEMS)):
            return _Bands(np.append(starts, rows), low, high)
        height = -(-height // 2)


@parallel
def _few(item, worker, source, target, weights, met, bands, rows, width, depth, products, outputs, lanes, memory):
    groups, count = len(weights), len(bands.lows)
    image, rest = divmod(item, groups * count)
    group, band = divmod(rest, count)
    low, high = bands.lows[band], bands.highs[band]
    first, pixels, channels, vectors = (image * rows + low) * width, (high - low) * width, groups * depth, products // lanes
    table, targets = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    for begin in range(0, pixels, BLOCK):
        for i in range(BLOCK):
            pixel = min(begin + i, pixels - 1)
            table[i], targets[i] = (first + pixel) * channels, pixel * products
        vector = 0
        while vector < vectors:
            step = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
            base, size = group * weights.shape[1] + vector * lanes * depth, min(BLOCK, pixels - begin)
            gather_panel(
                at(source, group * depth), at(memory[worker], 0), at(source, 0), table, targets, 1,
                weights, base, size, depth, products, vector, step, lanes,
            )  # fmt: skip
            vector += step
    across, taps, down = len(met.col_counts), met.col_places.shape[1], met.row_places.shape[1]
    for a in range(bands.starts[band], bands.starts[band + 1]):
        row = (image * len(met.row_counts) + a) * across * groups * outputs + group * outputs
        sum_tile(
            at(memory[worker], -low * width * products), at(met.row_places, a * down), met.row_counts[a],
            at(met.col_places, 0), taps, at(met.col_counts, 0), at(target, row), groups * outputs, across, outputs,
        )  # fmt: skip
