"""Direct convolution in all three directions, by register tiles on channels-last memory and without columns.

A block of result pixels is described by a table of where each tap of each pixel lies; tiles sum over taps and channels with
the results in registers. So any kernel, stride, dilation, padding and 1 to 3 axes are one code, and pixels of different
rows and images share a tile. Work is divided by shape alone: the number of threads changes nothing in the result.
"""

from math import prod

import numpy as np

from ..epilogue import finish
from ..spec import ConvSpec
from .channel_tiles import depthwise_tile, depthwise_weight_tile
from .conv_few import conv_few
from .correlate import correlate
from .epilogue import Epilogue, finish_rows, pool_rows
from .gemm import BLOCK, RATE, gather_panel, split_vectors
from .geometry import Gather, adjoint, forward
from .launch import operand, parallel, result_like
from .packing import Filters, pack, padded_lanes
from .places import block_places, padded, window_places
from .simd import WIDEST, aligned, at, lanes

PARTS = 8  # of the pixels, each with a weight gradient of its own


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    y = result_like(x, spec.output_shape(len(x)))
    x, filters, epilogue = operand(x), Filters.of(w, spec), epilogue or Epilogue.none(y)
    if conv_few(x, filters, y, spec, False):
        return _finished(y, epilogue)
    _gather(x, filters, y, forward(spec), epilogue)
    return np.moveaxis(y, -1, 1)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    gx = result_like(g, spec.input_shape(len(g)))
    g, filters, epilogue = operand(g), Filters.of(w, spec).swapped(), epilogue or Epilogue.none(gx)
    if conv_few(g, filters, gx, spec, True):
        return _finished(gx, epilogue)
    phases = adjoint(spec)
    taps = np.concatenate([phase.taps for phase in phases])
    together = not _is_depthwise(filters) and len(phases) > 1 and taps.size == np.unique(taps).size
    packed, begin = pack(filters, taps) if together else None, 0
    for phase in phases:
        _gather(g, filters, gx, phase, epilogue, packed, begin)
        begin += len(phase.taps) if together else 0
    return np.moveaxis(gx, -1, 1)


def _finished(y: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    y = np.moveaxis(y, -1, 1)
    return finish(y, epilogue.bias, float(epilogue.slope)) if epilogue.active else y


def conv_pool(x: np.ndarray, w: np.ndarray, y: np.ndarray, epilogue: Epilogue, *, spec: ConvSpec) -> None:
    """y (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias); one group."""
    filters, gather = Filters.of(w, spec), forward(spec)
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
    if filters.outputs < min(filters.depth, lanes(x.dtype)):  # the lanes are better used along the input channels
        for phase in adjoint(spec):
            _correlate(g, x, filters.swapped(), phase)
    else:
        _correlate(x, g, filters, forward(spec))
    return gw


def _is_depthwise(w: Filters) -> bool:
    return w.outputs == w.depth == 1 < w.groups


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
        _fill(result, gather, epilogue)
        return
    zeros = np.zeros(padded_lanes(depth * groups, source.dtype), source.dtype)
    common = source.reshape(-1), result.reshape(-1), zeros, gather, pixels
    blocks = -(-pixels // BLOCK)
    nanoseconds = pixels * taps * groups * depth * padded_lanes(outputs, source.dtype) / RATE + pixels * taps
    if _is_depthwise(w):
        weights = np.ascontiguousarray(w.array()[:, 0, 0, gather.taps].T)
        _depthwise(blocks, *common, weights, epilogue, nanoseconds=nanoseconds)
    else:
        packed = pack(w, gather.taps) if packed is None else packed
        split, width = split_vectors(outputs, blocks * groups, source.dtype), lanes(source.dtype)
        items = blocks * groups * -(-outputs // (split * width))
        start = begin * w.depth
        _tiles(items, *common, packed, start, depth, outputs, split, width, epilogue, nanoseconds=nanoseconds)


def _fill(result: np.ndarray, gather: Gather, epilogue: Epilogue) -> None:
    """Results without a single tap: act(bias)."""
    places = (gather.row_targets[:, None] + gather.col_targets).reshape(-1) // result.shape[-1]
    bias = epilogue.bias
    result.reshape(len(result), -1, result.shape[-1])[:, places] = np.where(bias > 0, bias, bias * epilogue.slope)


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


@parallel
def _depthwise(block, source, target, zeros, gather, pixels, weights, epilogue):
    taps, channels = weights.shape
    table, targets = np.empty(taps * BLOCK, np.int64), np.empty(BLOCK, np.int64)
    count = block_places(gather, block * BLOCK, pixels, 0, taps, table, targets, BLOCK)
    for i in range(0, count, 8):
        depthwise_tile(
            8, at(source, 0), at(zeros, 0), at(table, i), BLOCK, taps, at(weights, 0),
            at(target, 0), at(targets, i), count - i, channels,
        )  # fmt: skip
    if epilogue.active:
        finish_rows(at(target, 0), at(targets, 0), count, at(epilogue.bias, 0), epilogue.slope, channels)


def _correlate(source: np.ndarray, g: np.ndarray, gw: Filters, gather: Gather) -> None:
    if not _is_depthwise(gw):
        correlate(source, g, gw, gather)
        return
    groups, outputs, depth, taps = gw.groups, gw.outputs, gw.depth, len(gather.taps)
    pixels = len(source) * gather.pixels
    if not pixels * taps * depth * outputs * groups:
        return
    zeros = np.zeros(padded_lanes(depth * groups, source.dtype), source.dtype)
    parts = min(PARTS, -(-pixels // BLOCK))
    flat = source.reshape(-1), g.reshape(-1)
    nanoseconds = 1.3 * pixels * taps * groups * depth * padded_lanes(outputs, source.dtype) / RATE + pixels * taps
    total = aligned((parts, taps, groups), source.dtype)
    _depthwise_weight(parts, *flat, total, zeros, gather, pixels, nanoseconds=nanoseconds)
    gw.array()[:, 0, 0, gather.taps] = total.sum(0).T


@parallel
def _depthwise_weight(part, source, g, total, zeros, gather, pixels):
    parts, taps, channels = total.shape
    total[part] = 0
    blocks = (pixels + BLOCK - 1) // BLOCK
    table, targets = np.full((taps + 7) * BLOCK, -1, np.int64), np.empty(BLOCK, np.int64)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        count = block_places(gather, block * BLOCK, pixels, 0, taps, table, targets, BLOCK)
        for t in range(0, taps, 8):
            depthwise_weight_tile(
                8, at(source, 0), at(zeros, 0), at(table, t * BLOCK), BLOCK, count,
                at(g, 0), at(targets, 0), at(total, (part * taps + t) * channels), taps - t, channels,
            )  # fmt: skip
