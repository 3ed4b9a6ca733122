"""What a check concludes at one point: exact tests first, then where gradient and numeric derivative part for good."""

from __future__ import annotations

import numpy as np

from . import complexstep, exact
from .measure import Measurement, Test
from .report import Finding, Verdict
from .vectors import Array, norm, weighted


class Examination(Measurement):
    """`run()` fills `findings`, `notes`, `tests`, `resolution`; `singular`: whether the point lies on a kink, jump or edge;
    `stationary`: whether a derivative vanishes there, so that nothing about it can be wrong but its being zero."""

    def run(self) -> Examination:
        if self.measure():
            for i in self.active:
                self._not_finite(i)
            self._judge()
            doubtful = self.findings or any(t.derivative.erratic for t in self.tests)
            for _ in range(24 if doubtful else 1):  # what is random now and then may look like a fault, or like none
                if not self.repeats(self.y, self.problem.vector(self.problem.call(self.xs)), "forward"):
                    break
        return self

    # ------------------------------------------------------------------------------------------------------ judgement

    def _judge(self) -> None:
        self.resolution = 0.0
        if not self.y.size:
            self._nothing("the output is empty" if self.problem.floats else "the function has no floating-point output")
        elif not self.active and not self.findings:
            self._nothing("no input has a floating-point element")
        for i in self.active if self.y.size else []:
            mine = [t for t in self.tests if t.input == i]
            if not mine:
                if not any(f.input == i for f in self.findings):
                    self._nothing("no element of it can be moved: inputs or gradients are not finite", i)
                continue
            live = self.alive
            if any(np.any((t.derivative.gap > 0) & live) or np.any(t.derivative.broken & live) for t in mine):
                self.singular = True
            if self._staircase(i, mine) or self._unresolved(i, mine):
                continue
            if self._refuted(i, mine) or self._push_refuted(i, mine):
                continue
            best = min(map(_resolution, mine))
            if 1e-4 < best < np.inf:  # a function that is linear enough can be seen at larger steps
                for t in mine[:2]:
                    self.tests.append(self.compare(Test(i, t.v, self.derivative(i, t.v, 64.0))))
                    mine.append(self.tests[-1])
                if self._refuted(i, mine):
                    continue
                best = min(map(_resolution, mine))
            self.resolution = max(self.resolution, best)
            self._inconclusive(i, mine, best)

    def _staircase(self, i: int, mine: list[Test]) -> bool:
        """A zero gradient of a function that answers tiny steps with nothing, though its slope in larger ones should show; or, on
        the edge of a stair, with as much as it answers a step 8 times as large."""
        suspects = [t for t in mine if t.excess.max() > 1]
        if np.any(self.gs[i]) or not suspects or self.precision.eps > 1e-15:
            return False
        for t in suspects[:2]:
            noise, slope = 10 * self.precision.eps * np.abs(self.y), np.abs(t.derivative.value)
            due = self.alive & (slope > 0)
            tiny = 2 * np.median(noise[due] / slope[due]) if due.any() else 0.0
            due &= slope * tiny > noise
            line = self.problem.line(self.xs, i, t.v)
            near, far = (np.abs(line(tiny * wider) - self.y) for wider in (1, 8))
            if not due.any() or np.mean((far > 4 * near)[due]) > 0.1:
                return False
        message = "the function is constant in small steps and the gradient is zero; in larger steps it has a slope"
        self.findings.append(Finding(Verdict.VACUOUS, message, i, name=self.names[i]))
        return True

    def _unresolved(self, i: int, mine: list[Test]) -> bool:
        """A gradient so steep that differences cannot refute it: rounding the input changes the outputs beyond recognition."""
        suspects = [t for t in mine if t.excess.max() > 1]
        if not suspects or not all(np.any(t.derivative.restless & self.alive) for t in suspects):
            return False
        t = suspects[0]
        slopes = complexstep.slope(self.problem, self.xs, i, t.v, self.y) if self.precision.eps < 1e-15 else None
        agrees = slopes is not None and np.all(
            np.abs(self.us @ np.where(self.alive, slopes[0], 0.0) - t.analytic) <= 1e-6 * norm(self.gs[i] * t.v.ravel(), axis=1)
        )
        rounding = self.precision.eps * norm(self.gs[i] * self.xs[i].ravel(), axis=1)
        if not agrees and not np.all(rounding > 10 * weighted(self.us, np.where(self.alive, self.y, 0.0))):
            return False
        message = "the function changes as much in the smallest steps as in the largest: no difference tells its slope"
        self.findings.append(Finding(Verdict.VACUOUS, message, i, name=self.names[i]))
        self.resolution = np.inf
        return True

    def _inconclusive(self, i: int, mine: list[Test], resolution: float) -> None:
        name = self.names[i]
        if not any(np.any(t.derivative.moved & self.alive) for t in mine) and not np.any(self.gs[i]):
            far = self.problem.line(self.xs, i, mine[0].v)
            if not any(np.any((far(s) != self.y) & self.alive) for s in (4.0, -16.0)):
                self.findings.append(
                    Finding(Verdict.DEAD, "the input has no effect on the output, and its gradient is zero", i, name=name)
                )
                return
        noise = float(np.max(self.sigma / np.maximum(np.abs(self.y).max(where=self.alive, initial=0.0), 1e-300), initial=0.0))
        if not resolution < 0.3:
            self.stationary |= not np.any(self.gs[i]) and any(np.any(t.derivative.moved & self.alive) for t in mine)
            size, bound = _rms(mine[0].numeric), _rms(mine[0].bound)
            message = f"the derivative ({size:.3g}) lies under the noise of its numeric value ({bound:.3g})"
            self.findings.append(Finding(Verdict.VACUOUS, message, i, numeric=size, bound=bound, name=name))
        elif resolution > 0.05 or (resolution > max(1e-7, 10 * self.precision.floor) and noise > 1e3 * self.precision.eps):
            message = f"agrees to {resolution:.1g} only: the function's noise is {noise:.1g} of its value"
            hint = "is a part of it computed in float32?" if self.precision.eps < 1e-15 and 1e-10 < noise < 1e-5 else None
            self.findings.append(Finding(Verdict.NOISE_LIMITED, message, i, bound=_rms(mine[0].bound), hint=hint, name=name))

    def _refuted(self, i: int, mine: list[Test]) -> bool:
        """Whether a direction disagrees, and goes on disagreeing at other steps."""
        if any(t.excess.max() > 1 for t in mine) and self.doubt():
            mine = [self.compare(t) for t in mine]
        suspects = sorted((t for t in mine if t.excess.max() > 1), key=lambda t: -t.excess.max())
        for t in suspects[:8]:
            c = t.worst
            off = abs(t.analytic[c] - t.numeric[c])
            confirmed, inside = True, off <= t.bound[c] + t.slack[c]
            for start in (0.37, 0.11):
                other = self.compare(Test(i, t.v, self.derivative(i, t.v, start, deep=True)))
                apart = abs(other.analytic[c] - other.numeric[c])
                inside |= bool(apart <= other.bound[c] + other.slack[c])
                drift = abs(other.numeric[c] - t.numeric[c])
                if not (apart > other.bound[c] and drift <= 0.5 * off):
                    confirmed = False
                    t.bound = np.maximum(t.bound, 2 * np.abs(other.numeric - t.numeric))
                    break
            if confirmed and self.subgradient and np.any(t.derivative.gap):
                low, high, error = self._nearby(t, c)
                inside |= bool(low - error - t.bound[c] <= t.analytic[c] <= high + error + t.bound[c])
            if confirmed and not inside:
                kink = self.singular and bool(np.any(t.derivative.gap)) and not self.subgradient
                self.refuted[i] = t
                verdict = Verdict.KINK if kink else Verdict.WRONG
                message = "the value is outside the one-sided derivatives" if kink else "disagrees with the numeric derivative"
                a, n = float(t.analytic[c]), float(t.numeric[c])
                self.findings.append(
                    Finding(verdict, message, i, None, a, n, float(t.bound[c]), a / n if n else float("inf"), name=self.names[i])
                )
                return True
        return False

    def _nearby(self, t: Test, c: int) -> tuple[float, float, float]:
        """The least and the largest derivative along t.v close to a kink, on all its sides, and their roundoff.

        What lies between is a subgradient. Of three equal elements that are sorted, that of the middle one is neither of the two
        one-sided derivatives.
        """
        slopes, step = [], 1e-6
        for _ in range(24):
            xs = list(self.xs)
            xs[t.input] = xs[t.input] + 1e-3 * self.scale(t.input) * self.rng.uniform(-1, 1, xs[t.input].shape)
            line = self.problem.line(xs, t.input, t.v)
            slopes.append(float(np.nansum(self.us[c] * (line(step) - line(-step))) / (2 * step)))
        return min(slopes), max(slopes), 5 * norm(self.us[c] * self.sigma) / step

    def _push_refuted(self, i: int, mine: list[Test]) -> bool:
        """Forward mode: J v against the numeric J v, and <u, J v> against <J'u, v>, which needs no step."""
        if not self.problem.forward_mode:
            return False
        for t in mine:
            vs = [t.v if k == i else np.zeros(self.xs[k].shape) for k in range(len(self.xs))]
            pushed = np.where(self.alive, self.problem.push([v.astype(x.dtype) for v, x in zip(vs, self.xs)], self.xs), 0.0)
            sides = self.us @ pushed
            off, identity = np.abs(sides - t.numeric), np.abs(sides - t.analytic)
            c = int(np.argmax(off / np.maximum(t.bound + t.slack, np.finfo(float).tiny)))
            if off[c] > 2 * t.bound[c] + t.slack[c] and identity[c] > 0.5 * off[c]:
                d = t.derivative
                k = int(np.argmax(np.abs(pushed - d.value) - 4 * d.truncation - 5 * d.roundoff))
                a, n = float(pushed[k]), float(d.value[k])
                bound = float(4 * d.truncation[k] + 5 * d.roundoff[k])
                message = f"forward mode disagrees with the numeric derivative (J v at output element {k})"
                self.findings.append(
                    Finding(Verdict.WRONG, message, i, None, a, n, bound, a / n if n else float("inf"),
                            "the reverse mode is right here", name=self.names[i])
                )  # fmt: skip
                return True
        return False

    def _nothing(self, why: str, i: int | None = None) -> None:
        self.findings.append(Finding(Verdict.VACUOUS, f"nothing was tested: {why}", i, name=None if i is None else self.names[i]))

    def _not_finite(self, i: int) -> None:
        """A NaN or infinite gradient: wrong where function and numeric derivative are finite, else set aside."""
        lost = ~np.all(np.isfinite(self.gs[i]), axis=0) & np.isfinite(self.xs[i].astype(np.float64)).ravel()
        if not lost.any():
            return
        k, count = int(np.argmax(lost)), int(lost.sum())
        index = exact.position(k, self.xs[i].shape)
        if not self.alive.all() or not all(np.isfinite(x.astype(np.float64)).all() for x in self.xs):
            self.notes.append(f"{count} gradients of {self.names[i]} are not finite, nor are all inputs and outputs: set aside")
            return
        v = np.zeros(self.xs[i].size)
        v[k] = self.scale(i)
        d = self.derivative(i, v.reshape(self.xs[i].shape), deep=True)
        row = self.gs[i][:, k]
        value = float(row[np.argmax(~np.isfinite(row))])
        if np.any(d.gap) or np.any(d.broken):
            self.singular = True
            if np.any(~np.isfinite(d.truncation)):
                return
        finding = Finding(Verdict.KINK if np.any(d.gap) and not self.subgradient else Verdict.WRONG,
                          f"{count} gradients are not finite where the function is", i, index, value,
                          float(self.us[0] @ d.value / v[k]), float(weighted(self.us, d.truncation)[0] / abs(v[k])), float("nan"),
                          "0 · inf or 0 / 0 in the VJP", name=self.names[i])  # fmt: skip
        self.findings.append(finding)


def _resolution(t: Test) -> float:
    """The relative error that this test would just have seen."""
    scale = max(_rms(t.analytic), _rms(t.numeric))
    return _rms(t.bound) / scale if scale > 0 else np.inf


def _rms(a: Array) -> float:
    return norm(a) / max(1.0, np.sqrt(a.size))
