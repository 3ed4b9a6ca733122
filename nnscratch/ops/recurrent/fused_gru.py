"""One direction of one GRU layer over a whole sequence, as one op."""

from __future__ import annotations

import numpy as np

from ...autograd import fused
from ..linalg import linear
from .cells import gru_step
from .steps import Sizes, carried, empty_like_steps, in_order, outputs, over_time, running, start, unroll


def _definition(x, h0, w_hh, b_hh, *, sizes: Sizes = None, reverse: bool = False):
    def step(from_input, h):
        return (gru_step(from_input, linear(h, w_hh, b_hh), h),)

    return unroll(step, x, (h0,), sizes, reverse)


@fused(_definition)
def gru_sequence(x, h0, w_hh, b_hh, *, sizes: Sizes = None, reverse: bool = False):
    """(y, h_n) from what the input and b_ih give to the gates: x (T, N, 3H), in the order r, z, n.

    h0: (N, H), w_hh: (3H, H), b_hh: (3H) or None (it is inside the reset gate's product, so it cannot be part of x).
    sizes, reverse: see steps.py.
    """
    steps, batch, width = x.shape
    size = width // 3
    gates = np.copy(in_order(x, reverse))
    h = carried(h0, steps)
    from_state = empty_like_steps(x, steps, batch, width)
    for k, n in enumerate(running(x, sizes, reverse)):
        before, after, s = h[k, :n], h[k + 1, :n], from_state[k, :n]
        np.matmul(before, w_hh.T, out=s)
        if b_hh is not None:
            s += b_hh
        rz, new = gates[k, :n, : 2 * size], gates[k, :n, 2 * size :]
        rz += s[:, : 2 * size]
        rz *= 0.5  # σ(a) = (1 + tanh(a / 2)) / 2
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        r, z = rz[:, :size], rz[:, size:]
        new += r * s[:, 2 * size :]
        np.tanh(new, out=new)
        np.subtract(before, new, out=after)
        after *= z
        after += new
        h[k + 1, n:] = h[k, n:]
    return (outputs(h, sizes, reverse), h[-1]), (gates, h, from_state[..., 2 * size :])


@gru_sequence.backward
def _(g, _y, residuals, needs, x, h0, w_hh, _b_hh, *, sizes: Sizes = None, reverse: bool = False):
    gates, h, n_state = residuals
    gy, dh = g[0], start(g[1], h0)
    gy = None if gy is None else in_order(gy, reverse)
    size = h.shape[-1]
    make = np.empty_like if sizes is None else np.zeros_like
    dx, ds = make(gates), make(gates)  # the cotangents of the gates' two halves: they differ in n only
    all_gates, all_dx = np.split(gates, 3, axis=2), np.split(dx, 3, axis=2)
    rows = running(x, sizes, reverse)
    for k in range(len(gates) - 1, -1, -1):
        n = rows[k]
        r, z, new = [a[k, :n] for a in all_gates]
        dr, dz, dn = [a[k, :n] for a in all_dx]
        if gy is not None:
            dh[:n] += gy[k, :n]
        d = dh[:n]
        np.multiply(d, h[k, :n] - new, out=dz)
        dz *= z - z * z
        d_direct = d * z
        np.subtract(d, d_direct, out=dn)
        dn *= 1 - new * new
        np.multiply(dn, n_state[k, :n], out=dr)
        dr *= r - r * r
        s = ds[k, :n]
        s[:, : 2 * size] = dx[k, :n, : 2 * size]
        np.multiply(dn, r, out=s[:, 2 * size :])
        np.matmul(s, w_hh, out=d)
        d += d_direct
    gw = over_time(ds, h[:-1]) if needs[2] else None
    gb = ds.sum(axis=(0, 1)) if needs[3] else None
    return in_order(dx, reverse), dh, gw, gb
