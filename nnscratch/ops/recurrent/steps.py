"""What the fused sequences share: the order of the steps, and which rows of a batch of unequal lengths take part in each.

Sequences are time first, (T, N, ...), and sorted by falling length, so that the rows still running at time t are the first
sizes[t]. A row that does not take part keeps its state, and its output is 0. Read backwards, rows join instead of leaving.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import backend
from ..compare import where
from ..shape import stack

Sizes = tuple[int, ...] | None


def unroll(step: Callable, x: Any, states: tuple[Any, ...], sizes: Sizes, reverse: bool) -> tuple[Any, ...]:
    """The definition of a fused sequence: states = step(x[t], *states) for each t, composed of ops; (outputs, *last states)."""
    times = range(x.shape[0])[::-1] if reverse else range(x.shape[0])
    xp = backend.array_module(x if backend.is_array(x) else x.data)
    ys = []
    for t in times:
        new = step(x[t], *states)
        if sizes is None:
            ys.append(new[0])
        else:
            runs = (xp.arange(x.shape[1]) < sizes[t])[:, None]
            new = tuple(where(runs, after, before) for after, before in zip(new, states))
            ys.append(where(runs, new[0], 0.0))
        states = new
    return (stack(ys[::-1] if reverse else ys, 0), *states)
