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
FEW = 16  # channels with which a row of the kernel is taken at once
MOST_KINDS = 8  # of positions, to which an axis of an input gradient is split


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
    taps: np.ndarray  # (S * U * side,)
    side: int  # taps that lie side by side in the source and are one column of the tables: with few channels a whole row
    pads: tuple[int, int]  # columns of zeros that the source then needs before and after its last axis

    @property
    def pixels(self) -> int:
        return len(self.rows) * len(self.cols)


class _Axis(NamedTuple):
    places: np.ndarray  # (P, T) in the source, or beyond its ends
    targets: np.ndarray  # (P,)
    taps: np.ndarray  # (T,)


@lru_cache(maxsize=1024)
def forward(spec: ConvSpec) -> Gather:
    """Of conv: the source is x, the result y."""
    axes = [_forward_axis(spec, axis) for axis in range(spec.rank)]
    return _gather(axes, spec.kernel, spec.input, spec.in_channels, spec.output, spec.out_channels, spec.groups == 1)


@lru_cache(maxsize=1024)
def adjoint(spec: ConvSpec, parted: bool = True) -> tuple[Gather, ...]:
    """Of conv_input: the source is g, the result gx. Together they reach every position, some perhaps with no tap.

    `parted`: where most taps meet padding, positions are told apart by their taps too, which then come in several gathers.
    """
    phases = [[_adjoint_axis(spec, axis, residue) for residue in range(spec.stride[axis])] for axis in range(spec.rank)]
    if parted:
        sizes = zip(phases, spec.output, strict=True)
        phases = [[part for phase in axis for part in _parts(phase, size)] for axis, size in sizes]
    gathers = (
        _gather(axes, spec.kernel, spec.output, spec.out_channels, spec.input, spec.in_channels, spec.groups == 1)
        for axes in product(*phases)
    )
    return tuple(gather for gather in gathers if gather.pixels)


@lru_cache(maxsize=1024)
def windows(spec: PoolSpec) -> Gather:
    """Of a pool, with offsets in pixels: rows[a, s] + cols[b, u] is the plane index of a window's element."""
    axes = [_forward_axis(spec, axis) for axis in range(spec.rank)]
    return _gather(axes, spec.kernel, spec.input, 1, spec.output, 1, False)


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
    return _Axis(places, targets, taps)


def _adjoint_axis(spec: ConvSpec, axis: int, residue: int) -> _Axis:
    stride, low = spec.stride[axis], spec.padding[axis][0]
    targets, taps = np.arange(spec.input[axis]), np.arange(spec.kernel[axis])
    targets = targets[(targets + low) % stride == residue]
    taps = taps[taps * spec.dilation[axis] % stride == residue][::-1]  # so that places ascend
    places = (targets[:, None] + low - taps * spec.dilation[axis]) // stride  # exact: both are of this residue
    return _Axis(places, targets, taps)


def _parts(axis: _Axis, size: int) -> list[_Axis]:
    """The positions by the taps that do not meet padding, where most do and few kinds of position are."""
    met = (axis.places >= 0) & (axis.places < size)
    kinds, kind_of = np.unique(met, axis=0, return_inverse=True)
    if not met.size or 2 * met.mean() > 1 or len(kinds) > MOST_KINDS:
        return [axis]
    kind_of = kind_of.reshape(-1)
    return [
        _Axis(axis.places[kind_of == i][:, kind], axis.targets[kind_of == i], axis.taps[kind]) for i, kind in enumerate(kinds)
    ]


class Meetings(NamedTuple):
    """The taps that meet each position of the result, and where they find the source.

    By rows, which are all axes but the last, and columns. Lists are as long as the longest, `counts` says how much is meant.
    """

    row_counts: np.ndarray  # (P,)
    row_places: np.ndarray  # (P, S) rows of the source
    row_taps: np.ndarray  # (P, S) rows of the kernel
    col_counts: np.ndarray  # (Q,)
    col_places: np.ndarray  # (Q, U)
    col_taps: np.ndarray  # (Q, U)


@lru_cache(maxsize=1024)
def meetings(spec: ConvSpec, flipped: bool) -> Meetings:
    """Of conv, or of conv_input (`flipped`), for positions of every residue at once."""
    axes = [_whole_axis(spec, axis) if flipped else _forward_axis(spec, axis) for axis in range(spec.rank)]
    source, result = (spec.output, spec.input) if flipped else (spec.input, spec.output)
    if spec.rank == 1:  # a single column
        axes, source, result = (
            [*axes, _Axis(np.zeros((1, 1), int), np.zeros(1, int), np.zeros(1, int))],
            (*source, 1),
            (*result, 1),
        )
    outer, inner = _outer(axes, spec.kernel, source, result), axes[-1]
    return Meetings(*_met(outer.places, outer.taps), *_met(_within(inner.places, source[-1]), inner.taps))


def _whole_axis(spec: ConvSpec, axis: int) -> _Axis:
    stride, low = spec.stride[axis], spec.padding[axis][0]
    targets, taps = np.arange(spec.input[axis]), np.arange(spec.kernel[axis])
    places = targets[:, None] + low - taps * spec.dilation[axis]
    return _Axis(np.where(places % stride == 0, places // stride, PADDING), targets, taps)


def _met(places: np.ndarray, taps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(places < 0, axis=1, kind="stable")
    return (places >= 0).sum(1), np.take_along_axis(places, order, 1), taps[order]


def _within(places: np.ndarray, size: int) -> np.ndarray:
    return np.where((places >= 0) & (places < size), places, PADDING)


def _gather(
    axes: Sequence[_Axis], kernel: Ints, source: Ints, channels: int, result: Ints, results: int, may_widen: bool
) -> Gather:
    outer = _outer(axes, kernel, source, result)
    inner, side, pads, width = axes[-1], 1, (0, 0), source[-1]
    places = _within(inner.places, width)
    if may_widen and channels <= FEW and inner.places.size and len(inner.taps) > 1 and (np.diff(inner.places) == 1).all():
        side = len(inner.taps)
        pads = max(0, -int(inner.places.min())), max(0, int(inner.places.max()) + 1 - width)
        places, width = inner.places[:, :1] + pads[0], width + sum(pads)
    return Gather(  # kernels read the tables as flat memory
        np.ascontiguousarray(np.where(outer.places < 0, PADDING, outer.places * width * channels)),
        np.ascontiguousarray(np.where(places < 0, PADDING, places * channels)),
        outer.targets * result[-1] * results,
        inner.targets * results,
        prod(source[:-1]) * width * channels,
        prod(result) * results,
        (outer.taps[:, None] * kernel[-1] + inner.taps).reshape(-1),
        side,
        pads,
    )


def _outer(axes: Sequence[_Axis], kernel: Ints, source: Ints, result: Ints) -> _Axis:
    """All axes but the last, as one."""
    outer = _Axis(np.zeros((1, 1), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    for axis, size, result_size, taps in zip(axes[:-1], source, result, kernel, strict=False):
        outer = _merged(outer, axis, size, result_size, taps)
    return outer


def _merged(a: _Axis, b: _Axis, size: int, result_size: int, taps: int) -> _Axis:
    """Two axes as one, the second running faster."""
    shape = len(a.targets) * len(b.targets), len(a.taps) * len(b.taps)
    outer, inner = a.places[:, None, :, None], _within(b.places, size)[None, :, None, :]
    places = np.where((outer < 0) | (inner < 0), PADDING, outer * size + inner).reshape(shape)
    return _Axis(
        places,
        (a.targets[:, None] * result_size + b.targets).reshape(-1),
        (a.taps[:, None] * taps + b.taps).reshape(-1),
    )


def multiply_adds(spec: ConvSpec, batch: int) -> int:
    return batch * prod(spec.output) * prod(spec.weight_shape)
