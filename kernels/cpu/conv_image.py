"""Convolutions of images of few channels, a network's first: no table for each pixel, and windows pooled in registers.

A row of the kernel meets one run of a channels-last image, so where a pixel's operands lie is told by its row and its column.
A tile is some pixels of one row of results, or some 2x2 windows, whose maximum is taken before anything is stored.

Of weight gradients the sums for all taps, or some rows of them, stay in registers along a row of pixels. Behind a max-pool the
gradient is zero in three of four places; it is not written out, but made of what the pool kept as it is multiplied.
"""

from typing import NamedTuple

import numpy as np

from .epilogue import Epilogue
from .gemm import ITEMS, RATE
from .geometry import Gather
from .image_tiles import run_of_pixels, run_of_windows, weights_of_pixels, weights_of_windows
from .launch import parallel
from .packing import Filters, pack, padded_lanes, unpack
from .places import padded
from .simd import MANY_REGISTERS, ROWS_1, ROWS_2, ROWS_4, WIDEST, aligned, at, lanes

# Windows of a tile of 1, 2 or 4 vectors: as many accumulators as hide the latency of a multiplication.
WINDOWS_1, WINDOWS_2, WINDOWS_4 = WIDEST, WIDEST // 2, max(1, WIDEST // 4)

BAND = 1 << 12  # elements of a gradient whose outputs are gone through while it is in the first-level cache


def applies(w: Filters, gather: Gather) -> bool:
    """Whether a row of the kernel is one run of the source."""
    return w.groups == 1 and w.depth > 0 and gather.side > 1


def conv(source: np.ndarray, w: Filters, result: np.ndarray, gather: Gather, epilogue: Epilogue) -> None:
    """result (N, *output, O) = act(conv + bias), of a channels-last source."""
    _run(source, w, result, gather, epilogue, False)


def conv_pool(source: np.ndarray, w: Filters, result: np.ndarray, gather: Gather, epilogue: Epilogue) -> None:
    """result (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias)."""
    _run(source, w, result, gather, epilogue, True)


def _run(source: np.ndarray, w: Filters, result: np.ndarray, gather: Gather, epilogue: Epilogue, pool: bool) -> None:
    if not result.size:
        return
    source, depth, unit = padded(source, gather), w.depth * gather.side, lanes(source.dtype)
    rows, taps = len(gather.rows) // (2 if pool else 1), gather.rows.shape[1]
    band = -(-rows // max(1, -(-ITEMS // len(source))))
    zeros, weights = np.zeros(depth, source.dtype), pack(w, gather.taps)
    pixels = len(source) * gather.pixels
    nanoseconds = pixels * taps * depth * padded_lanes(w.outputs, source.dtype) / RATE + pixels
    flat = source.reshape(-1), result.reshape(-1), zeros, gather, weights.reshape(-1)
    (_windows if pool else _pixels)(
        len(source) * -(-rows // band), *flat, depth, w.outputs, unit, band, epilogue, nanoseconds=nanoseconds
    )


@parallel
def _pixels(item, source, y, zeros, gather, weights, depth, outputs, lanes, band, epilogue):
    """A band of rows of one image's results."""
    rows, taps = gather.rows.shape
    width, vectors = len(gather.cols), (outputs + lanes - 1) // lanes
    n, part = divmod(item, (rows + band - 1) // band)
    image, low, high = n * gather.image, part * band, min(rows, (part + 1) * band)
    vector = 0
    while vector < vectors:
        wide = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        channel, some = vector * lanes, ROWS_4 if wide == 4 else ROWS_2 if wide == 2 else ROWS_1
        across = min(wide * lanes, outputs - channel)
        for a in range(low, high):
            for b in range(0, width, some):
                place = n * gather.target_image + gather.row_targets[a] + gather.col_targets[b] + channel
                x, lines, cols = at(source, image), at(gather.rows, a * taps), at(gather.cols, 0)
                panel, bias, target = at(weights, channel * taps * depth), at(epilogue.bias, channel), at(y, place)
                if wide == 4:
                    run_of_pixels(
                        ROWS_4, 4, x, at(zeros, 0), lines, taps, depth, cols, b, width - 1, panel, bias, epilogue.slope, target,
                        outputs, width - b, across,
                    )  # fmt: skip
                elif wide == 2:
                    run_of_pixels(
                        ROWS_2, 2, x, at(zeros, 0), lines, taps, depth, cols, b, width - 1, panel, bias, epilogue.slope, target,
                        outputs, width - b, across,
                    )  # fmt: skip
                else:
                    run_of_pixels(
                        ROWS_1, 1, x, at(zeros, 0), lines, taps, depth, cols, b, width - 1, panel, bias, epilogue.slope, target,
                        outputs, width - b, across,
                    )  # fmt: skip
        vector += wide


@parallel
def _windows(item, source, y, zeros, gather, weights, depth, outputs, lanes, band, epilogue):
    """A band of rows of one image's windows."""
    taps, last = gather.rows.shape[1], len(gather.cols) - 1
    rows, width, vectors = len(gather.rows) // 2, len(gather.cols) // 2, (outputs + lanes - 1) // lanes
    n, part = divmod(item, (rows + band - 1) // band)
    image, low, high = n * gather.image, part * band, min(rows, (part + 1) * band)
    vector = 0
    while vector < vectors:
        wide = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        channel = vector * lanes
        across = min(wide * lanes, outputs - channel)
        for a in range(low, high):
            for b in range(0, width, WIDEST // wide):
                place = ((n * rows + a) * width + b) * outputs + channel
                x, lines, cols = at(source, image), at(gather.rows, 2 * a * taps), at(gather.cols, 0)
                panel, bias = at(weights, channel * taps * depth), at(epilogue.bias, channel)
                target, argmax = at(y, place), at(epilogue.argmax, place)
                if wide == 4:
                    run_of_windows(
                        WINDOWS_4, 4, x, at(zeros, 0), lines, taps, depth, cols, 2 * b, last, panel, bias, epilogue.slope, target,
                        argmax, outputs, width - b, across,
                    )  # fmt: skip
                elif wide == 2:
                    run_of_windows(
                        WINDOWS_2, 2, x, at(zeros, 0), lines, taps, depth, cols, 2 * b, last, panel, bias, epilogue.slope, target,
                        argmax, outputs, width - b, across,
                    )  # fmt: skip
                else:
                    run_of_windows(
                        WINDOWS_1, 1, x, at(zeros, 0), lines, taps, depth, cols, 2 * b, last, panel, bias, epilogue.slope, target,
                        argmax, outputs, width - b, across,
                    )  # fmt: skip
        vector += wide


def takes_weight(w: Filters, gather: Gather) -> bool:
    """Whether the sums of a kernel of this size fit the registers: 3x3 for grey images, and colours where there are 32."""
    rows, run = gather.rows.shape[1], w.depth * gather.side
    return applies(w, gather) and rows == 3 and (run == 3 or (run == 9 and MANY_REGISTERS))


class Pooled(NamedTuple):
    """What `conv_pool` kept, where the gradient is one of its result; else empty."""

    y: np.ndarray
    argmax: np.ndarray
    slope: np.floating
    bias: np.ndarray  # per part, the sums of the gradient that was pooled


def conv_weight(
    source: np.ndarray, g: np.ndarray, gw: Filters, gather: Gather, pool: tuple[np.ndarray, np.ndarray, float] | None = None
) -> np.ndarray:
    """gw of a channels-last source and g (N, *output, O).

    With `pool` (y, argmax, slope) g, like them, is of `conv_pool`'s result, and the gradient of the bias is returned.
    """
    dtype, taps, depth = source.dtype, gather.rows.shape[1], gw.depth * gather.side
    if not g.size:
        gw.data.fill(0)
        return np.zeros(gw.outputs, dtype)
    width, unit, source = padded_lanes(gw.outputs, dtype), lanes(dtype), padded(source, gather)
    split = width if len(source) >= ITEMS else unit  # outputs of an item of work
    parts = min(len(source), ITEMS)
    total, bias = aligned((parts, 1, taps, depth, width), dtype), np.zeros((parts if pool else 0, width), dtype)
    zeros = np.zeros(source.shape[-2] * source.shape[-1], dtype)
    kept = Pooled(np.empty(0, dtype), np.empty(0, np.uint8), dtype.type(0), bias.reshape(-1))
    if pool:
        kept = Pooled(pool[0].reshape(-1), pool[1].reshape(-1), dtype.type(pool[2]), bias.reshape(-1))
    nanoseconds = len(source) * gather.pixels * taps * depth * width / RATE
    flat = source.reshape(-1), g.reshape(-1), total
    _weights(parts * (width // split), *flat, zeros, gather, len(source), gw.outputs, split, unit, kept, nanoseconds=nanoseconds)
    unpack(total.reshape(parts, 1, taps * gather.side, gw.depth, width), gw, gather.taps)
    return bias.sum(0)[: gw.outputs]


@parallel
def _weights(item, source, g, total, zeros, gather, images, outputs, split, lanes, pool):
    """Some vectors of outputs, over a part of the images; all of a band of rows while it is in the cache."""
    parts, _, taps, depth, width = total.shape
    part, first = divmod(item, (width + split - 1) // split)
    first *= split
    end = min(width, first + split)
    total[part, 0, :, :, first:end] = 0
    pooled = len(pool.bias) > 0
    step = 2 if pooled else 1
    rows, columns = len(gather.rows) // step, len(gather.cols) // step
    band = min(rows, max(1, BAND // (columns * outputs)))
    bands = (rows + band - 1) // band
    for row in range(part * images // parts * bands, (part + 1) * images // parts * bands):
        n, a = row // bands, row % bands * band
        x, cols, height = at(source, n * gather.image), at(gather.cols, 0), min(band, rows - a)
        for channel in range(first, end, lanes):
            place, across = (n * rows + a) * columns * outputs + channel, min(lanes, outputs - channel)
            lines, target = at(gather.rows, a * step * taps), at(total, part * taps * depth * width + channel)
            if pooled:
                if depth == 3:
                    weights_of_windows(
                        3, 3, x, at(zeros, 0), lines, taps, cols, height, columns, at(g, place), at(pool.y, place),
                        at(pool.argmax, place), outputs, pool.slope, pool.slope == 0, at(pool.bias, part * width + channel),
                        target, width, across,
                    )  # fmt: skip
                else:
                    weights_of_windows(
                        3, 9, x, at(zeros, 0), lines, taps, cols, height, columns, at(g, place), at(pool.y, place),
                        at(pool.argmax, place), outputs, pool.slope, pool.slope == 0, at(pool.bias, part * width + channel),
                        target, width, across,
                    )  # fmt: skip
            elif depth == 3:
                weights_of_pixels(
                    3, 3, x, at(zeros, 0), lines, taps, cols, height, columns, at(g, place), outputs, target, width, across
                )
            else:
                weights_of_pixels(
                    3, 9, x, at(zeros, 0), lines, taps, cols, height, columns, at(g, place), outputs, target, width, across
                )
