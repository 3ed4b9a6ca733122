"""Convolution as matrix products: any dtype, any geometry, NumPy with its BLAS (or CuPy with cuBLAS).

Two ways to compute. `_gather` copies the windows of a chunk of images into a matrix of columns and multiplies
(im2col); `_scatter` multiplies first and adds the products into their windows' places (col2im). At stride 1 each
direction of a convolution is also the other direction of its mirror image, so whichever moves less memory is taken.
Chunks keep the columns in the cache. Results are channels-last in memory; sums have one fixed order.
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from . import depthwise
from .arrays import Array, array_module, channels_first, channels_last, empty
from .pooling import avg_pool, avg_pool_input, gather, max_pool, scatter
from .spec import ConvSpec
from .windows import add_windows, flip, grouped, has_mirror, mirror, place, reach, take_back, windows

__all__ = [
    "avg_pool",
    "avg_pool_input",
    "conv",
    "conv_input",
    "conv_weight",
    "fold",
    "gather",
    "max_pool",
    "scatter",
    "unfold",
]

CHUNK_BYTES = 1 << 21  # of columns per chunk: with the operands beside them they stay in a core's second-level cache
SHORT_RUN_BYTES = 64  # columns whose contiguous runs would be shorter are stored transposed, running along the output


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(x, w)
    if dtype == np.float16:  # BLAS has no half precision; single is faster and sums better
        return conv(x.astype(np.float32), w.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv(x, w, spec=spec)
    if has_mirror(spec) and _narrows(spec, spec.in_channels, spec.out_channels):
        return _scatter(x, flip(w, spec), mirror(spec))
    return _gather(x, w, spec)


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(g, w)
    if dtype == np.float16:
        return conv_input(g.astype(np.float32), w.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv_input(g, w, spec=spec)
    if has_mirror(spec) and not _narrows(spec, spec.out_channels, spec.in_channels):
        return _gather(g, flip(w, spec), mirror(spec))
    return _scatter(g, w, spec)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(x, g)
    if dtype == np.float16:
        return conv_weight(x.astype(np.float32), g.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv_weight(x, g, spec=spec)
    if has_mirror(spec) and spec.out_channels < spec.in_channels:
        return flip(_correlate(g, x, mirror(spec)), mirror(spec))
    return _correlate(x, g, spec)


def unfold(x: Array, *, spec: ConvSpec) -> Array:
    n, channels = x.shape[:2]
    padded = array_module(x).zeros((n, 1, channels, *reach(spec, spec.output[0])), x.dtype)
    place(padded, x[:, None], spec, 0)
    cols = array_module(x).ascontiguousarray(windows(padded, spec, spec.output[0]))
    return cols.reshape(n, channels * prod(spec.kernel), prod(spec.output))


def fold(cols: Array, *, spec: ConvSpec) -> Array:
    n = len(cols)
    padded = array_module(cols).zeros((n, 1, spec.in_channels, *reach(spec, spec.output[0])), cols.dtype)
    by_window = cols.reshape(n, 1, spec.in_channels, *spec.kernel, *spec.output)
    add_windows(padded, by_window, spec, 0)
    x = array_module(cols).zeros(spec.input_shape(n), cols.dtype)
    take_back(x[:, None], padded, spec)
    return x


def _narrows(spec: ConvSpec, channels: int, results: int) -> bool:
    """Whether columns of the results, which are added to, are cheaper than columns of the input, which are copied."""
    return prod(spec.kernel) > 1 and 4 * results <= channels


def _is_depthwise(spec: ConvSpec) -> bool:
    return spec.groups > 1 and spec.groups == spec.in_channels == spec.out_channels


def _gather(x: Array, w: Array, spec: ConvSpec) -> Array:
    """Convolution: y = columns(x) @ w."""
    dtype = np.result_type(x, w)
    y = empty(x, (len(x), *spec.output, spec.out_channels), dtype)
    matrix = _weight_matrix(w, spec)
    for chunk, cols in _columns(x, spec, dtype):
        np.matmul(cols, matrix, out=_rows(y, chunk, spec))
    return channels_first(y)


def _correlate(x: Array, g: Array, spec: ConvSpec) -> Array:
    """Weight gradient: columns(x)^T @ g."""
    xp, dtype, g = array_module(x), np.result_type(x, g), channels_last(g)
    shape = (spec.groups, prod(spec.weight_shape[1:]), spec.out_channels // spec.groups)
    total, part = xp.zeros(shape, dtype), xp.empty(shape, dtype)
    for chunk, cols in _columns(x, spec, dtype):
        total += np.matmul(cols.swapaxes(1, 2), _rows(g, chunk, spec), out=part)
    split = total.reshape(spec.groups, *spec.kernel, *spec.weight_shape[1:2], shape[2])
    return xp.ascontiguousarray(np.moveaxis(split, (-1, -2), (1, 2))).reshape(spec.weight_shape)


def _scatter(g: Array, w: Array, spec: ConvSpec) -> Array:
    """Input gradient: columns = g @ w^T, added into their windows' places."""
    xp, dtype, g = array_module(g), np.result_type(g, w), channels_last(g)
    x = channels_first(xp.zeros((len(g), *spec.input, spec.in_channels), dtype))
    matrix = _weight_matrix(w, spec).swapaxes(1, 2)
    work = _Workspace(g, spec, dtype, len(g), run=spec.weight_shape[1])  # adds go tap by tap
    for chunk in _chunks(len(g), spec, dtype):
        padded, by_window, cols = work.views(chunk.end - chunk.begin, chunk.high - chunk.low)
        np.matmul(_rows(g, chunk, spec), matrix, out=cols)
        if chunk.low == 0:
            padded[...] = 0
        add_windows(padded, by_window, spec, chunk.low)
        if chunk.high == spec.output[0]:
            take_back(grouped(x[chunk.begin : chunk.end], spec), padded, spec)
    return x


def _weight_matrix(w: Array, spec: ConvSpec) -> Array:
    """w as (groups, kernel * channels, out_channels / groups), the rows in the order of the columns' columns."""
    split = w.reshape(spec.groups, spec.out_channels // spec.groups, *w.shape[1:])
    ordered = np.moveaxis(split, (1, 2), (-1, -2))
    return array_module(w).ascontiguousarray(ordered).reshape(spec.groups, prod(w.shape[1:]), split.shape[1])


class _Chunk(NamedTuple):
    """Images begin .. end, and of each the rows low .. high of the output's first spatial axis."""

    begin: int
    end: int
    low: int
    high: int


def _row_size(spec: ConvSpec) -> int:
    """Elements of the columns for one row of one image's output."""
    return prod(spec.output[1:]) * prod(spec.kernel) * spec.in_channels


def _chunk_size(spec: ConvSpec, dtype: np.dtype) -> tuple[int, int]:
    """Images, and rows of each, whose columns fill a chunk."""
    rows = max(1, CHUNK_BYTES // max(1, _row_size(spec) * dtype.itemsize))
    return max(1, rows // spec.output[0]), min(rows, spec.output[0])


def _chunks(n: int, spec: ConvSpec, dtype: np.dtype) -> Iterator[_Chunk]:
    images, rows = _chunk_size(spec, dtype)
    for begin in range(0, n, images):
        for low in range(0, spec.output[0], rows):
            yield _Chunk(begin, min(begin + images, n), low, min(low + rows, spec.output[0]))


def _rows(y: Array, chunk: _Chunk, spec: ConvSpec) -> Array:
    """The chunk's part of a channels-last y, as (groups, positions, out_channels / groups)."""
    part = y[chunk.begin : chunk.end, chunk.low : chunk.high]
    return part.reshape(prod(part.shape[:-1]), spec.groups, y.shape[-1] // spec.groups).swapaxes(0, 1)


def _columns(x: Array, spec: ConvSpec, dtype: np.dtype) -> Iterator[tuple[_Chunk, Array]]:
    """(chunk, columns) for all chunks; the next overwrites the columns (groups, positions, kernel * channels)."""
    if prod(spec.kernel) == 1 and not any(map(any, spec.padding)):  # the input, thinned out, is its own columns
        steps = (slice(0, (o - 1) * s + 1, s) for o, s in zip(spec.output, spec.stride, strict=True))
        whole = _Chunk(0, len(x), 0, spec.output[0])
        yield whole, _rows(channels_last(x[:, :, *steps]), whole, spec)
        return
    run = spec.weight_shape[1] * (spec.kernel[-1] if spec.dilation[-1] == 1 else 1)
    work = _Workspace(x, spec, dtype, len(x), run)
    for chunk in _chunks(len(x), spec, dtype):
        rows = chunk.high - chunk.low
        padded, by_window, cols = work.views(chunk.end - chunk.begin, rows)
        if rows < spec.output[0]:  # otherwise the padding lies where it did in the last chunk
            padded[...] = 0
        place(padded, grouped(x[chunk.begin : chunk.end], spec), spec, chunk.low)
        by_window[...] = windows(padded, spec, rows)
        yield chunk, cols


class _Workspace:
    """Memory for the padded input and the columns of one chunk, reused by all.

    `run` is how many elements of a column's row are copied or added at a stretch.
    """

    def __init__(self, beside: Array, spec: ConvSpec, dtype: np.dtype, n: int, run: int) -> None:
        images, rows = _chunk_size(spec, dtype)
        images = min(images, n)
        self.spec = spec
        # A scatter keeps whole images while their rows come chunk by chunk.
        self.padded = array_module(beside).zeros(images * spec.in_channels * prod(reach(spec, spec.output[0])), dtype)
        self.columns = empty(beside, (images * rows * _row_size(spec),), dtype)
        self.runs_along_output = run * dtype.itemsize < SHORT_RUN_BYTES
        self.made: dict[tuple[int, int], tuple[Array, Array, Array]] = {}

    def views(self, n: int, rows: int) -> tuple[Array, Array, Array]:
        """Of n images with `rows` rows: padded (n, groups, channels, *size), columns by window (n, groups, channels,
        *kernel, *output), and the same columns as a matrix (groups, positions, kernel * channels)."""
        if (n, rows) not in self.made:
            self.made[n, rows] = self._make(n, rows)
        return self.made[n, rows]

    def _make(self, n: int, rows: int) -> tuple[Array, Array, Array]:
        spec, rank, groups, channels = self.spec, self.spec.rank, self.spec.groups, self.spec.weight_shape[1]
        size, output = reach(spec, spec.output[0]), (rows, *spec.output[1:])
        padded = self.padded[: n * spec.in_channels * prod(size)]
        columns = self.columns[: n * rows * _row_size(spec)]
        places, taps = n * prod(output), prod(spec.kernel) * channels
        if self.runs_along_output:
            padded = padded.reshape(n, groups, channels, *size)
            by_window = columns.reshape(groups, *spec.kernel, channels, n, *output)
            by_window = np.moveaxis(by_window, (2 + rank, 0, 1 + rank), (0, 1, 2))
            return padded, by_window, columns.reshape(groups, taps, places).swapaxes(1, 2)
        padded = np.moveaxis(padded.reshape(n, groups, *size, channels), -1, 2)
        by_window = columns.reshape(groups, n, *output, *spec.kernel, channels)
        by_window = np.moveaxis(by_window, (1, 0, -1, *range(2 + rank, 2 + 2 * rank)), range(3 + rank))
        return padded, by_window, columns.reshape(groups, places, taps)
