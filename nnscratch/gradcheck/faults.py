"""Does a check catch faults? Wrong gradients made from right ones, and the assertion that every one of them is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .check import check_vjp
from .problem import prepare
from .report import Report, Verdict

Array = np.ndarray
Fault = Callable[[Callable], Callable]  # of a VJP


def _edited(edit: Callable[[Array], Any], which: int | None) -> Fault:
    """The fault that edits a gradient (all of them for None) after the fact."""

    def inject(vjp: Callable) -> Callable:
        def wrong(u: Any, y: Any, *xs: Array) -> tuple[Any, ...]:
            gs = vjp(u, y, *xs)
            gs = list(gs) if isinstance(gs, (tuple, list)) else [gs]
            return tuple(edit(np.array(g)) if g is not None and which in (None, i) else g for i, g in enumerate(gs))

        return wrong

    return inject


def _off(share: float, rank: float) -> Callable[[Array], Array]:
    """One element off by `share`: the one of the given rank (0 smallest, 1 largest) among those that are not zero."""

    def edit(g: Array) -> Array:
        live = np.flatnonzero(g)
        if live.size:
            order = live[np.argsort(np.abs(g.flat[live]), kind="stable")]
            g.flat[order[round(rank * (live.size - 1))]] *= 1 + share
        return g

    return edit


def _ones(vjp: Callable) -> Callable:
    """Seeded with ones, whatever the cotangent."""

    def wrong(u: Any, y: Any, *xs: Array) -> Any:
        seeds = tuple(np.ones_like(part) for part in u) if isinstance(u, tuple) else np.ones_like(u)
        return vjp(seeds, y, *xs)

    return wrong


def faults(inputs: int) -> dict[str, Fault]:
    """The faults that any VJP can be given, by name, for a function of so many inputs."""
    kinds: dict[str, Callable[[Array], Any]] = {
        "times 2": lambda g: g * 2,
        "times 7": lambda g: g * 7,
        "sign": lambda g: -g,
        "zero": lambda g: g * 0,
        "all off by 0.1%": lambda g: g * 1.001,
        "median element off by 0.1%": _off(1e-3, 0.5),
        "largest element off by 0.1%": _off(1e-3, 1.0),
        "nan": lambda g: np.full_like(g, np.nan),
    }
    table = {f"{name}, input {i}": _edited(edit, i) for i in range(inputs) for name, edit in kinds.items()}
    return {**table, "cotangent ignored": _ones}


def assert_detects_wrong_gradient(
    forward: Callable | None = None,
    vjp: Any = None,
    inputs: Any = None,
    *,
    check: Callable[[Callable, Callable, Sequence[Array]], Any] | None = None,
    seed: int = 0,
) -> dict[str, bool]:
    """Assert that the right gradient passes and that every injected fault is caught: a test of the test.

    Called as (forward, vjp, inputs) as in `check_vjp`, as (f, inputs) with f on nnscratch tensors, or without arguments on a
    small battery. `check(forward, vjp, inputs)` puts another checker to the test: it returns a Report, or whether a gradient
    passes. Returns which faults were caught; raises AssertionError naming those that were not, or when the sound one is refused.
    """
    if forward is None:
        caught: dict[str, bool] = {}
        for name, (f, pull, xs) in battery(seed).items():
            caught |= {
                f"{name}: {fault}": hit
                for fault, hit in assert_detects_wrong_gradient(f, pull, xs, check=check, seed=seed).items()
            }
        return caught
    if inputs is None:
        from .tensors import _adapter

        inputs = vjp
        forward, vjp = _adapter(forward, "cpu")
    judge = check or (lambda f, pull, xs: check_vjp(f, pull, xs, seed=seed, locate=False))
    xs = prepare(inputs)
    if not _passes(judge(forward, vjp, xs)):
        raise AssertionError("the sound gradient was refused: see the report of check_vjp for it")
    free = [i for i, x in enumerate(xs) if x.dtype.kind == "f" and x.size]
    table = {name: f for name, f in faults(len(xs)).items() if not name[-1:].isdigit() or int(name.split()[-1]) in free}
    if _seeded_with_ones_is_right(forward, xs):
        table.pop("cotangent ignored")
    caught = {name: not _passes(judge(forward, fault(vjp), xs)) for name, fault in table.items()}
    missed = [name for name, hit in caught.items() if not hit]
    if missed:
        raise AssertionError(f"{len(missed)} of {len(caught)} wrong gradients were not detected: {', '.join(missed)}")
    return caught


def _passes(outcome: Any) -> bool:
    return outcome.verdict is Verdict.CORRECT if isinstance(outcome, Report) else bool(outcome)


def _seeded_with_ones_is_right(forward: Callable, xs: Sequence[Array]) -> bool:
    y = forward(*[np.copy(x) for x in xs])
    return sum(np.size(part) for part in (y if isinstance(y, (tuple, list)) else [y])) == 0


def battery(seed: int = 0) -> dict[str, tuple[Callable, Callable, list[Array]]]:
    """A few sound functions of different kinds, with their VJPs and inputs."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((20, 30)), rng.standard_normal((30, 5))

    def softmax(a: Array) -> Array:
        e = np.exp(a - a.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return {
        "tanh": (np.tanh, lambda u, y, a: (u * (1 - y * y),), [x]),
        "matmul": (np.matmul, lambda u, y, a, b: (u @ b.T, a.T @ u), [x, w]),
        "softmax": (softmax, lambda u, y, a: (y * (u - (u * y).sum(axis=1, keepdims=True)),), [x]),
        "sum of cubes": (lambda a: (a**3).sum(), lambda u, y, a: (u * 3 * a**2,), [x]),
        "relu": (lambda a: np.maximum(a, 0), lambda u, y, a: (u * (a > 0),), [x]),
    }
