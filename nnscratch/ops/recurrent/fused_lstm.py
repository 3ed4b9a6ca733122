"""One direction of one LSTM layer over a whole sequence, as one op.

The gates of a step are computed together: with σ(a) = (1 + tanh(a / 2)) / 2, halving the columns of i, f and o beforehand leaves
one tanh over all four, and everything that can be done for all steps at once is done outside the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import fused
from ..linalg import linear
from .cells import lstm_step
from .steps import Sizes, carried, empty_like_steps, in_order, outputs, over_time, running, start, unroll


def _definition(x, h0, c0, w_hh, w_hr, *, sizes: Sizes = None, reverse: bool = False):
    def step(gates, h, c):
        return lstm_step(gates + linear(h, w_hh), c, w_hr)

    return unroll(step, x, (h0, c0), sizes, reverse)


@fused(_definition)
def lstm_sequence(x, h0, c0, w_hh, w_hr, *, sizes: Sizes = None, reverse: bool = False):
    """(y, h_n, c_n) from what the input and the biases give to the gates: x (T, N, 4H), in the order i, f, g, o.

    h0: (N, P), c0: (N, H), w_hh: (4H, P), w_hr: (P, H), or None where P = H. sizes, reverse: see steps.py.
    """
    steps, batch, width = x.shape
    size = width // 4
    half = np.full_like(x, 0.5, shape=width)
    half[2 * size : 3 * size] = 1
    shift = 1 - half
    gates = in_order(x, reverse) * half
    i, f, g, o = np.split(gates, 4, axis=2)
    w = w_hh.T * half
    h, c = carried(h0, steps), carried(c0, steps)
    tanh_c = empty_like_steps(x, steps, batch, size)
    room, other = empty_like_steps(x, batch, width), empty_like_steps(x, batch, size)
    for k, n in enumerate(running(x, sizes, reverse)):
        a = gates[k, :n]
        a += np.matmul(h[k, :n], w, out=room[:n])
        np.tanh(a, out=a)
        a *= half
        a += shift
        new = np.multiply(f[k, :n], c[k, :n], out=c[k + 1, :n])
        new += np.multiply(i[k, :n], g[k, :n], out=other[:n])
        tc = np.tanh(new, out=tanh_c[k, :n])
        if w_hr is None:
            np.multiply(o[k, :n], tc, out=h[k + 1, :n])
        else:
            np.matmul(np.multiply(o[k, :n], tc, out=other[:n]), w_hr.T, out=h[k + 1, :n])
        h[k + 1, n:], c[k + 1, n:], tanh_c[k, n:] = h[k, n:], c[k, n:], 0
    return (outputs(h, sizes, reverse), h[-1], c[-1]), (gates, h, c, tanh_c)


@lstm_sequence.backward
def _(g, _y, residuals, needs, x, h0, c0, w_hh, w_hr, *, sizes: Sizes = None, reverse: bool = False):
    gates, h, c, tanh_c = residuals
    gy, dh, dc = g[0], start(g[1], h0), start(g[2], c0)
    gy = None if gy is None else in_order(gy, reverse)
    da = np.zeros_like(gates) if sizes is not None else np.empty_like(gates)
    dhs: Any = None if w_hr is None else np.zeros_like(h[1:])  # the cotangents of the projected states
    all_gates, all_da = np.split(gates, 4, axis=2), np.split(da, 4, axis=2)
    rows = running(x, sizes, reverse)
    for k in range(len(gates) - 1, -1, -1):
        n = rows[k]
        i, f, z, o = [a[k, :n] for a in all_gates]
        di, df, dz, do = [a[k, :n] for a in all_da]
        tc = tanh_c[k, :n]
        if gy is not None:
            dh[:n] += gy[k, :n]
        dm = dh[:n]
        if w_hr is not None:
            dhs[k, :n] = dm
            dm = dm @ w_hr
        np.multiply(dm, tc, out=do)
        dm = dm * o
        dcn = dc[:n]
        dcn += dm
        dcn -= dm * tc * tc
        np.multiply(dcn, z, out=di)
        np.multiply(dcn, c[k, :n], out=df)
        np.multiply(dcn, i, out=dz)
        dcn *= f
        dz *= 1 - z * z
        for d, s in ((di, i), (df, f), (do, o)):
            d *= s - s * s
        np.matmul(da[k, :n], w_hh, out=dh[:n])
    gw_hh = over_time(da, h[:-1]) if needs[3] else None
    gw_hr = over_time(dhs, gates[..., -tanh_c.shape[-1] :] * tanh_c) if needs[4] else None
    return in_order(da, reverse), dh, dc, gw_hh, gw_hr
