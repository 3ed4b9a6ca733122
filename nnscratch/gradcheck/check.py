"""`check_vjp`: any framework's gradient against numbers, from arrays alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import exact, lowprecision
from .examine import Examination
from .hints import hint
from .locate import locate as find_elements
from .problem import BudgetError, Problem, prepare
from .report import Curve, Finding, Report, Verdict, judge
from .vectors import Array

BUDGET = 20_000


def check_vjp(
    forward: Callable,
    vjp: Callable,
    inputs: Any,
    *,
    projections: int | str = 8,
    seed: int = 0,
    budget: int | None = BUDGET,
    subgradient: bool = False,
    locate: bool = True,
    name: str | None = None,
    names: Sequence[str] | None = None,
    jvp: Callable | None = None,
    order: int = 1,
) -> Report:
    """Hold vjp(cotangent, output, *arrays) -> gradients against numeric derivatives of forward(*arrays) -> array or tuple.

    For random cotangents u and directions v, <vjp(u), v> must equal <u, J v>, J v by extrapolated central differences whose own
    error is estimated; there is no absolute tolerance. `projections` is the number of cotangents and (at least) of directions, or
    "full" for every element of the Jacobian. Integer inputs are passed through. Inputs on a kink are moved off it, unless
    `subgradient`: then any value between the one-sided derivatives is accepted. float32 inputs: see the module lowprecision.
    `jvp(vs, *arrays)`, if given, is tested too. Never raises on a wrong gradient. Raises BudgetError (a ValueError) when more
    than `budget` evaluations of forward could be needed, TypeError for complex inputs, and what forward or vjp raise there.
    """
    if projections != "full" and (
        isinstance(projections, bool) or not isinstance(projections, (int, np.integer)) or projections < 1
    ):
        raise ValueError(f"projections: expected a positive integer or 'full', got {projections!r}")
    xs = prepare(inputs)
    names = list(names) if names is not None else [f"input {i}" for i in range(len(xs))]
    if len(names) != len(xs):
        raise ValueError(f"names: got {len(names)} names for {len(xs)} inputs")
    options = {"projections": projections, "names": names, "subgradient": subgradient}
    problem = Problem(forward, vjp, jvp, budget)
    rng = np.random.default_rng(seed)
    notes: list[str] = []
    name = str(name or getattr(forward, "__name__", "function"))
    before = np.seterr(all="ignore")
    try:
        return _check(problem, xs, rng, notes, options, budget, locate, order, name, seed)
    finally:
        np.seterr(**before)


def _check(
    problem: Problem, xs: list[Array], rng: np.random.Generator, notes: list[str], options: dict[str, Any], budget: int | None,
    locate: bool, order: int, name: str, seed: int,
) -> Report:  # fmt: skip
    names, subgradient = options["names"], options["subgradient"]
    own, xs64, precision = lowprecision.oracle(problem, xs, notes)
    exam = Examination(own, xs64, precision, rng, **options)
    if budget is not None and exam.planned() > budget:
        raise BudgetError(
            f"gradcheck: up to {exam.planned()} evaluations of the function are needed for inputs of "
            f"{sum(x.size for x in xs)} elements, the budget is {budget}; raise budget or lower projections"
        )
    exam.run()
    findings = list(exam.findings)
    if exam.singular and not subgradient:
        exam, findings = _off_the_kink(exam, findings, notes, rng, options)
    elif exam.stationary and judge(findings) is Verdict.VACUOUS:
        exam, findings = _off_the_extremum(exam, findings, notes, rng, options)
    if locate:
        findings = _located(exam, findings)
    steady, excess = judge(findings) is not Verdict.NONDETERMINISTIC, exam.excess
    if steady and own is not problem:
        problem.evaluations += own.evaluations
        problem.writes += [w for w in own.writes if w not in problem.writes]
        if judge(findings) is not Verdict.WRONG:
            found, narrow = lowprecision.compare(problem, own, xs, names, rng)
            findings, excess = findings + found, max(excess, narrow)
    if steady and judge(findings) is not Verdict.WRONG:
        roundoff = [exam.cond.rows(i)[0] for i in range(len(xs))]
        findings += exact.layout_free(exam.problem, exam.xs, exam.y, exam.us[0], exam.sigma, roundoff, names)
    findings += [
        Finding(Verdict.SIDE_EFFECT, what, i, name=None if i is None else names[i], hint="work on a copy")
        for what, i in problem.writes
    ]
    findings.sort(key=lambda f: -f.verdict)
    for f in findings:
        f.order = order
    return Report(
        judge(findings), findings, problem.evaluations, _curve(exam, findings), exam.resolution, seed, notes + exam.notes,
        name, order, excess,
    )  # fmt: skip


def _off_the_kink(
    exam: Examination, findings: list[Finding], notes: list[str], rng: np.random.Generator, options: dict[str, Any]
) -> tuple[Examination, list[Finding]]:
    """The same check a little way off, where the function has a derivative; what was wrong at the kink itself stays on record."""
    kept = [f for f in findings if f.verdict in (Verdict.KINK, Verdict.NONDETERMINISTIC)]
    here = exam
    for reach, floor in ((0.01, 0.0), (0.01, 1.0), (0.03, 1.0)):
        xs = _moved(here, reach, rng, floor)
        exam = Examination(here.problem, xs, here.precision, rng, **options).run()
        if not exam.singular:
            notes.append(f"the inputs lie on a kink; they were moved off it, by at most {reach:.0%} of their size")
            return exam, kept + exam.findings
    where = next((t.input for t in exam.tests if np.any(t.derivative.gap) or np.any(t.derivative.broken)), None)
    message = "the function has no derivative here, nor nearby: every point that was tried lies on a kink or a jump"
    return exam, [f for f in exam.findings if f.verdict > Verdict.VACUOUS] + kept + [Finding(Verdict.KINK, message, where)]


def _off_the_extremum(
    exam: Examination, findings: list[Finding], notes: list[str], rng: np.random.Generator, options: dict[str, Any]
) -> tuple[Examination, list[Finding]]:
    """Where the derivative is zero no fault of it shows; a little way off it may."""
    near = Examination(exam.problem, _moved(exam, 0.01, rng), exam.precision, rng, **options).run()
    if judge(near.findings) is Verdict.VACUOUS or near.singular:
        return exam, findings
    notes.append("the derivative is zero at the inputs; they were moved a little, to where it is not")
    return near, near.findings


def _moved(exam: Examination, reach: float, rng: np.random.Generator, floor: float = 0.0) -> list[Array]:
    """Every element moved by a random part of its size (or of `floor` times the typical size, whichever is larger), to the side
    where the function stays finite."""
    best, fewest = list(exam.xs), 1 + exam.y.size
    for side in (0, 1, -1):
        xs = list(exam.xs)
        for i in exam.active:
            x = exam.xs[i]
            size = np.maximum(np.where(x == 0, exam.scale(i), np.abs(x)), floor * exam.scale(i))
            size = size * reach * rng.uniform(0.5, 1.0, x.shape)
            xs[i] = (x + size * (side or rng.choice([-1.0, 1.0], x.shape))).astype(x.dtype)
        lost = _lost(exam.problem, xs)
        if lost < fewest:
            best, fewest = xs, lost
        if not lost:
            break
    return best


def _lost(problem: Problem, xs: list[Array]) -> int:
    """How many outputs are not finite at xs; more than there are, where the function raises."""
    try:
        return int(np.sum(~np.isfinite(problem.vector(problem.call(xs)))))
    except BudgetError:
        raise
    except Exception:
        return 1 + sum(y.size for y in problem.outputs)


def _located(exam: Examination, findings: list[Finding]) -> list[Finding]:
    """Each disagreement with its elements and a hint."""
    result = []
    for f in findings:
        test = exam.refuted.get(f.input) if f.index is None and f.input is not None else None
        if test is None or f.verdict not in (Verdict.WRONG, Verdict.KINK):
            result.append(f)
            continue
        f = replace(f, hint=f.hint or hint(exam, f.input))  # type: ignore[arg-type]
        result += find_elements(exam, test, f)
    return result


def _curve(exam: Examination, findings: list[Finding]) -> Curve:
    """Of the input that the first finding is about, its first direction: the one with every step."""
    at = findings[0].input if findings else None
    tests = [t for t in exam.tests if t.input == at] or exam.tests
    if not tests:
        return Curve()
    t = tests[0]
    c = t.worst
    scale = max(abs(t.analytic[c]), abs(t.numeric[c]), np.finfo(float).tiny)
    d = t.derivative
    weights = np.abs(exam.us[c]).max(initial=0.0)
    scale = scale if scale > 1e-290 else 1.0
    errors = [float(abs(t.analytic[c] - exam.us[c] @ np.nan_to_num(row)) / scale) for row in d.differences]
    return Curve(list(d.steps), errors, [float(gap * weights / scale) for gap in d.gaps], t.input)
