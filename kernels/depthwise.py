"""Depthwise convolution, one input and one output channel per group: a product is one multiply-add over channels.

Matrix products would have one column each here; instead every kernel position is one pass over a chunk of images.
"""

from collections.abc import Iterator

import numpy as np

from .arrays import Array, array_module, channels_first, channels_last
from .slices import Slices, region
from .spec import ConvSpec, Ints

CHUNK_BYTES = 1 << 18  # of output per chunk of images, so that all passes over it stay in the cache


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    y = array_module(x).zeros((len(x), *spec.output, spec.out_channels), np.result_type(x, w))
    x = channels_last(x)
    for chunk, k, out, source in _passes(y, spec):
        y[chunk][out] += x[chunk][source] * w[:, 0, *k]
    return channels_first(y)


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    x = array_module(g).zeros((len(g), *spec.input, spec.in_channels), np.result_type(g, w))
    g = channels_last(g)
    for chunk, k, out, source in _passes(g, spec):
        x[chunk][source] += g[chunk][out] * w[:, 0, *k]
    return channels_first(x)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    w = array_module(x).zeros(spec.weight_shape, np.result_type(x, g))
    x, g = channels_last(x), channels_last(g)
    for chunk, k, out, source in _passes(g, spec):
        product = x[chunk][source] * g[chunk][out]
        w[:, 0, *k] += product.reshape(-1, product.shape[-1]).sum(axis=0)
    return w


def _passes(y: Array, spec: ConvSpec) -> Iterator[tuple[slice, Ints, Slices, Slices]]:
    """(images, kernel position, output slices, input slices), chunk after chunk of images."""
    regions = [(k, *region(spec, k)) for k in np.ndindex(*spec.kernel)]
    size = max(1, CHUNK_BYTES // max(1, y[:1].nbytes))
    for begin in range(0, len(y), size):
        for k, out, source in regions:
            yield slice(begin, begin + size), k, out, source
