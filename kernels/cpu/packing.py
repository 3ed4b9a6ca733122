"""Weights in the order in which tiles read them, and weight gradients back in theirs."""

from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec
from .launch import parallel
from .simd import WIDEST, aligned, lanes

OUTPUTS = 16  # per item of unpacking


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
        data = np.require(w, requirements=["C", "A", "W"]).reshape(-1)
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
    _pack(items, w.data, packed, taps, w.outputs, w.depth, *w.steps, lanes(dtype), nanoseconds=packed.size)
    return packed


@parallel
def _pack(item, w, packed, taps, outputs, depth, group_step, output_step, depth_step, lanes):
    vectors = (outputs + lanes - 1) // lanes
    group, vector = divmod(item, vectors)
    wide = vectors // WIDEST * WIDEST  # vectors in full panels; the rest has one panel of two and one of one
    if vector < wide:
        start, columns = vector // WIDEST * WIDEST, WIDEST
    elif WIDEST == 4 and vectors - wide >= 2 and vector < wide + 2:
        start, columns = wide, 2
    else:
        start, columns = vector, 1
    place = group * packed.shape[1] + start * lanes * len(taps) * depth + (vector - start) * lanes
    flat = packed.reshape(-1)
    n = min(lanes, outputs - vector * lanes)
    for c in range(depth):
        for t in range(len(taps)):
            source = group * group_step + vector * lanes * output_step + c * depth_step + taps[t]
            target = place + (t * depth + c) * columns * lanes
            for o in range(n):
                flat[target + o] = w[source + o * output_step]
            for o in range(n, lanes):
                flat[target + o] = 0


def unpack(total: np.ndarray, gw: Filters, taps: np.ndarray) -> None:
    """gw[:, o, c, taps[t]] = sum over parts of total (parts, groups, t, c, o), which may be larger in c and o."""
    items = gw.groups * -(-gw.outputs // OUTPUTS)
    _unpack(items, total, gw.data, taps, gw.outputs, gw.depth, *gw.steps, nanoseconds=total.size)


@parallel
def _unpack(item, total, gw, taps, outputs, depth, group_step, output_step, depth_step):
    group, chunk = divmod(item, (outputs + OUTPUTS - 1) // OUTPUTS)
    for c in range(depth):
        for t in range(len(taps)):
            for o in range(chunk * OUTPUTS, min(outputs, (chunk + 1) * OUTPUTS)):
                value = total[0, group, t, c, o]
                for part in range(1, len(total)):
                    value += total[part, group, t, c, o]
                gw[group * group_step + o * output_step + c * depth_step + taps[t]] = value
