"""Tests of a VJP that need no numeric derivative: shapes, linearity in the cotangent, repeatability, memory layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .problem import Problem
from .report import Finding, Verdict
from .vectors import Array


def position(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(i, shape))


def well_formed(gs: Sequence[Any], xs: Sequence[Array], names: Sequence[str]) -> list[Finding]:
    """The gradients' number, shapes and kinds against the inputs'."""
    if len(gs) != len(xs):
        return [
            Finding(
                Verdict.WRONG, f"the VJP returned {len(gs)} gradients for {len(xs)} inputs", hint="return one per input, in order"
            )
        ]
    findings = []
    for i, (g, x) in enumerate(zip(gs, xs)):
        if g is None or x.dtype.kind != "f":
            continue
        if g.shape != x.shape:
            added = g.ndim - x.ndim
            stretched = added >= 0 and all(t in (1, s) for s, t in zip(g.shape[added:], x.shape))
            hint = "the sum over broadcast axes (or over the batch) is missing" if stretched else None
            if g.shape == x.shape[::-1]:
                hint = "it is transposed"
            message = f"the gradient has shape {g.shape}, the input has shape {x.shape}"
            findings.append(Finding(Verdict.WRONG, message, i, hint=hint, name=names[i]))
        elif g.dtype.kind != "f":
            findings.append(
                Finding(Verdict.WRONG, f"the gradient has dtype {g.dtype}, the input has {x.dtype}", i, name=names[i])
            )
    return findings


def linear(
    problem: Problem, xs: Sequence[Array], us: Array, gs: list[Array], slack: Sequence[Array], names: Sequence[str]
) -> list[Finding]:
    """vjp(0) = 0 and vjp(2u - v/2) = 2 vjp(u) - vjp(v)/2. `gs` holds, per input, one row per row of `us`.

    `slack`: what roundoff may do to each element.
    """
    findings: list[Finding] = []
    zero = problem.pull(np.zeros_like(us[0]), xs)
    for i, (g, rows) in enumerate(zip(zero, gs)):
        if not rows.size or g is None or not g.size:
            continue
        k = int(np.argmax(np.nan_to_num(np.abs(g.astype(np.float64)))))
        value = float(g.reshape(-1)[k])
        if value != 0 and np.isfinite(value):
            hint = "the cotangent is ignored" if len(rows) > 1 and np.array_equal(rows[0], rows[1]) else None
            findings.append(
                Finding(Verdict.WRONG, "a zero cotangent gives a nonzero gradient", i, position(k, g.shape), value, 0.0, 0.0,
                        float("inf"), hint or "a VJP is linear in its cotangent", name=names[i])
            )  # fmt: skip
    if findings or len(us) < 2:
        return findings
    mixed = problem.pull(2 * us[0] - us[1] / 2, xs)
    for i, (g, rows, few) in enumerate(zip(mixed, gs, slack)):
        if not rows.size or g is None or not g.size:
            continue
        expected = 2 * rows[0] - rows[1] / 2
        scale = np.max(np.abs(rows[:2]), initial=0.0, where=np.isfinite(rows[:2]))
        bounds = np.finfo(g.dtype).eps ** 0.5 * float(scale) + few
        off = np.nan_to_num(np.abs(g.astype(np.float64).ravel() - expected), posinf=0.0)
        k = int(np.argmax(off - bounds))
        if off[k] > bounds[k]:
            a, n = float(g.reshape(-1)[k]), float(expected[k])
            findings.append(
                Finding(Verdict.WRONG, "the VJP is not linear in its cotangent", i, position(k, g.shape), a, n, float(bounds[k]),
                        a / n if n else float("inf"), "vjp(2u - v/2) differs from 2 vjp(u) - vjp(v)/2", name=names[i])
            )  # fmt: skip
    return findings


def layout_free(
    problem: Problem, xs: Sequence[Array], y: Array, u: Array, noise: Array, cond: Sequence[Array], names: Sequence[str]
) -> list[Finding]:
    """The same values in another memory layout must give the same output and the same gradients, but for roundoff."""
    if all(x.ndim == 0 for x in xs):
        return []
    problem.at(xs)  # a VJP may rely on the call before it
    plain = problem.pull(u, xs)
    try:
        outputs, gs = problem.call_strided(xs, u)
    except Exception:  # refusing a layout is no wrong gradient
        return []
    findings = []
    kind = min((o.dtype for o in outputs if o.dtype.kind == "f"), default=np.dtype(np.float64))
    if not _close(problem.vector(outputs), y, kind, 20 * noise):
        message = "the output depends on the memory layout of the inputs"
        findings.append(Finding(Verdict.WRONG, message, hint="strides are ignored"))
    for i, (g, before) in enumerate(zip(gs, plain)):
        if xs[i].dtype.kind != "f" or g is None or before is None or g.dtype.kind != "f":
            continue
        if not _close(g, before, g.dtype, 100 * cond[i].reshape(xs[i].shape)):
            message = "the gradient depends on the memory layout of inputs or cotangents"
            findings.append(Finding(Verdict.WRONG, message, i, hint="strides are ignored", name=names[i]))
    return findings


def _close(a: Array, b: Array, dtype: Any, slack: Array) -> bool:
    if a.shape != b.shape:
        return False
    finite = np.isfinite(a) & np.isfinite(b)
    scale = np.max(np.abs(b), initial=0.0, where=finite)
    off = np.where(finite, np.abs(a.astype(np.float64) - b), 0.0)
    return bool(np.all(off <= float(np.finfo(dtype).eps) ** 0.5 * scale + np.nan_to_num(slack, nan=np.inf)))
