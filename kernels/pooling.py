"""Pools by strided slices: one pass over the output for each kernel position, channels innermost."""

from math import prod

import numpy as np

from .arrays import Array, array_module, channels_first, channels_last, empty
from .slices import region, span
from .spec import PoolSpec

CHUNK_BYTES = 1 << 20  # of input per chunk of images, so that all passes over it stay in the cache


def max_pool(x: Array, *, spec: PoolSpec) -> tuple[Array, Array]:
    xp, x = array_module(x), channels_last(x)
    n, channels = x.shape[0], x.shape[-1]
    y = empty(x, (n, *spec.output, channels), x.dtype)
    indices = empty(x, y.shape, np.int64)
    first, start, step = _index_tables(xp, spec)
    regions = [region(spec, k) for k in np.ndindex(*spec.kernel)]
    # The running winner is a kernel position in the smallest integer type; it becomes a plane index once, at the end.
    winner_type = np.uint8 if len(regions) <= 256 else np.uint32
    lowest = False if x.dtype == bool else -np.inf if x.dtype.kind in "fc" else np.iinfo(x.dtype).min
    padded = any(low or high for low, high in _overhang(spec))
    size = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    for begin in range(0, n, size):
        chunk = slice(begin, begin + size)
        part, best = x[chunk], y[chunk]
        winner = xp.empty(best.shape, winner_type)
        if padded:
            best[...] = lowest
        else:
            best[...] = part[regions[0][1]]
        winner[...] = first
        for place, (into, source) in enumerate(regions):
            if place == 0 and not padded:
                continue
            # One contiguous copy: the three passes below would each pay for the strides.
            value, top = xp.ascontiguousarray(part[source]), best[into]
            better = (value > top).view(np.uint8)
            won = winner[into]
            np.maximum(top, value, out=top)
            np.maximum(won, better * winner_type(place), out=won)
        indices[chunk] = step.take(winner)
        indices[chunk] += start
        if x.dtype.kind == "f" and np.isnan(best).any():
            _point_at_nan(xp, part, indices[chunk], spec)
    return channels_first(y), channels_first(indices)


def _point_at_nan(xp, part: Array, indices: Array, spec: PoolSpec) -> None:
    """Where a window's maximum is NaN, point at its last NaN, as torch does."""
    _, start, step = _index_tables(xp, spec)
    for place, k in enumerate(np.ndindex(*spec.kernel)):
        into, source = region(spec, k)
        here = np.broadcast_to(start, indices.shape)[into] + step[place]
        np.copyto(indices[into], here, where=np.isnan(part[source]))


def _index_tables(xp, spec: PoolSpec) -> tuple[Array, Array, Array]:
    """Per output position (1, *output, 1) the first kernel position inside the input, and the plane index of the
    window's (perhaps outside) corner; per kernel position the distance in plane index from that corner."""
    first = np.zeros((1,) * (spec.rank + 2), np.int64)
    start, step = first, np.zeros((1,) * spec.rank, np.int64)
    for axis in range(spec.rank):
        shape = [1] * (spec.rank + 2)
        shape[axis + 1] = -1
        corners = np.arange(spec.output[axis]) * spec.stride[axis] - spec.padding[axis][0]
        taps = np.arange(spec.kernel[axis]) * spec.dilation[axis]
        first = first * spec.kernel[axis] + np.argmax(corners[:, None] + taps >= 0, axis=1).reshape(shape)
        start = start * spec.input[axis] + corners.reshape(shape)
        step = step * spec.input[axis] + taps.reshape(shape[1:-1])
    return xp.asarray(first), xp.asarray(start), xp.asarray(step.reshape(-1))


def _overhang(spec: PoolSpec) -> list[tuple[int, int]]:
    """How far the windows reach outside the input, per axis and side."""
    return [
        (low, max(0, (out - 1) * s + extent - low - size))
        for (low, _), out, s, extent, size in zip(spec.padding, spec.output, spec.stride, spec.extent, spec.input, strict=True)
    ]


def gather(x: Array, indices: Array, *, spec: PoolSpec) -> Array:
    flat = channels_last(x).reshape(-1)
    return channels_first(flat.take(_places(indices, spec)))


def scatter(g: Array, indices: Array, *, spec: PoolSpec) -> Array:
    n, channels = g.shape[:2]
    x = array_module(g).zeros((n, *spec.input, channels), g.dtype)
    np.add.at(x.reshape(-1), _places(indices, spec).reshape(-1), channels_last(g).reshape(-1))
    return channels_first(x)


def _places(indices: Array, spec: PoolSpec) -> Array:
    """Plane indices (N, C, *any) as flat indices (N, *any, C) into a channels-last (N, *input, C) block."""
    xp, places = array_module(indices), channels_last(indices)
    n, channels = places.shape[0], places.shape[-1]
    places = places * channels
    places += xp.arange(channels)
    places += (xp.arange(n) * (prod(spec.input) * channels)).reshape(n, *(1,) * (places.ndim - 1))
    return places


def avg_pool(x: Array, *, spec: PoolSpec) -> Array:
    y = channels_last(x)
    y = y.astype(np.result_type(y, np.float16), copy=False)
    for axis in range(spec.rank):  # a window's sum is separable: one axis after the other
        shape = (*y.shape[: axis + 1], spec.output[axis], *y.shape[axis + 2 :])
        total = array_module(x).zeros(shape, y.dtype)
        for k in range(spec.kernel[axis]):
            into, source = span(spec, axis, k)
            total[_along(axis, into)] += y[_along(axis, source)]
        y = total
    return channels_first(_divide(y, spec))


def avg_pool_input(g: Array, *, spec: PoolSpec) -> Array:
    g = channels_last(g)
    x = _divide(g.astype(np.result_type(g, np.float16)), spec)
    for axis in reversed(range(spec.rank)):  # rows last: they are the longest runs
        shape = (*x.shape[: axis + 1], spec.input[axis], *x.shape[axis + 2 :])
        total = array_module(g).zeros(shape, x.dtype)
        for k in range(spec.kernel[axis]):
            source, into = span(spec, axis, k)
            total[_along(axis, into)] += x[_along(axis, source)]
        x = total
    return channels_first(x)


def _along(axis: int, span: slice) -> tuple[slice, ...]:
    return (slice(None),) * (axis + 1) + (span,)


def _divide(y: Array, spec: PoolSpec) -> Array:
    """Channels-last sums divided, in place, by what their windows count."""
    if spec.divisor_override is not None:
        y /= spec.divisor_override
        return y
    for axis, counts in enumerate(spec.counts):
        column = array_module(y).asarray(counts, y.dtype)
        y /= column.reshape(-1, *(1,) * (y.ndim - 2 - axis))
    return y
