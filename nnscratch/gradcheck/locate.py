"""Which element is wrong: halve the set of elements that a direction moves, and follow the halves that still disagree.

The disagreement d(S) = <g, v_S> - <u, J v_S> is a sum over the elements in S, so one derivative splits it between two halves:
2·log2(n) evaluations of the function, or twice that, for one wrong element among n.
"""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np

from .exact import position
from .examine import Examination
from .measure import Test
from .numeric import RATIO
from .report import Finding
from .vectors import Array, norm

SPEND = 320  # evaluations at most for one disagreement
MOST = 4  # elements reported


def locate(exam: Examination, test: Test, finding: Finding) -> list[Finding]:
    """`finding`, made once for each wrong element found, the largest first; itself if none could be singled out."""
    i, c = test.input, test.worst
    u, g, v = exam.us[c], exam.gs[i][c], test.v.ravel()
    total = float(test.analytic[c] - test.numeric[c])
    steps = _steps(test, u, abs(total))
    start = exam.problem.evaluations

    def disagreement(elements: Array) -> float:
        some = np.zeros_like(v)
        some[elements] = v[elements]
        return float(some @ np.where(some == 0, 0.0, g)) - _slope(exam, i, some.reshape(test.v.shape), u, steps)

    threshold = max(float(test.bound[c]), 4e-3 * abs(total))
    heap = [(-abs(total), 0, total, np.flatnonzero(v))]
    found: list[Finding] = []
    tie = 0
    while heap and len(found) < MOST and exam.problem.evaluations - start < SPEND:
        _, _, d, elements = heapq.heappop(heap)
        if elements.size == 1:
            found.append(_element(exam, test, finding, int(elements[0]), c))
            continue
        left, right = np.array_split(elements, 2)
        dl = disagreement(left)
        halves = [(dl, left), (d - dl, right)]
        strong = [h for h in halves if abs(h[0]) > threshold] or [max(halves, key=lambda h: abs(h[0]))]
        for value, part in strong:
            tie += 1
            heapq.heappush(heap, (-abs(value), tie, value, part))
    found = [f for f in found if f.bound is None or not abs(f.analytic - f.numeric) <= f.bound]  # type: ignore[operator]
    return found or [finding]


def _steps(test: Test, u: Array, off: float) -> list[float]:
    """One step whose plain central difference is good enough here, or two to extrapolate from."""
    d, n = test.derivative, float(test.numeric[test.worst])
    slopes = [float(np.nansum(u * row)) for row in d.differences]
    noise = norm(u * d.roundoff) * min(d.steps)  # of u·f, taken at a step no smaller than any
    usable = [(h, abs(s - n)) for h, s in zip(d.steps, slopes) if noise / h <= 1e-3 * off]
    good = 0.0
    for h, apart in reversed(usable):  # the largest step that is good and has only good ones below it
        if apart > 1e-3 * off:
            break
        good = h
    if good:
        return [good]
    best = int(np.argmin([abs(s - n) for s in slopes]))
    return [d.steps[best], d.steps[best] / RATIO]


def _slope(exam: Examination, i: int, v: Array, u: Array, steps: list[float]) -> float:
    line = exam.problem.line(exam.xs, i, v)
    slopes = [float(np.nansum(u * ((line(h) - line(-h)) / (2 * h)))) for h in steps]
    if len(slopes) == 1:
        return slopes[0]
    return slopes[1] + (slopes[1] - slopes[0]) / (RATIO**2 - 1)


def _element(exam: Examination, test: Test, finding: Finding, k: int, c: int) -> Finding:
    """The partial derivative of one element, with its bound."""
    i, u = test.input, exam.us[c]
    v = np.zeros(test.v.size)
    v[k] = test.v.ravel()[k]
    d = exam.derivative(i, v.reshape(test.v.shape))
    d.refine(exam.sigma)
    numeric = float(u @ np.where(np.isfinite(d.value), d.value, 0.0)) / v[k]
    error = 4 * norm(np.where(u == 0, 0, u * d.truncation)) + 5 * norm(np.where(u == 0, 0, u * d.roundoff))
    analytic = float(exam.gs[i][c][k])
    bound = error / abs(v[k]) + exam.floor(d) * abs(analytic)
    ratio = analytic / numeric if numeric else float("inf")
    index = position(k, test.v.shape)
    return replace(finding, index=index, analytic=analytic, numeric=numeric, bound=bound, ratio=ratio)
