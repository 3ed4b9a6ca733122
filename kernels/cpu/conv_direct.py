"""Direct convolution in all three directions, by register tiles on channels-last memory and without columns.

A block of result pixels is described by a table of where each tap of each pixel lies; tiles sum over taps and channels with
the results in registers. So any kernel, stride, dilation, padding and 1 to 3 axes are one code, and pixels of different
rows and images share a tile. Work is divided by shape alone: the number of threads changes nothing in the result.
"""

from math import prod

import numpy as np

from ..spec import ConvSpec
from .channel_tiles import depthwise_tile, depthwise_weight_tile
from .epilogue import Epilogue, finish_rows, pool_rows
from .gemm import BLOCK, ITEMS, RATE, gather_panel, split_vectors
from .geometry import Gather, adjoint, forward
from .launch import operand, parallel, result_like
from .packing import Filters, pack, padded_lanes, unpack
from .simd import WEIGHT_ROWS, WEIGHT_TAPS, WEIGHT_VECTORS, WIDEST, aligned, at, inlined, kernel, lanes, shifted
from .tiles import copy_rows, dot_tile, pixel_tile

PARTS = 8  # of the pixels, each with a weight gradient of its own
MOST_PARTIAL_BYTES = 1 << 26
FEW = 4  # output channels that are better computed by dot products along the input channels


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    y = result_like(x, spec.output_shape(len(x)))
    _gather(operand(x), Filters.of(w, spec), y, forward(spec), epilogue or Epilogue.none(y))
    return np.moveaxis(y, -1, 1)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec) -> np.ndarray:
    gx = result_like(g, spec.input_shape(len(g)))
    g, filters = operand(g), Filters.of(w, spec).swapped()
    for phase in adjoint(spec):
        _gather(g, filters, gx, phase, epilogue or Epilogue.none(gx))
    return np.moveaxis(gx, -1, 1)


def conv_pool(x: np.ndarray, w: np.ndarray, y: np.ndarray, epilogue: Epilogue, *, spec: ConvSpec) -> None:
    """y (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias); one group."""
    filters, gather = Filters.of(w, spec), forward(spec)
    depth, outputs, taps = filters.depth, filters.outputs, len(gather.taps)
    x, windows = operand(x), len(y) * prod(y.shape[1:3])
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


def _gather(source: np.ndarray, w: Filters, result: np.ndarray, gather: Gather, epilogue: Epilogue) -> None:
    """result[p, o] = act(sum over t, c of source[place(p, t), c] * w[o, c, t] + bias[o]), by groups."""
    groups, outputs, depth, taps = w.groups, w.outputs, w.depth, len(gather.taps)
    pixels = len(source) * gather.pixels
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
    elif outputs <= FEW < depth:
        weights = np.zeros((groups, taps, 1 if outputs == 1 else FEW, padded_lanes(depth, source.dtype)), source.dtype)
        weights[:, :, :outputs, :depth] = w.array()[..., gather.taps].transpose(0, 3, 1, 2)
        _dot(blocks * groups, *common, weights, depth, outputs, epilogue, nanoseconds=nanoseconds)
    else:
        split, width = split_vectors(outputs, blocks * groups, source.dtype), lanes(source.dtype)
        items = blocks * groups * -(-outputs // (split * width))
        _tiles(items, *common, pack(w, gather.taps), depth, outputs, split, width, epilogue, nanoseconds=nanoseconds)


def _fill(result: np.ndarray, gather: Gather, epilogue: Epilogue) -> None:
    """Results without a single tap: act(bias)."""
    places = (gather.row_targets[:, None] + gather.col_targets).reshape(-1) // result.shape[-1]
    bias = epilogue.bias
    result.reshape(len(result), -1, result.shape[-1])[:, places] = np.where(bias > 0, bias, bias * epilogue.slope)


@kernel
def _block_places(gather, first, pixels, spare):
    """(table, targets): offsets of all taps of the BLOCK pixels from `first` on, and of their results.

    Those past the end repeat the last one. The table ends with `spare` rows of padding.
    """
    width, taps = len(gather.cols), gather.rows.shape[1] * gather.cols.shape[1]
    table, targets = np.empty((taps + spare, BLOCK), np.int64), np.empty(BLOCK, np.int64)
    count = min(BLOCK, pixels - first)
    n, place = divmod(first, len(gather.rows) * width)
    a, b = divmod(place, width)
    begin = 0
    while begin < count:  # runs of pixels in one row
        end = min(count, begin + width - b)
        _run_places(gather, n, a, b, table[:, begin:end], targets[begin:end])
        begin, b, a = end, 0, a + 1
        if a == len(gather.rows):
            n, a = n + 1, 0
    for t in range(taps):
        table[t, count:] = table[t, count - 1]
    table[taps:] = -1
    targets[count:] = targets[count - 1]
    return table, targets


@kernel
def _run_places(gather, n, a, b, table, targets):
    """The same for pixels from (n, a, b) on that lie in one row."""
    cols, size = gather.cols[b : b + len(targets)], len(targets)
    start = n * gather.target_image + gather.row_targets[a]
    for i in range(size):
        targets[i] = start + gather.col_targets[b + i]
    t = 0
    for row in gather.rows[a]:
        start = n * gather.image + row
        for u in range(cols.shape[1]):
            places = table[t]
            for i in range(size):
                places[i] = start + cols[i, u] if row >= 0 and cols[i, u] >= 0 else -1
            t += 1


@parallel
def _tiles(item, source, target, zeros, gather, pixels, weights, depth, width, split, lanes, epilogue):
    groups, vectors = len(weights), (width + lanes - 1) // lanes
    splits = (vectors + split - 1) // split
    block, rest = divmod(item, groups * splits)
    group, part = divmod(rest, splits)
    table, targets = _block_places(gather, block * BLOCK, pixels, 0)
    count = min(BLOCK, pixels - block * BLOCK)
    vector, end = part * split, min(vectors, (part + 1) * split)
    while vector < end:
        step = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        gather_panel(
            at(source, group * depth), at(target, group * width), at(zeros, 0), table, targets,
            weights, group * weights.shape[1], count, depth, width, vector, step, lanes,
        )  # fmt: skip
        if epilogue.active:
            channel, places = group * width + vector * lanes, at(targets, 0)
            columns = min(step * lanes, width - vector * lanes)
            finish_rows(at(target, channel), places, count, at(epilogue.bias, channel), epilogue.slope, columns)
        vector += step


@kernel
def _window_places(gather, first, windows):
    """A table like `_block_places`' of the four pixels of each of the BLOCK / 4 2x2 windows from `first` on."""
    height, width, count = len(gather.rows) // 2, len(gather.cols) // 2, min(BLOCK // 4, windows - first)
    table = np.empty((gather.rows.shape[1] * gather.cols.shape[1], BLOCK), np.int64)
    for i in range(count):
        n, place = divmod(first + i, height * width)
        a, b = divmod(place, width)
        for q in range(4):
            t, start = 0, n * gather.image
            for row in gather.rows[2 * a + q // 2]:
                for col in gather.cols[2 * b + q % 2]:
                    table[t, 4 * i + q] = start + row + col if row >= 0 and col >= 0 else -1
                    t += 1
    for t in range(len(table)):
        table[t, 4 * count :] = table[t, 4 * count - 1]
    return table


@parallel
def _pooled(item, source, target, zeros, gather, windows, weights, depth, width, split, lanes, epilogue):
    vectors, columns = (width + lanes - 1) // lanes, WIDEST * lanes
    splits = (vectors + split - 1) // split
    block, part = divmod(item, splits)
    first = block * (BLOCK // 4)
    table, count = _window_places(gather, first, windows), min(BLOCK // 4, windows - first)
    sums, targets = np.empty(BLOCK * columns, source.dtype), np.empty(BLOCK, np.int64)
    for i in range(BLOCK):
        targets[i] = i * columns
    vector, end = part * split, min(vectors, (part + 1) * split)
    while vector < end:
        step = 4 if WIDEST == 4 and end - vector >= 4 else 2 if end - vector >= 2 else 1
        channel = vector * lanes
        # gather_panel adds the channel to the target: taken off, so that all panels use the same block of sums.
        gather_panel(
            at(source, 0), at(sums, -channel), at(zeros, 0), table, targets, weights, 0, 4 * count, depth, width, vector, step,
            lanes,
        )  # fmt: skip
        for i in range(count):
            place = (first + i) * width + channel
            pool_rows(
                at(sums, 0), at(targets, 4 * i), at(epilogue.bias, channel), epilogue.slope, at(target, place),
                at(epilogue.argmax, place), min(step * lanes, width - channel),
            )  # fmt: skip
        vector += step


@parallel
def _dot(item, source, target, zeros, gather, pixels, weights, depth, width, epilogue):
    groups, taps, outputs, rounded = weights.shape
    block, group = divmod(item, groups)
    table, targets = _block_places(gather, block * BLOCK, pixels, 0)
    sums = np.empty(4 * FEW, source.dtype)
    start, panel = at(source, group * depth), at(weights, group * taps * outputs * rounded)
    count = min(BLOCK, pixels - block * BLOCK)
    step = 8 if outputs == 1 else 4
    for i in range(0, count, step):
        if outputs == 1:
            dot_tile(8, 1, start, at(zeros, 0), at(table, i), BLOCK, taps, depth, panel, rounded, at(sums, 0))
        else:
            dot_tile(4, FEW, start, at(zeros, 0), at(table, i), BLOCK, taps, depth, panel, FEW * rounded, at(sums, 0))
        for j in range(min(step, count - i)):
            for o in range(width):
                target[targets[i + j] + group * width + o] = sums[j * outputs + o]
    if epilogue.active:
        start = group * width
        finish_rows(at(target, start), at(targets, 0), count, at(epilogue.bias, start), epilogue.slope, width)


@parallel
def _depthwise(block, source, target, zeros, gather, pixels, weights, epilogue):
    taps, channels = weights.shape
    table, targets = _block_places(gather, block * BLOCK, pixels, 0)
    count = min(BLOCK, pixels - block * BLOCK)
    for i in range(0, count, 8):
        depthwise_tile(
            8, at(source, 0), at(zeros, 0), at(table, i), BLOCK, taps, at(weights, 0),
            at(target, 0), at(targets, i), count - i, channels,
        )  # fmt: skip
    if epilogue.active:
        finish_rows(at(target, 0), at(targets, 0), count, at(epilogue.bias, 0), epilogue.slope, channels)


def _correlate(source: np.ndarray, g: np.ndarray, gw: Filters, gather: Gather) -> None:
    """gw[o, c, t] = sum over p of g[p, o] * source[place(p, t), c], by groups; other taps are left alone."""
    groups, outputs, depth, taps = gw.groups, gw.outputs, gw.depth, len(gather.taps)
    pixels = len(source) * gather.pixels
    if not pixels * taps * depth * outputs * groups:
        return
    zeros = np.zeros(padded_lanes(depth * groups, source.dtype), source.dtype)
    parts = min(PARTS, -(-pixels // BLOCK))
    flat = source.reshape(-1), g.reshape(-1)
    nanoseconds = 1.3 * pixels * taps * groups * depth * padded_lanes(outputs, source.dtype) / RATE + pixels * taps
    if _is_depthwise(gw):
        total = aligned((parts, taps, groups), source.dtype)
        _depthwise_weight(parts, *flat, total, zeros, gather, pixels, nanoseconds=nanoseconds)
        gw.array()[:, 0, 0, gather.taps] = total.sum(0).T
        return
    columns = WEIGHT_VECTORS * lanes(source.dtype)
    width = padded_lanes(outputs, source.dtype, WEIGHT_VECTORS)
    parts = max(1, min(parts, MOST_PARTIAL_BYTES // (groups * taps * depth * width * source.itemsize)))
    total = aligned((parts, groups, taps, depth, width), source.dtype)
    splits = max(1, min(width // columns, ITEMS // (parts * groups)))
    sizes = pixels, outputs, splits, columns
    _weight(parts * groups * splits, *flat, total, zeros, gather, *sizes, nanoseconds=nanoseconds)
    unpack(total, gw, gather.taps)


@inlined
def _weight_block(source, zeros, table, panel, count, sums, taps, depth, width, columns):
    """Add one block's products to `sums`, of `columns` results."""
    stride, tap_step = table.shape[1], depth * width
    if depth >= WEIGHT_ROWS:
        for t in range(taps):
            for c in range(0, depth, WEIGHT_ROWS):
                start = min(c, depth - WEIGHT_ROWS)
                pixel_tile(
                    1, WEIGHT_ROWS, WEIGHT_VECTORS, shifted(source, start), zeros, at(table, t * stride), stride, count,
                    panel, columns, shifted(sums, t * tap_step + start * width), tap_step, width, 1, c - start,
                )  # fmt: skip
    else:
        for t in range(0, taps, WEIGHT_TAPS):
            for c in range(depth):
                pixel_tile(
                    WEIGHT_TAPS, 1, WEIGHT_VECTORS, shifted(source, c), zeros, at(table, t * stride), stride, count,
                    panel, columns, shifted(sums, t * tap_step + c * width), tap_step, width, taps - t, 0,
                )  # fmt: skip


@parallel
def _weight(item, source, g, total, zeros, gather, pixels, outputs, splits, columns):
    parts, groups, taps, depth, width = total.shape
    part, rest = divmod(item, groups * splits)
    group, split = divmod(rest, splits)
    panels, blocks = width // columns, (pixels + BLOCK - 1) // BLOCK
    low, high = split * panels // splits, (split + 1) * panels // splits
    total[part, group, :, :, low * columns : high * columns] = 0
    sums, base = at(total, 0), (part * groups + group) * taps * depth * width
    panel = np.empty(BLOCK * columns, source.dtype)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        table, targets = _block_places(gather, block * BLOCK, pixels, WEIGHT_TAPS - 1)
        count = min(BLOCK, pixels - block * BLOCK)
        for j in range(low, high):
            start = group * outputs + j * columns
            copy_rows(WEIGHT_VECTORS, at(g, start), at(targets, 0), count, outputs - j * columns, at(panel, 0))
            _weight_block(
                at(source, group * depth), at(zeros, 0), table, at(panel, 0), count, shifted(sums, base + j * columns),
                taps, depth, width, columns,
            )  # fmt: skip


@parallel
def _depthwise_weight(part, source, g, total, zeros, gather, pixels):
    parts, taps, channels = total.shape
    total[part] = 0
    blocks = (pixels + BLOCK - 1) // BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        table, targets = _block_places(gather, block * BLOCK, pixels, 7)
        for t in range(0, taps, 8):
            depthwise_weight_tile(
                8, at(source, 0), at(zeros, 0), at(table, t * BLOCK), BLOCK, min(BLOCK, pixels - block * BLOCK),
                at(g, 0), at(targets, 0), at(total, (part * taps + t) * channels), taps - t, channels,
            )  # fmt: skip
