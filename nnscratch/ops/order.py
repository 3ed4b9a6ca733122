"""Ops that choose by order: argmax, sort and what follows. Indices carry no gradient; values are gathered by them, and so do."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..autograd import nondifferentiable
from .compare import isnan, maximum, minimum, where
from .dims import axis_of
from .index import along
from .reduce import amax, amin, any, mean
from .shape import narrow, squeeze
from .views import getitem, reshape

__all__ = [
    "argmax", "argmin", "argsort", "cummax", "cummin", "kthvalue", "max", "median", "min", "sort", "topk", "unique",
]  # fmt: skip


class Values(NamedTuple):
    """What was chosen, and from where."""

    values: Any
    indices: Any


@nondifferentiable
def _argmax(x, *, axis):
    return np.argmax(x, axis=axis)


@nondifferentiable
def _argmin(x, *, axis):
    return np.argmin(x, axis=axis)


@nondifferentiable
def _argsort(x, *, axis, descending):
    """Equal elements stay in their order; nan counts as the largest."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return x.shape[axis] - 1 - backwards


@nondifferentiable
def _running(x, *, axis, ufunc):
    """The index of the running extreme; of equal ones, the last."""
    best = _accumulate(ufunc, x, axis)
    at = backend.array_module(x).arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return _accumulate(np.maximum, np.where((x == best) | (x != x), at, 0), axis)


def _accumulate(ufunc: Any, x: Any, axis: int) -> Any:
    """ufunc.accumulate; CuPy has none for extremes, of which log2(n) passes make one (Hillis & Steele 1986)."""
    if isinstance(x, np.ndarray):
        return ufunc.accumulate(x, axis=axis)
    y, distance = x, 1
    while distance < x.shape[axis]:
        head, front, back = ((slice(None),) * axis + (s,) for s in (slice(distance), slice(-distance), slice(distance, None)))
        y = backend.array_module(x).concatenate([y[head], ufunc(y[front], y[back])], axis=axis)
        distance *= 2
    return y


def _index_of(op: Any, name: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    if x.ndim == 0:
        return op(x, axis=None)
    axis = None if dim is None else axis_of(dim, x.ndim)
    if 0 in (x.shape if axis is None else x.shape[axis : axis + 1]):
        raise IndexError(f"{name}: an empty dimension has no extreme (shape {tuple(x.shape)}, dim {dim})")
    y = op(x, axis=axis)
    if keepdim:
        y = reshape(y, tuple([1 if axis in (None, i) else n for i, n in enumerate(x.shape)]))
    return y


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first largest element along `dim`, or in the flattened x; nan is largest. Raises IndexError."""
    return _index_of(_argmax, "argmax", input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first smallest element along `dim`, or in the flattened x; nan is least. Raises IndexError."""
    return _index_of(_argmin, "argmin", input, dim, keepdim)


def _at(x: Any, indices: Any, dim: int) -> Any:
    """The elements of x at indices along a dimension."""
    if not x.ndim:
        return x
    return getitem(x, along(indices if backend.is_array(indices) else indices.data, axis_of(dim, x.ndim)))


def _pick(x: Any, indices: Any, dim: int, keepdim: bool) -> Values:
    """The elements at indices that have size 1 along dim."""
    values = _at(x, indices, dim)
    if keepdim or not x.ndim:
        return Values(values, indices)
    return Values(squeeze(values, dim), squeeze(indices, dim))


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; (values, indices) along `dim`, the first of equal ones; or elementwise of two tensors.

    Without `dim` equal elements share the gradient, with it the first has it. Raises IndexError for an empty dimension.
    """
    if dim is None:
        return amax(input)
    if hasattr(dim, "dtype"):
        return maximum(input, dim)
    return _pick(input, argmax(input, dim, True), dim, keepdim)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; (values, indices) along `dim`, the first of equal ones; or elementwise of two tensors. See `max`."""
    if dim is None:
        return amin(input)
    if hasattr(dim, "dtype"):
        return minimum(input, dim)
    return _pick(input, argmin(input, dim, True), dim, keepdim)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:  # noqa: ARG001
    """The indices that sort x along `dim`; always stable, nan counts as the largest."""
    axis = axis_of(dim, input.ndim)
    if not input.ndim:
        return reshape(argsort(reshape(input, (1,))), ())
    return _argsort(input, axis=axis, descending=descending)


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Values:
    """(values, indices) of x in order along `dim`; always stable, nan counts as the largest."""
    indices = argsort(input, dim, descending, stable)
    return Values(_at(input, indices, dim), indices)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Values:  # noqa: ARG001
    """(values, indices) of the k largest or smallest elements along `dim`, in order. Raises RuntimeError for k out of range."""
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"topk: k = {k} is out of range for size {n} of dim {dim}")
    indices = argsort(input, dim, descending=largest)
    indices = narrow(indices, dim, 0, k) if input.ndim else indices
    return Values(_at(input, indices, dim), indices)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Values:
    """(values, indices) of the k-th smallest element along `dim`, counted from 1. Raises RuntimeError for k out of range."""
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue: k = {k} is out of range for size {n} of dim {dim}")
    indices = argsort(input, dim)
    return _pick(input, narrow(indices, dim, k - 1, 1) if input.ndim else indices, dim, keepdim)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; (values, indices) along `dim`. nan if there is one.

    Of nothing nan; along an empty `dim` it raises IndexError.
    """
    if dim is None:
        if 0 in input.shape:
            return mean(input)
        return median(reshape(input, (-1,)), 0).values
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    if n == 0:
        raise IndexError(f"median: an empty dimension has no middle (shape {tuple(input.shape)}, dim {dim})")
    if not input.ndim:
        return Values(input, argsort(input))
    middle = narrow(argsort(input, dim), dim, (n - 1) // 2, 1)
    return _pick(input, where(any(isnan(input), dim, True), argmax(input, dim, True), middle), dim, keepdim)


def cummax(input: Any, dim: int) -> Values:
    """(values, indices) of the largest element so far along `dim`; of equal ones, the last."""
    return _cumulative(input, dim, np.maximum)


def cummin(input: Any, dim: int) -> Values:
    """(values, indices) of the smallest element so far along `dim`; of equal ones, the last."""
    return _cumulative(input, dim, np.minimum)


def _cumulative(x: Any, dim: int, ufunc: Any) -> Values:
    axis = axis_of(dim, x.ndim)
    if not x.ndim:
        return Values(x, _argmax(x, axis=None))
    indices = _running(x, axis=axis, ufunc=ufunc)
    return Values(_at(x, indices, axis), indices)


def unique(
    input: Any,
    sorted: bool = True,  # noqa: ARG001 - they always are
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along `dim`) in order, and if asked where each element went and how many there are."""
    array = input if backend.is_array(input) else input.data
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=dim)
    results = [values]
    if return_inverse:
        results.append(inverse.reshape(array.shape) if dim is None else inverse.reshape(-1))
    if return_counts:
        results.append(counts)
    if array is not input:
        results = [type(input)(r) for r in results]
    return results[0] if len(results) == 1 else tuple(results)
