"""Winograd convolution F(4x4, 3x3) and F(2x2, 3x3) for 3x3 kernels at stride 1, in all three directions, channels-last.

    y = A' ((G w G') * (B' x B)) A         gw = G' (sum over tiles of (B' x B) * (A g A')) G

for tiles of m x m results, with the products * summed over channels: (m + 2)^2 matrix products in place of 9 m^2. A block of
tiles goes through all steps while its (m + 2)^2 matrices lie in the second-level cache. The transforms are linear maps along
columns, then along rows, with the lanes over channels. Zeros stand for pixels outside.

An infinite or NaN input makes its whole tile NaN. Errors of outputs of unit variance in float32, 128 channels deep: root
mean square below 5e-7 for F(2, 3) and 2e-6 for F(4, 3), largest below 4e-6 and 3e-5 (a direct sum: 2e-7 and 1e-6).
"""

import numpy as np

from ..spec import ConvSpec
from .epilogue import Epilogue, finish_rows, pool_rows
from .gemm import RATE
from .geometry import Gather, pooled_tiles, tiles
from .launch import operand, parallel, result_like, threads
from .linear_maps import linear_map
from .packing import Filters, padded_lanes
from .simd import ROWS_1, ROWS_2, ROWS_4, WEIGHT_VECTORS, WIDEST, aligned, at, inlined, kernel, lanes
from .tiles import gather_tile, pixel_tile
from .winograd_filters import grid, tables, transformed, transformed_back

BLOCK_BYTES = 640 << 10  # of transformed tiles, which with the products beside them should stay in the second-level cache
UNIT = 24  # tiles per block are a multiple of all tiles' rows
MOST_TILES = 96
WEIGHT_TILES = 48  # per block of a weight gradient
PARTS = 8  # of the tiles at most, each with a weight gradient of its own
MOST_PARTIAL_BYTES = 1 << 25
BLOCKS = 8  # at least, where there are tiles enough


def conv(x: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    y = result_like(x, spec.output_shape(len(x)))
    _convolve(operand(x), Filters.of(w, spec), y, tiles(spec, m, False), m, epilogue or Epilogue.none(y))
    return np.moveaxis(y, -1, 1)


def conv_input(g: np.ndarray, w: np.ndarray, epilogue: Epilogue | None = None, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    gx = result_like(g, spec.input_shape(len(g)))
    _convolve(operand(g), Filters.of(w, spec).swapped(), gx, tiles(spec, m, True), m, epilogue or Epilogue.none(gx))
    return np.moveaxis(gx, -1, 1)


def conv_pool(x: np.ndarray, w: np.ndarray, y: np.ndarray, epilogue: Epilogue, *, spec: ConvSpec, m: int = 4) -> None:
    """y (N, OH // 2, OW // 2, O) = 2x2 max-pool of act(conv + bias)."""
    _convolve(operand(x), Filters.of(w, spec), y, pooled_tiles(spec, m), m, epilogue)


def conv_weight(x: np.ndarray, g: np.ndarray, *, spec: ConvSpec, m: int = 4) -> np.ndarray:
    gw = np.zeros(spec.weight_shape, x.dtype)
    x, g, gather = operand(x), operand(g), tiles(spec, m, False)
    channels, outputs, n = spec.in_channels, spec.out_channels, m + 2
    count = len(x) * len(gather.rows) * len(gather.cols)
    if not count * channels * outputs:
        return gw
    depth, width = padded_lanes(channels, x.dtype), padded_lanes(outputs, x.dtype, WEIGHT_VECTORS)
    parts = max(1, min(PARTS, count // WEIGHT_TILES, MOST_PARTIAL_BYTES // (n * n * depth * width * x.itemsize)))
    sums = aligned((parts, n * n, depth, width), x.dtype)
    inputs = aligned((parts, n * n, WEIGHT_TILES, depth), x.dtype)
    cotangents = aligned((parts, n * n, WEIGHT_TILES, width), x.dtype)
    zeros = np.zeros(max(depth, width), x.dtype)
    flat, memory = (x.reshape(-1), g.reshape(-1)), (inputs, cotangents, sums)
    columns = WEIGHT_VECTORS * lanes(x.dtype)
    nanoseconds = _nanoseconds(count * n * n, depth, width)
    _weight(parts, *flat, gather, count, zeros, channels, outputs, *memory, m, columns, nanoseconds=nanoseconds)
    transformed_back(sums, Filters.of(gw, spec), gather.taps, m)
    return gw


def _convolve(x: np.ndarray, w: Filters, y: np.ndarray, gather: Gather, m: int, epilogue: Epilogue) -> None:
    outputs, channels = w.outputs, w.depth
    count, n = len(x) * len(gather.rows) * len(gather.cols), (m + 2) ** 2
    if not count * outputs:
        return
    if not channels:
        y.fill(0)
        return
    depth = padded_lanes(channels, x.dtype)
    filters = transformed(w, gather.taps, m)
    size = min(MOST_TILES, BLOCK_BYTES // (n * depth * x.itemsize), count // BLOCKS)
    size = max(1, size // UNIT) * UNIT
    columns = WIDEST * lanes(x.dtype)
    spare = max(depth, columns)
    scratch = aligned((threads(), n * size * (depth + columns) + (n + 1) * spare + m * m * columns), x.dtype)
    zeros = np.zeros(spare, x.dtype)
    _blocks(
        -(-count // size), x.reshape(-1), y.reshape(-1), gather, count, zeros, filters, channels, outputs, scratch, size, m,
        lanes(x.dtype), epilogue, nanoseconds=_nanoseconds(count * n, depth, padded_lanes(outputs, x.dtype)),
    )  # fmt: skip


def _nanoseconds(entries: int, depth: int, outputs: int) -> float:
    """Estimated time of one core for that many entries of transformed tiles."""
    return entries * (depth * outputs / RATE + (depth + outputs) / 2)


@kernel
def _places(places, tile, rows, cols, image):
    """Offsets of the pixels of one tile, row by row."""
    n, place = divmod(tile, len(rows) * len(cols))
    ty, tx = divmod(place, len(cols))
    size = rows.shape[1]
    for a in range(size):
        row = rows[ty, a]
        for b in range(size):
            col = cols[tx, b]
            places[a * size + b] = n * image + row + col if row >= 0 and col >= 0 else -1


@inlined
def _map_input(m, source, places, zeros, target, targets, channels):
    if m == 4:
        linear_map("input4", source, places, zeros, target, targets, target, channels)
    else:
        linear_map("input2", source, places, zeros, target, targets, target, channels)


@inlined
def _map_output(m, source, places, target, targets, waste, channels):
    if m == 4:
        linear_map("output4", source, places, source, target, targets, waste, channels)
    else:
        linear_map("output2", source, places, source, target, targets, waste, channels)


@inlined
def _map_cotangent(m, source, places, zeros, target, targets, channels):
    if m == 4:
        linear_map("output'4", source, places, zeros, target, targets, target, channels)
    else:
        linear_map("output'2", source, places, zeros, target, targets, target, channels)


@inlined
def _transform(m, tile, source, gather, zeros, channels, places, halves, quarters, half, target, targets):
    """B' x B of one tile, to target[targets]."""
    n = m + 2
    _places(places, tile, gather.rows, gather.cols, gather.image)
    for a in range(n):
        _map_input(m, source, at(places, n * a), zeros, half, at(halves, n * a), channels)
    for b in range(n):
        _map_input(m, half, at(quarters, n * b), zeros, target, at(targets, n * b), channels)


@inlined
def _multiply(count, inputs, starts, filters, depth, products, targets, vectors, columns):
    """products (count, columns) = inputs (count, depth) @ filters (depth, columns)."""
    if vectors == 4:
        for i in range(0, count, ROWS_4):
            gather_tile(
                ROWS_4, 4, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False,
            )  # fmt: skip
    elif vectors == 2:
        for i in range(0, count, ROWS_2):
            gather_tile(
                ROWS_2, 2, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False,
            )  # fmt: skip
    else:
        for i in range(0, count, ROWS_1):
            gather_tile(
                ROWS_1, 1, inputs, inputs, at(starts, i), 0, 1, depth, filters, 0,
                products, at(targets, i), count - i, columns, False,
            )  # fmt: skip


@parallel
def _blocks(index, worker, x, y, gather, tiles, zeros, filters, channels, outputs, scratch, size, m, lanes, epilogue):
    n, first, memory = m + 2, index * size, scratch[worker]
    count = min(size, tiles - first)
    depth, vectors = (channels + lanes - 1) // lanes * lanes, (outputs + lanes - 1) // lanes
    spare, widest = len(zeros), WIDEST * lanes
    products_at = n * n * size * depth
    half_at = products_at + n * n * size * widest
    waste = at(memory, half_at + n * n * spare)
    tile = at(memory, half_at + (n * n + 1) * spare)  # one tile of results before they are pooled
    half = at(memory, half_at)

    places, halves, quarters, targets = tables()
    grid(halves, n, n, n * spare, spare)  # the half-transformed tile is kept by columns
    grid(quarters, n, n, spare, n * spare)
    grid(targets, n, n, n * size * depth, size * depth)
    for i in range(count):
        _transform(
            m, first + i, at(x, 0), gather, at(zeros, 0), channels, places, halves, quarters, half,
            at(memory, i * depth), targets,
        )  # fmt: skip

    pixels, windows, _, _ = tables()
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    grid(starts, 1, size, 0, depth)
    vector = 0
    while vector < vectors:
        step = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        columns = step * lanes
        grid(ends, 1, size, 0, columns)
        for e in range(n * n):
            panel = at(filters, e * filters.shape[1] + vector * lanes * channels)
            products = at(memory, products_at + e * size * columns)
            _multiply(count, at(memory, e * size * depth), starts, panel, channels, products, ends, step, columns)
        grid(targets, n, n, n * size * columns, size * columns)
        grid(pixels, m, m, columns, m * columns)  # of the tile, row by row
        for window in range(m * m // 4):
            corner = window // (m // 2) * 2 * m + window % (m // 2) * 2
            for q in range(4):
                windows[4 * window + q] = pixels[corner + q // 2 * m + q % 2]
        grid(halves, m, n, n * spare, spare)
        grid(quarters, n, m, spare, n * spare)
        width = min(columns, outputs - vector * lanes)
        for i in range(count):
            for b in range(n):
                _map_output(
                    m, at(memory, products_at + i * columns), at(targets, n * b), half, at(halves, m * b), waste, width
                )  # fmt: skip
            bias, channel = at(epilogue.bias, vector * lanes), vector * lanes
            _places(places, first + i, gather.row_targets, gather.col_targets, gather.target_image)
            if len(epilogue.argmax):
                for a in range(m):
                    _map_output(m, half, at(quarters, n * a), tile, at(pixels, m * a), waste, width)
                for window in range(m * m // 4):
                    place = places[window] + channel
                    if places[window] >= 0:
                        pool_rows(
                            tile, at(windows, 4 * window), bias, epilogue.slope, at(y, place), at(epilogue.argmax, place), width
                        )
                continue
            for a in range(m):
                _map_output(m, half, at(quarters, n * a), at(y, channel), at(places, m * a), waste, width)
            if epilogue.active:
                finish_rows(at(y, channel), at(places, 0), m * m, bias, epilogue.slope, width)
        vector += step


@kernel
def _transform_pair(x, g, gather, tile, zeros, channels, outputs, inputs, cotangents, place, m):
    """B' x B and A g A' of one tile."""
    n, size = m + 2, inputs.shape[1]
    depth, width = inputs.shape[2], cotangents.shape[2]
    spare = len(zeros)
    half = np.empty(n * n * spare, x.dtype)
    places, halves, quarters, targets = tables()
    grid(halves, n, n, n * spare, spare)
    grid(quarters, n, n, spare, n * spare)
    grid(targets, n, n, n * size * depth, size * depth)
    _transform(
        m, tile, at(x, 0), gather, at(zeros, 0), channels, places, halves, quarters, at(half, 0),
        at(inputs, place * depth), targets,
    )  # fmt: skip
    grid(halves, n, m, m * spare, spare)
    grid(quarters, m, n, spare, m * spare)
    grid(targets, n, n, n * size * width, size * width)
    _places(places, tile, gather.row_targets, gather.col_targets, gather.target_image)
    for a in range(m):
        _map_cotangent(m, at(g, 0), at(places, m * a), at(zeros, 0), at(half, 0), at(halves, n * a), outputs)
    for b in range(n):
        _map_cotangent(
            m, at(half, 0), at(quarters, m * b), at(zeros, 0), at(cotangents, place * width), at(targets, n * b), outputs
        )


@parallel
def _weight(part, x, g, gather, count, zeros, channels, outputs, inputs, cotangents, sums, m, columns):
    """sums = sum over this part's tiles of (B' x B) * (A g A')."""
    parts, points, size, depth = inputs.shape
    width = cotangents.shape[3]
    for block in (inputs[part], cotangents[part], sums[part]):
        block[:] = 0  # the channels that fill up the last vectors, too
    starts = np.arange(size) * depth
    end = (part + 1) * count // parts
    for first in range(part * count // parts, end, size):
        tiles = min(size, end - first)
        for i in range(tiles):
            _transform_pair(
                x, g, gather, first + i, zeros, channels, outputs, inputs[part], cotangents[part], i, m
            )  # fmt: skip
        for e in range(points):
            for j in range(0, width, columns):
                panel = at(cotangents, (part * points + e) * size * width + j)
                for c in range(0, depth, 8):
                    pixel_tile(
                        8, WEIGHT_VECTORS, at(inputs, (part * points + e) * size * depth + c), at(zeros, 0), at(starts, 0), tiles,
                        panel, width, at(sums, ((part * points + e) * depth + c) * width + j), width, 0, 8, True, panel, 0,
                    )  # fmt: skip
