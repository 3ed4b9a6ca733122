"""A convolution, or a transposed one, with what usually follows it as one op: bias, (leaky) relu and a 2x2 max-pool.

    y = pool(act(conv(x, w) + b))        act(v) = v where v > 0, else slope v;   pool: 2x2 max-pool at stride 2, or nothing

The fused forward finishes each block of results while it is in the cache; of a pooled one, which is the largest array of most
networks, only the maxima and their places (one byte each) ever reach memory.
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import fused
from ..kernels.channels import channel_sum
from ..kernels.epilogue import unfinish
from .activation import rectified
from .convolution import conv, conv_input
from .pool import max_pool2d


def _definition(x, w, b, *, spec, slope, pool):
    y = rectified(conv(x, w, b, spec=spec), slope)
    return max_pool2d(y, 2) if pool else y


@fused(_definition)
def conv_block(x, w, b, *, spec, slope, pool):
    """x (N, C, *spec.input), w spec.weight_shape, b (O,) or None -> (N, O, *spec.output), halved by `pool`; 0 <= slope <= 1."""
    if pool:
        return kernels.conv_pool(x, w, b, spec=spec, slope=slope)
    return kernels.conv(x, w, b, spec=spec, slope=slope), None


@conv_block.backward
def _(g, y, argmax, needs, x, w, _b, *, spec, slope, pool) -> Any:
    if pool and needs[1] and not needs[0]:  # a first layer
        gw, gb = kernels.conv_pool_weight(x, g, y, argmax, spec=spec, slope=slope, bias=needs[2])
        return None, gw, gb
    if pool:
        g, gb = kernels.unpool(g, y, argmax, spec=spec, slope=slope, bias=needs[2])
    else:
        g = unfinish(g, y, slope)
        gb = channel_sum(g) if needs[2] else None
    gx = kernels.conv_input(g, w, spec=spec) if needs[0] else None
    gw = kernels.conv_weight(x, g, spec=spec) if needs[1] else None
    return gx, gw, gb


@fused(lambda x, w, b, *, spec, slope: rectified(conv_input(x, w, b, spec=spec), slope))
def conv_transpose_block(x, w, b, *, spec, slope):
    """x (N, O, *spec.output), w spec.weight_shape, b (C,) or None -> act(transposed convolution + b), (N, C, *spec.input)."""
    return kernels.conv_input(x, w, b, spec=spec, slope=slope), None


@conv_transpose_block.backward
def _(g, y, _residuals, needs, x, w, _b, *, spec, slope) -> Any:
    g = unfinish(g, y, slope)
    gx = kernels.conv(g, w, spec=spec) if needs[0] else None
    gw = kernels.conv_weight(g, x, spec=spec) if needs[1] else None
    return gx, gw, channel_sum(g) if needs[2] else None
