"""What may follow a convolution, by NumPy: a bias, (leaky) relu and a 2x2 max-pool; and the way back.

act(v) = v where v > 0, else slope v, for 0 <= slope <= 1: 1 for none, 0 for relu
"""

import numpy as np

from . import pointwise
from .arrays import Array, array_module
from .channels import add_channels, channel_sum
from .select import select
from .spec import ConvSpec


def finish(y: Array, bias: Array | None, slope: float) -> Array:
    """act(y + bias) in place: act(v) = v where v > 0, else slope v, for 0 <= slope <= 1. Returns y."""
    if bias is not None:
        add_channels(y, bias)
    if slope == 0:
        np.maximum(y, 0, out=y)
    elif slope != 1:
        np.maximum(y, y * y.dtype.type(slope), out=y)
    return y


def unfinish(g: Array, y: Array, slope: float) -> Array:
    """g act'(y), y being `finish`'s result: at 0 the slope, at a NaN what relu and leaky_relu have."""
    if slope == 1:
        return g
    if slope == 0:
        found = pointwise.backward("relu", g, y)
        return select(y != 0, g, 0) if found is None else found
    found = pointwise.backward("leaky_relu", g, y, slope=slope)
    return select(y > 0, g, g * g.dtype.type(slope)) if found is None else found


def pool_2x2(y: Array) -> tuple[Array, Array]:
    """The 2x2 max-pool of (N, C, H, W), and which of the four it was (uint8); the first of equals, a NaN over all before it."""
    height, width = (size // 2 * 2 for size in y.shape[2:])
    quarters = [y[:, :, dy:height:2, dx:width:2] for dy in (0, 1) for dx in (0, 1)]
    best = quarters[0].copy("K")
    argmax = np.zeros_like(best, np.uint8)
    for q, value in enumerate(quarters[1:], 1):
        better = ~(value <= best) & ((best == best) | (value != value))
        np.copyto(best, value, where=better)
        np.copyto(argmax, q, where=better, casting="unsafe")
    return best, argmax


def unpool_2x2(g: Array, y: Array, argmax: Array, spec: ConvSpec, slope: float, bias: bool = False) -> tuple[Array, Array | None]:
    """(gradient (N, C, *spec.output) of `pool_2x2(finish(...))`, y being its result, and its sum per channel if `bias`).

    It is g act'(y) at the maxima, 0 elsewhere.
    """
    gx = array_module(g).zeros((len(g), *spec.output, g.shape[1]), g.dtype).transpose(0, 3, 1, 2)
    g = unfinish(g, y, slope)
    height, width = (size // 2 * 2 for size in spec.output)
    for q in range(4):
        gx[:, :, q // 2 : height : 2, q % 2 : width : 2] = np.where(argmax == q, g, 0)
    return gx, channel_sum(g) if bias else None
