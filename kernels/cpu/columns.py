"""Sums down the columns of a matrix and maps with a number for each column: the halves of batch normalisation.

A matrix (positions, C) of narrow rows is taken as one of fewer and longer rows, several positions side by side, so that its
columns fill vectors. The work is divided by shape into chunks of rows, whose sums are put together in float64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .column_tiles import affine_tile, combine_tile, dots_tile, moments_tile
from .launch import parallel
from .simd import WIDEST, aligned, at, lanes

CHUNK = 1 << 16  # elements of an item of work, or more where that makes more than ...
CHUNKS = 32  # chunks of rows
PART = 512  # columns of an item of work
MOMENTS, DOTS, AFFINE, COMBINE = range(4)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each column of a contiguous (positions, C), in float64."""
    wide, copies = _wide(x)
    chunks, size, _ = _split(*wide.shape)
    middle, first, second = np.empty((3, chunks, wide.shape[1]), x.dtype)
    _run(MOMENTS, wide, wide, wide, middle, first, second, second)
    counts = np.full((chunks, 1), size, np.float64)
    counts[-1] = len(wide) - (chunks - 1) * size
    rest = first / counts
    means = middle + rest
    squares = second - first * rest
    m = (counts * means).sum(0) / len(wide)
    means -= m
    squares = (squares + counts * means * means).sum(0) / len(wide)
    if copies == 1:
        return m, squares
    m, squares = m.reshape(copies, -1), squares.reshape(copies, -1)  # of the positions side by side
    mean = m.mean(0)
    return mean, (squares + (m - mean) ** 2).mean(0)


def affine(x: np.ndarray, middle: np.ndarray, scale: np.ndarray, shift: np.ndarray | None) -> np.ndarray:
    """(x - middle) scale + shift for a contiguous x (positions, C) and vectors (C,)."""
    wide, copies = _wide(x)
    y = aligned(wide.shape, x.dtype)
    middle, scale, shift = _tiled(copies, middle, scale, shift)
    _run(AFFINE, wide, wide, y, middle, scale, shift, shift)
    return y.reshape(x.shape)


def dots(x: np.ndarray, g: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sum(g) and sum(g (x - middle)) of each column of contiguous x and g (positions, C), in float64."""
    wide, copies = _wide(x)
    first, second = np.empty((2, _split(*wide.shape)[0], wide.shape[1]), x.dtype)
    (middle,) = _tiled(copies, middle)
    _run(DOTS, wide, g, wide, middle, first, second, second)
    total, dot = (np.add.reduce(a.reshape(-1, x.shape[1]), axis=0, dtype=np.float64) for a in (first, second))
    return total, dot


def combine(
    x: np.ndarray, g: np.ndarray, middle: np.ndarray, scale: np.ndarray, slope: np.ndarray, constant: np.ndarray
) -> np.ndarray:
    """g scale + (x - middle) slope + constant for contiguous x and g (positions, C) and vectors (C,)."""
    wide, copies = _wide(x)
    y = aligned(wide.shape, x.dtype)
    _run(COMBINE, wide, g, y, *_tiled(copies, middle, scale, slope, constant))
    return y.reshape(x.shape)


def _wide(x: np.ndarray) -> tuple[np.ndarray, int]:
    """x with some positions side by side, and how many."""
    copies = _copies(*x.shape, lanes(x.dtype))
    return x.reshape(len(x) // copies, copies * x.shape[1]), copies


@lru_cache(maxsize=1024)
def _copies(positions: int, channels: int, lanes: int) -> int:
    """The least divisor of the positions that makes rows of whole tiles, or else of whole vectors; or 1."""
    for unit in (WIDEST * lanes, lanes):
        for k in range(1, min(positions, unit) + 1):
            if positions % k == 0 and k * channels % unit == 0:
                return k
    return 1


@lru_cache(maxsize=1024)
def _split(rows: int, width: int) -> tuple[int, int, int]:
    """Chunks of rows, rows in each but the last, parts of columns."""
    size = max(-(-rows // CHUNKS), min(rows, CHUNK // min(width, PART)))
    return -(-rows // size), size, -(-width // PART)


def _tiled(copies: int, *vectors: np.ndarray | None) -> np.ndarray:
    """Each vector, or zeros for None, `copies` times over."""
    result = np.empty((len(vectors), copies, len(vectors[0])), vectors[0].dtype)  # type: ignore[arg-type, union-attr]
    for row, vector in zip(result, vectors):
        row[...] = 0 if vector is None else vector
    return result


def _run(kind: int, x: np.ndarray, g: np.ndarray, y: np.ndarray, *numbers: np.ndarray) -> None:
    chunks, size, parts = _split(*x.shape)
    flat = [array.reshape(-1) for array in (x, g, y, *numbers)]
    _pass(chunks * parts, kind, *flat, *x.shape, size, parts, nanoseconds=0.15 * x.nbytes)


@parallel
def _pass(item, kind, x, g, y, a, b, c, d, rows, width, size, parts):
    chunk, column = divmod(item, parts)
    row, column = chunk * size, column * PART
    count, columns = min(size, rows - row), min(PART, width - column)
    start, sums = row * width + column, chunk * width + column
    if kind == MOMENTS:
        moments_tile(count, columns, width, at(x, start), at(a, sums), at(b, sums), at(c, sums))
    elif kind == DOTS:
        dots_tile(count, columns, width, at(x, start), at(g, start), at(a, column), at(b, sums), at(c, sums))
    elif kind == AFFINE:
        affine_tile(count, columns, width, at(x, start), at(y, start), at(a, column), at(b, column), at(c, column))
    else:
        numbers = at(a, column), at(b, column), at(c, column), at(d, column)
        combine_tile(count, columns, width, at(x, start), at(g, start), at(y, start), *numbers)
