"""Gradients in float32 (or float16), tested as they are, with float64 as the oracle.

A central difference in float32 has two or three digits, too few to see a fault of 0.1%. So the function is run on the same values
in float64 where it can be: its VJP there is held against numeric derivatives, and the float32 gradient against that, element by
element, with the rounding error that float32 inputs of this conditioning must have. A function that cannot run in float64 gets
the honest bounds of its own precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .exact import position
from .precision import Precision
from .problem import BudgetError, Problem
from .report import Finding, Verdict
from .vectors import Array, magnitude, norm, signs


def widened(xs: Sequence[Array]) -> list[Array]:
    return [x.astype(np.float64) if x.dtype.kind == "f" else x for x in xs]


def oracle(problem: Problem, xs: list[Array], notes: list[str]) -> tuple[Problem, list[Array], Precision]:
    """The problem to hold against numbers, where, and how precisely: in float64 if forward and VJP, or the forward, run there."""
    narrow = [x.dtype for x in xs if x.dtype.kind == "f" and x.dtype.itemsize < 8]
    if not narrow:
        y = problem.call(xs)
        problem.floats = [k for k, o in enumerate(y) if o.dtype.kind == "f"]
        out = [o.dtype for o in y if o.dtype.kind == "f" and o.dtype.itemsize < 8]
        if out:
            notes.append(f"the output is {min(out)}: differences are taken at its precision")
        kind = min([*out, np.dtype(np.float64)], key=lambda d: d.itemsize)
        return problem, xs, Precision.of(kind, kind)
    lowest = min(narrow, key=lambda d: d.itemsize)
    wide = widened(xs)
    outputs = problem.call(xs)
    try:
        outputs64 = problem.call(wide)
    except BudgetError:
        raise
    except Exception:  # whatever a function that expects float32 raises
        outputs64 = []
    if not _agree(outputs, outputs64, lowest):
        notes.append(f"the function does not run in float64: bounds are those of {lowest}")
        return problem, xs, Precision.of(lowest, lowest)
    second = Problem(problem._forward, problem._vjp, problem._jvp, problem.budget)
    vector = second.at(wide)
    try:
        gs = second.pull(np.ones_like(vector), wide)
        runs = all(g is None or g.dtype == np.float64 for g, x in zip(gs, xs) if x.dtype.kind == "f")
    except BudgetError:
        raise
    except Exception:
        runs = False
    if runs:
        return second, wide, Precision.of(np.float64, np.float64)
    notes.append(f"the VJP does not run in float64: its {lowest} gradient is held against the float64 oracle")
    return (
        Problem(problem._forward, _narrowed(problem._vjp, xs, outputs), None, problem.budget),
        wide,
        Precision.of(np.float64, lowest),
    )


def _agree(a: Sequence[Array], b: Sequence[Array], dtype: np.dtype) -> bool:
    """Whether the second outputs are the first ones in float64."""
    if len(a) != len(b):
        return False
    for p, q in zip(a, b):
        if p.shape != q.shape or (p.dtype.kind == "f" and q.dtype != np.float64):
            return False
        finite = np.isfinite(p.astype(np.float64)) & np.isfinite(q.astype(np.float64))
        scale = np.max(np.abs(q), initial=0.0, where=finite) if p.dtype.kind == "f" else 0
        limit = np.finfo(dtype).eps ** 0.5 * scale + np.finfo(dtype).tiny  # what underflows agrees
        if p.dtype.kind == "f" and np.any(np.abs(p.astype(np.float64) - q)[finite] > limit):
            return False
    return True


def _narrowed(vjp: Any, xs: Sequence[Array], outputs: Sequence[Array]) -> Any:
    """The VJP called in the dtypes that it knows."""

    def narrow(u: Any, y: Any, *arrays: Array) -> Any:
        cast = lambda values, like: tuple(v.astype(o.dtype) for v, o in zip(values, like))
        if isinstance(y, tuple):
            return vjp(cast(u, outputs), cast(y, outputs), *cast(arrays, xs))
        return vjp(u.astype(outputs[0].dtype), y.astype(outputs[0].dtype), *cast(arrays, xs))

    return narrow


def compare(
    problem: Problem, reference: Problem, xs: list[Array], names: Sequence[str], rng: np.random.Generator
) -> tuple[list[Finding], float]:
    """The gradient in its own dtype against the same VJP in float64, which has been held against numbers; and the excess."""
    suspects, excess = _suspects(problem, reference, xs, names, rng)
    if not suspects:
        return [], excess
    for reach in (1e-3, 2e-3):  # a branch taken otherwise for a rounding error is not a fault, and does not come again
        near = [(x * (1 + reach * rng.uniform(-1, 1, x.shape))).astype(x.dtype) if x.dtype.kind == "f" else x for x in xs]
        again, other = _suspects(problem, reference, near, names, rng)
        if not again:
            return [], other
    return suspects, excess


def _suspects(
    problem: Problem, reference: Problem, xs: list[Array], names: Sequence[str], rng: np.random.Generator
) -> tuple[list[Finding], float]:
    y = problem.at(xs)
    wide = widened(xs)
    reference.at(wide)
    us = signs(rng, (2, y.size)) * np.isfinite(y)
    eps = max(float(np.finfo(x.dtype).eps) for x in xs if x.dtype.kind == "f")
    height = norm(np.where(us[0] == 0, 0.0, us[0] * y)) / np.sqrt(max(1, y.size))
    theirs = [reference.pull(u, wide) for u in us]
    problem.at(xs)  # a VJP may rely on the call before it
    pairs = [(problem.pull(u, xs), their) for u, their in zip(us, theirs)]
    spreads = [_spread(side, point, eps, u, rng) for u in us for side, point in ((reference, wide), (problem, xs))]
    findings, worst = [], 0.0
    for i, x in enumerate(xs):
        if x.dtype.kind != "f" or not x.size:
            continue
        gs = [[np.zeros(x.shape) if g[i] is None else np.asarray(g[i], np.float64) for g in pair] for pair in pairs]
        if any(p.shape != x.shape or q.shape != x.shape for p, q in gs):
            continue
        spread = np.max([s[i] for s in spreads], axis=0)
        for p, q in gs:
            bound = 40 * spread + 32 * eps * np.abs(q) + 64 * eps * norm(q) / np.sqrt(q.size) + np.finfo(x.dtype).tiny
            rest = 4 * eps * height / np.maximum(np.abs(x.astype(np.float64)), magnitude(x))
            if norm(q) <= 300 * norm(rest):  # all digits of the gradient have cancelled: what is left is of this size
                bound = bound + rest
            off = np.abs(p - q)
            with np.errstate(invalid="ignore"):
                excess = np.where(np.isnan(off), np.inf, off / bound)
                excess[~(np.abs(q) < 0.99 * np.finfo(x.dtype).max)] = 0.0  # what overflows, may
            k = int(np.argmax(excess))
            worst = max(worst, float(excess.flat[k]))
            if excess.flat[k] > 1:
                a, n = float(p.flat[k]), float(q.flat[k])
                message = f"the {x.dtype} gradient differs from the same VJP in float64, which is right"
                findings.append(
                    Finding(Verdict.WRONG, message, i, position(k, x.shape), a, n, float(bound.flat[k]),
                            a / n if n else float("inf"), f"a fault of the {x.dtype} path only", name=names[i])
                )  # fmt: skip
                break
    return findings, worst


def _spread(problem: Problem, xs: list[Array], eps: float, u: Array, rng: np.random.Generator) -> list[Array]:
    """How far each gradient element moves when inputs, outputs and cotangent are rounded a little differently."""
    problem.at(xs)
    base = problem.pull(u, xs)
    outputs = problem.outputs
    total = [np.zeros(x.shape) for x in xs]
    wobble = lambda a: np.asarray(a * (1 + eps * rng.uniform(-1, 1, a.shape))).astype(a.dtype) if a.dtype.kind == "f" else a
    for _ in range(4):
        near = [wobble(x) for x in xs]
        moved = problem.pull(wobble(u), near, [wobble(y) for y in problem.call(near)])
        for i, (g, b) in enumerate(zip(moved, base)):
            if g is not None and b is not None and g.shape == total[i].shape:
                off = np.abs(g.astype(np.float64) - b)
                total[i] = np.maximum(total[i], np.nan_to_num(off, nan=0.0, posinf=0.0))
    problem.outputs = outputs
    return total
