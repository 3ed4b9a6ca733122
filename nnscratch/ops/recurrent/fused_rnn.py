"""One direction of one plain recurrent layer over a whole sequence, as one op."""

from __future__ import annotations

import numpy as np

from ...autograd import fused
from ..activation import relu
from ..linalg import linear
from ..trigonometric import tanh
from .steps import Sizes, carried, in_order, outputs, over_time, running, start, unroll


def _definition(x, h0, w_hh, *, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    activation = tanh if nonlinearity == "tanh" else relu

    def step(a, h):
        return (activation(a + linear(h, w_hh)),)

    return unroll(step, x, (h0,), sizes, reverse)


@fused(_definition)
def rnn_sequence(x, h0, w_hh, *, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    """(y, h_n) of h' = tanh(x[t] + W_hh h), or of max(0, ...): x (T, N, H) is what the input and the biases give.

    h0: (N, H), w_hh: (H, H). sizes, reverse: see steps.py.
    """
    h = carried(h0, x.shape[0])
    xs = in_order(x, reverse)
    for k, n in enumerate(running(x, sizes, reverse)):
        after = np.matmul(h[k, :n], w_hh.T, out=h[k + 1, :n])
        after += xs[k, :n]
        if nonlinearity == "tanh":
            np.tanh(after, out=after)
        else:
            np.maximum(after, 0, out=after)
        h[k + 1, n:] = h[k, n:]
    return (outputs(h, sizes, reverse), h[-1]), h


@rnn_sequence.backward
def _(g, _y, h, needs, x, h0, w_hh, *, nonlinearity: str = "tanh", sizes: Sizes = None, reverse: bool = False):
    gy, dh = g[0], start(g[1], h0)
    gy = None if gy is None else in_order(gy, reverse)
    da = np.empty_like(h[1:]) if sizes is None else np.zeros_like(h[1:])
    rows = running(x, sizes, reverse)
    for k in range(len(da) - 1, -1, -1):
        n = rows[k]
        y = h[k + 1, :n]
        if gy is not None:
            dh[:n] += gy[k, :n]
        np.multiply(dh[:n], 1 - y * y if nonlinearity == "tanh" else y > 0, out=da[k, :n])
        np.matmul(da[k, :n], w_hh, out=dh[:n])
    return in_order(da, reverse), dh, over_time(da, h[:-1]) if needs[2] else None
