"""Comparisons and logic, and what chooses by them: where, maximum, minimum, clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import defvjp, nondifferentiable, primitive
from ..kernels.select import select
from ..tensor import array_of
from .promote import promote_pair, result_type

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "clamp", "clamp_max", "clamp_min", "clip", "eq", "equal", "fmax", "fmin", "ge", "greater", "greater_equal", "gt",
    "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "le", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "logical_xor", "lt", "masked_fill", "maximum", "minimum", "nan_to_num", "ne", "not_equal", "where",
]  # fmt: skip

# --------------------------------------------------------------------------------------------------------- comparisons


@nondifferentiable
def eq(input, other):
    """input == other, elementwise."""
    return np.equal(*promote_pair(input, other))


@nondifferentiable
def ne(input, other):
    """input != other, elementwise."""
    return np.not_equal(*promote_pair(input, other))


@nondifferentiable
def lt(input, other):
    """input < other, elementwise."""
    return np.less(*promote_pair(input, other))


@nondifferentiable
def le(input, other):
    """input <= other, elementwise."""
    return np.less_equal(*promote_pair(input, other))


@nondifferentiable
def gt(input, other):
    """input > other, elementwise."""
    return np.greater(*promote_pair(input, other))


@nondifferentiable
def ge(input, other):
    """input >= other, elementwise."""
    return np.greater_equal(*promote_pair(input, other))


@nondifferentiable
def isnan(input):
    """Whether an element is NaN."""
    return np.isnan(input)


@nondifferentiable
def isinf(input):
    """Whether an element is infinite."""
    return np.isinf(input)


@nondifferentiable
def isposinf(input):
    """Whether an element is +inf."""
    return np.equal(input, np.inf)


@nondifferentiable
def isneginf(input):
    """Whether an element is -inf."""
    return np.equal(input, -np.inf)


@nondifferentiable
def isfinite(input):
    """Whether an element is neither infinite nor NaN."""
    return np.isfinite(input)


@nondifferentiable
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """|input - other| <= atol + rtol·|other|, or both equal; NaN equals NaN with `equal_nan`."""
    return np.isclose(input, other, rtol, atol, equal_nan)


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(array_of(isclose(input, other, rtol, atol, equal_nan)).all())


def equal(input: Any, other: Any) -> bool:
    """Whether both have the same shape and elements."""
    return np.shape(array_of(input)) == np.shape(array_of(other)) and bool(array_of(eq(input, other)).all())


@nondifferentiable
def logical_and(input, other):
    """Both nonzero."""
    return np.logical_and(input, other)


@nondifferentiable
def logical_or(input, other):
    """Either nonzero."""
    return np.logical_or(input, other)


@nondifferentiable
def logical_xor(input, other):
    """Exactly one nonzero."""
    return np.logical_xor(input, other)


@nondifferentiable
def logical_not(input):
    """Zero."""
    return np.logical_not(input)


@nondifferentiable
def bitwise_and(input, other):
    """input & other of integers or booleans."""
    return np.bitwise_and(*promote_pair(input, other))


@nondifferentiable
def bitwise_or(input, other):
    """input | other of integers or booleans."""
    return np.bitwise_or(*promote_pair(input, other))


@nondifferentiable
def bitwise_xor(input, other):
    """input ^ other of integers or booleans."""
    return np.bitwise_xor(*promote_pair(input, other))


@nondifferentiable
def bitwise_not(input):
    """~x of integers or booleans."""
    return np.bitwise_not(input)


@nondifferentiable
def bitwise_left_shift(input, other):
    """input << other of integers."""
    return np.left_shift(*promote_pair(input, other))


@nondifferentiable
def bitwise_right_shift(input, other):
    """input >> other of integers."""
    return np.right_shift(*promote_pair(input, other))


not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge

# -------------------------------------------------------------------------------------------------------------- choice


@primitive
def where(condition, input, other):
    """`input` where the condition holds, else `other`. The cotangent reaches only the chosen one.

    Raises TypeError when the condition is not boolean.
    """
    if not isinstance(condition, bool) and getattr(getattr(condition, "dtype", None), "kind", None) != "b":
        raise TypeError(f"where: expected a boolean condition, got {getattr(condition, 'dtype', type(condition).__name__)}")
    a, b = promote_pair(input, other)
    y = select(condition, a, b)
    return y if hasattr(a, "dtype") or hasattr(b, "dtype") else y.astype(result_type(a, b))


defvjp(where, None, lambda g, _y, c, _a, _b: where(c, g, 0), lambda g, _y, c, _a, _b: where(c, 0, g))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """x with `value` (a number or a 0-d tensor) where the boolean mask holds, in x's dtype.

    Raises RuntimeError for a value with dimensions, or one that x's dtype cannot hold.
    """
    if getattr(value, "ndim", 0) != 0:
        raise RuntimeError(f"masked_fill: expected a number or a 0-d tensor, got shape {tuple(value.shape)}")
    if result_type(input, value) != input.dtype:
        raise RuntimeError(f"masked_fill: a tensor of {input.dtype} cannot hold {value!r}")
    return where(mask, value, input)


def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """x with NaN replaced by `nan` and the infinities by `posinf`, `neginf` (the dtype's extremes); derivative 0 there."""
    if input.dtype.kind != "f":
        return input
    limit = float(np.finfo(input.dtype).max)
    input = where(isnan(input), nan, input)
    input = where(isposinf(input), limit if posinf is None else posinf, input)
    return where(isneginf(input), -limit if neginf is None else neginf, input)


@primitive
def maximum(input, other):
    """The larger of input and other; NaN where either is. Ties share the cotangent in halves."""
    return np.maximum(*promote_pair(input, other))


defvjp(
    maximum,
    lambda g, _y, a, b: where(a < b, 0, where(a == b, g / 2, g)),
    lambda g, _y, a, b: where(b < a, 0, where(a == b, g / 2, g)),
)


@primitive
def minimum(input, other):
    """The smaller of input and other; NaN where either is. Ties share the cotangent in halves."""
    return np.minimum(*promote_pair(input, other))


defvjp(
    minimum,
    lambda g, _y, a, b: where(a > b, 0, where(a == b, g / 2, g)),
    lambda g, _y, a, b: where(b > a, 0, where(a == b, g / 2, g)),
)


def fmax(input: Any, other: Any) -> Any:
    """The larger of two, or the one that is not NaN; a tie's cotangent goes to input."""
    return where(logical_or(ge(input, other), isnan(other)), input, other)


def fmin(input: Any, other: Any) -> Any:
    """The smaller of two, or the one that is not NaN; a tie's cotangent goes to input."""
    return where(logical_or(le(input, other), isnan(other)), input, other)


@primitive
def _clamp(x, low, high):
    y = x if low is None else np.maximum(*promote_pair(x, low))
    return y if high is None else np.minimum(*promote_pair(y, high))


def _inside(x, low, high):
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


defvjp(
    _clamp,
    lambda g, _y, x, low, high: where(_inside(x, low, high), g, 0),
    lambda g, _y, x, low, high: where(x < low if high is None else (x < low) & (low < high), g, 0),
    lambda g, _y, x, low, high: where(x > high if low is None else (x > high) | (high < low), g, 0),
)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """min(max(x, min), max) for numbers or tensors; derivative by x is 1 within the bounds and on them, else 0.

    Raises ValueError when neither bound is given.
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    return _clamp(input, min, max)


def clamp_min(input: Any, min: Any) -> Any:
    """clamp(x, min=min)."""
    return clamp(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """clamp(x, max=max)."""
    return clamp(input, None, max)


clip = clamp
