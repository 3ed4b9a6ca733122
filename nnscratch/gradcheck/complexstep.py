"""The complex step: Im f(x + i·h·v) / h is df/dv without any difference of near numbers, so h can be 1e-20 (Squire & Trapp 1998).

It holds for analytic functions alone, and `abs` or a real part would make it wrong in silence. So the function is given arrays
that refuse whatever is not analytic, and what comes of it counts only where it also agrees with the differences.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from .problem import Problem
from .vectors import Array

STEP = 1e-20
# Comparisons and what is built on them look at the real part first: they choose the same branch as for the real numbers.
CHOICES = "greater greater_equal less less_equal equal not_equal maximum minimum fmax fmin clip isnan isinf isfinite"
ANALYTIC = frozenset(
    f"""add subtract multiply divide matmul negative positive power float_power square sqrt reciprocal exp exp2 expm1
    log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh {CHOICES}""".split()
)
CONJUGATING = frozenset(["vdot", "correlate", "real", "imag", "angle", "absolute", "round", "sign", "real_if_close"])
MATRIX = frozenset(["inv", "solve", "det", "matrix_power", "multi_dot"])


class NotAnalytic(TypeError):
    """The function uses what has no complex derivative."""


class Analytic(np.ndarray):
    """A complex array that raises NotAnalytic for abs, conj, real parts, rounding and all that it does not know."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if ufunc.__name__ not in ANALYTIC:
            raise NotAnalytic(ufunc.__name__)
        if out is not None:
            options["out"] = tuple(map(_plain, out))
        return _guarded(getattr(ufunc, method)(*map(_plain, inputs), **options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = func.__name__
        if name in CONJUGATING or (func.__module__ == "numpy.linalg" and name not in MATRIX):
            raise NotAnalytic(name)
        return _guarded(super().__array_function__(func, types, args, kwargs))

    def __getitem__(self, key: Any) -> Any:
        return _guarded(super().__getitem__(key))

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotAnalytic("the real or imaginary part")

    real = imag = property(_refuse, _refuse)  # type: ignore[assignment]
    conj = conjugate = _refuse  # type: ignore[assignment]


def _plain(a: Any) -> Any:
    return a.view(np.ndarray) if isinstance(a, Analytic) else a


def _guarded(y: Any) -> Any:
    if isinstance(y, (tuple, list)):
        return type(y)(map(_guarded, y))
    if isinstance(y, (np.ndarray, np.complexfloating)) and y.dtype.kind == "c":
        return np.asarray(y).view(Analytic)
    return y


def slope(problem: Problem, xs: Sequence[Array], i: int, v: Array, y: Array) -> tuple[Array, Array] | None:
    """df/dv, v moving input i, and its error, for every output; None where the function is not, or not seen to be, analytic.

    `y`: the outputs at xs. The error is what another rounding of the imaginary parts makes of it.
    """
    if xs[i].dtype != np.float64:
        return None
    found = []
    for h in (STEP, 0.7 * STEP):
        z = _imaginary(problem, xs, i, h * v)
        if z is None or z.shape != y.shape:
            return None
        alive = np.isfinite(y) & np.isfinite(z)
        scale = np.max(np.abs(y), initial=0.0, where=alive)
        if np.any(np.abs(z.real - y)[alive] > 1e-8 * scale):
            return None
        found.append(np.where(alive, z.imag / h, np.nan))
    return found[0], np.abs(found[0] - found[1]) + 16 * np.finfo(float).eps * np.abs(found[0])


def _imaginary(problem: Problem, xs: Sequence[Array], i: int, step: Array) -> Array | None:
    given: list[Any] = [np.copy(x, order="K") for x in xs]
    given[i] = (xs[i] + 1j * step).view(Analytic)
    problem.evaluations += 1
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns where it drops an imaginary part
            z = problem._forward(*given)
    except Exception:  # whatever a function of real arrays raises when it is given complex ones
        return None
    parts = list(z) if isinstance(z, (tuple, list)) else [z]
    if len(parts) != len(problem.outputs):
        return None
    parts = [parts[k] for k in problem.floats]
    if not all(isinstance(part, Analytic) for part in parts):
        return None
    return np.concatenate([_plain(part).ravel() for part in parts])
