"""Faults in convolution, transposed convolution and pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...kernels import ConvSpec
from ...ops import conv, conv_input, conv_weight
from ...ops.pool import _avg_pool, _avg_pool_input, _max_pool, put_plane
from ..audit.draw import apart, at, normal
from ..audit.entry import case
from .catalogue import Mutation, distorted, edited, undifferentiated
from .inject import after, before

PADDED = case("conv2d", normal(2, 3, 5, 5), normal(4, 3, 3, 3), normal(4), padding=1)
STRIDED = case("conv2d", normal(2, 2, 5, 6), normal(4, 2, 3, 3), normal(4), stride=2, padding=1)
GROUPED = case("conv2d", normal(2, 4, 4, 4), normal(4, 2, 3, 3), groups=2)
TRANSPOSED = case("conv_transpose2d", normal(2, 4, 3, 3), normal(4, 2, 3, 3), normal(2), stride=2, padding=1, output_padding=1)
MAX_POOL = case("max_pool2d", apart(2, 2, 5, 5), 3, 2)
AVG_POOL = case("avg_pool2d", normal(2, 2, 5, 5), 3, 2, 1)


def _first_image(g: Any) -> Any:
    """Cotangents of the first image only, as where the sum over the batch is missing."""
    return g * (np.arange(g.shape[0]) == 0).reshape(-1, *(1,) * (g.ndim - 1))


def _without_last_column(g: Any) -> Any:
    return g * (np.arange(g.shape[3]) < g.shape[3] - 1)


def _mean_for_sum(g: Any) -> Any:
    return g / (g.shape[0] * int(np.prod(g.shape[2:])))


def _stride_ignored(_right: Callable) -> Callable:
    """The gradient of the kernel as if the windows lay next to each other."""

    def wrong(g, _y, x, _w, _b, *, spec):
        shape = (spec.out_channels, spec.in_channels // spec.groups, *spec.kernel)
        dense = ConvSpec.of(x.shape, shape, padding=spec.padding, dilation=spec.dilation, groups=spec.groups)
        spread = np.zeros((*g.shape[:2], *dense.output))
        spread[..., : g.shape[2], : g.shape[3]] = g
        return conv_weight(x, spread, spec=dense)

    return wrong


def _overwritten(_right: Callable) -> Callable:
    """The gradient of the input with each window written over the one before, not added to it."""

    def wrong(g, _y, _x, w, _b, *, spec):
        (top, bottom), (left, right_) = spec.padding
        (kh, kw), (sh, sw) = spec.kernel, spec.stride
        height, width = spec.input
        whole = np.zeros((len(g), spec.in_channels, height + top + bottom, width + left + right_))
        for i in range(g.shape[2]):
            for j in range(g.shape[3]):
                window = np.tensordot(g[:, :, i, j], w, 1)
                whole[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = window
        return whole[:, :, top : top + height, left : left + width]

    return wrong


def _unflipped(right: Callable) -> Callable:
    return lambda g, y, x, w, b, *, spec: right(g, y, x, w[:, :, ::-1, ::-1], b, spec=spec)


def _cotangent_ignored(right: Callable) -> Callable:
    return lambda g, *rest, **kwargs: right(np.ones_like(g), *rest, **kwargs)


CONV: list[Mutation] = [
    *distorted("conv", PADDED, conv, (0, 1, 2)),
    edited("conv, input: unflipped kernel", PADDED, conv, 0, _unflipped),
    edited("conv, input: padding off by one", PADDED, conv, 0, after(lambda g: np.roll(g, 1, -1))),
    edited("conv, input: overlapping windows overwritten, not added", STRIDED, conv, 0, _overwritten),
    edited("conv, input: channels of the groups exchanged", GROUPED, conv, 0, after(lambda g: np.roll(g, 2, 1))),
    edited(
        "conv, input: last row of windows forgotten", STRIDED, conv, 0, before(lambda g: g * (np.arange(g.shape[2]) < 2)[:, None])
    ),
    edited("conv, input: cotangent ignored", PADDED, conv, 0, _cotangent_ignored),
    edited("conv, weight: missing batch sum", PADDED, conv, 1, before(_first_image)),
    edited("conv, weight: mean over the batch instead of sum", PADDED, conv, 1, after(lambda g: g / 2)),
    edited("conv, weight: kernel axes swapped", PADDED, conv, 1, after(lambda g: g.swapaxes(-1, -2))),
    edited("conv, weight: kernel flipped", PADDED, conv, 1, after(lambda g: g[..., ::-1, ::-1])),
    edited("conv, weight: stride ignored", STRIDED, conv, 1, _stride_ignored),
    edited("conv, weight: groups exchanged", GROUPED, conv, 1, after(lambda g: np.roll(g, 2, 0))),
    edited("conv, weight: cotangent ignored", PADDED, conv, 1, _cotangent_ignored),
    edited("conv, bias: missing batch sum", PADDED, conv, 2, before(_first_image)),
    edited("conv, bias: mean instead of sum", PADDED, conv, 2, before(_mean_for_sum)),
    edited("conv, bias: that of the next channel", PADDED, conv, 2, after(lambda g: np.roll(g, 1))),
    *undifferentiated("conv", PADDED, conv, 0, 1),
    *distorted("conv, VJP of its weight's VJP", PADDED, conv_weight, (0, 1), order=2, blame=["conv"]),
    *distorted("conv, VJP of its input's VJP", PADDED, conv_input, (0, 1), order=2, blame=["conv"]),
]

TRANSPOSED_CONV: list[Mutation] = [
    *distorted("conv transposed", TRANSPOSED, conv_input, (0, 1, 2)),
    edited("conv transposed, input: unflipped kernel", TRANSPOSED, conv_input, 0, _unflipped),
    edited("conv transposed, weight: kernel axes swapped", TRANSPOSED, conv_input, 1, after(lambda g: g.swapaxes(-1, -2))),
    edited("conv transposed, weight: missing batch sum", TRANSPOSED, conv_input, 1, before(_first_image)),
    edited("conv transposed, bias: missing batch sum", TRANSPOSED, conv_input, 2, before(_first_image)),
    edited("conv transposed, input: output padding forgotten", TRANSPOSED, conv_input, 0, before(_without_last_column)),
    *undifferentiated("conv transposed", TRANSPOSED, conv_input, 0, 1),
    *distorted("conv transposed, VJP of its input's VJP", TRANSPOSED, conv, (0, 1), order=2, blame=["conv_input"]),
]


def _every_tie(_right: Callable) -> Callable:
    """The cotangent given to every element that equals the maximum: too much where there are several."""

    def wrong(g, y, x, **_):  # windows of 2 by 2 that do not overlap
        n, c, oh, ow = y[0].shape
        blocks = x.reshape(n, c, oh, 2, ow, 2)
        return ((blocks == y[0].reshape(n, c, oh, 1, ow, 1)) * g[0].reshape(n, c, oh, 1, ow, 1)).reshape(x.shape)

    return wrong


def _next_position(right: Callable) -> Callable:
    return lambda g, y, x, *, spec: right(g, (y[0], (y[1] + 1) % int(np.prod(spec.input))), x, spec=spec)


def _overlaps_overwritten(_right: Callable) -> Callable:
    def wrong(g, y, _x, *, spec):
        plane = np.zeros((*g[0].shape[:2], int(np.prod(spec.input))))
        np.put_along_axis(plane, y[1].reshape(*y[1].shape[:2], -1), g[0].reshape(*g[0].shape[:2], -1), -1)
        return plane.reshape(*plane.shape[:2], *spec.input)

    return wrong


def _padding_counted_wrongly(right: Callable) -> Callable:
    """Every window divided by its full size, where the sound divisor leaves the padding out."""
    return lambda g, y, x, *, spec: right(g, y, x, spec=replace(spec, count_include_pad=True))


TIES = case("max_pool2d", at([[[[1.0, 1.0, 0.3, -0.5], [0.2, -1.0, 0.7, 0.1], [0.4, 2.0, 0.6, 0.6], [-0.3, 0.1, -0.2, 0.5]]]]), 2)
INSIDE = case("avg_pool2d", normal(2, 2, 5, 5), 3, 2, 1, count_include_pad=False)

POOL: list[Mutation] = [
    *distorted("max-pool", MAX_POOL, _max_pool, (0,)),
    edited("max-pool: index off by one", MAX_POOL, _max_pool, 0, _next_position),
    edited("max-pool: overlapping windows overwritten, not added", MAX_POOL, _max_pool, 0, _overlaps_overwritten),
    edited("max-pool: every tied maximum gets all", TIES, _max_pool, 0, _every_tie, subgradient=True),
    *distorted("average pool", AVG_POOL, _avg_pool, (0,)),
    edited("average pool: sum instead of mean", AVG_POOL, _avg_pool, 0, after(lambda g: g * 9)),
    edited("average pool: padding counted in the divisor", INSIDE, _avg_pool, 0, _padding_counted_wrongly),
    *distorted("max-pool, VJP of its VJP", MAX_POOL, put_plane, (0,), order=2, blame=["max_pool"]),
    *distorted("average pool, VJP of its VJP", AVG_POOL, _avg_pool_input, (0,), order=2, blame=["avg_pool"]),
    edited("average pool: last column forgotten", AVG_POOL, _avg_pool, 0, after(lambda g: g * (np.arange(g.shape[3]) < 4))),
]
