"""Powers, roots, exponentials and logarithms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, primitive
from .arithmetic import _zeros, astype, mul, reciprocal
from .compare import eq, isposinf, le, logical_and, logical_or, where
from .pointwise import pointwise, pointwise_vjp
from .promote import as_float, floating, promote_pair, result_type

__all__ = [
    "exp", "exp2", "expm1", "float_power", "log", "log1p", "log2", "log10", "pow", "rsqrt", "sqrt", "square", "xlogy",
]  # fmt: skip


@primitive
def pow(input, exponent):
    """input^exponent. The derivative by input is 0 where exponent = 0, that by exponent 0 where input = 0 and exponent >= 0.

    Raises ValueError for integers to negative powers.
    """
    a, b = promote_pair(input, exponent)
    power = _QUICK_POWERS.get(b) if isinstance(b, (int, float)) and floating(a, b) else None
    return np.power(a, b) if power is None else power(a)


_QUICK_POWERS: dict[float, Callable] = {
    1: np.positive,
    2: np.square,
    3: lambda a: a * a * a,
    -1: np.reciprocal,
    0.5: np.sqrt,
    -0.5: lambda a: 1 / np.sqrt(a),
}


def _pow_vjp_base(g, _y, a, b):
    if isinstance(b, (int, float)):
        if b == 0:
            return _zeros(g)
        return g * (a * 2) if b == 2 else g * (b * pow(a, b - 1))
    return where(b == 0, 0, g * (b * pow(a, where(b == 0, 1, b - 1))))


def _pow_vjp_exponent(g, _y, a, b):
    if isinstance(a, (int, float)):
        rate = math.log(a) if a > 0 else -math.inf if a == 0 else math.nan
        slope = g * (pow(a, b) * rate)
        return slope if a else where(b >= 0, 0, slope)
    flat = (a == 0) & (b >= 0)
    if a.dtype != g.dtype:  # the logarithm of an integer would be taken in the default dtype
        a = astype(a, dtype=g.dtype)
    return where(flat, 0, g * (pow(a, b) * log(where(flat, 1, a))))


defvjp(pow, _pow_vjp_base, _pow_vjp_exponent)


def float_power(input: Any, exponent: Any) -> Any:
    """input^exponent computed in float64."""
    return pow(*[astype(x, dtype=backend.float64) if hasattr(x, "dtype") else x for x in (input, exponent)])


def square(input: Any) -> Any:
    """x²."""
    return pow(input, 2)


def sqrt(input: Any) -> Any:
    """√x; NaN for negative x, derivative +inf at 0."""
    return pow(input, 0.5)


def rsqrt(input: Any) -> Any:
    """1 / √x."""
    return reciprocal(sqrt(input))


@primitive
@pointwise
def exp(input):
    """e^x."""
    return np.exp(as_float(input))


defvjp(exp, pointwise_vjp("exp", lambda g, y, _x: g * y))


def exp2(input: Any) -> Any:
    """2^x."""
    return pow(2.0, input)


@primitive
def expm1(input):
    """e^x - 1, accurate near 0."""
    return np.expm1(as_float(input))


defvjp(expm1, lambda g, y, _x: g * (y + 1))


@primitive
@pointwise
def log(input):
    """The natural logarithm; -inf at 0, NaN below."""
    return np.log(as_float(input))


defvjp(log, pointwise_vjp("log", lambda g, _y, x: g / x))


@primitive
def _log_to_base(x, *, base):
    return {2: np.log2, 10: np.log10}[base](as_float(x))


defvjp(_log_to_base, lambda g, _y, x, *, base: g / (x * float(np.log(base))))


def log2(input: Any) -> Any:
    """The logarithm to base 2."""
    return _log_to_base(input, base=2)


def log10(input: Any) -> Any:
    """The logarithm to base 10."""
    return _log_to_base(input, base=10)


@primitive
def log1p(input):
    """log(1 + x), accurate near 0."""
    return np.log1p(as_float(input))


defvjp(log1p, lambda g, _y, x: g / (x + 1))


def xlogy(input: Any, other: Any) -> Any:
    """input·log other, and 0 where input = 0 (with derivative 0 there if the log is not finite); NaN where other is."""
    dtype = result_type(input, other)
    if dtype.kind == "f":
        other = astype(other, dtype=dtype) if hasattr(other, "dtype") else dtype.type(other)
    infinite = logical_or(le(other, 0), isposinf(other))
    return mul(input, log(where(logical_and(eq(input, 0), infinite), 1, other)))
