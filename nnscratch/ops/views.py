"""The linear maps that only move or repeat elements, each beside its adjoint. Other shape, index and sum ops are made of them.

reshape <-> reshape        permute <-> permute        expand <-> sum        getitem <-> put (into zeros, adding)
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, primitive
from ..tensor import Tensor, array_of
from .dims import axes_of, axis_of, ints

__all__ = ["broadcast_to", "expand", "getitem", "permute", "reshape", "setitem", "transpose"]


@primitive
def _reshape(x, *, shape):
    return x.reshape(shape)


defvjp(_reshape, lambda g, _y, _x, *, shape: g.reshape(_x.shape))


@primitive
def _permute(x, *, axes):
    return x.transpose(axes)


@cache
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


defvjp(
    _permute,
    lambda g, _y, _x, *, axes: g.transpose(_inverse(axes)) if backend.is_array(g) else _permute(g, axes=_inverse(axes)),
)


@primitive
def _sum(x, *, axis, shape):
    """Sum over `axis`; the result has `shape` (with or without the summed axes)."""
    y = np.add.reduce(x, axis=axis, dtype=None if x.dtype.kind in "fi" else np.int64)
    return y if y.shape == shape else y.reshape(shape)


@primitive
def _expand(x, *, axis, shape):
    """Repeat along `axis` up to `shape`: the adjoint of `_sum`."""
    return np.broadcast_to(x.reshape([1 if i in axis else n for i, n in enumerate(shape)]), shape)


def _all(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else axis


def _sum_vjp(g, _y, _x, *, axis, shape):  # noqa: ARG001
    if (
        axis is None and isinstance(g, (np.ndarray, np.generic)) and math.prod(_x.shape) < 1024
    ):  # np.broadcast_to takes longer than to copy
        y = np.empty(_x.shape, g.dtype)
        y[...] = g
        return y
    return _expand(g, axis=_all(axis, _x.ndim), shape=_x.shape)


defvjp(_sum, _sum_vjp)
defvjp(_expand, lambda g, _y, _x, *, axis, shape: _sum(g, axis=axis, shape=_x.shape))


@primitive
def _getitem(x, *, index):
    return x[_near(index, x)]


@primitive
def _put(g, *, index, shape):
    """Zeros of `shape` with g added at the index, once for each time an element is named."""
    if builtins.all(i.dtype.kind == "b" for i in index if backend.is_array(i)):  # nothing is named twice
        # In the memory order of g where it has as many dimensions. CuPy takes the shape () for none given.
        z = np.zeros_like(g, shape=shape) if shape else backend.array_module(g).zeros((), g.dtype)
        z[_near(index, z)] = g
        return z
    z = backend.array_module(g).zeros(math.prod(shape), g.dtype)
    at = positions(_near(index, z), shape, z)
    np.add.at(z, at.reshape(-1), np.broadcast_to(g, at.shape).reshape(-1))
    return z.reshape(shape)


@primitive
def _setitem(x, v, *, index):
    y = np.copy(x, order="K")
    y[_near(index, x)] = v
    return y


defvjp(_getitem, lambda g, _y, _x, *, index: _put(g, index=index, shape=_x.shape))
defvjp(_put, lambda g, _y, _g, *, index, shape: _getitem(g, index=index))
defvjp(
    _setitem,
    lambda g, _y, _x, _v, *, index: _setitem(g, 0, index=index),
    lambda g, _y, _x, _v, *, index: _getitem(g, index=index),
)


def _near(index: tuple, x: Any) -> tuple:
    """The index with its arrays where x lives."""
    if isinstance(x, np.ndarray):
        return index
    xp = backend.array_module(x)
    return tuple([xp.asarray(i) if backend.is_array(i) else i for i in index])


def positions(index: tuple, shape: tuple[int, ...], like: Any) -> Any:
    """Where the elements named by an index lie in the flattened array."""
    xp = backend.array_module(like)
    rows = [i for i in index if backend.is_array(i) and i.dtype.kind in "iu"]
    k = len(rows)
    if not builtins.all(a is b for a, b in zip(rows, index)) or builtins.any(i is not Ellipsis for i in index[k:]):
        return xp.arange(math.prod(shape)).reshape(shape)[index]
    at: Any = 0  # integers for the first dimensions, and all of the others
    for i, n in zip(rows, shape):
        at = at * n + np.where(i < 0, i + n, i)
    if k == len(shape):
        return at
    inner = math.prod(shape[k:])
    return (at[..., None] * inner + xp.arange(inner)).reshape(*at.shape, *shape[k:])


# --------------------------------------------------------------------------------------------------------------- faces


def reshape(input: Any, shape: int | Sequence[int]) -> Any:
    """The same elements in C order with another shape, one size of which may be -1. A view of x where NumPy can make one.

    Raises ValueError when the number of elements differs.
    """
    return _reshape(input, shape=shape if type(shape) is tuple else ints(shape))


def permute(input: Any, dims: Sequence[int]) -> Any:
    """A view with the dimensions in another order: y.shape[i] = x.shape[dims[i]]. Raises RuntimeError, IndexError."""
    axes = axes_of(dims, input.ndim)
    if len(axes) != input.ndim:
        raise RuntimeError(
            f"permute: expected an order of {input.ndim} dimensions (shape {tuple(input.shape)}), got {tuple(dims)}"
        )
    return _permute(input, axes=axes)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """A view with two dimensions exchanged. Raises IndexError."""
    n = input.ndim
    a, b = axis_of(dim0, n), axis_of(dim1, n)
    axes = list(range(n))
    if n:
        axes[a], axes[b] = b, a
    return _permute(input, axes=tuple(axes))


def expand(x: Any, sizes: int | Sequence[int]) -> Any:
    """A read-only view in which dimensions of size 1, and new ones on the left, are repeated up to `sizes` (-1 keeps a size).

    Raises RuntimeError where a size other than 1 would have to change.
    """
    sizes = ints(sizes)
    extra = len(sizes) - x.ndim
    shape = tuple([x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(sizes)])
    if extra < 0 or builtins.any(n < 0 for n in shape) or builtins.any(m not in (1, n) for m, n in zip(x.shape, shape[extra:])):
        raise RuntimeError(f"expand: shape {tuple(x.shape)} cannot be expanded to {sizes}")
    if shape == tuple(x.shape):
        return _reshape(x, shape=shape)
    axis = tuple(range(extra)) + tuple([i for i in range(extra, len(shape)) if x.shape[i - extra] != shape[i]])
    return _expand(x, axis=axis, shape=shape)


def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """x repeated, as a read-only view, up to `shape`: see `expand`."""
    return expand(input, shape)


_BASIC = {int, slice, type(None), type(Ellipsis)}


def plain_index(index: Any) -> tuple:
    """An index as NumPy takes it: a tuple, with arrays in the place of tensors and lists. Raises IndexError."""
    if type(index) is not tuple:
        index = (index,)
    for i in index:
        if type(i) not in _BASIC:
            return _advanced(index)
    return index if Ellipsis in index else (*index, Ellipsis)  # with it NumPy gives a view even of a single element


def _advanced(index: tuple) -> tuple:
    plain: list[Any] = []
    for i in index:
        if isinstance(i, Tensor):
            i = np.copy(i.data)  # nothing would notice an in-place change before the backward pass
        elif isinstance(i, (list, range)):
            i = np.array([array_of(j) for j in i], None if len(i) else np.int64)
        elif isinstance(i, (bool, np.bool_)):
            i = np.asarray(i)
        if isinstance(i, np.integer) or (backend.is_array(i) and i.ndim == 0 and i.dtype.kind in "iu"):
            i = int(i)
        if type(i) not in _BASIC and not (backend.is_array(i) and i.dtype.kind in "iub"):
            found = f"a tensor of {i.dtype}" if backend.is_array(i) else type(i).__name__
            raise IndexError(f"expected ints, slices, None, ... and integer or boolean tensors as index, got {found}")
        plain.append(i)
    return tuple(plain) if builtins.any(backend.is_array(i) for i in plain) else plain_index(tuple(plain))


def getitem(x: Any, index: Any) -> Any:
    """x[index], by NumPy's rules: ints, slices (also with negative steps), None, Ellipsis, integer and boolean arrays or tensors.

    Without arrays the result is a view. The gradient of an element that is named twice is the sum. Raises IndexError.
    """
    return _getitem(x, index=plain_index(index))


def setitem(x: Any, index: Any, value: Any) -> Any:
    """A copy of x in which y[index] = value, differentiable in both. Raises IndexError; ValueError where shapes do not fit."""
    shape: tuple[int, ...] = getattr(value, "shape", ())
    if len(shape) and shape[0] == 1:  # NumPy allows superfluous ones in front, a cotangent would not have them
        ones = next((i for i, n in enumerate(shape) if n != 1), len(shape))
        value = reshape(value, tuple(shape[ones:]))
    return _setitem(x, value, index=plain_index(index))


def put(x: Any, index: Any, shape: Sequence[int]) -> Any:
    """Zeros of `shape` with x added at `index`: the adjoint of `getitem`."""
    return _put(x, index=plain_index(index), shape=tuple(shape))
