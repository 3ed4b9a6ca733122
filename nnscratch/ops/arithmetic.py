"""Arithmetic, rounding and conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, nondifferentiable, primitive
from ..kernels import pointwise
from ..tensor import Tensor, array_of
from .compare import lt, where
from .promote import as_float, floating
from .promote import promote_pair as _promote

__all__ = [
    "abs", "absolute", "add", "addcdiv", "addcmul", "astype", "ceil", "clone", "detach", "div", "divide", "fix", "floor",
    "floor_divide", "fmod", "frac", "lerp", "mul", "multiply", "neg", "negative", "positive", "reciprocal", "remainder",
    "round", "sgn", "sign", "stop_gradient", "sub", "subtract", "to_device", "true_divide", "trunc",
]  # fmt: skip

MANY = 1 << 17  # elements from which on more threads, and memory that was used before, bring more than a kernel's call costs

# --------------------------------------------------------------------------------------------------------- arithmetic


def _by_size(name: str, ufunc: np.ufunc, a: Any, b: Any) -> Any:
    """ufunc(a, b), of large arrays by a kernel."""
    if type(a) is np.ndarray and a.size >= MANY:
        y = pointwise.arithmetic(name, a, b)
        if y is not None:
            return y
    return ufunc(a, b)


@primitive
def add(input, other, *, alpha=1):
    """input + alpha·other."""
    a, b = _promote(input, other)
    return _by_size("add", np.add, a, b if alpha == 1 else b * alpha)


defvjp(add, lambda g, _y, _a, _b, **_: g, lambda g, _y, _a, _b, *, alpha=1: g if alpha == 1 else g * alpha)


@primitive
def sub(input, other, *, alpha=1):
    """input - alpha·other. Raises TypeError for two boolean operands."""
    a, b = _promote(input, other)
    return _by_size("sub", np.subtract, a, b if alpha == 1 else b * alpha)


defvjp(sub, lambda g, _y, _a, _b, **_: g, lambda g, _y, _a, _b, *, alpha=1: -g if alpha == 1 else g * -alpha)


@primitive
def mul(input, other):
    """input · other."""
    a, b = _promote(input, other)
    return _by_size("mul", np.multiply, a, b)


defvjp(mul, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a)


@primitive
def div(input, other, *, rounding_mode=None):
    """input / other, or its integer part: rounding_mode 'floor' (Python's //) or 'trunc' (C's /); the derivative of those is 0.

    Integers divide to the default dtype, unless rounded. Raises ValueError for another rounding_mode, RuntimeError for a rounded
    division of integers by zero.
    """
    a, b = _promote(input, other)
    if rounding_mode is None:
        return _by_size("div", np.true_divide, a, b) if floating(a, b) else np.true_divide(as_float(a), as_float(b))
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: rounding_mode is None, 'floor' or 'trunc', got {rounding_mode!r}")
    if floating(a, b):
        return np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.true_divide(a, b))
    _refuse_zero(b, "div")
    quotient = np.floor_divide(a, b)
    if rounding_mode == "trunc":
        quotient = quotient + ((quotient < 0) & (quotient * b != a))
    return quotient


def _refuse_zero(b, name):
    if not np.all(b):
        raise RuntimeError(f"{name}: integer division by zero")


defvjp(
    div,
    lambda g, _y, _a, b, *, rounding_mode=None: g / b if rounding_mode is None else _zeros(g),
    lambda g, _y, a, b, *, rounding_mode=None: -g * (a / b) / b if rounding_mode is None else _zeros(g),
)


def _zeros(g: Any) -> Any:
    """A cotangent of exact zeros: g * 0 would be NaN where g is infinite."""
    return Tensor(np.zeros_like(g.data)) if isinstance(g, Tensor) else np.zeros_like(g)


@primitive
def neg(input):
    """-x."""
    return np.negative(input)


defvjp(neg, lambda g, _y, _x: -g)


@primitive
def _modulo(a, b, *, rounding_mode):
    a, b = _promote(a, b)
    if not floating(a, b):
        _refuse_zero(b, "remainder")
    return np.remainder(a, b) if rounding_mode == "floor" else np.fmod(a, b)


defvjp(
    _modulo,
    lambda g, _y, _a, _b, *, rounding_mode: g,
    lambda g, _y, a, b, *, rounding_mode: -g * div(a, b, rounding_mode=rounding_mode),
)


def remainder(input: Any, other: Any) -> Any:
    """input - other·floor(input / other): the remainder with the sign of other. Raises RuntimeError for integers modulo zero."""
    return _modulo(input, other, rounding_mode="floor")


def fmod(input: Any, other: Any) -> Any:
    """input - other·trunc(input / other): the remainder with the sign of input. Raises RuntimeError for integers modulo zero."""
    return _modulo(input, other, rounding_mode="trunc")


@primitive
def _steps(x, *, f):
    """f(x) for a piecewise constant f: the derivative is 0."""
    return f(x)


defvjp(_steps, lambda g, _y, _x, *, f: _zeros(g))


def floor(input: Any) -> Any:
    """The largest integer <= x, in x's dtype; derivative 0."""
    return _steps(input, f=np.floor)


def ceil(input: Any) -> Any:
    """The smallest integer >= x, in x's dtype; derivative 0."""
    return _steps(input, f=np.ceil)


def trunc(input: Any) -> Any:
    """x rounded towards zero, in x's dtype; derivative 0."""
    return _steps(input, f=np.trunc)


def round(input: Any, *, decimals: int = 0) -> Any:
    """x rounded to `decimals` decimals, halves to even; derivative 0."""
    return _steps(input, f=lambda a: np.round(a, decimals))


def sign(input: Any) -> Any:
    """-1, 0 or 1, and 0 for NaN; derivative 0."""
    return _steps(input, f=_sign)


def _sign(x: Any) -> Any:
    return x if x.dtype.kind == "b" else np.subtract(x > 0, x < 0, dtype=x.dtype)


@primitive
def abs(input):
    """|x|; derivative sign(x), which is 0 at 0."""
    return np.abs(input)


defvjp(abs, lambda g, _y, x: g * sign(x))


def frac(input: Any) -> Any:
    """x - trunc(x); derivative 1."""
    return sub(input, trunc(input))


def floor_divide(input: Any, other: Any) -> Any:
    """floor(input / other), also for integers; derivative 0."""
    return div(input, other, rounding_mode="floor")


def reciprocal(input: Any) -> Any:
    """1 / x."""
    return div(1.0, input)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value·tensor1·tensor2."""
    return add(input, mul(tensor1, tensor2), alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value·tensor1 / tensor2."""
    return add(input, div(tensor1, tensor2), alpha=value)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight·(end - input), exact at weight 0 and 1."""
    span = sub(end, input)
    near, far = lambda: add(input, mul(weight, span)), lambda: sub(end, mul(sub(1, weight), span))
    if isinstance(weight, (int, float)):
        return near() if -0.5 < weight < 0.5 else far()
    return where(lt(abs(weight), 0.5), near(), far())


# ---------------------------------------------------------------------------------------------------------- conversion


@primitive
def _to_float(x, *, dtype):
    return x.astype(dtype)


defvjp(_to_float, lambda g, _y, _x, *, dtype: g)  # the engine gives a cotangent the dtype of its argument


@nondifferentiable
def _to_integer(x, *, dtype):
    with np.errstate(invalid="ignore"):
        return x.astype(dtype)


def astype(x: Any, *, dtype: Any) -> Any:
    """x converted; differentiable between floating-point dtypes, without history as integers or booleans."""
    dtype = np.dtype(dtype)
    return (_to_float if dtype.kind == "f" else _to_integer)(x, dtype=dtype)


@primitive
def clone(input, *, order="K"):
    """A copy of x, by default with the same memory layout."""
    return np.copy(input, order=order)


defvjp(clone, lambda g, _y, _x, **_: g)


@primitive
def _move(x, *, device, back, non_blocking):  # noqa: ARG001
    return backend.to_device(x, device, non_blocking)


defvjp(_move, lambda g, _y, _x, *, device, back, non_blocking: to_device(g, device=back))


def to_device(x: Any, *, device: str, non_blocking: bool = False) -> Any:
    """x on 'cpu', 'cuda' or 'cuda:<index>'; its cotangent travels back. `non_blocking`: see `backend.to_device`."""
    return _move(x, device=device, back=backend.device_of(array_of(x)), non_blocking=non_blocking)


def stop_gradient(x: Any) -> Any:
    """The same values without history."""
    return x.detach() if isinstance(x, Tensor) else x


def positive(input: Any) -> Any:
    """x itself."""
    return input


subtract, multiply, divide, true_divide, negative = sub, mul, div, div, neg
absolute, fix, sgn, detach = abs, trunc, sign, stop_gradient
