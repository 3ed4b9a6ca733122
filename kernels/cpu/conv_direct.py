"""Direct convolution in all three directions, by register tiles on channels-last memory and without columns.

A block of result pixels is described by a table of where each tap of each pixel lies; tiles sum over taps and channels with
the results in registers. So any kernel, stride, dilation, padding and 1 to 3 axes are one code, and pixels of different
rows and images share a tile. Work is divided by shape alone: the number of threads changes nothing in the result.
"""

from dataclasses import replace
from functools import lru_cache
from math import prod

import numpy as np

from ..arrays import channels_first
from ..epilogue import finish
from ..spec import ConvSpec
from . import conv_image
from .conv_depthwise import correlate_runs, gather_runs, is_depthwise
from .conv_few import conv_few
from .correlate import correlate
from .epilogue import Epilogue, finish_rows, pool_rows
from .gemm import BLOCK, RATE, gather_panel, split_vectors
from .geometry import Gather, adjoint, forward
from .launch import parallel, result_like
from .layout import operand
from .packing import Filters, pack, padded_lanes
from .places import block_places, padded, window_places
from .simd import WIDEST, at, lanes


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    y = result_like(x, spec.output_shape(len(x)))
    x, filters, epilogue = operand(x), Filters.of(w, spec), epilogue or Epilogue.none(y)
    if is_depthwise(filters):
        gather_runs(x, filters, y, spec, False)
        return _finished(y, epilogue)
    if conv_few(x, filters, y, spec, False):
        return _finished(y, epilogue)
    gather = forward(spec)
    if conv_image.applies(filters, gather):
        conv_image.conv(x, filters, y, gather, epilogue)
    else:
        _gather(x, filters, y, gather, epilogue)
    return channels_first(y)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    gx = result_like(g, spec.input_shape(len(g)))
    g, filters, epilogue = operand(g), Filters.of(w, spec).swapped(), epilogue or Epilogue.none(gx)
    if is_depthwise(filters):
        gather_runs(g, filters, gx, spec, True)
        return _finished(gx, epilogue)
    if conv_few(g, filters, gx, spec, True):
        return _finished(gx, epilogue)
    phases, gaps, taps = _phases(spec)
    if gaps:
        gx.fill(0)
    packed, begin = None if taps is None else pack(filters, taps), 0
    for phase in phases:
        _gather(g, filters, gx, phase, Epilogue.none(gx) if gaps else epilogue, packed, begin)
        begin += 0 if taps is None else len(phase.taps)
    return _finished(gx, epilogue) if gaps else channels_first(gx)


@lru_cache(maxsize=1024)
def _phases(spec: ConvSpec) -> tuple[list[Gather], bool, np.ndarray | None]:
    """The gathers of conv_input, whether they leave positions out, and the taps of all, where none is in two of them."""
    phases = [phase for phase in adjoint(spec) if len(phase.taps)]
    taps = np.concatenate([np.zeros(0, np.int64), *(phase.taps for phase in phases)])
    together = len(phases) > 1 and taps.size == np.unique(taps).size
    return phases, len(phases) < len(adjoint(spec)), taps if together else None


def _finished(y: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    y = channels_first(y)
    return finish(y, epilogue.bias, float(epilogue.slope)) if epilogue.active else y


def conv_pool(x: np.ndarray, w: np.ndarray, y: np.ndarray, epilogue: Epilogue, *, spec: ConvSpec) -> None:
    """y (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias); one group."""
    filters, gather = Filters.of(w, spec), forward(spec)
    if conv_image.applies(filters, gather):
        conv_image.conv_pool(operand(x), filters, y, gather, epilogue)
        return
    outputs, depth, taps = filters.outputs, filters.depth * gather.side, len(gather.taps) // gather.side
    x, windows = padded(operand(x), gather), len(y) * prod(y.shape[1:3])
    zeros = np.zeros(padded_lanes(depth, x.dtype), x.dtype)
    blocks, width = -(-4 * windows // BLOCK), lanes(x.dtype)
    split = split_vectors(outputs, blocks, x.dtype)
    nanoseconds = 4 * windows * taps * (depth * padded_lanes(outputs, x.dtype) / RATE + 1)
    common = x.reshape(-1), y.reshape(-1), zeros, gather, windows
    items = blocks * -(-outputs // (split * width))
    _pooled(items, *common, pack(filters, gather.taps), depth, outputs, split, width, epilogue, nanoseconds=nanoseconds)


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec) -> np.ndarray:
    gw = np.zeros(spec.weight_shape, x.dtype)
    x, g, filters = operand(x), operand(g), Filters.of(gw, spec)
    if is_depthwise(filters):
        correlate_runs(x, g, filters, spec)
    elif filters.groups > 1 and 2 * max(filters.outputs, filters.depth) <= lanes(x.dtype):
        _correlate_groups(x, g, gw, spec)
    elif filters.outputs < min(filters.depth, lanes(x.dtype)):  # the lanes are better used along the input channels
        for phase in adjoint(spec, False):  # each tap in one of them
            correlate(g, x, filters.swapped(), phase)
    elif conv_image.takes_weight(filters, forward(spec)):
        conv_image.conv_weight(x, g, filters, forward(spec))
    else:
        correlate(x, g, filters, forward(spec))
    return gw


def takes_pooled(spec: ConvSpec, dtype: np.dtype) -> bool:
    """Whether `conv_pool_weight` computes it."""
    return conv_image.takes_weight(Filters.of(np.empty(spec.weight_shape, dtype), spec), forward(spec))


def conv_pool_weight(
    x: np.ndarray, g: np.ndarray, y: np.ndarray, argmax: np.ndarray, *, spec: ConvSpec, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of weight and bias from those of a pooled result, without writing out what the pool left of them."""
    gw = np.empty(spec.weight_shape, x.dtype)
    pool = operand(y), operand(argmax), slope
    return gw, conv_image.conv_weight(operand(x), operand(g), Filters.of(gw, spec), forward(spec), pool)


def _correlate_groups(x: np.ndarray, g: np.ndarray, gw: np.ndarray, spec: ConvSpec) -> None:
    """The weight gradient of small groups: of some together, which fill the lanes, as of one group; the diagonal is kept."""
    outputs, depth = spec.out_channels // spec.groups, spec.weight_shape[1]
    most = lanes(x.dtype) // max(outputs, depth)
    together = max(count for count in range(1, most + 1) if spec.groups % count == 0)
    merged = replace(spec, groups=spec.groups // together)
    all_pairs = np.zeros(merged.weight_shape, x.dtype)
    correlate(x, g, Filters.of(all_pairs, merged), forward(merged))
    blocks = all_pairs.reshape(-1, together, outputs, together, depth, *spec.kernel)
    diagonal = np.arange(together)
    gw.reshape(-1, together, outputs, depth, *spec.kernel)[...] = blocks[:, diagonal, :, diagonal].swapaxes(0, 1)


def _gather(
    source: np.ndarray,
    w: Filters,
    result: np.ndarray,
    gather: Gather,
    epilogue: Epilogue,
    packed: np.ndarray | None = None,
    begin: int = 0,
) -> None:
    """result[p, o] = act(sum over t, c of source[place(p, t), c] * w[o, c, t] + bias[o]), by groups.

    `packed` may hold the weights of other gathers too; this one's taps are then those from `begin` on.
    """
    groups, outputs, depth, taps = w.groups, w.outputs, w.depth * gather.side, len(gather.taps) // gather.side
    source, pixels = padded(source, gather), len(source) * gather.pixels
    if not pixels or not outputs * groups:
        return
    if not taps * depth:
        result[...] = np.where(epilogue.bias > 0, epilogue.bias, epilogue.bias * epilogue.slope)
        return
    zeros = np.zeros(padded_lanes(depth * groups, source.dtype), source.dtype)
    common = source.reshape(-1), result.reshape(-1), zeros, gather, pixels
    blocks = -(-pixels // BLOCK)
    nanoseconds = pixels * taps * groups * depth * padded_lanes(outputs, source.dtype) / RATE + pixels * taps
    packed = pack(w, gather.taps) if packed is None else packed
    split, width = split_vectors(outputs, blocks * groups, source.dtype), lanes(source.dtype)
    items = blocks * groups * -(-outputs // (split * width))
    _tiles(items, *common, packed, begin * w.depth, depth, outputs, split, width, epilogue, nanoseconds=nanoseconds)


@parallel
def _tiles(item, source, target, zeros, gather, pixels, weights, start, depth, width, split, lanes, epilogue):
    groups, vectors = len(weights), (width + lanes - 1) // lanes
    splits = (vectors + split - 1) // split
    block, rest = divmod(item, groups * splits)
    group, part = divmod(rest, splits)
    taps, panel = gather.rows.shape[1] * gather.cols.shape[1], weights.shape[1] // vectors
    table, targets = np.empty(taps * BLOCK, np.int64), np.empty(BLOCK, np.int64)
    count = block_places(gather, block * BLOCK, pixels, 0, taps, table, targets, BLOCK)
    vector, end = part * split, min(vectors, (part + 1) * split)
    while vector < end:
        step = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        base = group * weights.shape[1] + vector * panel + start * step * lanes
        gather_panel(
            at(source, group * depth), at(target, group * width), at(zeros, 0), table, targets, taps,
            weights, base, count, depth, width, vector, step, lanes,
        )  # fmt: skip
        if epilogue.active:
            channel, places = group * width + vector * lanes, at(targets, 0)
            columns = min(step * lanes, width - vector * lanes)
            finish_rows(at(target, channel), places, count, at(epilogue.bias, channel), epilogue.slope, columns)
        vector += step


@parallel
def _pooled(item, source, target, zeros, gather, windows, weights, depth, width, split, lanes, epilogue):
    vectors, columns = (width + lanes - 1) // lanes, WIDEST * lanes
    splits = (vectors + split - 1) // split
    block, part = divmod(item, splits)
    first, taps = block * (BLOCK // 4), gather.rows.shape[1] * gather.cols.shape[1]
    table, targets = np.empty(taps * BLOCK, np.int64), np.empty(BLOCK, np.int64)
    count = window_places(gather, first, windows, table, BLOCK)
    sums = np.empty(BLOCK * columns, source.dtype)
    for i in range(BLOCK):
        targets[i] = i * columns
    vector, end = part * split, min(vectors, (part + 1) * split)
    while vector < end:
        step = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        channel = vector * lanes
        # gather_panel adds the channel to the target: taken off, so that all panels use the same block of sums.
        gather_panel(
            at(source, 0), at(sums, -channel), at(zeros, 0), table, targets, taps,
            weights, channel * taps * depth, 4 * count, depth, width, vector, step, lanes,
        )  # fmt: skip
        for i in range(count):
            place = (first + i) * width + channel
            pool_rows(
                at(sums, 0), at(targets, 4 * i), at(epilogue.bias, channel), epilogue.slope, at(target, place),
                at(epilogue.argmax, place), min(step * lanes, width - channel),
            )  # fmt: skip
        vector += step
