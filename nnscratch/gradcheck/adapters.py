"""Functions of other frameworks as the forward and VJP on arrays that `check_vjp` takes; each imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _flat(y: Any) -> list[Any]:
    """The parts of a result, nested as they may be (the output and the states of a recurrent layer)."""
    return [t for part in y for t in _flat(part)] if isinstance(y, (tuple, list)) else [y]


def from_torch(f: Callable) -> tuple[Callable, Callable]:
    """`check_vjp(*from_torch(f), inputs)`: f takes torch tensors and returns a tensor, or several in tuples or lists."""
    import torch

    def forward(*arrays: np.ndarray) -> Any:
        with torch.no_grad():
            y = f(*[torch.from_numpy(np.array(a)) for a in arrays])
        return tuple(t.numpy(force=True) for t in _flat(y)) if isinstance(y, (tuple, list)) else y.numpy(force=True)

    def vjp(u: Any, _y: Any, *arrays: np.ndarray) -> tuple[Any, ...]:
        xs = [torch.from_numpy(np.array(a)).requires_grad_(a.dtype.kind == "f") for a in arrays]
        pairs = zip(_flat(f(*xs)), _flat(u))
        live = [(t, torch.from_numpy(np.array(g))) for t, g in pairs if t.requires_grad]
        free = [x for x in xs if x.requires_grad]
        none = [None] * len(free)
        gs = iter(torch.autograd.grad([t for t, _ in live], free, [g for _, g in live], allow_unused=True) if live else none)
        found = [next(gs) if x.requires_grad else None for x in xs]
        return tuple(None if g is None else g.numpy(force=True) for g in found)

    forward.__name__ = getattr(f, "__name__", type(f).__name__)
    return forward, vjp


def from_jax(f: Callable) -> tuple[Callable, Callable]:
    """`check_vjp(*from_jax(f), inputs)`: f takes JAX arrays and returns one, or several in whatever JAX knows as a tree.

    In float64 only after jax.config.update("jax_enable_x64", True).
    """
    import jax

    def forward(*arrays: np.ndarray) -> Any:
        y = f(*[jax.numpy.asarray(a) for a in arrays])
        parts = tuple(np.asarray(t) for t in jax.tree.leaves(y))
        return parts if isinstance(y, (tuple, list, dict)) else parts[0]

    def vjp(u: Any, _y: Any, *arrays: np.ndarray) -> tuple[Any, ...]:
        y, pull = jax.vjp(f, *[jax.numpy.asarray(a) for a in arrays])
        gs = pull(jax.tree.unflatten(jax.tree.structure(y), [jax.numpy.asarray(g) for g in _flat(u)]))
        return tuple(None if a.dtype.kind != "f" else np.asarray(g) for g, a in zip(gs, arrays))

    forward.__name__ = getattr(f, "__name__", type(f).__name__)
    return forward, vjp
