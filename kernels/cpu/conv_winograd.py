"""Winograd convolution F(m, r) on two axes for kernels of r taps per step of the stride, r = 3 or 2, channels-last.

    y = A' ((G w G') * (B' x B)) A        gw = G' (sum over tiles of (B' x B) * (A g A')) G        (in winograd_weight.py)

for tiles of m x m results, m = 4 or 2, with the products * summed over channels: (m + r - 1)^2 matrix products in place of
r^2 m^2. So it serves 3x3 kernels with stride 1 and 2x2 with stride 1, and by phases (phases.py) 4x4 and 6x6 with stride 2. A
block of tiles goes through all steps while its matrices lie in the second-level cache; filters, which do not, are fetched ahead.
Few tiles with many weights are done step by step instead (winograd_apart.py).
The transforms are linear maps along columns, then along rows, with the lanes over channels. Zeros stand for pixels outside.

An infinite or NaN input makes its whole tile NaN. Errors of outputs of unit variance in float32, 128 channels deep, measured as
root mean square and largest: 3.6e-7 and 2.4e-6 for F(2, 3), 1.6e-6 and 1.3e-5 for F(4, 3); of 4x4 kernels with stride 2,
6e-7 and 5e-6 for F(2, 2), 1.7e-6 and 1.9e-5 for F(4, 2); a direct sum has 4e-7 and 2.7e-6.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..spec import ConvSpec
from . import winograd_apart
from .epilogue import Epilogue
from .gemm import RATE
from .launch import parallel, result_like, threads
from .layout import operand
from .packing import Filters, padded_lanes
from .phases import Tiles, pooled_tiles, taps_of, tiles
from .simd import WIDEST, aligned, at, lanes
from .winograd_filters import grid, tables, transformed
from .winograd_tiles import multiply, result_tables, transform_tile, write_tile

BLOCK_BYTES = 640 << 10  # of transformed tiles, which with the products beside them should stay in the second-level cache
UNIT = 24  # tiles per block are a multiple of all tiles' rows
MOST_TILES = 96
BLOCKS = 8  # at least, where there are tiles enough
MANY = 16  # blocks, of which it does not matter whether they are even


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    y = result_like(x, spec.output_shape(len(x)))
    _convolve(operand(x), Filters.of(w, spec), y, tiles(spec, m, False), m, taps_of(spec), epilogue or Epilogue.none(y))
    return channels_first(y)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    gx = result_like(g, spec.input_shape(len(g)))
    filters = Filters.of(w, spec).swapped()
    _convolve(operand(g), filters, gx, tiles(spec, m, True), m, taps_of(spec), epilogue or Epilogue.none(gx))
    return channels_first(gx)


def conv_pool(x: np.ndarray, w: np.ndarray, y: np.ndarray, epilogue: Epilogue, *, spec: ConvSpec, m: int = 4) -> None:
    """y (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias)."""
    _convolve(operand(x), Filters.of(w, spec), y, pooled_tiles(spec, m), m, taps_of(spec), epilogue)


def _convolve(x: np.ndarray, w: Filters, y: np.ndarray, gather: Tiles, m: int, r: int | None, epilogue: Epilogue) -> None:
    if r is None:
        raise ValueError("Winograd's algorithm needs the same number of taps in all phases")
    outputs, channels = w.outputs, w.depth
    count, n, stacked = len(x) * gather.per_phase, (m + r - 1) ** 2, prod(gather.sources)
    if not count * outputs:
        return
    if not channels:
        y.fill(0)
        return
    depth = padded_lanes(stacked * channels, x.dtype)
    filters = transformed(w, gather, m, r)
    if winograd_apart.pays(count, stacked * channels, outputs):
        winograd_apart.convolve(x.reshape(-1), y.reshape(-1), filters, gather, count, channels, outputs, m, r, epilogue)
        return
    size = min(MOST_TILES, BLOCK_BYTES // (n * depth * x.itemsize), count // BLOCKS)
    size = max(1, size // UNIT) * UNIT
    blocks, results = -(-count // size), len(filters)
    if blocks * results < MANY:  # an even number, for two threads
        blocks += blocks * results % 2
    step = -(-count // blocks)
    columns = WIDEST * lanes(x.dtype)
    scratch = aligned((threads(), n * size * (depth + columns) + (n + 1 + m * m) * columns), x.dtype)
    zeros = np.zeros(channels, x.dtype)
    nanoseconds = results * _nanoseconds(count * n, depth, padded_lanes(outputs, x.dtype))
    _blocks(
        results * -(-count // step), x.reshape(-1), y.reshape(-1), gather, count, zeros, filters, channels, outputs, scratch,
        size, step, m, r, lanes(x.dtype), epilogue, nanoseconds=nanoseconds,
    )  # fmt: skip


def _nanoseconds(entries: int, depth: int, outputs: int) -> float:
    """Estimated time of one core for that many entries of transformed tiles."""
    return entries * (depth * outputs / RATE + (depth + outputs) / 2)


@parallel
def _blocks(index, worker, x, y, gather, tiles, zeros, filters, channels, outputs, scratch, size, step, m, r, lanes, epilogue):
    n, memory = m + r - 1, scratch[worker]
    result, block = divmod(index, (tiles + step - 1) // step)
    down, across = divmod(result, gather.results[1])
    first_row, first_col = down * gather.tiles[0], across * gather.tiles[1]
    first = block * step
    count = min(step, tiles - first)
    deep = channels * gather.sources[0] * gather.sources[1]
    depth, vectors = (deep + lanes - 1) // lanes * lanes, (outputs + lanes - 1) // lanes
    spare = WIDEST * lanes
    products_at = n * n * size * depth
    room = at(memory, products_at + n * n * size * spare)

    places, _, _, _ = tables()
    for phase in range(gather.sources[0] * gather.sources[1]):
        for i in range(count):
            transform_tile(
                m, r, first + i, phase, at(x, 0), gather, first_row, first_col, at(zeros, 0), channels, places,
                at(memory, i * depth + phase * channels), size * depth,
            )  # fmt: skip

    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    grid(starts, 1, size, 0, depth)
    starts[count:] = starts[count - 1]  # what lies there by chance may be slow to multiply
    vector = 0
    while vector < vectors:
        wide = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        columns, channel = wide * lanes, vector * lanes
        grid(ends, 1, size, 0, columns)
        for e in range(n * n):
            panel = at(filters, (result * n * n + e) * filters.shape[2] + channel * deep)
            products = at(memory, products_at + e * size * columns)
            following = at(filters, (result * n * n + e + 1) * filters.shape[2] + channel * deep)
            multiply(count, at(memory, e * size * depth), starts, panel, deep, products, ends, wide, columns, following)
        found = result_tables(m, n, size * columns, columns)
        for i in range(count):
            write_tile(
                m, r, first + i, at(memory, products_at + i * columns), room, columns, found, y, gather, first_row,
                first_col, epilogue, channel, min(columns, outputs - channel),
            )  # fmt: skip
        vector += wide
