"""Depthwise convolution in all three directions: channels do not mix, so lanes run over channels and memory bounds the time.

Pixels of a row that meet the same taps make a run: their sources lie equally far apart, and one list of taps serves them all.
With several channels at one end of a group they are copies of, or add up to, the single channel at the other.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec
from .channel_tiles import TAPS, run_tile, run_weight_tile
from .geometry import meetings
from .launch import parallel
from .packing import Filters
from .simd import aligned, at

ITEMS = 32  # of work
NANOSECONDS = 0.05  # a product
PIXELS = 4  # of a tile: more would idle at the ends of short rows


class _Runs(NamedTuple):
    """Columns of the result, `counts` of them from `firsts` on in steps; their sources lie `source_step` columns apart."""

    firsts: np.ndarray
    counts: np.ndarray
    step: int
    source_step: int


def is_depthwise(w: Filters) -> bool:
    """Whether groups have one channel at one end."""
    return w.groups > 1 and min(w.outputs, w.depth) == 1


def gather_runs(source: np.ndarray, w: Filters, result: np.ndarray, spec: ConvSpec, flipped: bool) -> None:
    """result = conv of the source, or conv_input if `flipped`, all channels-last."""
    if not result.size:
        return
    met, runs = meetings(spec, flipped), _runs(spec, flipped)
    source = np.repeat(source, w.outputs, axis=-1) if w.outputs > 1 else source
    channels = source.shape[-1]
    single = result if w.depth == 1 else aligned((*result.shape[:-1], channels), result.dtype)
    weights = np.ascontiguousarray(w.array().reshape(channels, w.taps).T)
    rows = len(result) * len(met.row_counts)
    sizes = _sizes(source, spec)
    nanoseconds = single.size * w.taps * NANOSECONDS
    _gather(min(ITEMS, rows), source.reshape(-1), single.reshape(-1), weights, met, runs, rows, *sizes, nanoseconds=nanoseconds)
    if single is not result:
        parts = single.reshape(*result.shape, w.depth)
        result[...] = parts[..., 0]
        for i in range(1, w.depth):  # NumPy's sum over a short last axis takes five times as long
            result += parts[..., i]


def correlate_runs(source: np.ndarray, g: np.ndarray, gw: Filters, spec: ConvSpec) -> None:
    """gw = conv_weight of channels-last arrays."""
    met, runs = meetings(spec, False), _runs(spec, False)
    source = np.repeat(source, gw.outputs, axis=-1) if gw.outputs > 1 else source
    g = np.repeat(g, gw.depth, axis=-1) if gw.depth > 1 else g
    if not g.size * source.size:
        return
    rows = len(g) * len(met.row_counts)
    parts = min(ITEMS, rows)
    total = aligned((parts, gw.taps, source.shape[-1]), g.dtype)
    sizes = _sizes(source, spec)
    nanoseconds = 2 * g.size * gw.taps * NANOSECONDS
    _correlate(parts, source.reshape(-1), g.reshape(-1), total, met, runs, rows, *sizes, nanoseconds=nanoseconds)
    gw.array()[...] = total.sum(0).T.reshape(gw.groups, gw.outputs, gw.depth, gw.taps)


def _sizes(source: np.ndarray, spec: ConvSpec) -> tuple[int, int, int]:
    """Width of the source, its pixels per image, and columns of the kernel."""
    if spec.rank == 1:
        return 1, prod(source.shape[1:-1]), 1
    return source.shape[-2], prod(source.shape[1:-1]), spec.kernel[-1]


@lru_cache(maxsize=1024)
def _runs(spec: ConvSpec, flipped: bool) -> _Runs:
    met = meetings(spec, flipped)
    stride = spec.stride[-1] if spec.rank > 1 else 1
    step, source_step = (stride, 1) if flipped else (1, stride)
    known = np.arange(met.col_taps.shape[1]) < met.col_counts[:, None]
    taps = np.where(known, met.col_taps, -1)
    firsts, counts = [], []
    for residue in range(min(step, len(taps))):
        columns = np.arange(residue, len(taps), step)
        breaks = (taps[columns][1:] != taps[columns][:-1]).any(1)
        starts = np.append(0, np.flatnonzero(breaks) + 1)
        firsts.append(columns[starts])
        counts.append(np.diff(np.append(starts, len(columns))))
    return _Runs(np.concatenate(firsts), np.concatenate(counts), step, source_step)


@parallel
def _gather(item, source, target, weights, met, runs, rows, width, image, kernel):
    taps, channels = weights.shape
    items, across = min(ITEMS, rows), len(met.col_counts)
    places, factors = np.empty(taps, np.int64), np.empty(taps, np.int64)
    for row in range(item * rows // items, (item + 1) * rows // items):
        n, a = divmod(row, len(met.row_counts))
        for run in range(len(runs.firsts)):
            b, met_taps = runs.firsts[run], 0
            for i in range(met.row_counts[a]):
                for j in range(met.col_counts[b]):
                    places[met_taps] = (n * image + met.row_places[a, i] * width + met.col_places[b, j]) * channels
                    factors[met_taps] = (met.row_taps[a, i] * kernel + met.col_taps[b, j]) * channels
                    met_taps += 1
            run_tile(
                PIXELS, at(source, 0), at(places, 0), at(weights, 0), at(factors, 0), met_taps, runs.counts[run],
                runs.source_step * channels, at(target, (row * across + b) * channels), runs.step * channels, channels,
            )  # fmt: skip


@parallel
def _correlate(item, source, g, total, met, runs, rows, width, image, kernel):
    parts, taps, channels = total.shape
    across = len(met.col_counts)
    places, sums = np.empty(taps + TAPS, np.int64), np.empty(taps + TAPS, np.int64)
    total[item] = 0
    for row in range(item * rows // parts, (item + 1) * rows // parts):
        n, a = divmod(row, len(met.row_counts))
        for run in range(len(runs.firsts)):
            b, met_taps = runs.firsts[run], 0
            for i in range(met.row_counts[a]):
                for j in range(met.col_counts[b]):
                    places[met_taps] = (n * image + met.row_places[a, i] * width + met.col_places[b, j]) * channels
                    sums[met_taps] = (met.row_taps[a, i] * kernel + met.col_taps[b, j]) * channels
                    met_taps += 1
            places[met_taps : met_taps + TAPS] = places[0]  # what fills up the last tile
            for t in range(0, met_taps, TAPS):
                run_weight_tile(
                    TAPS, at(source, 0), at(places, t), at(g, (row * across + b) * channels), runs.step * channels,
                    runs.counts[run], runs.source_step * channels, at(total, item * taps * channels), at(sums, t), met_taps - t,
                    channels,
                )  # fmt: skip
