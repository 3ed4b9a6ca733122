"""Windows of a zero-padded block, and the mirror image of a convolution: what the matrix and depthwise kernels share.

A padded block is (n, groups, channels / groups, *reach) in any memory order; windows have the kernel's axes and then
the output's in the place of its spatial ones.
"""

from dataclasses import replace

import numpy as np

from .arrays import Array, array_module
from .spec import ConvSpec, Ints


def grouped(x: Array, spec: ConvSpec) -> Array:
    """(N, C, *spatial) with the channels split into (groups, C / groups)."""
    return x.reshape(len(x), spec.groups, spec.weight_shape[1], *x.shape[2:])


def reach(spec: ConvSpec, rows: int) -> Ints:
    """Size of the padded input that the windows of the first `rows` rows touch."""
    output = (rows, *spec.output[1:])
    return tuple((o - 1) * s + extent for o, s, extent in zip(output, spec.stride, spec.extent, strict=True))


def place(padded: Array, x: Array, spec: ConvSpec, row: int) -> None:
    """Copy into a zeroed `padded`, whose windows begin with output row `row`, what it covers of x."""
    target, source = _overlap(spec, row, padded.shape[-spec.rank :])
    padded[target] = x[source]


def take_back(x: Array, padded: Array, spec: ConvSpec) -> None:
    """The reverse of `place` at row 0: copy into x what `padded` covers of it."""
    source, target = _overlap(spec, 0, padded.shape[-spec.rank :])
    x[target] = padded[source]


def _overlap(spec: ConvSpec, row: int, sizes: Ints) -> tuple[tuple, tuple]:
    """Indices of the common part of a padded block of `sizes`, from output row `row` on, and of the input."""
    inner, outer = [], []
    for axis, size in enumerate(sizes):
        start = (row * spec.stride[axis] if axis == 0 else 0) - spec.padding[axis][0]
        low, high = max(0, start), max(0, start, min(spec.input[axis], start + size))
        inner.append(slice(low - start, high - start))
        outer.append(slice(low, high))
    return (..., *inner), (..., *outer)


def windows(padded: Array, spec: ConvSpec, rows: int) -> Array:
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


def add_windows(padded: Array, windows: Array, spec: ConvSpec, row: int) -> None:
    """Add windows (n, groups, channels, *kernel, *output), those of output rows from `row` on, into their places."""
    output = windows.shape[-spec.rank :]
    for k in np.ndindex(*spec.kernel):
        taps = []
        for axis in range(spec.rank):
            stride = spec.stride[axis]
            start = k[axis] * spec.dilation[axis] + (row * stride if axis == 0 else 0)
            taps.append(slice(start, start + (output[axis] - 1) * stride + 1, stride))
        padded[:, :, :, *taps] += windows[:, :, :, *k]


# The mirror image of a stride-1 convolution from C to O channels is the one from O to C with the same taps, kernel
# flipped: conv(x, w, spec) = conv_input(x, flip(w), mirror), and so in every direction. Its padding may be negative.


def has_mirror(spec: ConvSpec) -> bool:
    return all(stride == 1 for stride in spec.stride)


def mirror(spec: ConvSpec) -> ConvSpec:
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


def flip(w: Array, spec: ConvSpec) -> Array:
    """w (O, C / groups, *kernel) of spec as the weight (C, O / groups, *kernel) of its mirror."""
    split = w.reshape(spec.groups, spec.out_channels // spec.groups, *w.shape[1:]).swapaxes(1, 2)
    flipped = split[..., *(slice(None, None, -1),) * spec.rank]
    return flipped.reshape(spec.in_channels, spec.out_channels // spec.groups, *spec.kernel)
