"""Depthwise convolution, one input and one output channel per group: sums of products along the channels.

Matrix products would have one column each here.
"""

from collections.abc import Iterator

import numpy as np

from .arrays import Array, array_module, channels_first, channels_last
from .slices import region
from .spec import ConvSpec
from .windows import flip, has_mirror, mirror, place, reach, windows

CHUNK_BYTES = 1 << 19  # of the first argument per chunk of images: windows read it from the cache


def conv(x: Array, w: Array, *, spec: ConvSpec) -> Array:
    y = channels_first(array_module(x).empty((len(x), *spec.output, spec.out_channels), np.result_type(x, w)))
    kernel, output = _letters(spec)
    w = channels_last(w[:, 0][None])[0]  # einsum loops innermost where memory is contiguous: over channels
    for images, view in _window_views(x, spec):
        y[images] = np.einsum(f"nc{kernel}{output},{kernel}c->nc{output}", view, w)
    return y


def conv_input(g: Array, w: Array, *, spec: ConvSpec) -> Array:
    if has_mirror(spec):
        return conv(g, flip(w, spec), spec=mirror(spec))
    x = array_module(g).zeros((len(g), *spec.input, spec.in_channels), np.result_type(g, w))
    g = channels_last(g)
    for images in _chunks(g):
        for k in np.ndindex(*spec.kernel):
            out, source = region(spec, k)
            x[images][source] += g[images][out] * w[:, 0, *k]
    return channels_first(x)


def conv_weight(x: Array, g: Array, *, spec: ConvSpec) -> Array:
    w = array_module(x).zeros(spec.weight_shape, np.result_type(x, g))
    kernel, output = _letters(spec)
    g = channels_first(channels_last(g))
    for images, view in _window_views(x, spec):
        w[:, 0] += np.einsum(f"nc{kernel}{output},nc{output}->c{kernel}", view, g[images])
    return w


def _letters(spec: ConvSpec) -> tuple[str, str]:
    return "ijk"[: spec.rank], "xyz"[: spec.rank]


def _chunks(x: Array) -> Iterator[slice]:
    """Chunks of images."""
    size = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    return (slice(begin, begin + size) for begin in range(0, len(x), size))


def _window_views(x: Array, spec: ConvSpec) -> Iterator[tuple[slice, Array]]:
    """(images, their windows (n, channels, *kernel, *output)) for all chunks; the next overwrites them."""
    buffer = None
    for images in _chunks(x):
        part = x[images, None]
        if buffer is None:
            block = array_module(x).zeros((len(part), 1, *reach(spec, spec.output[0]), spec.in_channels), x.dtype)
            buffer = np.moveaxis(block, -1, 2)
        padded = buffer[: len(part)]
        place(padded, part, spec, 0)
        yield images, windows(padded, spec, spec.output[0])[:, 0]
