"""Reductions over dimensions: dim is an int, a tuple of ints (negative counts from the end) or None for all of them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import defvjp, nondifferentiable, primitive
from .arithmetic import abs, add, astype, div, mul, sub
from .compare import isnan, ne, where
from .dims import reduced
from .powers import exp, log, pow, square
from .views import _expand, _sum, getitem, reshape

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "norm", "prod", "std",
    "std_mean", "sum", "sum_to", "var", "var_mean", "vector_norm",
]  # fmt: skip

Dims = int | Sequence[int] | None


# --------------------------------------------------------------------------------------------------------- primitives


def _spread(r: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """A reduced value with its axes back, at size 1."""
    return reshape(r, tuple([1 if i in axis else n for i, n in enumerate(x.shape)]))


def _count(x: Any, axis: Sequence[int]) -> int:
    return math.prod([x.shape[i] for i in axis])


def _deviation(x: Any, axis: tuple[int, ...]) -> Any:
    """x less its mean over the axes."""
    return sub(x, _mean(x, axis=axis, shape=tuple([1 if i in axis else n for i, n in enumerate(x.shape)])))


@primitive
def _mean(x, *, axis, shape):
    return np.true_divide(np.add.reduce(x, axis=axis), _count(x, axis)).reshape(shape)


defvjp(_mean, lambda g, _y, _x, *, axis, shape: _expand(g / _count(_x, axis), axis=axis, shape=_x.shape))


@primitive
def _var(x, *, axis, shape, free):
    """The sum of squared deviations from the mean over the degrees of freedom."""
    d = x - np.true_divide(np.add.reduce(x, axis=axis, keepdims=True), _count(x, axis))
    return np.true_divide(np.add.reduce(d * d, axis=axis), free).reshape(shape)


defvjp(_var, lambda g, _y, x, *, axis, shape, free: _spread(g * 2 / free, x, axis) * _deviation(x, axis))


@primitive
def _root(x):
    """√x with derivative 0 at 0, as norms and deviations have it."""
    return np.sqrt(x)


defvjp(_root, lambda g, y, _x: where(y == 0, 0, g / (2 * where(y == 0, 1, y))))


@primitive
def _amax(x, *, axis, shape):
    return x.max(axis=axis).reshape(shape)


@primitive
def _amin(x, *, axis, shape):
    return x.min(axis=axis).reshape(shape)


def _extreme_vjp(g, y, x, *, axis, shape):
    """Equal extremes share the cotangent evenly."""
    ties = astype(x == _spread(y, x, axis), dtype=g.dtype)
    return ties * _spread(g / _sum(ties, axis=axis, shape=shape), x, axis)


defvjp(_amax, _extreme_vjp)
defvjp(_amin, _extreme_vjp)


@primitive
def _logsumexp(x, *, axis, shape):
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return (np.log(np.add.reduce(np.exp(x - top), axis=axis, keepdims=True)) + top).reshape(shape)


defvjp(_logsumexp, lambda g, y, x, *, axis, shape: _spread(g, x, axis) * exp(x - _spread(y, x, axis)))


# ---------------------------------------------------------------------------------------------------------- sums, means


def sum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ x over `dim`. Integers and booleans are summed in int64; nothing sums to 0."""
    if dtype is not None:
        input = astype(input, dtype=dtype)
    if dim is None and not keepdim:
        return _sum(input, axis=None, shape=())
    axis, shape = reduced(input.shape, dim, keepdim)
    return _sum(input, axis=axis, shape=shape)


def sum_to(x: Any, shape: Sequence[int]) -> Any:
    """Sum over the axes that broadcasting `shape` to x's shape added or stretched: the adjoint of `broadcast_to`."""
    extra = x.ndim - len(shape)
    axis = tuple(range(extra)) + tuple([i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1])
    return _sum(x, axis=axis, shape=tuple(shape))


def _require_float(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {x.dtype}; convert it first")


def mean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ x / n over `dim`; of nothing, nan. Raises RuntimeError for integers unless a floating dtype is given."""
    if dtype is not None:
        input = astype(input, dtype=dtype)
    _require_float("mean", input)
    axis, shape = reduced(input.shape, dim, keepdim)
    return _mean(input, axis=axis, shape=shape)


def nansum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of what is not nan."""
    return sum(where(isnan(input), 0, input), dim, keepdim, dtype=dtype)


def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is not nan; nan where all is."""
    return div(nansum(input, dim, keepdim, dtype=dtype), sum(input == input, dim, keepdim))


def var(
    input: Any, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """Σ (x - mean)² / max(0, n - correction) over `dim`; correction is 1 (unbiased) by default. Raises RuntimeError for ints."""
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    elif unbiased is not None:
        raise TypeError("var: pass correction or unbiased, not both")
    _require_float("var", input)
    axis, shape = reduced(input.shape, dim, keepdim)
    return _var(input, axis=axis, shape=shape, free=builtins.max(0, _count(input, axis) - correction))


def std(
    input: Any, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """The square root of `var`; its derivative where the variance is 0 is taken as 0."""
    return _root(var(input, dim, unbiased, keepdim, correction=correction))


def var_mean(
    input: Any, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Any, Any]:
    """(`var`, `mean`)."""
    v = var(input, dim, unbiased, keepdim, correction=correction)
    return v, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Any, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Any, Any]:
    """(`std`, `mean`)."""
    v, m = var_mean(input, dim, unbiased, keepdim, correction=correction)
    return _root(v), m


# -------------------------------------------------------------------------------------------------- products, extremes


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Π x over one dimension or all; of nothing, 1. Integers and booleans are multiplied in int64.

    One half is multiplied by the other until one element is left: no derivative of any order divides, so zeros are exact.
    """
    if dtype is not None or input.dtype.kind != "f":
        input = astype(input, dtype=np.int64 if dtype is None else dtype)
    axis, shape = reduced(input.shape, dim, keepdim)
    if len(axis) != 1:
        input, axis = reshape(input, (_count(input, axis),)), (0,)
    n = input.shape[axis[0]]
    if n == 0:
        return add(_sum(input, axis=axis, shape=shape), 1)
    before = (slice(None),) * axis[0]
    odd = None
    while n > 1:
        half = n // 2
        if n % 2:
            last = getitem(input, (*before, slice(n - 1, n)))
            odd = last if odd is None else mul(odd, last)
        input = mul(getitem(input, (*before, slice(0, half))), getitem(input, (*before, slice(half, 2 * half))))
        n = half
    return reshape(input if odd is None else mul(input, odd), shape)


def _refuse_empty(name: str, x: Any, axis: Sequence[int]) -> None:
    if x.ndim and _count(x, axis) == 0:
        raise IndexError(f"{name}: an empty dimension has no extreme (shape {tuple(x.shape)}, dim {tuple(axis)})")


def amax(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest values over `dim`; nan if there is one. Equal ones share the gradient evenly. Raises IndexError for nothing."""
    axis, shape = reduced(input.shape, dim, keepdim)
    _refuse_empty("amax", input, axis)
    return _amax(input, axis=axis, shape=shape)


def amin(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The least values over `dim`; nan if there is one. Equal ones share the gradient evenly. Raises IndexError for nothing."""
    axis, shape = reduced(input.shape, dim, keepdim)
    _refuse_empty("amin", input, axis)
    return _amin(input, axis=axis, shape=shape)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Any, Any]:
    """(`amin`, `amax`)."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def logsumexp(input: Any, dim: Dims, keepdim: bool = False) -> Any:
    """log Σ exp x over `dim`, without overflow."""
    axis, shape = reduced(input.shape, dim, keepdim)
    if input.dtype.kind != "f":
        input = mul(input, 1.0)
    return _logsumexp(input, axis=axis, shape=shape) if _count(input, axis) else log(sum(exp(input), dim, keepdim))


# --------------------------------------------------------------------------------------------------------------- norms


def vector_norm(x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """(Σ |x|^ord)^(1/ord) over `dim`; the number of nonzeros for 0, the largest or smallest |x| for inf and -inf.

    Derivatives at 0 are 0. Raises RuntimeError for integers, IndexError for the extreme of nothing.
    """
    if dtype is not None:
        x = astype(x, dtype=dtype)
    _require_float("vector_norm", x)
    ord = float(ord)
    if ord == 2:
        return _root(sum(square(x), dim, keepdim))
    if ord == 1:
        return sum(abs(x), dim, keepdim)
    if ord == math.inf:
        return amax(abs(x), dim, keepdim)
    if ord == -math.inf:
        return amin(abs(x), dim, keepdim)
    if ord == 0:
        return sum(ne(x, 0), dim, keepdim, dtype=x.dtype)
    if ord < 0:
        _refuse_empty("vector_norm", x, reduced(x.shape, dim, keepdim)[0])
    zero = x == 0
    powers = sum(where(zero, 0.0 if ord > 0 else math.inf, pow(abs(where(zero, 1, x)), ord)), dim, keepdim)
    flat = (powers == 0) | (powers == math.inf)
    return where(flat, pow(powers, 1 / ord), pow(where(flat, 1, powers), 1 / ord))


def norm(input: Any, p: float | str | None = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """`vector_norm` of order p ('fro' is 2)."""
    if isinstance(p, str):
        if p != "fro":
            raise ValueError(f"norm: p is a number or 'fro', got {p!r}")
        p = 2
    return vector_norm(input, 2 if p is None else p, dim, keepdim, dtype=dtype)


# ------------------------------------------------------------------------------------------------------------ counting


@nondifferentiable
def _all(x, *, axis, shape):
    return x.all(axis=axis).reshape(shape)


@nondifferentiable
def _any(x, *, axis, shape):
    return x.any(axis=axis).reshape(shape)


def all(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether all elements over `dim` are nonzero (a boolean tensor); true of nothing."""
    axis, shape = reduced(input.shape, dim, keepdim)
    return _all(input, axis=axis, shape=shape)


def any(input: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether any element over `dim` is nonzero (a boolean tensor); false of nothing."""
    axis, shape = reduced(input.shape, dim, keepdim)
    return _any(input, axis=axis, shape=shape)


def count_nonzero(input: Any, dim: Dims = None) -> Any:
    """How many elements over `dim` are not zero."""
    return sum(ne(input, 0), dim)
