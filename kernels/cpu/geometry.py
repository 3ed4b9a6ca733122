"""Where each result of a convolution finds its operands, as small tables of element offsets.

Every direction of a convolution is a gather: result[p] = sum over taps t of source[place(p, t)] . weight[t]. The place is
separable, rows[a, s] + cols[b, u] for the result's position (a, b) and the tap (s, u), so the tables stay small: all
spatial axes but the last make `rows`. A negative entry is padding.

An input gradient with stride is several gathers, one for each residue of the position: only every stride-th tap meets it.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec, Ints, PoolSpec

PADDING = -1


class Gather(NamedTuple):
    """Offsets into one channels-last image of the source and of the result, and the taps' places in the kernel.

    Kernels take it as it is: Numba compiles named tuples.
    """

    rows: np.ndarray  # (P, S): of the source, by row position and row tap
    cols: np.ndarray  # (Q, U)
    row_targets: np.ndarray  # (P,): of the result
    col_targets: np.ndarray  # (Q,)
    image: int  # elements of one image of the source
    target_image: int  # and of the result
    taps: np.ndarray  # (S * U,)

    @property
    def pixels(self) -> int:
        return len(self.rows) * len(self.cols)


class _Axis(NamedTuple):
    places: np.ndarray  # (P, T) in the source, or PADDING
    targets: np.ndarray  # (P,)
    taps: np.ndarray  # (T,)


@lru_cache(maxsize=1024)
def forward(spec: ConvSpec) -> Gather:
    """Of conv: the source is x, the result y."""
    axes = [_forward_axis(spec, axis) for axis in range(spec.rank)]
    return _gather(axes, spec.kernel, spec.input, spec.in_channels, spec.output, spec.out_channels)


@lru_cache(maxsize=1024)
def adjoint(spec: ConvSpec) -> tuple[Gather, ...]:
    """Of conv_input: the source is g, the result gx. Together they reach every position, some perhaps with no tap."""
    phases = [[_adjoint_axis(spec, axis, residue) for residue in range(spec.stride[axis])] for axis in range(spec.rank)]
    gathers = (
        _gather(axes, spec.kernel, spec.output, spec.out_channels, spec.input, spec.in_channels) for axes in product(*phases)
    )
    return tuple(gather for gather in gathers if gather.pixels)


@lru_cache(maxsize=1024)
def windows(spec: PoolSpec) -> Gather:
    """Of a pool, with offsets in pixels: rows[a, s] + cols[b, u] is the plane index of a window's element."""
    axes = [_forward_axis(spec, axis) for axis in range(spec.rank)]
    return _gather(axes, spec.kernel, spec.input, 1, spec.output, 1)


@lru_cache(maxsize=1024)
def divisors(spec: PoolSpec) -> np.ndarray:
    """What an average divides by, per window (P, Q) as in `windows`."""
    shape = prod(spec.output[:-1]), spec.output[-1]
    if spec.divisor_override is not None:
        return np.full(shape, float(spec.divisor_override))
    counts = np.ones(1)
    for axis in spec.counts:
        counts = (counts[:, None] * np.array(axis, float)).reshape(-1)
    return counts.reshape(shape)


def _forward_axis(spec: ConvSpec | PoolSpec, axis: int) -> _Axis:
    targets, taps = np.arange(spec.output[axis]), np.arange(spec.kernel[axis])
    places = targets[:, None] * spec.stride[axis] + taps * spec.dilation[axis] - spec.padding[axis][0]
    return _Axis(_within(places, spec.input[axis]), targets, taps)


def _adjoint_axis(spec: ConvSpec, axis: int, residue: int) -> _Axis:
    stride, low = spec.stride[axis], spec.padding[axis][0]
    targets, taps = np.arange(spec.input[axis]), np.arange(spec.kernel[axis])
    targets = targets[(targets + low) % stride == residue]
    taps = taps[taps * spec.dilation[axis] % stride == residue]
    places = (targets[:, None] + low - taps * spec.dilation[axis]) // stride  # exact: both are of this residue
    return _Axis(_within(places, spec.output[axis]), targets, taps)


def _within(places: np.ndarray, size: int) -> np.ndarray:
    return np.where((places >= 0) & (places < size), places, PADDING)


def _gather(axes: Sequence[_Axis], kernel: Ints, source: Ints, channels: int, result: Ints, results: int) -> Gather:
    outer = _Axis(np.zeros((1, 1), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    for axis, size, result_size, taps in zip(axes[:-1], source, result, kernel, strict=False):
        outer = _merged(outer, axis, size, result_size, taps)
    inner = axes[-1]
    return Gather(
        np.where(outer.places < 0, PADDING, outer.places * source[-1] * channels),
        np.where(inner.places < 0, PADDING, inner.places * channels),
        outer.targets * result[-1] * results,
        inner.targets * results,
        prod(source) * channels,
        prod(result) * results,
        (outer.taps[:, None] * kernel[-1] + inner.taps).reshape(-1),
    )


def _merged(a: _Axis, b: _Axis, size: int, result_size: int, taps: int) -> _Axis:
    """Two axes as one, the second running faster."""
    shape = len(a.targets) * len(b.targets), len(a.taps) * len(b.taps)
    outer, inner = a.places[:, None, :, None], b.places[None, :, None, :]
    places = np.where((outer < 0) | (inner < 0), PADDING, outer * size + inner).reshape(shape)
    return _Axis(
        places,
        (a.targets[:, None] * result_size + b.targets).reshape(-1),
        (a.taps[:, None] * taps + b.taps).reshape(-1),
    )


@lru_cache(maxsize=1024)
def tiles(spec: ConvSpec, m: int, flipped: bool) -> Gather:
    """Of Winograd's F(m, 3) on two axes: `cols` and `rows` list the m + 2 places a tile of the source has per axis.

    The targets have m columns likewise; those beyond the result's edge are PADDING. `flipped` means conv_input,
    whose filters are rotated by half a turn.
    """
    size, result = (spec.output, spec.input) if flipped else (spec.input, spec.output)
    channels, results = (spec.out_channels, spec.in_channels) if flipped else (spec.in_channels, spec.out_channels)
    places, targets = [], []
    for axis in range(2):
        low = 2 - spec.padding[axis][0] if flipped else spec.padding[axis][0]
        starts = np.arange(0, result[axis], m)[:, None]
        places.append(_within(starts + np.arange(m + 2) - low, size[axis]))
        targets.append(_within(starts + np.arange(m), result[axis]))
    return Gather(
        np.where(places[0] < 0, PADDING, places[0] * size[1] * channels),
        np.where(places[1] < 0, PADDING, places[1] * channels),
        np.where(targets[0] < 0, PADDING, targets[0] * result[1] * results),
        np.where(targets[1] < 0, PADDING, targets[1] * results),
        prod(size) * channels,
        prod(result) * results,
        np.arange(9)[::-1].copy() if flipped else np.arange(9),
    )


@lru_cache(maxsize=1024)
def pooled_tiles(spec: ConvSpec, m: int) -> Gather:
    """`tiles` of a forward convolution whose results go through a 2x2 max-pool: the targets are the m / 2 windows per axis."""
    sizes, outputs, per_tile = [size // 2 for size in spec.output], spec.out_channels, m // 2
    starts = [np.arange(-(-size // m))[:, None] * per_tile + np.arange(per_tile) for size in spec.output]
    rows, cols = (_within(places, size) for places, size in zip(starts, sizes, strict=True))
    return tiles(spec, m, False)._replace(
        row_targets=np.where(rows < 0, PADDING, rows * sizes[1] * outputs),
        col_targets=np.where(cols < 0, PADDING, cols * outputs),
        target_image=prod(sizes) * outputs,
    )


def multiply_adds(spec: ConvSpec, batch: int) -> int:
    return batch * prod(spec.output) * prod(spec.weight_shape)
