"""Winograd convolution F(m, r) on two axes for kernels of r taps per step of the stride, r = 3 or 2, channels-last.

    y = A' ((G w G') * (B' x B)) A        gw = G' (sum over tiles of (B' x B) * (A g A')) G        (in winograd_weight.py)

for tiles of m x m results, m = 4 or 2, with the products * summed over channels: (m + r - 1)^2 matrix products in place of
r^2 m^2. So it serves 3x3 kernels with stride 1 and 2x2 with stride 1, and by phases (phases.py) 4x4 and 6x6 with stride 2. A
block of tiles goes through all steps while its matrices lie in the second-level cache; filters, which do not, are fetched ahead.
The transforms are linear maps along columns, then along rows, with the lanes over channels. Zeros stand for pixels outside.

An infinite or NaN input makes its whole tile NaN. Errors of outputs of unit variance in float32, 128 channels deep, measured as
root mean square and largest: 3.6e-7 and 2.4e-6 for F(2, 3), 1.6e-6 and 1.3e-5 for F(4, 3); of 4x4 kernels with stride 2,
6e-7 and 5e-6 for F(2, 2), 1.7e-6 and 1.9e-5 for F(4, 2); a direct sum has 4e-7 and 2.7e-6.
"""

from math import prod

import numpy as np

from ..arrays import channels_first
from ..spec import ConvSpec
from .epilogue import Epilogue, finish_rows, pool_rows
from .gemm import RATE
from .launch import operand, parallel, result_like, threads
from .linear_maps import linear_map, tile_map
from .packing import Filters, padded_lanes
from .phases import Tiles, pooled_tiles, taps_of, tiles
from .simd import ROWS_1, ROWS_2, ROWS_4, WIDEST, aligned, at, inlined, kernel, lanes, shifted
from .tiles import gather_tile
from .winograd_filters import grid, tables, transformed

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


@kernel
def _places(places, tile, rows, row_step, cols, col_step, size, down, across, image):
    """Offsets of the size x size pixels of one tile, row by row, from tables of `down` and `across` tiles."""
    n, place = divmod(tile, down * across)
    ty, tx = divmod(place, across)
    for a in range(size):
        row = rows[ty * row_step + a]
        for b in range(size):
            col = cols[tx * col_step + b]
            places[a * size + b] = n * image + row + col if row >= 0 and col >= 0 else -1


@kernel
def _map_input(m, r, source, places, zeros, target, step, channels):
    if r == 3:
        if m == 4:
            tile_map("input43", source, places, zeros, target, step, channels)
        else:
            tile_map("input23", source, places, zeros, target, step, channels)
    elif m == 4:
        tile_map("input42", source, places, zeros, target, step, channels)
    else:
        tile_map("input22", source, places, zeros, target, step, channels)


@kernel
def _map_output(m, r, source, places, target, targets, waste, channels):
    if r == 3:
        if m == 4:
            linear_map("output43", source, places, source, target, targets, waste, channels)
        else:
            linear_map("output23", source, places, source, target, targets, waste, channels)
    elif m == 4:
        linear_map("output42", source, places, source, target, targets, waste, channels)
    else:
        linear_map("output22", source, places, source, target, targets, waste, channels)


@inlined
def transform_tile(m, r, tile, phase, source, gather, first_row, first_col, zeros, channels, places, target, step):
    """B' x B of one tile of one phase of the source, its points `step` apart."""
    n, row_step, col_step = m + r - 1, gather.rows.shape[1], gather.cols.shape[1]
    down, across = divmod(phase, gather.sources[1])
    _places(
        at(places, 0), tile, at(gather.rows, first_row * row_step + down * n), row_step,
        at(gather.cols, first_col * col_step + across * n), col_step, n, gather.tiles[0], gather.tiles[1], gather.image,
    )  # fmt: skip
    _map_input(m, r, source, at(places, 0), zeros, target, step, channels)


@inlined
def target_places(m, tile, gather, first_row, first_col, places):
    """Offsets of the m x m results of one tile."""
    _places(
        at(places, 0), tile, at(gather.row_targets, first_row * m), m, at(gather.col_targets, first_col * m), m, m,
        gather.tiles[0], gather.tiles[1], gather.target_image,
    )  # fmt: skip


@inlined
def _multiply(count, inputs, starts, filters, depth, products, targets, vectors, columns, ahead):
    """products (count, columns) = inputs (count, depth) @ filters (depth, columns); what lies `ahead` is fetched."""
    if vectors == 4:
        for i in range(0, count, ROWS_4):
            gather_tile(
                ROWS_4, 4, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False, shifted(ahead, i // ROWS_4 * depth * (columns // 4)),
            )  # fmt: skip
    elif vectors == 2:
        for i in range(0, count, ROWS_2):
            gather_tile(
                ROWS_2, 2, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False, shifted(ahead, i // ROWS_2 * depth * (columns // 2)),
            )  # fmt: skip
    else:
        for i in range(0, count, ROWS_1):
            gather_tile(
                ROWS_1, 1, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False, shifted(ahead, i // ROWS_1 * depth * (columns // 1)),
            )  # fmt: skip


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
    half_at = products_at + n * n * size * spare
    waste = at(memory, half_at + n * n * spare)
    tile = at(memory, half_at + (n * n + 1) * spare)  # one tile of results before they are pooled
    half = at(memory, half_at)

    places, halves, quarters, targets = tables()
    for phase in range(gather.sources[0] * gather.sources[1]):
        for i in range(count):
            transform_tile(
                m, r, first + i, phase, at(x, 0), gather, first_row, first_col, at(zeros, 0), channels, places,
                at(memory, i * depth + phase * channels), size * depth,
            )  # fmt: skip

    pixels, windows, _, _ = tables()
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    grid(starts, 1, size, 0, depth)
    starts[count:] = starts[count - 1]  # what lies there by chance may be slow to multiply
    vector = 0
    while vector < vectors:
        wide = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        columns = wide * lanes
        grid(ends, 1, size, 0, columns)
        for e in range(n * n):
            panel = at(filters, (result * n * n + e) * filters.shape[2] + vector * lanes * deep)
            products = at(memory, products_at + e * size * columns)
            following = at(filters, (result * n * n + e + 1) * filters.shape[2] + vector * lanes * deep)
            _multiply(count, at(memory, e * size * depth), starts, panel, deep, products, ends, wide, columns, following)
        grid(targets, n, n, n * size * columns, size * columns)
        grid(pixels, m, m, columns, m * columns)  # of the tile, row by row
        for window in range(m * m // 4):
            corner = window // (m // 2) * 2 * m + window % (m // 2) * 2
            for q in range(4):
                windows[4 * window + q] = pixels[corner + q // 2 * m + q % 2]
        grid(halves, m, n, n * spare, spare)  # the half-transformed tile is kept by columns
        grid(quarters, n, m, spare, n * spare)
        width = min(columns, outputs - vector * lanes)
        for i in range(count):
            for b in range(n):
                _map_output(
                    m, r, at(memory, products_at + i * columns), at(targets, n * b), half, at(halves, m * b), waste, width
                )  # fmt: skip
            bias, channel = at(epilogue.bias, vector * lanes), vector * lanes
            if len(epilogue.argmax):
                target_places(m // 2, first + i, gather, first_row, first_col, places)
                for a in range(m):
                    _map_output(m, r, half, at(quarters, n * a), tile, at(pixels, m * a), waste, width)
                for window in range(m * m // 4):
                    place = places[window] + channel
                    if places[window] >= 0:
                        pool_rows(
                            tile, at(windows, 4 * window), bias, epilogue.slope, at(y, place), at(epilogue.argmax, place), width
                        )
                continue
            target_places(m, first + i, gather, first_row, first_col, places)
            for a in range(m):
                _map_output(m, r, half, at(quarters, n * a), at(y, channel), at(places, m * a), waste, width)
            if epilogue.active:
                finish_rows(at(y, channel), at(places, 0), m * m, bias, epilogue.slope, width)
        vector += wide
