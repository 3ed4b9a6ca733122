"""Trigonometric and hyperbolic functions and their inverses, the error function, the logistic function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import defvjp, primitive
from ..kernels import special
from .arithmetic import div, mul, sub
from .compare import eq, where
from .pointwise import pointwise, pointwise_vjp
from .powers import exp, log1p, sqrt, square
from .promote import as_float, promote_floats

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan",
    "atan2", "atanh", "cos", "cosh", "deg2rad", "erf", "erfc", "erfinv", "hypot", "logaddexp", "rad2deg", "sigmoid", "sin",
    "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

# ------------------------------------------------------------------------------------------------------------- circular


@primitive
def sin(input):
    """sin x, x in radians."""
    return np.sin(as_float(input))


defvjp(sin, lambda g, _y, x: g * cos(x))


@primitive
def cos(input):
    """cos x, x in radians."""
    return np.cos(as_float(input))


defvjp(cos, lambda g, _y, x: -g * sin(x))


@primitive
def asin(input):
    """The angle in [-π/2, π/2] whose sine is x; NaN outside [-1, 1]."""
    return np.arcsin(as_float(input))


defvjp(asin, lambda g, _y, x: g / sqrt(1 - x * x))


@primitive
def acos(input):
    """The angle in [0, π] whose cosine is x; NaN outside [-1, 1]."""
    return np.arccos(as_float(input))


defvjp(acos, lambda g, _y, x: -g / sqrt(1 - x * x))


@primitive
def atan2(input, other):
    """The angle in [-π, π] of the point (other, input); at (0, 0) its derivatives are 0."""
    return np.arctan2(*promote_floats(input, other))


def _over_square(c, a, b):
    """c / (a² + b²) without overflow, and 0 at (0, 0)."""
    r = hypot(a, b)
    r = where(r == 0, 1, r)
    return c / r / r


defvjp(
    atan2,
    lambda g, _y, a, b: g * _over_square(b, a, b),
    lambda g, _y, a, b: -g * _over_square(a, a, b),
)


def tan(input: Any) -> Any:
    """sin x / cos x, x in radians."""
    return div(sin(input), cos(input))


def atan(input: Any) -> Any:
    """The angle in (-π/2, π/2) whose tangent is x."""
    return atan2(input, 1.0)


@primitive
def hypot(input, other):
    """√(input² + other²) without overflow."""
    return np.hypot(*promote_floats(input, other))


defvjp(hypot, lambda g, y, a, _b: g * (a / y), lambda g, y, _a, b: g * (b / y))


def sinc(input: Any) -> Any:
    """sin(πx) / (πx), and 1 at 0."""
    at_zero = eq(input, 0)
    px = mul(where(at_zero, 1, input), math.pi)
    return where(at_zero, 1, div(sin(px), px))


def deg2rad(input: Any) -> Any:
    """x·π/180."""
    return mul(input, math.pi / 180)


def rad2deg(input: Any) -> Any:
    """x·180/π."""
    return mul(input, 180 / math.pi)


# ----------------------------------------------------------------------------------------------------------- hyperbolic


@primitive
def sinh(input):
    """(e^x - e^-x) / 2."""
    return np.sinh(as_float(input))


defvjp(sinh, lambda g, _y, x: g * cosh(x))


@primitive
def cosh(input):
    """(e^x + e^-x) / 2."""
    return np.cosh(as_float(input))


defvjp(cosh, lambda g, _y, x: g * sinh(x))


@primitive
@pointwise
def tanh(input):
    """tanh x; derivative 1 - tanh² x."""
    return np.tanh(as_float(input))


defvjp(tanh, pointwise_vjp("tanh", lambda g, y, _x: g - g * y * y))


@primitive
def asinh(input):
    """The inverse of sinh."""
    return np.arcsinh(as_float(input))


defvjp(asinh, lambda g, _y, x: g / sqrt(x * x + 1))


@primitive
def acosh(input):
    """The non-negative inverse of cosh; NaN below 1."""
    return np.arccosh(as_float(input))


defvjp(acosh, lambda g, _y, x: g / sqrt(x * x - 1))


def atanh(input: Any) -> Any:
    """The inverse of tanh, ½·log((1 + x) / (1 - x)); NaN outside [-1, 1]."""
    return mul(sub(log1p(input), log1p(mul(input, -1.0))), 0.5)


@primitive
@pointwise
def sigmoid(input):
    """The logistic function 1 / (1 + e^-x), finite and accurate for any x; derivative y·(1 - y)."""
    y = np.exp(np.negative(as_float(input)))
    if isinstance(y, np.generic):
        return np.reciprocal(np.add(y, 1))
    y += 1  # one buffer for the whole chain
    return np.reciprocal(y, out=y)


defvjp(sigmoid, pointwise_vjp("sigmoid", lambda g, y, _x: g * (y * (1 - y))))


@primitive
def logaddexp(input, other):
    """log(e^input + e^other) without overflow."""
    return np.logaddexp(*promote_floats(input, other))


defvjp(logaddexp, lambda g, _y, a, b: g * sigmoid(a - b), lambda g, _y, a, b: g * sigmoid(b - a))

# ------------------------------------------------------------------------------------------------------ error function


@primitive
def erf(input):
    """2/√π ∫₀ˣ e^(-t²) dt."""
    return special.erf(as_float(input))


defvjp(erf, lambda g, _y, x: g * (exp(-square(x)) * (2 / math.sqrt(math.pi))))


@primitive
def erfc(input):
    """1 - erf x, accurate where erf x is near 1."""
    return special.erfc(as_float(input))


defvjp(erfc, lambda g, _y, x: g * (exp(-square(x)) * (-2 / math.sqrt(math.pi))))


@primitive
def erfinv(input):
    """The inverse of erf on (-1, 1); ±inf at ±1, NaN outside."""
    return special.erfinv(as_float(input))


defvjp(erfinv, lambda g, y, _x: g * (exp(square(y)) * (math.sqrt(math.pi) / 2)))

arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
