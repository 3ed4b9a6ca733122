"""Sums down the columns of matrices and maps with a number for each column: the halves of batch and group normalisation.

x is (matrices, positions, C), or (positions, C) for one matrix; numbers for the columns are (matrices, C), or (C,). Rows are
narrow: several positions side by side make longer ones that fill vectors. The work is divided by shape into chunks of rows,
whose sums are put together in float64. act(v) = v where v > 0, else slope v.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .column_tiles import act_combine_tile, act_dots_tile, affine_tile, combine_tile, dots_tile, moments_tile
from .launch import parallel
from .simd import WIDEST, aligned, at, lanes, plain

CHUNK = 1 << 16  # elements of an item of work, or more where that makes more than ...
CHUNKS = 32  # chunks of rows
PART = 512  # columns of an item of work
MOMENTS, DOTS, AFFINE, COMBINE, ACT_DOTS, ACT_COMBINE = range(6)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each column, in float64."""
    matrix, copies = wide(x)
    matrices, rows, width = matrix.shape
    chunks, size, _ = _split(*matrix.shape)
    middle, first, second = (aligned((matrices, chunks, width), x.dtype) for _ in range(3))
    _run(MOMENTS, matrix, matrix, matrix, 0, [middle, first, second])
    counts = np.full((chunks, 1), size, np.float64)
    counts[-1] = rows - (chunks - 1) * size
    rest = first / counts
    means = middle + rest
    squares = second - first * rest
    m = (counts * means).sum(1, keepdims=True) / rows
    means -= m
    squares = (squares + counts * means * means).sum(1) / rows
    if copies > 1:  # put the positions side by side together
        m, squares = m.reshape(matrices, copies, -1), squares.reshape(matrices, copies, -1)
        mean = m.mean(1, keepdims=True)
        m, squares = mean, (squares + (m - mean) ** 2).mean(1)
    return m.reshape(*x.shape[:-2], -1), squares.reshape(*x.shape[:-2], -1)


def affine(x: np.ndarray, middle: np.ndarray, scale: np.ndarray, shift: np.ndarray | None, slope: float = 1.0) -> np.ndarray:
    """act((x - middle) scale + shift)."""
    matrix, copies = wide(x)
    y = aligned(matrix.shape, x.dtype)
    _run(AFFINE, matrix, matrix, y, slope, _tiled(copies, middle, scale, shift))
    return y.reshape(x.shape)


def dots(
    x: np.ndarray,
    g: np.ndarray,
    middle: np.ndarray,
    scale: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    slope: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """sum(h) and sum(h (x - middle)) of each column, in float64, with h = g act'((x - middle) scale + shift)."""
    matrix, copies = wide(x)
    matrices, _, width = matrix.shape
    first, second = (aligned((matrices, _split(*matrix.shape)[0], width), x.dtype) for _ in range(2))
    if slope == 1:
        _run(DOTS, matrix, g, matrix, slope, [*_tiled(copies, middle), first, second])
    else:
        _run(ACT_DOTS, matrix, g, matrix, slope, [*_tiled(copies, middle, scale, shift), first, second])
    total, dot = (np.add.reduce(a.reshape(matrices, -1, x.shape[-1]), axis=1, dtype=np.float64) for a in (first, second))
    return total.reshape(*x.shape[:-2], -1), dot.reshape(*x.shape[:-2], -1)


def combine(
    x: np.ndarray,
    g: np.ndarray,
    middle: np.ndarray,
    scale: np.ndarray,
    lean: np.ndarray,
    constant: np.ndarray,
    shift: np.ndarray | None = None,
    slope: float = 1.0,
) -> np.ndarray:
    """h scale + (x - middle) lean + constant, with h as in `dots`."""
    matrix, copies = wide(x)
    y = aligned(matrix.shape, x.dtype)
    if slope == 1:
        _run(COMBINE, matrix, g, y, slope, _tiled(copies, middle, scale, lean, constant))
    else:
        _run(ACT_COMBINE, matrix, g, y, slope, _tiled(copies, middle, scale, lean, constant, shift))
    return y.reshape(x.shape)


def wide(x: np.ndarray) -> tuple[np.ndarray, int]:
    """x as (matrices, rows, width), with some positions side by side; and how many."""
    *matrices, positions, channels = x.shape
    copies = _copies(positions, channels, lanes(x.dtype))
    return x.reshape(*(matrices or (1,)), positions // copies, copies * channels), copies


@lru_cache(maxsize=1024)
def _copies(positions: int, channels: int, lanes: int) -> int:
    """The least divisor of the positions that makes rows of whole tiles, or else of whole vectors; or 1."""
    for unit in (WIDEST * lanes, lanes):
        for k in range(1, min(positions, unit) + 1):
            if positions % k == 0 and k * channels % unit == 0:
                return k
    return 1


@lru_cache(maxsize=1024)
def _split(matrices: int, rows: int, width: int) -> tuple[int, int, int]:
    """Chunks of rows in a matrix, rows in each but the last, parts of columns."""
    most = max(1, CHUNKS // matrices)
    size = max(-(-rows // most), min(rows, CHUNK // min(width, PART)))
    return -(-rows // size), size, -(-width // PART)


def _tiled(copies: int, *vectors: np.ndarray | None) -> list[np.ndarray]:
    """Each (matrices, C) or (C,), or zeros for None, `copies` times over: (matrices, copies C)."""
    first = vectors[0].reshape(-1, 1, vectors[0].shape[-1])  # type: ignore[union-attr]
    results = []
    for vector in vectors:
        if copies == 1 and vector is not None and vector.size == first.size and vector.dtype == first.dtype:
            results.append(plain(vector))
            continue
        result = aligned((len(first), copies, first.shape[-1]), first.dtype)
        result[...] = 0 if vector is None else vector.reshape(-1, 1, vector.shape[-1])
        results.append(result)
    return results


def _run(kind: int, x: np.ndarray, g: np.ndarray, y: np.ndarray, slope: float, numbers: list[np.ndarray]) -> None:
    matrices, rows, width = x.shape
    chunks, size, parts = _split(matrices, rows, width)
    each = width if matrices > 1 else 0  # from the numbers of one matrix to those of the next
    flat = [array.reshape(-1) for array in (x, g, y, *numbers, *numbers[:1] * (5 - len(numbers)))]
    sizes = rows, width, chunks, size, parts, each
    _pass(matrices * chunks * parts, kind, *flat, float(slope), *sizes, nanoseconds=0.15 * x.nbytes)


@parallel
def _pass(item, kind, x, g, y, a, b, c, d, e, slope, rows, width, chunks, size, parts, each):
    chunk, column = divmod(item, parts)
    matrix, row = divmod(chunk, chunks)
    row, column = row * size, column * PART
    count, columns = min(size, rows - row), min(PART, width - column)
    start, sums, numbers = (matrix * rows + row) * width + column, chunk * width + column, matrix * each + column
    if kind == MOMENTS:
        moments_tile(count, columns, width, at(x, start), at(a, sums), at(b, sums), at(c, sums))
    elif kind == DOTS:
        dots_tile(count, columns, width, at(x, start), at(g, start), at(a, numbers), at(b, sums), at(c, sums))
    elif kind == ACT_DOTS:
        known: tuple = at(a, numbers), at(b, numbers), at(c, numbers), slope
        act_dots_tile(count, columns, width, at(x, start), at(g, start), *known, at(d, sums), at(e, sums))
    elif kind == AFFINE:
        known = at(a, numbers), at(b, numbers), at(c, numbers), slope
        affine_tile(count, columns, width, at(x, start), at(y, start), *known)
    elif kind == COMBINE:
        known = at(a, numbers), at(b, numbers), at(c, numbers), at(d, numbers)
        combine_tile(count, columns, width, at(x, start), at(g, start), at(y, start), *known)
    else:
        known = at(a, numbers), at(b, numbers), at(e, numbers), slope, at(c, numbers), at(d, numbers)
        act_combine_tile(count, columns, width, at(x, start), at(g, start), at(y, start), *known)
