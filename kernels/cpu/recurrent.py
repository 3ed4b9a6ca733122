"""Recurrent layers on the compiled kernels of `sequences`: what these need beforehand, and what comes out of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import products
from ..sequences import by_rows, in_order, outputs, running, start, total
from . import sequences
from .launch import threads
from .product_plan import ROWS, VECTORS
from .sequences import GRU, LSTM, Plan
from .simd import WIDEST, aligned, lanes

KINDS = ("lstm", "gru", "tanh", "relu")  # in the order of the numbers in sequences.py
CACHE = 3 << 19  # bytes of weights that mostly stay in the second-level cache
TOGETHER = 128  # rows of several steps whose share of a weight's gradient is added at a time
FEW = 9  # rows of a batch, below which reading the weights at each step costs more than the products with them
RATE = 50  # products a nanosecond of one core, to estimate times


class Residuals(NamedTuple):
    """What `backward` needs of `forward`; see sequences.py."""

    gates: np.ndarray
    h: np.ndarray
    kept: np.ndarray
    running: np.ndarray
    plan: Plan


def forward(
    kind: str, x: np.ndarray, states: Sequence[np.ndarray], weights: Sequence[Any], *, sizes: Any, reverse: bool, keep: bool
) -> tuple[tuple[np.ndarray, ...], Residuals]:
    """((y, *last states), residuals) for states (h0, c0 of an LSTM) and weights (w_ih, w_hh, b_ih, b_hh), biases or None."""
    w_ih, w_hh, b_ih, b_hh = weights[:4]
    flat, x_step, x_row = _flat(x)
    plan = _plan(KINDS.index(kind), x, w_ih, w_hh, reverse, keep, (x_step, x_row))
    steps, width, workers = plan.steps, plan.width, threads()
    h = _carried(states[0], steps)
    if plan.kind == LSTM:
        kept = _carried(states[1], steps)
    else:
        kept = aligned((steps if plan.kind == GRU else 0, *h.shape[1:]), x.dtype)
    if plan.inside:
        gates = aligned((*((steps, plan.batch) if keep else (workers, plan.rows)), width), x.dtype)
    else:
        gates = products.linear(by_rows(in_order(x, reverse)), w_ih)
    rows = np.array(running(x, sizes, reverse), np.int64)
    if plan.kind != GRU:
        b_ih, b_hh = total(b_ih, b_hh), None
    zeros = np.zeros(width, x.dtype)
    sequences.forward(
        _items(plan), plan, flat, gates.reshape(-1), h.reshape(-1), kept.reshape(-1), rows,
        _packed(w_ih.T) if plan.inside else zeros, _packed(w_hh.T),
        zeros if b_ih is None else _ready(b_ih), zeros if b_hh is None else _ready(b_hh),
        aligned((workers, plan.rows * width), x.dtype), nanoseconds=_cost(plan),
    )  # fmt: skip
    last = (h[-1], kept[-1]) if plan.kind == LSTM else (h[-1],)
    return (outputs(h, sizes, reverse), *last), Residuals(gates, h, kept, rows, plan)


def backward(
    kind: str,
    g: Sequence[Any],
    residuals: Residuals,
    needs: Sequence[bool],
    x: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[Any],
    *,
    sizes: Any,
    reverse: bool,
) -> list[Any]:
    """The gradients of x, states and weights, None where `needs` says so, from those of (y, *last states)."""
    del kind, reverse  # the plan knows
    gates, h, kept, rows, plan = residuals
    w_ih, w_hh = weights[:2]
    needs_x, needs_states, needs_weights = needs[0], any(needs[1 : 1 + len(states)]), any(needs[1 + len(states) :])
    gy, gy_step, gy_row = (np.zeros(plan.size, x.dtype), 0, 0) if g[0] is None else _flat(g[0])
    last = [_ready(start(part, state)) for part, state in zip(g[1:], states)]
    dx = none = np.empty(0, x.dtype)
    part = (plan.width * (plan.features + plan.size) + plan.width + plan.shift) * plan.inside * needs_weights
    parts = aligned((_items(plan), part), x.dtype)
    if plan.inside:
        panel = WIDEST * plan.lanes
        row = plan.stride + _up(plan.features, panel) + _up(plan.size, panel)
        memory = aligned((threads(), plan.together * row), x.dtype)
        dx = aligned(x.shape, x.dtype) if needs_x else none
    else:
        memory = aligned((1, plan.steps * plan.batch * plan.stride), x.dtype)
    if sizes is not None:  # the kernel writes no rows but those that run
        (dx if plan.inside else memory).fill(0)
    sequences.backward(
        _items(plan), plan, _flat(x)[0], gates.reshape(-1), h.reshape(-1), kept.reshape(-1), rows, gy, gy_step, gy_row,
        last[0].reshape(-1), last[-1].reshape(-1), dx.reshape(-1), _packed(w_ih, plan.turn) if plan.inside else none,
        _packed(w_hh), parts, (needs_x, needs_states, needs_weights), memory, nanoseconds=2 * _cost(plan),
    )  # fmt: skip
    if plan.inside:
        gx, sums = dx if needs_x else None, _collected(plan, parts, w_ih, w_hh) if needs_weights else [None] * 4
    else:
        gx, *sums = _outside(plan, [needs_x, *needs[1 + len(states) :]], memory.reshape(-1, plan.stride), x, h, w_ih)
    return [gx, *(last if needs_states else [None] * len(last)), *sums, *[None] * (len(weights) - 4)]


def _collected(plan: Plan, parts: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray) -> list[Any]:
    """The gradients of weights and biases, from each block's share of them."""
    gw_ih, gw_hh = aligned(w_ih.shape, parts.dtype), aligned(w_hh.shape, parts.dtype)
    sequences.collect(plan.width, parts, gw_ih, gw_hh, nanoseconds=parts.size / 4)
    sums = parts[:, gw_ih.size + gw_hh.size :].sum(axis=0)
    # Two arrays even where they are equal, or writing into one gradient would change the other.
    return [gw_ih, gw_hh, np.roll(sums[: plan.width], plan.turn), sums[plan.shift :].copy()]


def _outside(plan: Plan, needs: Sequence[bool], da: np.ndarray, x: np.ndarray, h: np.ndarray, w_ih: np.ndarray) -> list[Any]:
    """The gradients of x, weights and biases, as needed, from those of the gates of all steps."""
    xs, from_x, from_h = by_rows(in_order(x, bool(plan.reverse))), da[:, : plan.width], da[:, plan.shift :]
    need_x, need_w, need_u, need_b, need_c = needs[:5]
    gx = gw_ih = gw_hh = gb_ih = gb_hh = None
    if need_x:
        gx = in_order(products.matmul(from_x, np.roll(w_ih, -plan.turn, axis=0)).reshape(x.shape), bool(plan.reverse))
    if need_w or need_b:
        gw_ih, gb_ih = products.linear_weight(xs, from_x)
        gw_ih, gb_ih = np.roll(gw_ih, plan.turn, axis=0) if plan.turn else gw_ih, np.roll(gb_ih, plan.turn)
    if need_u or need_c:
        gw_hh, gb_hh = products.linear_weight(by_rows(h[:-1]), from_h)
    return [gx, gw_ih, gw_hh, gb_ih, gb_hh]


def _plan(
    kind: int, x: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, reverse: bool, keep: bool, distances: tuple[int, int]
) -> Plan:
    (steps, batch, features), (width, size), vector = x.shape, w_hh.shape, lanes(x.dtype)
    inside = batch >= FEW and w_ih.nbytes + w_hh.nbytes <= CACHE
    blocks, most = (4, 32) if inside else (2, 64)  # the more rows, the less often weights come from beyond the cache
    rows = min(most, max(16, _up(batch, blocks * ROWS) // blocks), _up(batch, ROWS))  # not by threads: they would change the bits
    shift, turn = (size, 2 * size) if kind == GRU else (0, 0)
    # Inside, an odd number of vectors: then rows lie in different sets of the first-level cache.
    stride = (-(-(width + shift) // vector) | 1) * vector if inside else width + shift
    return Plan(
        kind, steps, batch, features, size, width, rows, TOGETHER, int(inside), int(reverse), int(keep or not inside), vector,
        *distances, shift, turn, stride,
    )  # fmt: skip


def _up(count: int, unit: int) -> int:
    """`count` rounded up to whole units."""
    return -(-count // unit) * unit


def _items(plan: Plan) -> int:
    return -(-plan.batch // plan.rows)


def _cost(plan: Plan) -> float:
    return plan.steps * plan.batch * plan.width * (plan.size + plan.features + 20) / RATE


def _ready(x: np.ndarray) -> np.ndarray:
    """x as kernels take it: contiguous and writeable, or Numba would compile them anew."""
    return x if x.flags.carray else np.require(x, requirements=["C", "A", "W"])


def _carried(first: np.ndarray, steps: int) -> np.ndarray:
    states = aligned((steps + 1, *first.shape), first.dtype)
    states[0] = first
    return states


def _flat(x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The memory of x (T, N, F), and the distances in it between steps and between rows."""
    steps, batch, features = x.shape
    by_row = x.transpose(1, 0, 2)
    if by_row.flags.c_contiguous and not x.flags.c_contiguous:
        return _ready(by_row).reshape(-1), features, steps * features
    return _ready(x).reshape(-1), batch * features, features


def _packed(b: np.ndarray, turn: int = 0) -> np.ndarray:
    """b (depth, columns), a weight or its transpose, in the order in which tiles read it; its rows turned by `turn`."""
    depth, columns = b.shape
    packed = aligned((_up(columns, lanes(b.dtype)) * depth,), b.dtype)
    panels = -(-columns // (VECTORS * lanes(b.dtype)))
    transposed = not turn and not b.flags.c_contiguous
    flat = _ready(b.T if transposed else b).reshape(-1)
    sequences.pack_panel(panels, flat, packed, depth, columns, transposed, turn, lanes(b.dtype), nanoseconds=packed.size / 4)
    return packed
