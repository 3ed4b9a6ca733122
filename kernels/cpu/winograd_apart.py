"""Winograd's algorithm step by step, for layers of few tiles and many weights: all transforms, then all products, all results.

The filters of such a layer do not fit in the second-level cache, where each block of tiles in conv_winograd would wait for them
again; here each is read once for all tiles. In exchange transformed tiles and products go through memory.
"""

from math import prod

import numpy as np

from .epilogue import Epilogue
from .gemm import RATE
from .launch import parallel
from .packing import padded_lanes
from .phases import Tiles
from .simd import WEIGHT_ROWS, WEIGHT_VECTORS, WIDEST, aligned, at, lanes, shifted
from .tiles import pixel_tile
from .winograd_filters import grid, tables
from .winograd_tiles import multiply, result_tables, transform_cotangent, transform_tile, write_tile

MOST_TILES, LEAST_WEIGHTS = 128, 1 << 16  # for which this was faster than blocks of tiles
CHUNK = 8  # tiles to an item of work
PANELS = 2  # of filters to an item
ROWS = 8 * WEIGHT_ROWS  # of sums to an item
SPARE = 24  # at least the rows of every tile of registers


def pays(tiles: int, depth: int, outputs: int) -> bool:
    return tiles <= MOST_TILES and depth * outputs >= LEAST_WEIGHTS


def convolve(
    x: np.ndarray, y: np.ndarray, filters: np.ndarray, gather: Tiles, tiles: int, channels: int, outputs: int, m: int, r: int,
    epilogue: Epilogue,
) -> None:  # fmt: skip
    """y = act(A' (filters * (B' x B)) A + bias) for `tiles` tiles of each of the result's phases; x and y are flat."""
    inputs = _transformed(x, gather, tiles, channels, m, r)
    (results, points, _), deep, unit = inputs.shape, prod(gather.sources) * channels, lanes(x.dtype)
    depth, width = _row(deep, x.dtype), padded_lanes(outputs, x.dtype)
    products = aligned((results * points, _point(tiles, width, x.dtype)), x.dtype)
    items = results * points * -(-width // (PANELS * WIDEST * unit))
    work = results * points * tiles * deep * width
    flat = inputs.reshape(results * points, -1), filters.reshape(results * points, -1), products
    _products(items, *flat, tiles, deep, depth, width, unit, nanoseconds=work / RATE)
    items, sizes = results * -(-tiles // CHUNK), (tiles, outputs, width, m, r, unit)
    _results(items, products, y, gather, *sizes, epilogue, nanoseconds=products.size / 2)


def correlate(x: np.ndarray, g: np.ndarray, gather: Tiles, tiles: int, channels: int, outputs: int, m: int, r: int) -> np.ndarray:
    """Sums over the tiles of (B' x B) * (A g A'), as (1, points, phases * channels, outputs, padded); x and g are flat."""
    inputs = _transformed(x, gather, tiles, channels, m, r)[0]
    points, deep, columns = len(inputs), prod(gather.sources) * channels, padded_lanes(outputs, x.dtype, WEIGHT_VECTORS)
    width, zeros = _row(columns, x.dtype), np.zeros(outputs, x.dtype)
    cotangents = aligned((points, _point(tiles, width, x.dtype)), x.dtype)
    chunks, items = -(-tiles // CHUNK), points * -(-deep // ROWS)
    _cotangents(chunks, g, gather, zeros, cotangents, tiles, outputs, width, m, r, nanoseconds=cotangents.size / 2)
    sums = aligned((1, points, deep, columns), x.dtype)
    rows = _row(deep, x.dtype), width
    _sums(items, inputs, cotangents, sums[0], tiles, *rows, lanes(x.dtype), nanoseconds=sums.size * tiles / RATE)
    return sums


def _transformed(x: np.ndarray, gather: Tiles, tiles: int, channels: int, m: int, r: int) -> np.ndarray:
    """B' x B as (results, points, -1); each point begins with (tiles, phases * channels)."""
    phases, results, points = prod(gather.sources), prod(gather.results), (m + r - 1) ** 2
    depth = _row(phases * channels, x.dtype)
    inputs = aligned((results, points, _point(tiles, depth, x.dtype)), x.dtype)
    items, zeros = results * -(-tiles // CHUNK), np.zeros(channels, x.dtype)
    _inputs(items, x, gather, zeros, inputs, tiles, channels, depth, phases, m, r, nanoseconds=inputs.size / 2)
    return inputs


def _row(columns: int, dtype: np.dtype) -> int:
    """Elements from one tile to the next. Rows a multiple of 512 bytes apart would share few lines of the first-level cache."""
    row = padded_lanes(columns, dtype)
    return row + lanes(dtype) if row % (8 * lanes(dtype)) == 0 else row


def _point(tiles: int, row: int, dtype: np.dtype) -> int:
    """Elements from one point to the next, for the same reason not a power of two."""
    return tiles * row + 3 * lanes(dtype)


@parallel
def _inputs(item, x, gather, zeros, inputs, tiles, channels, depth, phases, m, r):
    _, points, step = inputs.shape
    result, chunk = divmod(item, (tiles + CHUNK - 1) // CHUNK)
    down, across = divmod(result, gather.results[1])
    places, _, _, _ = tables()
    for phase in range(phases):
        for i in range(chunk * CHUNK, min(tiles, chunk * CHUNK + CHUNK)):
            transform_tile(
                m, r, i, phase, at(x, 0), gather, down * gather.tiles[0], across * gather.tiles[1], at(zeros, 0), channels,
                places, at(inputs, result * points * step + i * depth + phase * channels), step,
            )  # fmt: skip


@parallel
def _products(item, inputs, filters, products, tiles, deep, depth, width, lanes):
    """products[point] (tiles, width) = inputs[point] (tiles, deep) @ filters[point], for some panels of columns."""
    unit = PANELS * WIDEST
    point, group = divmod(item, (width + unit * lanes - 1) // (unit * lanes))
    starts, ends = np.empty(tiles + SPARE, np.int64), np.empty(tiles + SPARE, np.int64)
    grid(starts, 1, tiles, 0, depth)
    grid(ends, 1, tiles, 0, width)
    starts[tiles:], ends[tiles:] = starts[tiles - 1], ends[tiles - 1]
    vector, vectors = group * unit, min(width // lanes, group * unit + unit)
    while vector < vectors:
        wide = 4 if WIDEST == 4 and vectors - vector >= 4 else 2 if vectors - vector >= 2 else 1
        panel, columns = point * filters.shape[1] + vector * lanes * deep, wide * lanes
        multiply(
            tiles, at(inputs, point * inputs.shape[1]), starts, at(filters, panel), deep,
            at(products, point * products.shape[1] + vector * lanes), ends, wide, columns, at(filters, panel + columns * deep),
        )  # fmt: skip
        vector += wide


@parallel
def _results(item, products, y, gather, tiles, outputs, width, m, r, lanes, epilogue):
    result, chunk = divmod(item, (tiles + CHUNK - 1) // CHUNK)
    down, across = divmod(result, gather.results[1])
    n, columns, step = m + r - 1, WIDEST * lanes, products.shape[1]
    room, found = np.empty((n * n + m * m + 1) * columns, products.dtype), result_tables(m, n, step, columns)
    for i in range(chunk * CHUNK, min(tiles, chunk * CHUNK + CHUNK)):
        for channel in range(0, outputs, columns):
            write_tile(
                m, r, i, at(products, result * n * n * step + i * width + channel), at(room, 0), columns, found, y, gather,
                down * gather.tiles[0], across * gather.tiles[1], epilogue, channel, min(columns, outputs - channel),
            )  # fmt: skip


@parallel
def _cotangents(item, g, gather, zeros, cotangents, tiles, outputs, width, m, r):
    points, step = cotangents.shape
    places, _, _, _ = tables()
    for i in range(item * CHUNK, min(tiles, item * CHUNK + CHUNK)):
        transform_cotangent(m, r, i, at(g, 0), gather, at(zeros, 0), outputs, places, at(cotangents, i * width), step)
        for point in range(points):
            cotangents[point, i * width + outputs : i * width + width] = 0


@parallel
def _sums(item, inputs, cotangents, sums, tiles, depth, width, lanes):
    """sums[point] (deep, columns) = inputs[point]' (deep, tiles) @ cotangents[point] (tiles, columns), for some rows."""
    _, deep, columns = sums.shape
    point, piece = divmod(item, (deep + ROWS - 1) // ROWS)
    lines, first, end = np.arange(tiles) * depth, piece * ROWS, min(deep, piece * ROWS + ROWS)
    for k in range(first, end, WEIGHT_ROWS):
        top = max(0, min(k, deep - WEIGHT_ROWS))  # rows before k are computed again where too few are left
        left, target = at(inputs, point * inputs.shape[1] + top), at(sums, (point * deep + top) * columns)
        for j in range(0, columns, WEIGHT_VECTORS * lanes):
            right = at(cotangents, point * cotangents.shape[1] + j)
            pixel_tile(
                WEIGHT_ROWS, WEIGHT_VECTORS, left, left, at(lines, 0), tiles, right, width, shifted(target, j), columns,
                k - top, min(end - top, WEIGHT_ROWS), False, right, 0,
            )  # fmt: skip
