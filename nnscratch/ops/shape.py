"""Ops that change the shape: joining, cutting, repeating, turning. All are linear; most are compositions of views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, primitive
from .arithmetic import astype, clone
from .dims import axes_of, axis_of, ints, size_along
from .promote import result_type
from .views import _permute, broadcast_to, expand, getitem, permute, reshape, transpose

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "cat", "chunk", "concat", "concatenate", "contiguous",
    "dstack", "expand_as", "flatten", "hstack", "moveaxis", "movedim", "narrow", "ravel", "select", "split", "squeeze",
    "stack", "swapaxes", "swapdims", "t", "tensor_split", "unbind", "unflatten", "unsqueeze", "view", "view_as", "vstack",
]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- primitives


def _along(axis: int, part: Any) -> tuple:
    """The index that takes `part` of one axis."""
    return (slice(None),) * axis + (part,)


@primitive
def _cat(*xs, axis, offsets):  # noqa: ARG001 - where each argument lies in the result, for the VJP
    return np.concatenate(xs, axis=axis)


@primitive
def _stack(*xs, axis):
    return np.stack(xs, axis=axis)


@primitive
def _split(x, *, axis, offsets):
    return tuple([x[_along(axis, slice(a, b))] for a, b in pairwise(offsets)])


@primitive
def _unbind(x, *, axis):
    return tuple([x[(*_along(axis, i), ...)] for i in range(x.shape[axis])])


defvjp(_cat, each=lambda i, g, _y, *_xs, axis, offsets: getitem(g, _along(axis, slice(offsets[i], offsets[i + 1]))))
defvjp(_stack, each=lambda i, g, _y, *_xs, axis: getitem(g, _along(axis, i)))
defvjp(_split, lambda g, _y, _x, *, axis, offsets: _cat(*g, axis=axis, offsets=offsets))
defvjp(_unbind, lambda g, _y, _x, *, axis: _stack(*g, axis=axis))


# ------------------------------------------------------------------------------------------------------------- joining


def _same_dtype(name: str, tensors: Sequence[Any]) -> list[Any]:
    xs = list(tensors)
    if not xs:
        raise RuntimeError(f"{name}: expected at least one tensor")
    if any(x.dtype != xs[0].dtype for x in xs):
        dtype = result_type(*xs)
        xs = [x if x.dtype == dtype else astype(x, dtype=dtype) for x in xs]
    return xs


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after another along `dim`. Other sizes must agree; shape (0,) is skipped. Raises RuntimeError."""
    xs = _same_dtype("cat", tensors)
    some = [x for x in xs if tuple(x.shape) != (0,)]
    xs = some or xs[:1]
    axis = axis_of(dim, xs[0].ndim)
    first = tuple(xs[0].shape)
    offsets = [0]
    for x in xs:
        if x.ndim != len(first) or not x.ndim or x.shape[:axis] != first[:axis] or x.shape[axis + 1 :] != first[axis + 1 :]:
            raise RuntimeError(f"cat along dim {dim}: shapes {first} and {tuple(x.shape)} do not fit")
        offsets.append(offsets[-1] + x.shape[axis])
    return _cat(*xs, axis=axis, offsets=tuple(offsets))


concat = concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape along a new dimension. Raises RuntimeError."""
    xs = _same_dtype("stack", tensors)
    for x in xs:
        if x.shape != xs[0].shape:
            raise RuntimeError(f"stack: expected equal shapes, got {tuple(xs[0].shape)} and {tuple(x.shape)}")
    return _stack(*xs, axis=axis_of(dim, xs[0].ndim + 1))


def hstack(tensors: Sequence[Any]) -> Any:
    """`cat` along dimension 1, or 0 for vectors."""
    xs = [atleast_1d(x) for x in tensors]
    return cat(xs, 0 if xs and xs[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """`cat` along dimension 0, vectors being rows."""
    return cat([atleast_2d(x) for x in tensors], 0)


def dstack(tensors: Sequence[Any]) -> Any:
    """`cat` along dimension 2."""
    return cat([atleast_3d(x) for x in tensors], 2)


# ------------------------------------------------------------------------------------------------------------- cutting


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Consecutive pieces of `split_size` (the last may be smaller), or of the given sizes, as views. Raises RuntimeError."""
    axis, n = size_along("split", tensor, dim)
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split: expected a positive size, got {size}")
        sizes = [min(size, n - at) for at in range(0, n, size or 1)] or [0]
    else:
        sizes = list(ints(split_size_or_sections))
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise RuntimeError(f"split: sizes {sizes} do not add up to {n}, the size of dim {dim} (shape {tuple(tensor.shape)})")
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + size)
    return _split(tensor, axis=axis, offsets=tuple(offsets))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` equal pieces (the last may be smaller), as views. Raises RuntimeError."""
    if chunks < 1:
        raise RuntimeError(f"chunk: expected at least one chunk, got {chunks}")
    _, n = size_along("chunk", input, dim)
    return split(input, -(-n // chunks), dim) if n else split(input, [0] * chunks, dim)


def tensor_split(input: Any, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Exactly so many pieces, sizes differing by one at most, or the pieces between the given indices, as views."""
    axis, n = size_along("tensor_split", input, dim)
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k < 1:
            raise RuntimeError(f"tensor_split: expected at least one section, got {k}")
        return split(input, [n // k + (i < n % k) for i in range(k)], dim)
    edges = [None, *ints(indices_or_sections), None]
    return tuple([getitem(input, _along(axis, slice(a, b))) for a, b in pairwise(edges)])


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All slices along a dimension, without it, as views."""
    axis, n = size_along("unbind", input, dim)
    return _unbind(input, axis=axis) if n else ()


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """The view x[start : start + length] of one dimension. Raises IndexError, RuntimeError."""
    axis, n = size_along("narrow", input, dim)
    start = int(start)
    if not -n <= start <= n:
        raise IndexError(f"narrow: start {start} is out of range for size {n} of dim {dim}")
    start += n if start < 0 else 0
    if length < 0 or start + length > n:
        raise RuntimeError(f"narrow: {length} elements from {start} do not fit in size {n} of dim {dim}")
    return getitem(input, _along(axis, slice(start, start + length)))


def select(input: Any, dim: int, index: int) -> Any:
    """The view x[index] of one dimension, without it. Raises IndexError."""
    axis, n = size_along("select", input, dim)
    if not -n <= index < n:
        raise IndexError(f"select: index {index} is out of range for dim {dim} of shape {tuple(input.shape)}")
    return getitem(input, _along(axis, int(index)))


# -------------------------------------------------------------------------------------------------------------- shapes


def view(x: Any, shape: int | Sequence[int]) -> Any:
    """`reshape`: a view where the memory layout allows one, else a copy (layouts are channels-last behind the scenes)."""
    return reshape(x, shape)


def view_as(x: Any, other: Any) -> Any:
    """x with the shape of `other`."""
    return reshape(x, tuple(other.shape))


def expand_as(x: Any, other: Any) -> Any:
    """x expanded to the shape of `other`."""
    return expand(x, tuple(other.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions start_dim..end_dim (inclusive) as one. Raises RuntimeError when they are in the wrong order."""
    a, b = axis_of(start_dim, input.ndim), axis_of(end_dim, input.ndim)
    if a > b:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = tuple(input.shape)
    return reshape(input, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    return reshape(input, (-1,) if input.ndim != 1 and math.prod(input.shape) else (math.prod(input.shape),))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension as several, one size of which may be -1. Raises RuntimeError."""
    axis = axis_of(dim, input.ndim)
    sizes, n = ints(sizes), input.shape[axis]
    known = math.prod([s for s in sizes if s != -1])
    fits = known and n % known == 0 if sizes.count(-1) == 1 else known == n
    if not sizes or sizes.count(-1) > 1 or not fits:
        raise RuntimeError(f"unflatten: size {n} of dim {dim} cannot become {sizes}")
    return reshape(input, (*input.shape[:axis], *[n // known if s == -1 else s for s in sizes], *input.shape[axis + 1 :]))


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """A view without dimensions of size 1: all of them, or those among `dim`."""
    axes = range(input.ndim) if dim is None else axes_of(dim, input.ndim)
    return reshape(input, tuple([n for i, n in enumerate(input.shape) if n != 1 or i not in axes]))


def unsqueeze(input: Any, dim: int) -> Any:
    """A view with a dimension of size 1 inserted at `dim`."""
    axis = axis_of(dim, input.ndim + 1)
    return reshape(input, (*input.shape[:axis], 1, *input.shape[axis:]))


def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """A view with dimensions `source` at `destination`, the others in their order. Raises RuntimeError."""
    a, b = axes_of(source, input.ndim), axes_of(destination, input.ndim)
    if len(a) != len(b):
        raise RuntimeError(f"movedim: {source} and {destination} do not name equally many dimensions")
    order = [i for i in range(input.ndim) if i not in a]
    for to, at in sorted(zip(b, a)):
        order.insert(to, at)
    return permute(input, order)


moveaxis = movedim
swapaxes = swapdims = transpose


def t(input: Any) -> Any:
    """The transposed matrix; vectors and scalars as they are. Raises RuntimeError for more dimensions."""
    if input.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dimensions, got shape {tuple(input.shape)}; use transpose or mT")
    return _permute(input, axes=(1, 0)) if input.ndim == 2 else input


def contiguous(x: Any) -> Any:
    """x itself where its memory is in C order, else a copy that is."""
    array = x.data if not backend.is_array(x) else x
    return x if array.flags.c_contiguous else clone(x, order="C")


def broadcast_tensors(*tensors: Any) -> list[Any]:
    """All expanded to their common shape. Raises ValueError where there is none."""
    shape = np.broadcast_shapes(*[tuple(x.shape) for x in tensors])
    return [broadcast_to(x, shape) for x in tensors]


def atleast_1d(input: Any) -> Any:
    """x with at least 1 dimension."""
    return reshape(input, (1,)) if input.ndim == 0 else input


def atleast_2d(input: Any) -> Any:
    """x with at least 2 dimensions, a vector being a row."""
    return reshape(input, (1, *atleast_1d(input).shape)) if input.ndim < 2 else input


def atleast_3d(input: Any) -> Any:
    """x with at least 3 dimensions: (n) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    return reshape(input, (*atleast_2d(input).shape, 1)) if input.ndim < 3 else input
