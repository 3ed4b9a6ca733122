"""What a wrong gradient looks like: a factor, a sign, a transposition, a cotangent that is not used."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .examine import Examination
from .vectors import Array, norm


def hint(exam: Examination, i: int) -> str | None:
    """The likely cause of the disagreement in input i, or None."""
    tests = [t for t in exam.tests if t.input == i]
    gs, shape = exam.gs[i], exam.xs[i].shape
    numeric = np.concatenate([t.numeric for t in tests])
    analytic = np.concatenate([t.analytic for t in tests])
    tolerance = 1e-4 * norm(numeric)
    if not norm(numeric) > 0:
        return "the function does not depend on this input (to first order), the gradient says that it does"
    if not np.any(gs):
        return "the gradient is missing: zero everywhere"
    if len(gs) > 1 and np.array_equal(gs[0], gs[1]) and not np.array_equal(exam.us[0], exam.us[1]):
        return "the cotangent is ignored: the gradient is the same for any"
    factor = float(analytic @ (numeric / norm(numeric))) / norm(numeric)
    if norm(analytic - factor * numeric) <= min(0.01 * abs(factor - 1), 1e-4 * max(1.0, abs(factor))) * norm(numeric):
        return _factor(factor, exam)
    for name, candidate in _transforms(gs.reshape(len(gs), *shape)):
        moved = [(candidate.reshape(len(gs), -1) * t.v.ravel()).sum(axis=1) for t in tests]
        if norm(np.concatenate(moved) - numeric) <= tolerance:
            return name
    return None


def _factor(factor: float, exam: Examination) -> str:
    if abs(factor + 1) < 1e-4:
        return "the sign is flipped everywhere"
    text = f"{factor:.6g}"
    near = Fraction(factor).limit_denominator(64)
    if near and abs(float(near) - factor) < 1e-5 * abs(factor):
        text = str(near)
    sizes = {n: f"axis {k} of input {j} has size {n}" for j, x in enumerate(exam.xs) for k, n in enumerate(x.shape) if n > 2}
    cause = next((why for n, why in sizes.items() if near in (n, Fraction(1, n))), None)
    return f"times {text} everywhere" + (f" ({cause}: a mean for a sum, or the reverse?)" if cause else "")


def _transforms(g: Array):
    """The gradient as it would be if one usual slip were undone."""
    axes = g.ndim - 1
    if axes >= 2 and g.shape[-1] == g.shape[-2]:
        yield "it is transposed: its last two axes are swapped", np.swapaxes(g, -1, -2)
    for first in range(axes):
        for second in range(first + 1, axes):
            if g.shape[first + 1] == g.shape[second + 1]:
                yield f"axes {first} and {second} are swapped", np.swapaxes(g, first + 1, second + 1)
    if axes >= 2:
        yield "its last two axes are flipped: a kernel that is (or is not) turned round", g[..., ::-1, ::-1]
    for k in range(axes):
        yield f"axis {k} is reversed", np.flip(g, k + 1)
        if 1 < g.shape[k + 1] <= 64:
            yield f"it is shifted by one along axis {k}", np.roll(g, -1, k + 1)
            yield f"it is shifted by one along axis {k}", np.roll(g, 1, k + 1)
