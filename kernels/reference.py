"""Naive loops, to be checked by eye: the oracle for every other implementation.

All sums run one product at a time over the taps of a geometry: the triples of an output position p, a kernel
position k and the input position i = p * stride + k * dilation - low under it. Taps in the padding do not exist here.
"""

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from .arrays import Array, array_module
from .spec import ConvSpec, Ints, PoolSpec

Tap = tuple[Ints, Ints, Ints]


def positions(shape: Ints) -> Iterator[Ints]:
    """All index tuples of `shape`, the last axis fastest."""
    return product(*map(range, shape))


def tap(spec: ConvSpec | PoolSpec, p: Ints, k: Ints) -> Ints:
    """Input position under kernel position k of the window at output position p."""
    return tuple(p[axis] * spec.stride[axis] + k[axis] * spec.dilation[axis] - spec.padding[axis][0] for axis in range(spec.rank))


def inside(i: Ints, shape: Ints) -> bool:
    return all(0 <= position < size for position, size in zip(i, shape, strict=True))


def taps(spec: ConvSpec | PoolSpec) -> list[Tap]:
    """(output position, kernel position, input position) of every window element that lies in the input."""
    pairs = product(positions(spec.output), positions(spec.kernel))
    return [(p, k, tap(spec, p, k)) for p, k in pairs if inside(tap(spec, p, k), spec.input)]


def group_channels(spec: ConvSpec, o: int) -> range:
    """Input channels that output channel o reads; the weight numbers them from 0."""
    size = spec.in_channels // spec.groups
    group = o // (spec.out_channels // spec.groups)
    return range(group * size, (group + 1) * size)


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    """y[n, o, p] = sum over c, k of x[n, c, i(p, k)] * w[o, c, k]."""
    y = array_module(x).zeros(spec.output_shape(len(x)), np.result_type(x, w))
    for n, o in positions(y.shape[:2]):
        for p, k, i in taps(spec):
            for slot, c in enumerate(group_channels(spec, o)):
                y[n, o, *p] += x[n, c, *i] * w[o, slot, *k]
    return y


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    """gx[n, c, i] = sum over o, and p, k with i(p, k) = i, of g[n, o, p] * w[o, c, k]: conv's adjoint in x."""
    gx = array_module(g).zeros(spec.input_shape(len(g)), np.result_type(g, w))
    for n, o in positions(g.shape[:2]):
        for p, k, i in taps(spec):
            for slot, c in enumerate(group_channels(spec, o)):
                gx[n, c, *i] += g[n, o, *p] * w[o, slot, *k]
    return gx


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    """gw[o, c, k] = sum over n, p of g[n, o, p] * x[n, c, i(p, k)]: conv's adjoint in w."""
    gw = array_module(x).zeros(spec.weight_shape, np.result_type(x, g))
    for n, o in positions(g.shape[:2]):
        for p, k, i in taps(spec):
            for slot, c in enumerate(group_channels(spec, o)):
                gw[o, slot, *k] += g[n, o, *p] * x[n, c, *i]
    return gw


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    """y[n, c, p] = max over k of x[n, c, i(p, k)], and the flat spatial position where it was found.

    Ties go to the first k. A NaN beats everything before it, another NaN too, as in torch. Padding never wins.
    """
    xp = array_module(x)
    y = xp.zeros((*x.shape[:2], *spec.output), x.dtype)
    indices = xp.full(y.shape, -1, np.int64)
    for n, c in positions(x.shape[:2]):
        for p, _, i in taps(spec):
            value = x[n, c, *i]
            if indices[n, c, *p] < 0 or value > y[n, c, *p] or value != value:
                y[n, c, *p] = value
                indices[n, c, *p] = flat(i, spec.input)
    return y, indices


def flat(i: Ints, shape: Ints) -> int:
    """Position i in row-major order."""
    place = 0
    for position, size in zip(i, shape, strict=True):
        place = place * size + position
    return place


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:  # noqa: ARG001 (one signature for all)
    """y[n, c, p] = x[n, c, indices[n, c, p]], indices being flat spatial positions."""
    y = array_module(x).zeros(indices.shape, x.dtype)
    for n, c, *p in positions(indices.shape):
        y[n, c, *p] = x[n, c].reshape(-1)[indices[n, c, *p]]
    return y


def scatter(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    """gx[n, c, i] = sum over the p with indices[n, c, p] = i of g[n, c, p]: gather's adjoint."""
    gx = array_module(g).zeros((*g.shape[:2], prod(spec.input)), g.dtype)
    for n, c, *p in positions(indices.shape):
        gx[n, c, indices[n, c, *p]] += g[n, c, *p]
    return gx.reshape(*g.shape[:2], *spec.input)


def divisor(spec: PoolSpec, p: Ints) -> int:
    """How many elements the window at p counts: those in the input, or also those in the padding."""
    if spec.divisor_override is not None:
        return spec.divisor_override
    low = [0 if not spec.count_include_pad else -pair[0] for pair in spec.padding]
    high = [size + (pair[1] if spec.count_include_pad else 0) for size, pair in zip(spec.input, spec.padding, strict=True)]
    elements = (tap(spec, p, k) for k in positions(spec.kernel))
    return sum(all(a <= j < b for a, j, b in zip(low, i, high, strict=True)) for i in elements)


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    """y[n, c, p] = sum over k of x[n, c, i(p, k)] / divisor(p)."""
    y = array_module(x).zeros((*x.shape[:2], *spec.output), np.result_type(x, np.float16))
    for n, c in positions(x.shape[:2]):
        for p, _, i in taps(spec):
            y[n, c, *p] += x[n, c, *i] / divisor(spec, p)
    return y


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    """gx[n, c, i] = sum over p, k with i(p, k) = i of g[n, c, p] / divisor(p): avg_pool's adjoint."""
    gx = array_module(g).zeros((*g.shape[:2], *spec.input), np.result_type(g, np.float16))
    for n, c in positions(g.shape[:2]):
        for p, _, i in taps(spec):
            gx[n, c, *i] += g[n, c, *p] / divisor(spec, p)
    return gx


def unfold(x: Array, *, spec: ConvSpec) -> Array:
    """cols[n, (c, k), p] = x[n, c, i(p, k)], with (c, k) and p each one row-major axis as in torch."""
    cols = array_module(x).zeros((*x.shape[:2], *spec.kernel, *spec.output), x.dtype)
    for n, c in positions(x.shape[:2]):
        for p, k, i in taps(spec):
            cols[n, c, *k, *p] = x[n, c, *i]
    return cols.reshape(len(x), x.shape[1] * prod(spec.kernel), prod(spec.output))


def fold(cols: Array, *, spec: ConvSpec) -> Array:
    """x[n, c, i] = sum over p, k with i(p, k) = i of cols[n, (c, k), p]: unfold's adjoint."""
    x = array_module(cols).zeros(spec.input_shape(len(cols)), cols.dtype)
    windows = cols.reshape(*x.shape[:2], *spec.kernel, *spec.output)
    for n, c in positions(x.shape[:2]):
        for p, k, i in taps(spec):
            x[n, c, *i] += windows[n, c, *k, *p]
    return x
