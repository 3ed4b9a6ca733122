"""What a check measures at one point: the gradient for each random cotangent, the numeric derivative along each direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import complexstep, exact
from .conditioning import Conditioning
from .numeric import Derivative, Line, level
from .precision import Precision
from .problem import Problem
from .report import Finding, Verdict
from .vectors import Array, magnitude, norm, signs, weighted


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


class Measurement:
    """`us` the cotangents, `gs` their gradients (per input, a row for each), `tests` the directions held against them, and on the
    way the noise `sigma` of each output and the roundoff `cond` of each gradient element. Cotangents of one of the `kinds` are
    on the same outputs, in the same proportions."""

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
            self.us, self.kinds = np.eye(self.y.size) * self.alive, np.arange(self.y.size)
            return
        us = signs(self.rng, (self.projections, self.y.size))
        self.kinds = np.zeros(self.projections, int)
        parts = [self.problem.outputs[i].size for i in self.problem.floats]
        if len(parts) > 1:
            owner = np.repeat(np.arange(len(parts)), parts)
            for c in range(1, self.projections):
                k = c % (len(parts) + 1)
                if k < len(parts):
                    us[c] *= owner == k
                    self.kinds[c] = 1 + k
        self.kinds = np.unique(self.kinds, return_inverse=True)[1]
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
        self._as_precise_as(first)
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
        self.cond = Conditioning(self)
        self.cond.sample()
        slack = [20 * self.cond.worst(i) + self.cond.rest(i).max(axis=0, initial=0.0) for i in range(len(xs))]
        self.findings += exact.linear(problem, xs, self.us, self.gs, slack, self.names)
        return True

    def _as_precise_as(self, gs: Sequence[Any]) -> None:
        """A gradient narrower than its input is good to its own dtype at best."""
        narrow = [i for i in self.active if gs[i] is not None and np.finfo(gs[i].dtype).eps > self.precision.own]
        if narrow:
            kind = min((gs[i].dtype for i in narrow), key=lambda d: d.itemsize)
            self.precision = self.precision.with_gradient(kind)
            names = ", ".join(self.names[i] for i in narrow)
            self.notes.append(f"the gradient of {names} is {kind}: faults below {self.precision.floor:.0e} of it are not seen")

    def doubt(self) -> bool:
        """Once: sample the gradient's roundoff some more before something is called wrong. One sample can be small by luck."""
        first, self._doubted = not self._doubted, True
        for _ in range(4 if first else 0):
            self.cond.sample()
        return first

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
            each = np.zeros((x.size, x.size))
            np.fill_diagonal(each, scale)
            return list(each.reshape(x.size, *x.shape) * usable)
        count = max(2, -(-self.projections // len(self.active)))
        weight = norm(self.gs[i], axis=0).reshape(x.shape)
        some = weight[usable & (weight > 0)]
        pivot = np.quantile(some, 0.1) if some.size else 1.0
        equal = np.where(weight > 0, np.minimum(1.0, pivot / np.where(weight > 0, weight, 1.0)), 1.0) * scale
        own = np.where(x == 0, scale, np.abs(np.where(usable, x, 1.0)))
        families = [scale, equal, scale, own]
        vs = [np.where(usable, signs(self.rng, x.shape) * families[k % 4], 0.0) for k in range(count)]
        # Elements that are tied must also move to the same side: only then do they add up what each of them was given too much.
        return [np.abs(vs[0]), *vs[1:]] if self.subgradient else vs

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
        y = np.where(self.alive, self.y, 0.0)
        d = Derivative(masked, y, self.sigma, steps, probes, target)
        if np.any(d.restless):
            d = self._finer(masked, y, d)
        if self._complex and norm(d.error) > 0.1 * self.precision.floor * norm(d.value):
            found = complexstep.slope(self.problem, self.xs, i, v, self.y)
            self._complex = found is not None  # a function that takes no complex numbers is asked once
            if found is not None:
                d.know(*[np.where(self.alive, part, 0.0) for part in found])
        return d

    def _finer(self, line: Line, y: Array, d: Derivative) -> Derivative:
        """The derivative from steps so small that restless outputs respond to them less and less; d if there are none."""
        steps, restless = self.precision.below(d.steps[-1]), d.restless
        most = np.max([np.abs(e) * h for h, e in zip(d.steps, d.differences)], axis=0)[restless]
        for k, h in enumerate(steps[:-2]):
            response = np.abs(line(h) - line(-h))[restless] / 2
            if np.mean(response < 0.3 * most) > 0.9:
                return Derivative(line, y, self.sigma, steps[k:], [], -1.0)
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
        self._equalise()
        for t in self.tests:
            self.compare(t)

    def _equalise(self) -> None:
        """Where the outputs respond to a direction by very different amounts: a cotangent under which all of them count alike, so
        that a fault in the small ones shows."""
        if self.full or self.precision.eps > 1e-15:
            return
        for i in self.active[:3]:
            mine = [t for t in self.tests if t.input == i]
            if not mine:
                continue
            d = mine[min(3, len(mine) - 1)].derivative
            size = np.abs(d.value)
            clear = self.alive & (size > 10 * d.error)
            if np.sum(clear) < 2 or size[clear].max() < 1e3 * np.quantile(size[clear], 0.1):
                continue
            u = np.where(
                clear, signs(self.rng, size.shape) / np.maximum(size, 1e4 * d.error, where=clear, out=np.ones_like(size)), 0.0
            )
            u *= norm(self.us[0] * d.value) / norm(u * d.value)
            pulled = self.problem.pull(u, self.xs)
            rows = [np.zeros(x.size) if g is None else g.astype(np.float64).ravel() for g, x in zip(pulled, self.xs)]
            if all(np.all(np.isfinite(rows[k])) for k in self.active):
                self.us = np.vstack([self.us, u])
                self.gs = [np.vstack([g, rows[k]]) if k in self.active else g for k, g in enumerate(self.gs)]
                self.kinds = np.append(self.kinds, max(self.kinds) + 1)
                self.cond.sample([int(self.kinds[-1])])

    @property
    def excess(self) -> float:
        """The largest difference of the two sides as a share of what it may be."""
        shares = [np.abs(t.analytic - t.numeric) / np.maximum(t.bound + t.slack, np.finfo(float).tiny) for t in self.tests]
        return float(max((np.max(np.nan_to_num(s), initial=0.0) for s in shares), default=0.0))

    def _learn_noise(self, d: Derivative) -> None:
        self._samples += 1
        self._squares += d.residual() ** 2
        measured = level(self._squares, self._samples, d.magnitude)
        self.sigma = np.where(self.alive, np.maximum(measured, self.precision.eps * d.magnitude), 0.0)

    def floor(self, d: Derivative) -> float:
        """The relative error that is let pass, whatever is known of all others."""
        return self.precision.sharp if d.stepless else self.precision.floor

    def compare(self, t: Test) -> Test:
        """Fill in a test's two sides and the bound on their difference."""
        d, us, v = t.derivative, self.us, t.v.ravel()
        gv = np.where(v == 0, 0.0, self.gs[t.input]) * v
        t.analytic, t.numeric = gv.sum(axis=1), us @ np.where(np.isfinite(d.value), d.value, 0.0)
        t.bound = (
            4 * weighted(us, d.truncation)
            + 5 * weighted(us, d.roundoff)
            + 8 * norm(self.cond.rows(t.input) * v, axis=1)
            + self.floor(d) * norm(gv, axis=1)
        )
        t.slack = 0.5 * np.abs(us) @ d.gap
        t.excess = np.abs(t.analytic - t.numeric) / np.where(t.bound > 0, t.bound, np.finfo(float).tiny)
        return t
