"""Numeric derivatives along a line, each output with its own value, truncation error and roundoff.

Central differences at steps h, h/4, h/16, ... are extrapolated to h = 0 (Richardson 1911; Ridders 1982). The error of an entry of
the table is estimated from its neighbours; the roundoff from what the function does at steps so small that only noise is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from .vectors import Array, norm

RATIO = 4.0
COLUMNS = 5  # more extrapolations would only amplify the noise

Line = Callable[[float], Array]  # t -> f(x + t·v), all outputs in one vector


def level(squares: Array, count: int, magnitude: Array) -> Array:
    """The noise of each output from `count` squared samples, kept within reason of the relative noise that the outputs typically
    have: a few samples can be small by luck, and large because of a kink."""
    sigma = np.sqrt(squares / max(1, count)) * (1 + 2 / np.sqrt(max(1, count)))
    some = magnitude > 0
    typical = float(np.median(sigma[some] / magnitude[some])) if some.any() else 0.0
    return np.clip(sigma, typical * magnitude, 30 * typical * magnitude) if typical > 0 else sigma


class Table:
    """A Richardson table over the steps given to it so far, with the best entry of every output.

    `since`: for each output, the first step that counts.
    """

    def __init__(self, sigma: Array, since: Array | int = 0):
        self.sigma = sigma  # the noise of each output
        self.since = since
        self._count = 0
        self.value = np.zeros_like(sigma)
        self.truncation = np.full_like(sigma, np.inf)
        self.step = np.full_like(sigma, 1.0)
        self._total = np.full_like(sigma, np.inf)
        self._row: list[Array] = []
        self._gaps: list[Array] = []

    def add(self, h: float, difference: Array) -> None:
        """Extend the table by the central difference at step h, a quarter of the step before."""
        previous, before = self._row, self._gaps
        row, gaps, noise = [difference], [], 3 * self.sigma / h
        for j in range(1, min(len(previous), COLUMNS - 1) + 1):
            row.append(row[j - 1] + (row[j - 1] - previous[j - 1]) / (RATIO ** (2 * j) - 1))
        for j, entry in enumerate(row):
            if not previous:
                gaps.append(np.full_like(entry, np.inf))
                continue
            if j == 0:
                gap = np.abs(entry - previous[0])
            else:
                gap = np.maximum(np.abs(entry - previous[j - 1]), np.abs(entry - row[j - 1]))
            gaps.append(gap)
            if j > 1:  # two neighbours can agree by luck, three hardly
                gap = np.maximum(gap, 0.05 * before[j - 1])
            total = np.where(self._count - max(j, 1) >= self.since, gap + noise, np.inf)
            better = total < self._total
            if better.any():
                np.copyto(self.value, entry, where=better)
                np.copyto(self.truncation, gap, where=better)
                np.copyto(self.step, h, where=better)
                np.copyto(self._total, total, where=better)
        self._row, self._gaps, self._count = row, gaps, self._count + 1

    @property
    def error(self) -> Array:
        return self._total

    def converged(self, target: float) -> bool:
        return bool(len(self._row) > 2 and norm(self._total) <= target * norm(self.value))


class Derivative:
    """df/dv at a point for every output: `value`, `truncation`, `roundoff`; `gap` at a kink; `broken` where none exists.

    `steps` and `differences` (and `gaps`, the norm of all one-sided gaps) are the raw material, kept for the curve.
    """

    def __init__(self, line: Line, y: Array, sigma: Array, steps: Sequence[float], probes: Sequence[float], target: float):
        self.steps: list[float] = []
        self.differences: list[Array] = []
        self.gaps: list[float] = []
        self._line, self._y = line, y
        self._evens: list[Array] = []  # (f(h) - 2 f(0) + f(-h)) / h at the two smallest steps
        self._finest: list[Array] = []  # and, once asked for, at smaller ones still
        self._exact: tuple[Array, Array] | None = None
        self.moved = np.zeros(y.shape, bool)  # whether the output changed at all
        self.magnitude = np.abs(y)
        table = Table(sigma)
        for h in steps:
            table.add(h, self._sample(h))
            if table.converged(target):
                break
        self._rungs = len(self.steps)
        for h in probes:
            if h < self.steps[-1] / 2:
                self._sample(h)
        self._smallest = self.steps[-1]
        self.refine(sigma)
        off, last = np.abs(self.differences[-1] - self.value), self.steps[-1]
        if np.any(off > 20 * sigma / last + 10 * self.truncation):  # noise, or a kink very close by: smaller steps tell
            self._sample(last / RATIO)
            self._sample(last / RATIO**2)
            self.refine(sigma)
        for _ in range(3):  # the noise is judged by the best entries, and these are chosen by the noise
            noise = self.noise()
            if np.mean(noise > 2 * sigma) < 0.01:
                break
            self.refine(np.maximum(sigma, noise))

    def _responses(self) -> list[Array]:
        """How far the outputs move in each step."""
        return [np.abs(d) * h for h, d in zip(self.steps, self.differences)]

    @property
    def restless(self) -> Array:
        """Outputs that change as much in the smallest steps as in the largest, by more than roundoff and not by a jump: their
        slope, if there is one, lies below the steps."""
        responses = self._responses()
        least = np.minimum(*responses[-2:]) if len(responses) > 1 else np.zeros_like(self._y)
        most = np.max(responses, axis=0)
        return (least > 0.01 * most) & (least > 1e3 * np.finfo(float).eps * self.magnitude) & ~self.broken

    @property
    def stepless(self) -> bool:
        """Whether the difference is the same at any step, but for roundoff: the outputs are linear along v, or quadratic.

        Such are the linear and multilinear functions in each argument: this is their adjoint identity, <g, v> = <u, f(v)>."""
        if len(self.differences) < 3:
            return False
        first, *others = self.differences[:3]
        size = 32 * np.finfo(float).eps * (np.abs(self._y) + np.abs(first) * self.steps[0])
        return all(bool(np.all(np.abs(d - first) <= size / h)) for h, d in zip(self.steps[1:], others))

    @property
    def erratic(self) -> bool:
        """Whether the curvature of some step is far larger than that of a step four times as large: chance, as like as not."""
        bends = [gap * h for h, gap in zip(self.steps, self.gaps)]
        least = 1e3 * np.finfo(float).eps * norm(self._y)
        return any(later > max(10 * earlier, least) for earlier, later in itertools.pairwise(bends))

    def _resolved_since(self) -> Array:
        """The first step that an output responds to less than to those before. While a step four times smaller moves it as far,
        it saturates or oscillates between the two, and their differences, small as they are, tell nothing of its slope."""
        since = np.zeros(self._y.shape, int)
        most = np.zeros_like(self._y)
        responses = self._responses()[: self._rungs]
        for k, (now, smaller) in enumerate(itertools.pairwise(responses)):
            np.fmax(most, now, out=most)
            since[(smaller > 0.3 * most) & (smaller > 1e-4 * self.magnitude)] = k + 1
        since[since > len(responses) - 3] = 0  # never: noise, or a jump
        return since

    def _sample(self, h: float) -> Array:
        plus, minus = self._line(h), self._line(-h)
        even = (plus - self._y) + (minus - self._y)
        self.moved |= (plus != self._y) | (minus != self._y)
        if h < 0.02:  # far away the function may be larger by far, and so its roundoff
            self.magnitude = np.fmax(self.magnitude, np.fmax(np.abs(plus), np.abs(minus)))
        self.steps.append(h)
        self.differences.append((plus - minus) / (2 * h))
        self._evens = [*self._evens[-1:], even / h]
        self.gaps.append(float(norm(np.nan_to_num(even / h))))
        return self.differences[-1]

    def refine(self, sigma: Array) -> None:
        """Choose the best entries again, knowing the noise of each output."""
        table = Table(sigma, self._resolved_since())
        for h, d in zip(self.steps[: self._rungs], self.differences):
            table.add(h, d)
        self.value, self.truncation, self.roundoff = table.value, table.truncation, sigma / table.step
        self._believe_small_steps(sigma)
        self.gap, self.broken = self._singular(sigma)
        self._sharpen()

    @property
    def error(self) -> Array:
        """What the value may be off by."""
        return 4 * self.truncation + 5 * self.roundoff

    def know(self, value: Array, error: Array) -> None:
        """Take over a derivative found without differences, where these confirm it; all is refused if one output objects."""
        off = np.abs(value - self.value)
        if not np.any(off > self.error + 5 * error + 1e-8 * np.abs(value)):
            self._exact = value, error
            self._sharpen()

    def _sharpen(self) -> None:
        if self._exact is None:
            return
        value, error = self._exact
        better = (self.error <= 0.1 * np.abs(value)) & (5 * error < self.error) & (self.gap == 0) & ~self.broken
        self.value = np.where(better, value, self.value)
        self.truncation = np.where(better, 0.0, self.truncation)
        self.roundoff = np.where(better, error, self.roundoff)

    def _believe_small_steps(self, sigma: Array) -> None:
        """Where the smallest steps agree with each other and not with the table, a kink close by had misled the table.

        Beyond a kink or jump at distance d < h the difference is T + c/h, with the same c at every step. That law tells it from a
        function that is only rounded: its stairs answer the smallest steps with nothing, and larger ones with noise."""
        if len(self.steps) < 3:
            return
        fine, finer = self.differences[-2:]
        spread = np.abs(fine - finer) + 6 * sigma / self.steps[-1]
        misled = np.abs(self.value - fine) > 10 * spread + self.truncation
        rests = [(d - self.value) * h for h, d in zip(self.steps[-6:], self.differences[-6:])]
        law = [np.abs(r - s) < 0.1 * np.abs(r) for r, s in itertools.pairwise(rests)]
        still = np.all([d == 0 for h, d in zip(self.steps, self.differences) if h < 100 * self._smallest], axis=0)
        misled &= (fine != 0) | np.any(law, axis=0) | still
        misled |= np.isinf(self.truncation) & np.isfinite(spread)
        self.value = np.where(misled, fine, self.value)
        self.truncation = np.where(misled, np.abs(fine - finer), self.truncation)
        self.roundoff = np.where(misled, sigma / self.steps[-2], self.roundoff)

    def residual(self) -> Array:
        """A sample of each output's noise: what the function does at the smallest steps when its slope is taken away."""
        few = [np.abs(d - self.value) * h for h, d in zip(self.steps[-3:], self.differences[-3:])]
        return np.nan_to_num(np.median(few, axis=0) * np.sqrt(2), nan=0.0, posinf=0.0)

    def noise(self) -> Array:
        return level(self.residual() ** 2, 1, self.magnitude)

    def _singular(self, sigma: Array) -> tuple[Array, Array]:
        """The one-sided gap f'+ - f'- where there is a kink (it stays as the step shrinks, curvature's falls with it), and where
        there is a jump or the end of the domain, so that no derivative exists at all."""
        if len(self.steps) < 2:
            return np.zeros_like(self.value), np.isinf(self.truncation)
        (h0, h1), (e0, e1) = self.steps[-2:], [np.abs(e) for e in self._evens]
        d0, d1 = [np.abs(d) for d in self.differences[-2:]]
        flat = _alike(*self._evens) & (e1 * h1 > 12 * sigma) & (e1 > 1e-5 * np.abs(self.value))
        flat &= self._stays(flat, h1, self._evens[1])
        gap = np.where(flat, np.maximum(e0, e1) + np.abs(e0 - e1) + 6 * sigma / h1, 0.0)
        # Noise can be no jump: neither what is small beside the response to a large step, nor beside the roundoff.
        small = np.maximum(1e-3 * np.abs(self.differences[0] * self.steps[0]), 12 * sigma)
        jump = (d1 * h1 > small) & (np.abs(d1 * h1 - d0 * h0) < 0.05 * d1 * h1)
        jump |= (e1 * h1 > small) & (np.abs(e1 * h1 - e0 * h0) < 0.05 * e1 * h1)
        return gap, jump | ~np.isfinite(self.truncation)

    def _stays(self, flat: Array, h: float, gap: Array) -> Array:
        """Which one-sided gaps, of those that could be roundoff of the larger outputs' size, stay at still smaller steps.

        Of many outputs some small one always has a rounding error that shrinks, by chance, as a kink's part would: x (1 + tanh x)
        is small at -3 and rounded like 3. It does not go on shrinking, on the same side."""
        doubtful = flat & (np.abs(gap) * h < 256 * np.finfo(float).eps * np.max(self.magnitude, initial=0.0))
        if not doubtful.any():
            return np.ones_like(flat)
        if not self._finest:
            for smaller in (h / RATIO**k for k in range(1, 5)):
                even = (self._line(smaller) - self._y) + (self._line(-smaller) - self._y)
                self._finest.append(even / smaller)
        return ~doubtful | np.all([_alike(gap, e) for e in self._finest], axis=0)


def _alike(a: Array, b: Array) -> Array:
    """Of one sign, and less than twice as large as each other."""
    return (np.sign(a) * np.sign(b) > 0) & (np.abs(a) < 2 * np.abs(b)) & (np.abs(b) < 2 * np.abs(a))
