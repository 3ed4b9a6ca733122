"""Dimensions as torch takes them (negative, int or tuple), normalised to axes as NumPy wants them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any


def axis_of(dim: Any, ndim: int) -> int:
    """`dim` as an axis in [0, ndim). A 0-d array has one axis in this respect. Raises IndexError, TypeError."""
    try:
        axis = operator.index(dim)
    except TypeError:
        raise TypeError(f"dim: expected an int, got {dim!r}") from None
    n = ndim or 1
    if not -n <= axis < n:
        raise IndexError(f"dim {axis} is out of range: expected {-n} to {n - 1} for a tensor of {ndim} dimensions")
    return axis + n if axis < 0 else axis


def axes_of(dims: Any, ndim: int) -> tuple[int, ...]:
    """An int or several as distinct axes; none at all where the array is 0-d. Raises IndexError, RuntimeError."""
    axes = tuple([axis_of(d, ndim) for d in dims]) if isinstance(dims, (tuple, list, range)) else (axis_of(dims, ndim),)
    if len(axes) > 1 and len(set(axes)) != len(axes):
        raise RuntimeError(f"dim: {tuple(dims)} names a dimension twice")
    return axes if ndim else ()


def size_along(name: str, x: Any, dim: int) -> tuple[int, int]:
    """`dim` as an axis, and the size there. Raises RuntimeError for a 0-d array."""
    if x.ndim == 0:
        raise RuntimeError(f"{name}: a 0-d tensor has no dimension")
    axis = axis_of(dim, x.ndim)
    return axis, x.shape[axis]


def reduced(shape: Sequence[int], dim: Any, keepdim: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes that a reduction runs over (all for None and for ()), and the shape of its result."""
    every = dim is None or (isinstance(dim, (tuple, list)) and not dim)
    axes = tuple(range(len(shape))) if every else axes_of(dim, len(shape))
    if keepdim:
        return axes, tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return axes, tuple([n for i, n in enumerate(shape) if i not in axes])


def ints(sizes: Any) -> tuple[int, ...]:
    """A size or several as a tuple of ints."""
    if isinstance(sizes, int):
        return (sizes,)
    try:
        return tuple([operator.index(n) for n in sizes])
    except TypeError:
        return (operator.index(sizes),)
