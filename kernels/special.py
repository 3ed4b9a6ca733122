"""The error function, its complement and its inverse, which NumPy lacks.

float64: the rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error function",
Math. Comp. 23 (1969), relative error about 1e-16. float32 erf: one rational function over the whole range, rounded to a few units
in the last place. CuPy brings its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Cody's three ranges of |x|, numerator and denominator, highest power first: erf(x)/x in x² up to 0.46875; e^(x²)·erfc(x) in x up
# to 4; a correction to 1/(x√π) in 1/x² beyond.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2),
        *(8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    ),
    (
        *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3),
        *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
    ),
)
_LARGE = (
    (
        *(1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1),
        *(1.60837851487422766e-2, 6.58749161529837803e-4),
    ),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2, 2.33520497626869185e-3),
)
_SMALL_END, _MIDDLE_END = 0.46875, 4.0


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    y = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        y *= x
        y += c
    return y


def _ratio(numerator_denominator: tuple[tuple[float, ...], ...], x: np.ndarray) -> np.ndarray:
    numerator, denominator = numerator_denominator
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _exp_minus_square(a: np.ndarray) -> np.ndarray:
    """e^(-a²) to full precision: a² is split, since its rounding error would be magnified by a²."""
    head = np.trunc(a * 16) / 16
    return np.exp(-head * head) * np.exp((head - a) * (head + a))


def _small_erf(x: np.ndarray) -> np.ndarray:
    return x * _ratio(_SMALL, x * x)


def _tail_erfc(a: np.ndarray) -> np.ndarray:
    """erfc for a > 0.46875."""
    y = np.empty_like(a)
    middle = a <= _MIDDLE_END
    b = a[middle]
    y[middle] = _exp_minus_square(b) * _ratio(_MIDDLE, b)
    b = np.minimum(a[~middle], 30.0)  # e^-900 is 0 already; keeps inf - inf out
    z = 1 / (b * b)
    y[~middle] = _exp_minus_square(b) * ((1 / math.sqrt(math.pi) - z * _ratio(_LARGE, z)) / b)
    return y


def _by_range(x: np.ndarray, small: Any, tail: Any) -> np.ndarray:
    """small(x) near 0, tail(|x|, x) elsewhere, NaN for NaN."""
    y = np.full_like(x, np.nan)
    a = np.abs(x)
    inner, outer = a <= _SMALL_END, a > _SMALL_END
    y[inner] = small(x[inner])
    y[outer] = tail(_tail_erfc(a[outer]), x[outer])
    return y


def _in_float64(f: Any) -> Any:
    """Evaluate f in float64 on an array of any float dtype and any shape; on a GPU, the function of that name from CuPy."""
    name = f.__name__.strip("_")

    def outer(x: Any) -> Any:
        if not isinstance(x, (np.ndarray, np.generic)):
            from cupyx.scipy import special

            return getattr(special, name)(x)
        with np.errstate(all="ignore"):
            y = f(np.atleast_1d(x).astype(np.float64, copy=False)).reshape(np.shape(x))
            return y.astype(x.dtype, copy=False)

    outer.__name__, outer.__doc__ = name, f.__doc__
    return outer


@_in_float64
def erfc(x):
    """erfc(x) = 1 - erf(x), accurate in the tail until it underflows (x about 26)."""
    return _by_range(x, lambda s: 1 - _small_erf(s), lambda c, s: np.where(s < 0, 2 - c, c))


@_in_float64
def _erf(x):
    return _by_range(x, _small_erf, lambda c, s: np.copysign(1 - c, s))


def erf(x: Any) -> Any:
    """erf(x) = 2/√π ∫₀ˣ e^(-t²) dt."""
    if x.dtype == np.float32 and isinstance(x, np.ndarray):
        return _erf_float32(x)
    return _erf(x)


# x·P(x²)/Q(x²), lowest power first: least squares of the relative error on [0, 3.92], reweighted to even it out (1.9e-8).
_ERF32_P = (1.12837915, 0.190375562, 0.052745285, 0.00376446138, 0.000284887017, 2.0507321e-06)
_ERF32_Q = (1.0, 0.502048692, 0.114096926, 0.0149668876, 0.00116231097, 3.80985915e-05)
_ERF32_END = 3.95  # from here on float32 erf is 1; P/Q is just above


def _erf_float32(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, -_ERF32_END, _ERF32_END)
    z = np.square(x)
    y = _polynomial(_ERF32_P[::-1], z)
    y /= _polynomial(_ERF32_Q[::-1], z)
    y *= x
    return np.clip(y, -1, 1)


# Starting values of erfinv: M. Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2012), single precision.
_GILES_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164),
    *(0.246640727, 1.50140941),
)
_GILES_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047),
    *(1.00167406, 2.83297682),
)


@_in_float64
def erfinv(x):
    """The y with erf(y) = x: Giles' approximation, then Newton's steps on erf, or on log erfc in the tail."""
    a = np.abs(x)
    w = -np.log((1 - a) * (1 + a))
    y = np.where(w < 5, _polynomial(_GILES_CENTRE, w - 2.5), _polynomial(_GILES_TAIL, np.sqrt(w) - 3)) * a
    for _ in range(4):
        slope = 2 / math.sqrt(math.pi) * np.exp(-y * y)
        tail = erfc(y)
        y = y - np.where(a < 0.5, erf(y) - a, tail * np.log((1 - a) / tail)) / slope
    return np.copysign(np.where(a == 1, np.inf, y), x)
