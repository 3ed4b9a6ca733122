"""Weights in the order in which tiles read them, and weight gradients back in theirs."""

from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec
from .launch import parallel
from .simd import WIDEST, aligned, at, lanes, plain
from .transpose import transpose_tile


class Filters(NamedTuple):
    """A weight or its gradient, seen as (groups, outputs, depth, taps): from which channels to which.

    The steps are distances in `data` between groups, outputs and depths; those between taps are 1.
    """

    data: np.ndarray  # flat
    groups: int
    outputs: int
    depth: int
    taps: int
    steps: tuple[int, int, int]

    @staticmethod
    def of(w: np.ndarray, spec: ConvSpec) -> "Filters":
        outputs, depth, taps = spec.out_channels // spec.groups, spec.weight_shape[1], prod(spec.kernel)
        data = plain(w).reshape(-1)
        return Filters(data, spec.groups, outputs, depth, taps, (outputs * depth * taps, depth * taps, taps))

    def swapped(self) -> "Filters":
        """Of the same weight used in the other direction."""
        group, output, depth = self.steps
        return self._replace(outputs=self.depth, depth=self.outputs, steps=(group, depth, output))

    def array(self) -> np.ndarray:
        """The view (groups, outputs, depth, taps)."""
        steps = [step * self.data.itemsize for step in (*self.steps, 1)]
        shape = self.groups, self.outputs, self.depth, self.taps
        return np.lib.stride_tricks.as_strided(self.data, shape, steps)


def padded_lanes(count: int, dtype: np.dtype, vectors: int = 1) -> int:
    """`count` rounded up to whole vectors, or to multiples of `vectors` of them."""
    unit = lanes(dtype) * vectors
    return -(-count // unit) * unit


def pack(w: Filters, taps: np.ndarray) -> np.ndarray:
    """The given taps of w as (groups, -1): per group panels (taps, depth, lanes * 4, 2 or 1) of outputs, zero-padded.

    Panels are as wide as they can be: what four vectors leave over goes to two and one.
    """
    dtype = w.data.dtype
    packed = aligned((w.groups, padded_lanes(w.outputs, dtype) * w.depth * len(taps)), dtype)
    items = w.groups * -(-w.outputs // lanes(dtype))
    order = _order(w, taps)
    _pack(items, w.data, packed, order, len(taps), w.outputs, w.depth, *w.steps, lanes(dtype), nanoseconds=packed.size / 4)
    return packed


def _order(w: Filters, taps: np.ndarray) -> np.ndarray:
    """Where each of the kernel's taps stands in `taps`, or -1."""
    order = np.full(w.taps, -1)
    order[taps] = np.arange(len(taps))
    return order


@parallel
def _pack(item, w, packed, order, taps, outputs, depth, group_step, output_step, depth_step, lanes):
    vectors = (outputs + lanes - 1) // lanes
    group, vector = divmod(item, vectors)
    wide = vectors // WIDEST * WIDEST  # vectors in full panels; the rest has one panel of two and one of one
    if vector < wide:
        start, columns = vector // WIDEST * WIDEST, WIDEST
    elif WIDEST == 4 and vectors - wide >= 2 and vector < wide + 2:
        start, columns = wide, 2
    else:
        start, columns = vector, 1
    place = group * packed.shape[1] + start * lanes * taps * depth + (vector - start) * lanes
    places, targets = np.arange(lanes) * output_step, np.empty(lanes, np.int64)
    origin, n = group * group_step + vector * lanes * output_step, min(lanes, outputs - vector * lanes)
    length = max(1, depth) * len(order) if depth_step == len(order) else len(order)  # of what is contiguous
    c, t = 0, 0
    for stretch in range(depth * len(order) // length):
        for k in range(0, length, lanes):
            count = min(lanes, length - k)
            for j in range(count):
                targets[j] = place + (order[t] * depth + c) * columns * lanes if order[t] >= 0 else -1
                c, t = (c + 1, 0) if t + 1 == len(order) else (c, t + 1)
            source = at(w, origin + stretch * depth_step + k)
            transpose_tile(source, at(places, 0), n, count, 1, 0, at(packed, 0), at(targets, 0), lanes)


def unpack(total: np.ndarray, gw: Filters, taps: np.ndarray, starts: np.ndarray | None = None) -> None:
    """gw[:, o, c, taps[t]] = sum over parts of total (parts, groups, t, c, o), which may be larger in c and o.

    `starts` says where each tap's matrix (c, o) begins in memory (parts, groups, ...) of another shape.
    """
    unit, width = lanes(total.dtype), total.shape[-1]
    if starts is None:
        starts = np.arange(len(taps)) * (total.shape[-2] * width)
    places = np.full(gw.taps, -1)
    places[taps] = starts
    total = total.reshape(*total.shape[:2], -1)
    items = gw.groups * -(-gw.outputs // unit)
    _unpack(items, total, gw.data, places, len(taps), width, gw.outputs, gw.depth, *gw.steps, unit, nanoseconds=total.size / 3)


@parallel
def _unpack(item, total, gw, starts, taps, width, outputs, depth, group_step, output_step, depth_step, lanes):
    parts, groups, size = total.shape
    group, vector = divmod(item, (outputs + lanes - 1) // lanes)
    places, targets = np.empty(lanes, np.int64), np.arange(lanes) * output_step
    origin, n = group * group_step + vector * lanes * output_step, min(lanes, outputs - vector * lanes)
    kernel = len(starts)
    length = 1 if taps < kernel else depth * taps if depth_step == taps else taps  # of what is contiguous
    c, t = 0, 0
    for _ in range(depth * kernel // length):
        for k in range(0, length, lanes):
            count, target = min(lanes, length - k), at(gw, origin + c * depth_step + t)
            skipped = starts[t] < 0  # then it is alone
            for i in range(count):
                places[i] = group * size + starts[t] + c * width + vector * lanes
                c, t = (c + 1, 0) if t + 1 == kernel else (c, t + 1)
            if not skipped:
                transpose_tile(at(total, 0), at(places, 0), count, n, parts, groups * size, target, at(targets, 0), count)
