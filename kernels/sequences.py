"""Recurrent layers on NumPy or CuPy arrays, one step after the other; see recurrent.py for what goes in and comes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import products
from .arrays import Array, array_module

Sizes = Any  # tuple[int, ...] | None


def forward(
    kind: str, x: Array, states: Sequence[Array], weights: Sequence[Any], *, sizes: Sizes, reverse: bool, keep: bool
) -> tuple[tuple[Array, ...], Any]:
    del keep
    run = _lstm if kind == "lstm" else _gru if kind == "gru" else _plain
    rows = running(x, sizes, reverse)
    h, *more, residuals = run(x, states, weights, rows, reverse, kind)
    return (outputs(h, sizes, reverse), h[-1], *[s[-1] for s in more]), residuals


def backward(
    kind: str,
    g: Sequence[Any],
    residuals: Any,
    needs: Sequence[bool],
    x: Array,
    states: Sequence[Array],
    weights: Sequence[Any],
    *,
    sizes: Sizes,
    reverse: bool,
) -> list[Any]:
    run = _lstm_back if kind == "lstm" else _gru_back if kind == "gru" else _plain_back
    gy = None if g[0] is None else in_order(g[0], reverse)
    last = [start(part, state) for part, state in zip(g[1:], states)]
    h, da, ds, *more = run(gy, last, residuals, weights, running(x, sizes, reverse), kind)
    need_x, need_w, need_u, need_b, need_c = needs[0], *needs[1 + len(states) :][:4]
    da, ds = by_rows(da), by_rows(ds)  # of what the input and what the state gives to the gates
    gx = in_order(products.matmul(da, weights[0]).reshape(x.shape), reverse) if need_x else None
    gw, gb = products.linear_weight(by_rows(in_order(x, reverse)), da) if need_w or need_b else (None, None)
    gu, gc = products.linear_weight(by_rows(h[:-1]), ds) if need_u or need_c else (None, None)
    return [gx, *last, gw, gu, gb, gc, *more]


def in_order(x: Array, reverse: bool) -> Array:
    """A view of a sequence in the order in which it is read."""
    return x[::-1] if reverse else x


def running(x: Array, sizes: Sizes, reverse: bool) -> tuple[int, ...]:
    """How many rows take part in each step, in the order in which they are read."""
    return in_order((x.shape[1],) * x.shape[0] if sizes is None else sizes, reverse)


def outputs(states: Array, sizes: Sizes, reverse: bool) -> Array:
    """The outputs of a sequence, from the (T + 1, N, H) states before and after each step, in the order in which it was read."""
    y = in_order(states[1:], reverse)
    if sizes is None:
        return y
    y = np.copy(y)
    for t, n in enumerate(sizes):
        y[t, n:] = 0
    return y


def start(g: Array | None, like: Array) -> Array:
    """A writable copy of the cotangent of a last state; zeros where there is none."""
    return np.zeros_like(like) if g is None else g.copy()


def total(b: Array | None, c: Array | None) -> Array | None:
    """The sum of two biases that may be None."""
    return b if c is None else c if b is None else b + c


def by_rows(x: Array) -> Array:
    """(T, N, F) as a matrix."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _from_input(x: Array, w: Array, b: Array | None, reverse: bool) -> Array:
    """What the input gives to the gates, in the order of reading: (T, N, gates · H)."""
    y = products.linear(by_rows(in_order(x, reverse)), w, b)
    return y.reshape(*x.shape[:2], len(w))


def _carried(first: Array, steps: int) -> Array:
    """Room for the states before and after each of `steps` steps."""
    states = array_module(first).empty((steps + 1, *first.shape), first.dtype)
    states[0] = first
    return states


def _lstm(x, states, weights, rows, reverse, _kind):
    (h0, c0), (w_ih, w_hh, b_ih, b_hh), w_hr = states, weights[:4], _projection(weights)
    (steps, batch, _), size = x.shape, len(w_hh) // 4
    # With σ(a) = (1 + tanh(a / 2)) / 2, halved weights of i, f and o leave one tanh over all gates.
    half = np.full_like(x, 0.5, shape=4 * size)
    half[2 * size : 3 * size] = 1
    shift, bias, w = 1 - half, total(b_ih, b_hh), w_hh.T * half
    gates = _from_input(x, w_ih * half[:, None], None if bias is None else bias * half, reverse)
    i, f, g, o = np.split(gates, 4, axis=2)
    h, c = _carried(h0, steps), _carried(c0, steps)
    xp = array_module(x)
    tanh_c = xp.empty((steps, batch, size), x.dtype)
    room, other = xp.empty((batch, 4 * size), x.dtype), xp.empty((batch, size), x.dtype)
    for k, n in enumerate(rows):
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
    return h, c, (gates, h, c, tanh_c)


def _projection(weights):
    return weights[4] if len(weights) > 4 else None


def _lstm_back(gy, last, residuals, weights, rows, _kind):
    gates, h, c, tanh_c = residuals
    (dh, dc), w_hh, w_hr = last, weights[1], _projection(weights)
    da = np.zeros_like(gates)
    dhs: Any = None if w_hr is None else np.zeros_like(h[1:])  # the cotangents of the projected states
    all_gates, all_da = np.split(gates, 4, axis=2), np.split(da, 4, axis=2)
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
    if w_hr is None:
        return h, da, da, *([None] * (len(weights) - 4))
    return h, da, da, by_rows(dhs).T @ by_rows(gates[..., -tanh_c.shape[-1] :] * tanh_c)


def _gru(x, states, weights, rows, reverse, _kind):
    (h0,), (w_ih, w_hh, b_ih, b_hh) = states, weights
    (steps, batch, _), size = x.shape, len(w_hh) // 3
    gates, h = _from_input(x, w_ih, b_ih, reverse), _carried(h0, steps)
    from_state = array_module(x).empty((steps, batch, 3 * size), x.dtype)
    for k, n in enumerate(rows):
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
    return h, (gates, h, from_state[..., 2 * size :])


def _gru_back(gy, last, residuals, weights, rows, _kind):
    gates, h, n_state = residuals
    (dh,), w_hh, size = last, weights[1], h.shape[-1]
    da, ds = np.zeros_like(gates), np.zeros_like(gates)  # they differ in n only
    all_gates, all_da = np.split(gates, 3, axis=2), np.split(da, 3, axis=2)
    for k in range(len(gates) - 1, -1, -1):
        n = rows[k]
        r, z, new = [a[k, :n] for a in all_gates]
        dr, dz, dn = [a[k, :n] for a in all_da]
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
        s[:, : 2 * size] = da[k, :n, : 2 * size]
        np.multiply(dn, r, out=s[:, 2 * size :])
        np.matmul(s, w_hh, out=d)
        d += d_direct
    return h, da, ds


def _plain(x, states, weights, rows, reverse, kind):
    (h0,), (w_ih, w_hh, b_ih, b_hh) = states, weights
    sums, h = _from_input(x, w_ih, total(b_ih, b_hh), reverse), _carried(h0, len(x))
    for k, n in enumerate(rows):
        after = np.matmul(h[k, :n], w_hh.T, out=h[k + 1, :n])
        after += sums[k, :n]
        if kind == "tanh":
            np.tanh(after, out=after)
        else:
            np.maximum(after, 0, out=after)
        h[k + 1, n:] = h[k, n:]
    return h, h


def _plain_back(gy, last, h, weights, rows, kind):
    (dh,), w_hh = last, weights[1]
    da = np.zeros_like(h[1:])
    for k in range(len(da) - 1, -1, -1):
        n, y = rows[k], h[k + 1, : rows[k]]
        if gy is not None:
            dh[:n] += gy[k, :n]
        np.multiply(dh[:n], 1 - y * y if kind == "tanh" else y > 0, out=da[k, :n])
        np.matmul(da[k, :n], w_hh, out=dh[:n])
    return h, da, da
