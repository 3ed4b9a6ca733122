"""What the fused sequences share: the order of the steps, and which rows of a batch of unequal lengths take part in each.

Sequences are time first, (T, N, ...), and sorted by falling length, so that the rows still running at time t are the first
sizes[t]. A row that does not take part keeps its state, and its output is 0. Read backwards, rows join instead of leaving.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import backend
from ..compare import where
from ..shape import stack

Sizes = tuple[int, ...] | None


def in_order(x: Any, reverse: bool) -> Any:
    """A view of a sequence in the order in which it is read."""
    return x[::-1] if reverse else x


def running(x: Any, sizes: Sizes, reverse: bool) -> tuple[int, ...]:
    """How many rows take part in each step, in the order in which they are read."""
    return in_order((x.shape[1],) * x.shape[0] if sizes is None else sizes, reverse)


def outputs(states: Any, sizes: Sizes, reverse: bool) -> Any:
    """The outputs of a sequence, from the (T + 1, N, H) states before and after each step, in the order in which it was read."""
    y = in_order(states[1:], reverse)
    if sizes is None:
        return y
    y = np.copy(y)
    for t, n in enumerate(sizes):
        y[t, n:] = 0
    return y


def unroll(step: Callable, x: Any, states: tuple[Any, ...], sizes: Sizes, reverse: bool) -> tuple[Any, ...]:
    """The definition of a fused sequence: states = step(x[t], *states) for each t, composed of ops; (outputs, *last states)."""
    xp = backend.array_module(x if backend.is_array(x) else x.data)
    ys = []
    for t in in_order(range(x.shape[0]), reverse):
        new = step(x[t], *states)
        if sizes is None:
            ys.append(new[0])
        else:
            runs = (xp.arange(x.shape[1]) < sizes[t])[:, None]
            new = tuple(where(runs, after, before) for after, before in zip(new, states))
            ys.append(where(runs, new[0], 0.0))
        states = new
    return (stack(in_order(ys, reverse), 0), *states)


def empty_like_steps(x: Any, *shape: int) -> Any:
    """An uninitialised array of x's dtype and device."""
    return backend.array_module(x).empty(shape, x.dtype)


def carried(h0: Any, steps: int) -> Any:
    """Room for the states before and after each of `steps` steps; the first is h0."""
    states = empty_like_steps(h0, steps + 1, *h0.shape)
    states[0] = h0
    return states


def start(g: Any, like: Any) -> Any:
    """A writable copy of the cotangent of a last state; zeros where there is none."""
    return np.zeros_like(like) if g is None else g.copy()


def over_time(g: Any, x: Any) -> Any:
    """Σ_t g[t]ᵀ x[t], the gradient of a matrix that multiplied x[t] at every step into a result with cotangent g[t]."""
    return g.reshape(-1, g.shape[-1]).T @ x.reshape(-1, x.shape[-1])
