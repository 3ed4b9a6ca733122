"""Convolution as matrix products: any dtype, any geometry, NumPy with its BLAS (or CuPy with cuBLAS).

Two ways to compute. `_gather` copies the windows of a chunk of images into a matrix of columns and multiplies
(im2col); `_scatter` multiplies first and adds the products into their windows' places (col2im). At stride 1 each
direction of a convolution is also the other direction of its mirror image, so whichever moves less memory is taken.
Chunks keep the columns in the cache. Results are channels-last in memory; sums have one fixed order.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from . import depthwise
from .arrays import Array, array_module, channels_first, channels_last
from .pooling import avg_pool, avg_pool_input, gather, max_pool, scatter
from .spec import ConvSpec, Ints

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

CHUNK_BYTES = 1 << 20  # of columns per chunk: with the operands beside them they stay in a core's second-level cache
SHORT_RUN_BYTES = 64  # columns whose contiguous runs would be shorter are stored transposed, running along the output


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(x, w)
    if dtype == np.float16:  # BLAS has no half precision; single is faster and sums better
        return conv(x.astype(np.float32), w.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv(x, w, spec=spec)
    if _has_mirror(spec) and spec.out_channels < spec.in_channels:
        return _scatter(x, _flip(w, spec), _mirror(spec))
    return _gather(x, w, spec)


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(g, w)
    if dtype == np.float16:
        return conv_input(g.astype(np.float32), w.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv_input(g, w, spec=spec)
    if _has_mirror(spec) and spec.out_channels <= spec.in_channels:
        return _gather(g, _flip(w, spec), _mirror(spec))
    return _scatter(g, w, spec)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    dtype = np.result_type(x, g)
    if dtype == np.float16:
        return conv_weight(x.astype(np.float32), g.astype(np.float32), spec=spec).astype(dtype)
    if _is_depthwise(spec):
        return depthwise.conv_weight(x, g, spec=spec)
    if _has_mirror(spec) and spec.out_channels < spec.in_channels:
        return _flip(_correlate(g, x, _mirror(spec)), _mirror(spec))
    return _correlate(x, g, spec)


def unfold(x: Array, *, spec: ConvSpec) -> Array:
    n, channels = x.shape[:2]
    padded = array_module(x).zeros((n, 1, channels, *_reach(spec, spec.output[0])), x.dtype)
    _place(padded, x[:, None], spec, 0)
    cols = array_module(x).ascontiguousarray(_windows(padded, spec, spec.output[0]))
    return cols.reshape(n, channels * prod(spec.kernel), prod(spec.output))


def fold(cols: Array, *, spec: ConvSpec) -> Array:
    n = len(cols)
    padded = array_module(cols).zeros((n, 1, spec.in_channels, *_reach(spec, spec.output[0])), cols.dtype)
    windows = cols.reshape(n, 1, spec.in_channels, *spec.kernel, *spec.output)
    _add_windows(padded, windows, spec, 0)
    x = array_module(cols).zeros(spec.input_shape(n), cols.dtype)
    _take_back(x[:, None], padded, spec)
    return x


# The mirror image of a stride-1 convolution from C to O channels is the one from O to C with the same taps, kernel
# flipped: conv(x, w, spec) = conv_input(x, flip(w), mirror), and so in every direction. Its padding may be negative.


def _has_mirror(spec: ConvSpec) -> bool:
    return all(stride == 1 for stride in spec.stride)


def _mirror(spec: ConvSpec) -> ConvSpec:
    low = [extent - 1 - pair[0] for extent, pair in zip(spec.extent, spec.padding, strict=True)]
    total = [a - b + extent - 1 for a, b, extent in zip(spec.input, spec.output, spec.extent, strict=True)]
    return replace(
        spec,
        in_channels=spec.out_channels,
        out_channels=spec.in_channels,
        input=spec.output,
        output=spec.input,
        padding=tuple((a, b - a) for a, b in zip(low, total, strict=True)),
    )


def _flip(w: Array, spec: ConvSpec) -> Array:
    """w (O, C / groups, *kernel) of spec as the weight (C, O / groups, *kernel) of its mirror."""
    grouped = w.reshape(spec.groups, spec.out_channels // spec.groups, *w.shape[1:]).swapaxes(1, 2)
    flipped = grouped[..., *(slice(None, None, -1),) * spec.rank]
    return flipped.reshape(spec.in_channels, -1, *spec.kernel)


def _is_depthwise(spec: ConvSpec) -> bool:
    return spec.groups > 1 and spec.groups == spec.in_channels == spec.out_channels


def _gather(x: Array, w: Array, spec: ConvSpec) -> Array:
    """Convolution: y = columns(x) @ w."""
    dtype = np.result_type(x, w)
    y = array_module(x).empty((len(x), *spec.output, spec.out_channels), dtype)
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
    work = _Workspace(xp, spec, dtype, len(g))
    for chunk in _chunks(len(g), spec, dtype):
        padded, windows, cols = work.views(chunk)
        np.matmul(_rows(g, chunk, spec), matrix, out=cols)
        if chunk.low == 0:
            padded[...] = 0
        _add_windows(padded, windows, spec, chunk.low)
        if chunk.high == spec.output[0]:
            _take_back(_grouped(x[chunk.begin : chunk.end], spec), padded, spec)
    return x


def _weight_matrix(w: Array, spec: ConvSpec) -> Array:
    """w as (groups, kernel * channels, out_channels / groups), the rows in the order of the columns' columns."""
    grouped = w.reshape(spec.groups, -1, *w.shape[1:])
    ordered = np.moveaxis(grouped, (1, 2), (-1, -2))
    return array_module(w).ascontiguousarray(ordered).reshape(spec.groups, prod(w.shape[1:]), -1)


class _Chunk(NamedTuple):
    """Images begin .. end, and of each the rows low .. high of the output's first spatial axis."""

    begin: int
    end: int
    low: int
    high: int


def _chunks(n: int, spec: ConvSpec, dtype: np.dtype) -> Iterator[_Chunk]:
    row_bytes = prod(spec.output[1:]) * prod(spec.kernel) * spec.in_channels * dtype.itemsize
    rows = max(1, CHUNK_BYTES // max(1, row_bytes))
    images = max(1, rows // spec.output[0])
    rows = min(rows, spec.output[0])
    for begin in range(0, n, images):
        for low in range(0, spec.output[0], rows):
            yield _Chunk(begin, min(begin + images, n), low, min(low + rows, spec.output[0]))


def _rows(y: Array, chunk: _Chunk, spec: ConvSpec) -> Array:
    """The chunk's part of a channels-last y, as (groups, positions, out_channels / groups)."""
    part = y[chunk.begin : chunk.end, chunk.low : chunk.high]
    return part.reshape(prod(part.shape[:-1]), spec.groups, y.shape[-1] // spec.groups).swapaxes(0, 1)


def _columns(x: Array, spec: ConvSpec, dtype: np.dtype) -> Iterator[tuple[_Chunk, Array]]:
    """(chunk, columns) for all chunks; the columns (groups, positions, kernel * channels) are overwritten by the next."""
    if prod(spec.kernel) == 1 and _has_mirror(spec) and spec.input == spec.output:
        whole = _Chunk(0, len(x), 0, spec.output[0])  # one tap on every element: the input is its own columns
        yield whole, _rows(channels_last(x), whole, spec)
        return
    work = _Workspace(array_module(x), spec, dtype, len(x))
    for chunk in _chunks(len(x), spec, dtype):
        padded, windows, cols = work.views(chunk)
        _place(padded, _grouped(x[chunk.begin : chunk.end], spec), spec, chunk.low)
        windows[...] = _windows(padded, spec, chunk.high - chunk.low)
        yield chunk, cols


class _Workspace:
    """Memory for the padded input and the columns of one chunk, reused by all."""

    def __init__(self, xp, spec: ConvSpec, dtype: np.dtype, n: int) -> None:
        self.spec = spec
        first = next(_chunks(n, spec, dtype), _Chunk(0, 0, 0, 0))  # none is larger
        outputs = (first.end - first.begin) * (first.high - first.low) * prod(spec.output[1:])
        self.columns = xp.empty(outputs * spec.in_channels * prod(spec.kernel), dtype)
        # A scatter keeps the whole image while its rows come chunk by chunk.
        self.padded = xp.zeros((first.end - first.begin) * spec.in_channels * prod(_reach(spec, spec.output[0])), dtype)
        run = spec.weight_shape[1] * (spec.kernel[-1] if spec.dilation[-1] == 1 else 1)
        self.runs_along_output = run * dtype.itemsize < SHORT_RUN_BYTES

    def views(self, chunk: _Chunk) -> tuple[Array, Array, Array]:
        """padded (n, groups, channels, *reach), columns by window (n, groups, channels, *kernel, *output) and the same
        memory as a matrix (groups, positions, kernel * channels)."""
        spec, n, rows = self.spec, chunk.end - chunk.begin, chunk.high - chunk.low
        groups, channels, rank = spec.groups, spec.weight_shape[1], spec.rank
        reach = _reach(spec, spec.output[0])
        padded = self.padded[: n * spec.in_channels * prod(reach)]
        output = (rows, *spec.output[1:])
        places, taps = n * prod(output), prod(spec.kernel) * channels
        columns = self.columns[: groups * places * taps]
        if self.runs_along_output:
            padded = padded.reshape(n, groups, channels, *reach)
            by_window = columns.reshape(groups, *spec.kernel, channels, n, *output)
            by_window = np.moveaxis(by_window, (2 + rank, 0, 1 + rank), (0, 1, 2))
            return padded, by_window, columns.reshape(groups, taps, places).swapaxes(1, 2)
        padded = np.moveaxis(padded.reshape(n, *reach, groups, channels), (-2, -1), (1, 2))
        by_window = columns.reshape(groups, n, *output, *spec.kernel, channels)
        by_window = np.moveaxis(by_window, (1, 0, -1, *range(2 + rank, 2 + 2 * rank)), range(3 + rank))
        return padded, by_window, columns.reshape(groups, places, taps)


def _grouped(x: Array, spec: ConvSpec) -> Array:
    """(N, C, *spatial) with the channels split into (groups, C / groups)."""
    return x.reshape(len(x), spec.groups, spec.weight_shape[1], *x.shape[2:])


def _reach(spec: ConvSpec, rows: int) -> Ints:
    """Size of the padded input that the windows of the first `rows` rows touch."""
    output = (rows, *spec.output[1:])
    return tuple((o - 1) * s + extent for o, s, extent in zip(output, spec.stride, spec.extent, strict=True))


def _place(padded: Array, x: Array, spec: ConvSpec, row: int) -> None:
    """Copy into `padded`, whose first axis begins at the window of output row `row`, what it covers of x."""
    target, source = _overlap(spec, row, padded.shape[-spec.rank :])
    padded[...] = 0
    padded[target] = x[source]


def _take_back(x: Array, padded: Array, spec: ConvSpec) -> None:
    """The reverse of `_place` at row 0: copy into x what `padded` covers of it."""
    source, target = _overlap(spec, 0, padded.shape[-spec.rank :])
    x[target] = padded[source]


def _overlap(spec: ConvSpec, row: int, sizes: Ints) -> tuple[tuple, tuple]:
    """Indices of the common part of a padded block of `sizes`, from output row `row` on, and of the input."""
    inner, outer = [...], [...]
    for axis, size in enumerate(sizes):
        start = (row * spec.stride[axis] if axis == 0 else 0) - spec.padding[axis][0]
        low, high = max(0, start), max(0, start, min(spec.input[axis], start + size))
        inner.append(slice(low - start, high - start))
        outer.append(slice(low, high))
    return tuple(inner), tuple(outer)


def _windows(padded: Array, spec: ConvSpec, rows: int) -> Array:
    """The view (n, groups, channels, *kernel, *output) of a padded block's windows."""
    steps = padded.strides[3:]
    return array_module(padded).lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[:3], *spec.kernel, rows, *spec.output[1:]),
        (
            *padded.strides[:3],
            *(step * dilation for step, dilation in zip(steps, spec.dilation, strict=True)),
            *(step * stride for step, stride in zip(steps, spec.stride, strict=True)),
        ),
    )


def _add_windows(padded: Array, windows: Array, spec: ConvSpec, row: int) -> None:
    """Add windows (n, groups, channels, *kernel, *output), those of output rows from `row` on, into their places."""
    output = windows.shape[-spec.rank :]
    for k in np.ndindex(*spec.kernel):
        taps = []
        for axis in range(spec.rank):
            stride = spec.stride[axis]
            start = k[axis] * spec.dilation[axis] + (row * stride if axis == 0 else 0)
            taps.append(slice(start, start + (output[axis] - 1) * stride + 1, stride))
        padded[:, :, :, *taps] += windows[:, :, :, *k]
