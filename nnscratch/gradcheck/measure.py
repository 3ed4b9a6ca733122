"""What a check measures at one point: the gradient for each random cotangent, the numeric derivative along each direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import complexstep, exact
from .numeric import RATIO, Array, Derivative, level, norm
from .problem import Problem
from .report import Finding, Verdict


@dataclass(frozen=True)
class Precision:
    """What arithmetic allows: the oracle (steps, target), and the gradient under test (floor, the relative error let pass)."""

    eps: float
    smallest: float
    target: float
    floor: float
    own: float  # the eps of the gradient under test

    @classmethod
    def of(cls, oracle: Any, analytic: Any) -> Precision:
        eps, own = float(np.finfo(oracle).eps), float(np.finfo(analytic).eps)
        smallest = RATIO ** round(np.log(eps**0.5) / np.log(RATIO))
        return cls(eps, smallest, max(1e-11, eps**0.9), max(1e-8, 80 * own), own)

    def ladder(self, start: float, deep: bool) -> tuple[list[float], list[float]]:
        """Steps start, start/4, ... to the smallest; and, for a ladder cut short, small steps that show noise and kinks."""
        count = max(3, 1 + round(np.log(start / self.smallest) / np.log(RATIO)))
        steps = [start * RATIO**-k for k in range(count)]
        return steps, [] if deep else [64 * self.smallest, 4 * self.smallest, self.smallest]


@dataclass
class Test:
    """One direction of one input, held against all cotangents: <g, v> beside <u, J v>."""

    input: int
    v: Array
    derivative: Derivative
    analytic: Array = field(default_factory=lambda: np.zeros(0))
    numeric: Array = field(default_factory=lambda: np.zeros(0))
    bound: Array = field(default_factory=lambda: np.zeros(0))  # what the difference may be
    slack: Array = field(default_factory=lambda: np.zeros(0))  # what it may be besides, at a kink
    excess: Array = field(default_factory=lambda: np.zeros(0))  # difference / bound

    @property
    def worst(self) -> int:
        return int(np.argmax(np.nan_to_num(self.excess)))


def signs(rng: np.random.Generator, shape: Any) -> Array:
    """Random signs times magnitudes in [1/2, 3/2]: no element is overlooked for being near zero; exact in every float dtype."""
    return rng.choice([-1.0, 1.0], shape) * rng.integers(32, 97, shape) / 64


def magnitude(x: Array) -> float:
    """The typical size of the finite entries; 1 for zeros."""
    values = np.abs(x[np.isfinite(x)].astype(np.float64))
    top = values.max(initial=0.0)
    return float(top * np.sqrt(np.mean((values / top) ** 2))) if top > 0 else 1.0


class Measurement:
    """`us` the cotangents, `gs` their gradients (per input, a row for each), `tests` the directions held against them, and on the
    way the noise `sigma` of each output and the roundoff `cond` of each gradient element."""

    def __init__(self, problem: Problem, xs: Sequence[Array], precision: Precision, rng: np.random.Generator,
                 projections: int | str, names: Sequence[str], subgradient: bool = False):  # fmt: skip
        self.problem, self.xs, self.precision, self.rng = problem, list(xs), precision, rng
        self.names, self.subgradient = names, subgradient
        self.full = projections == "full"
        self.projections = 8 if self.full else int(projections)
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.tests: list[Test] = []
        self.resolution = np.inf
        self.singular = False
        self.stationary = False
        self.cond: list[Array] = []
        self._complex = precision.eps < 1e-15
        self._doubted = False
        self.refuted: dict[int, Test] = {}  # the test that failed, by input
        self.active = [i for i, x in enumerate(xs) if x.dtype.kind == "f" and x.size]

    def measure(self) -> bool:
        """Everything at this point; False when there is nothing to compare: findings then say why."""
        problem, xs = self.problem, self.xs
        self.y = problem.at(xs)
        self.alive = np.isfinite(self.y)
        self.sigma = self.precision.eps * np.where(self.alive, np.abs(self.y), 0.0)
        self._samples, self._squares = 0, np.zeros_like(self.y)
        if not self.repeats(self.y, problem.vector(problem.call(xs)), "forward"):
            return False
        self._cotangents()
        if not self._gradients():
            return False
        if self.y.size:
            self._walk()
        return True

    # ------------------------------------------------------------------------------------------- the gradient under test

    def repeats(self, a: Array, b: Array, what: str) -> bool:
        if a.shape == b.shape:
            finite = np.isfinite(a) & np.isfinite(b)
            off = np.abs(np.where(finite, a, 0) - np.where(finite, b, 0))
            scale = np.max(np.abs(a), initial=0.0, where=finite)
            if np.array_equal(np.isfinite(a), np.isfinite(b)) and np.all(off <= 1e3 * self.precision.eps * scale):
                return True
            message = f"two calls of the {what} with the same arguments differ by {off.max(initial=0.0):.3g}"
        else:
            message = f"two calls of the {what} with the same arguments give {a.size} and {b.size} numbers"
        hint = "seed its random numbers inside the function, or freeze its state"
        self.findings = [Finding(Verdict.NONDETERMINISTIC, message, hint=hint)]
        return False

    def _cotangents(self) -> None:
        """Random cotangents; of several outputs each also gets some of its own, so that a small one is not drowned."""
        if self.full and self.y.size * sum(self.xs[i].size for i in self.active) <= 1e7:
            self.us = np.eye(self.y.size) * self.alive
            return
        us = signs(self.rng, (self.projections, self.y.size))
        parts = [self.problem.outputs[i].size for i in self.problem.floats]
        if len(parts) > 1:
            owner = np.repeat(np.arange(len(parts)), parts)
            for c in range(1, self.projections):
                k = c % (len(parts) + 1)
                if k < len(parts):
                    us[c] *= owner == k
        self.us = us * self.alive

    def _gradients(self) -> bool:
        """The gradient for each cotangent, one row each; False when they are too malformed to go on."""
        problem, xs = self.problem, self.xs
        first = problem.pull(self.us[0], xs)
        self.findings += exact.well_formed(first, xs, self.names)
        if len(first) != len(xs):
            return False
        bad = {f.input for f in self.findings}
        self.active = [i for i in self.active if i not in bad]
        rows: list[list[Array]] = [[] for _ in xs]
        for c, u in enumerate(self.us):
            pulled = first if c == 0 else problem.pull(u, xs)
            for i in self.active:
                g = pulled[i]
                flat = np.zeros(xs[i].size) if g is None else g.astype(np.float64).ravel()
                rows[i].append(flat if flat.size == xs[i].size else np.full(xs[i].size, np.nan))
        self.gs = [np.stack(r) if r else np.zeros((len(self.us), 0)) for r in rows]
        again = problem.pull(self.us[0], xs)
        for i in self.active:
            row = np.zeros(xs[i].size) if again[i] is None else again[i].astype(np.float64).ravel()
            if not self.repeats(self.gs[i][0], row, "VJP"):
                return False
        self._conditioning()
        slack = [20 * c + r for c, r in zip(self.cond, self.rest())]
        self.findings += exact.linear(problem, xs, self.us, self.gs, slack, self.names)
        return True

    def _conditioning(self) -> None:
        """How much each gradient element moves when inputs, outputs and cotangent are rounded differently: its own roundoff."""
        own = self.precision.own
        cond = [np.zeros(x.size) for x in self.xs]
        try:
            cond = self._moves(2 * own)
            tops = [np.max(np.abs(g), initial=0.0, where=np.isfinite(g)) for g in self.gs]
            if any(c.max(initial=0.0) > 1e-4 * top for c, top in zip(cond, tops)):
                # Roundoff grows with the rounding; another branch, taken at a tie, does not. Nor does the rest that is left when
                # all digits have cancelled, but that is small.
                far, rest = self._moves(32 * own), self.rest()
                cond = [np.where(f < 4 * c, np.minimum(c, r), c) for f, c, r in zip(far, cond, rest)]
        except (ArithmeticError, ValueError):
            pass  # a point on the edge of the domain
        self.cond = [np.maximum(old, new) for old, new in zip(self.cond, cond)] if self.cond else cond

    def rest(self) -> list[Array]:
        """What rounding may leave of gradients that are zero but for it: of the size of eps · u · y / x."""
        height = 64 * self.precision.own * weighted(self.us, self.y).max(initial=0.0)
        sizes = [np.fmax(np.abs(x), magnitude(x)) if x.dtype.kind == "f" else np.ones(x.shape) for x in self.xs]
        return [height / size.ravel() for size in sizes]

    def doubt(self) -> bool:
        """Once: sample the gradient's roundoff some more before something is called wrong. One sample can be small by luck."""
        first, self._doubted = not self._doubted, True
        for _ in range(4 if first else 0):
            self._conditioning()
        return first

    def _moves(self, reach: float) -> list[Array]:
        problem, rng = self.problem, self.rng
        wobble = lambda a: np.asarray(a * (1 + reach * rng.uniform(-1, 1, a.shape))).astype(a.dtype) if a.dtype.kind == "f" else a
        near = [wobble(x) for x in self.xs]
        outputs = [wobble(y) for y in problem.call(near)]
        total = [np.zeros(x.size) for x in self.xs]
        for c in range(min(2, len(self.us))):
            pulled = problem.pull(wobble(self.us[c]), near, outputs)
            for i in self.active:
                if pulled[i] is not None:
                    off = np.abs(pulled[i].astype(np.float64).ravel() - self.gs[i][c])
                    total[i] = np.maximum(total[i], np.nan_to_num(off, nan=0.0, posinf=0.0))
        return total

    # ---------------------------------------------------------------------------------------------- the numeric derivative

    def scale(self, i: int) -> float:
        return magnitude(self.xs[i])

    def directions(self, i: int) -> list[Array]:
        """Directions for input i, in three families, each of which sees what the others may not: absolute (every element moves
        alike), equalised (every element contributes alike), relative (each moves by its own size)."""
        x = self.xs[i].astype(np.float64)
        scale = self.scale(i)
        usable = np.isfinite(x) & np.all(np.isfinite(self.gs[i]), axis=0).reshape(x.shape)
        if self.full:
            vs = np.zeros((x.size, x.size))
            np.fill_diagonal(vs, scale)
            return list(vs.reshape(x.size, *x.shape) * usable)
        count = max(2, -(-self.projections // len(self.active)))
        weight = norm(self.gs[i], axis=0).reshape(x.shape)
        some = weight[usable & (weight > 0)]
        pivot = np.quantile(some, 0.1) if some.size else 1.0
        equal = np.where(weight > 0, np.minimum(1.0, pivot / np.where(weight > 0, weight, 1.0)), 1.0) * scale
        own = np.where(x == 0, scale, np.abs(np.where(usable, x, 1.0)))
        families = [scale, equal, scale, own]
        return [np.where(usable, signs(self.rng, x.shape) * families[k % 4], 0.0) for k in range(count)]

    def planned(self) -> int:
        """The most evaluations that the directions may take."""
        steps, _ = self.precision.ladder(0.25, True)
        count = max(2, -(-self.projections // max(1, len(self.active))))
        return sum((2 * len(steps) + 2) * (self.xs[i].size if self.full else count) for i in self.active) + 8

    def derivative(self, i: int, v: Array, start: float = 0.25, deep: bool = False) -> Derivative:
        steps, probes = self.precision.ladder(start, deep)
        line = self.problem.line(self.xs, i, v)
        masked = lambda t: np.where(self.alive, line(t), 0.0)
        target = -1.0 if deep else self.precision.target
        d = Derivative(masked, np.where(self.alive, self.y, 0.0), self.sigma, steps, probes, target)
        if self._complex and norm(d.error) > 0.1 * self.precision.floor * norm(d.value):
            found = complexstep.slope(self.problem, self.xs, i, v, self.y)
            self._complex = found is not None  # a function that takes no complex numbers is asked once
            if found is not None:
                d.know(*[np.where(self.alive, part, 0.0) for part in found])
        return d

    def _walk(self) -> None:
        for i in self.active:
            for k, v in enumerate(self.directions(i)):
                if not np.any(v):
                    continue
                d = self.derivative(i, v, deep=k == 0)
                self.tests.append(Test(i, v, d))
                self._learn_noise(d)
        for t in self.tests:
            t.derivative.refine(self.sigma)
            self.compare(t)

    def _learn_noise(self, d: Derivative) -> None:
        self._samples += 1
        self._squares += d.residual() ** 2
        measured = level(self._squares, self._samples, d.magnitude)
        self.sigma = np.where(self.alive, np.maximum(measured, self.precision.eps * d.magnitude), 0.0)

    def compare(self, t: Test) -> Test:
        """Fill in a test's two sides and the bound on their difference."""
        d, us, v = t.derivative, self.us, t.v.ravel()
        gv = np.where(v == 0, 0.0, self.gs[t.input]) * v
        t.analytic, t.numeric = gv.sum(axis=1), us @ np.where(np.isfinite(d.value), d.value, 0.0)
        t.bound = (
            4 * weighted(us, d.truncation)
            + 5 * weighted(us, d.roundoff)
            + 8 * norm(self.cond[t.input] * v)
            + self.precision.floor * norm(gv, axis=1)
        )
        t.slack = 0.5 * np.abs(us) @ d.gap
        t.excess = np.abs(t.analytic - t.numeric) / np.where(t.bound > 0, t.bound, np.finfo(float).tiny)
        return t


def weighted(us: Array, e: Array) -> Array:
    """The norm of u·e for each cotangent u, where u = 0 silences even an infinite e."""
    return norm(np.where(us == 0, 0.0, us * e), axis=1)
