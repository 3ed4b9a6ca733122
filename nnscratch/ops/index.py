"""Ops that pick or place elements by integer or boolean index. All are indexing (`getitem`, `setitem`) under another name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd import mark_written, nondifferentiable
from ..tensor import Tensor, array_of
from .arithmetic import add, mul, stop_gradient
from .compare import where
from .dims import axis_of, size_along
from .reduce import vector_norm
from .shape import unbind, unsqueeze
from .views import broadcast_to, getitem, put, reshape, setitem

__all__ = [
    "argwhere", "embedding", "gather", "index_add", "index_copy", "index_fill", "index_put", "index_select", "masked_scatter",
    "masked_select", "nonzero", "one_hot", "scatter", "scatter_add", "take", "take_along_dim",
]  # fmt: skip


def integers(name: str, index: Any) -> Any:
    """An index as an array. Raises TypeError unless it is of integers."""
    if isinstance(index, Tensor):
        array = np.copy(index.data)  # nothing would notice an in-place change before the backward pass
    else:
        array = index if backend.is_array(index) else np.asarray(index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integer indices, got {array.dtype}")
    return array


def _check_range(name: str, index: Any, size: int, low: int = 0) -> None:
    if index.size:
        first, last = int(index.min()), int(index.max())
        if first < low or last >= size:
            raise IndexError(f"{name}: index {first if first < low else last} is out of range for size {size}")


# ------------------------------------------------------------------------------------- one index for every output element


def along(index: Any, axis: int) -> tuple:
    """The index of all elements that an array of indices names along `axis`, each in its own place along the other axes."""
    xp = backend.array_module(index)
    places = []
    for i, n in enumerate(index.shape):
        one = [1] * index.ndim
        one[i] = n
        places.append(index if i == axis else xp.arange(n).reshape(one))
    return tuple(places)


def checked_places(name: str, shape: Sequence[int], axis: int, index: Any) -> tuple:
    """`along`, once the index is known to fit an array of this shape."""
    if index.ndim != len(shape) or any(n > m for i, (n, m) in enumerate(zip(index.shape, shape)) if i != axis):
        raise RuntimeError(f"{name}: index of shape {tuple(index.shape)} does not fit shape {tuple(shape)} along dim {axis}")
    _check_range(name, index, shape[axis] if shape else 1)
    return along(index, axis)


def gather(input: Any, dim: int, index: Any) -> Any:
    """y[i][j][k] = x[i][index[i][j][k]][k] for dim = 1, of the shape of index.

    Raises RuntimeError where index is larger than x in another dimension, IndexError out of range, TypeError for other than ints.
    """
    at = integers("gather", index)
    if input.ndim == 0:
        return reshape(gather(reshape(input, (1,)), dim, at.reshape(-1)), at.shape)
    return getitem(input, checked_places("gather", input.shape, axis_of(dim, input.ndim), at))


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` in which x and indices broadcast in the other dimensions; of the flattened x for dim None."""
    at = integers("take_along_dim", indices)
    if dim is None:
        return take(input, at.reshape(-1))
    axis = axis_of(dim, input.ndim)
    if at.ndim != input.ndim:
        raise RuntimeError(f"take_along_dim: expected {input.ndim} dimensions in the indices, got shape {tuple(at.shape)}")
    shapes = [tuple(1 if i == axis else n for i, n in enumerate(s)) for s in (input.shape, at.shape)]
    shape = list(np.broadcast_shapes(*shapes))
    sizes = [(*shape[:axis], s[axis], *shape[axis + 1 :]) for s in (input.shape, at.shape)]
    at = np.where(at < 0, at + input.shape[axis], at)
    return gather(broadcast_to(input, sizes[0]), axis, np.broadcast_to(at, sizes[1]))


def used_part(name: str, src: Any, at: Any) -> Any:
    """The part of src that an index uses."""
    if src.ndim != at.ndim or any(n > m for n, m in zip(at.shape, src.shape)):
        raise RuntimeError(f"{name}: index of shape {tuple(at.shape)} does not fit src of shape {tuple(src.shape)}")
    return src if src.shape == at.shape else getitem(src, tuple([slice(0, n) for n in at.shape]))


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: float | None = None) -> Any:
    """A copy of x in which y[i][index[i][j][k]][k] = src[i][j][k] for dim = 1; src is a tensor or one number.

    Where an element is named twice, the last stays, and the gradient goes to all. Raises as `gather`.
    """
    at = integers("scatter", index)
    src = value if src is None else src
    if hasattr(src, "ndim") and src.ndim:
        src = used_part("scatter", src, at)
    return setitem(input, checked_places("scatter", input.shape, axis_of(dim, input.ndim), at), src)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """x with src[i][j][k] added at [i][index[i][j][k]][k] for dim = 1, every time an element is named. Raises as `gather`."""
    at = integers("scatter_add", index)
    places = checked_places("scatter_add", input.shape, axis_of(dim, input.ndim), at)
    return add(input, put(used_part("scatter_add", src, at), places, input.shape))


# ------------------------------------------------------------------------------------------------- one index for slices


def _slices(name: str, x: Any, dim: int, index: Any) -> tuple:
    at = integers(name, index)
    if at.ndim > 1:
        raise IndexError(f"{name}: expected a vector of indices, got shape {tuple(at.shape)}")
    axis, n = size_along(name, x, dim)
    _check_range(name, at, n)
    return (*[slice(None)] * axis, at.reshape(-1))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices x[:, index] for dim = 1. Raises IndexError, TypeError."""
    return getitem(input, _slices("index_select", input, dim, index))


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """x with alpha · source added to its slices x[:, index] for dim = 1, as often as it is named. Raises as `index_select`."""
    return add(input, put(source if alpha == 1 else mul(source, alpha), _slices("index_add", input, dim, index), input.shape))


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of x with y[:, index] = source for dim = 1. Raises IndexError, TypeError."""
    return setitem(input, _slices("index_copy", input, dim, index), source)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of x with y[:, index] = value (a number or a 0-d tensor) for dim = 1. Raises IndexError, TypeError."""
    return setitem(input, _slices("index_fill", input, dim, index), value)


def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of x with y[indices] = values, or += every time an element is named with `accumulate`. Raises IndexError."""
    at = tuple(indices)
    if not accumulate:
        return setitem(input, at, values)
    picked = getitem(stop_gradient(input), at)
    if not hasattr(values, "ndim"):
        values = mul(picked, 0) + values
    return add(input, put(broadcast_to(values, picked.shape), at, input.shape))


def take(input: Any, index: Any) -> Any:
    """The elements of the flattened x at `index`, in its shape. Raises IndexError, TypeError."""
    at = integers("take", index)
    size = math.prod(input.shape)
    _check_range("take", at, size, -size)
    return reshape(getitem(reshape(input, (size,)), at.reshape(-1)), at.shape)


# -------------------------------------------------------------------------------------------------------------- by mask


def _mask(name: str, mask: Any) -> Any:
    array = array_of(mask)
    if array.dtype.kind != "b":
        raise TypeError(f"{name}: expected a boolean mask, got {array.dtype}")
    return array


def masked_select(input: Any, mask: Any) -> Any:
    """The elements of x where mask is true, as a vector; both broadcast. Raises TypeError."""
    m = _mask("masked_select", mask)
    shape = np.broadcast_shapes(tuple(input.shape), m.shape)
    return getitem(broadcast_to(input, shape), np.broadcast_to(m, shape))


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy of x with the first elements of source, in their order, where mask is true. Raises RuntimeError for too few."""
    m = np.broadcast_to(_mask("masked_scatter", mask), tuple(input.shape))
    n = int(m.sum())
    if n > math.prod(source.shape):
        raise RuntimeError(f"masked_scatter: the mask takes {n} elements, the source has {math.prod(source.shape)}")
    return setitem(input, m, getitem(reshape(source, (math.prod(source.shape),)), slice(0, n)))


@nondifferentiable
def argwhere(input):
    """The indices of all elements that are not zero: one row for each, of shape (count, x.ndim)."""
    return np.stack(np.nonzero(input), axis=1) if input.ndim else np.zeros((int(input != 0), 0), np.int64)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """`argwhere`, or with `as_tuple` its columns, which index x."""
    return unbind(argwhere(input if input.ndim or not as_tuple else reshape(input, (1,))), 1) if as_tuple else argwhere(input)


# ------------------------------------------------------------------------------------------------------------ by class


@nondifferentiable
def _one_hot(index, *, n):
    xp = backend.array_module(index)
    return (index[..., None] == xp.arange(n)).astype(np.int64)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """y[..., c] = 1 where tensor = c, else 0: (...) to (..., num_classes), int64; -1 takes the largest index + 1.

    Raises RuntimeError for indices that are negative or too large, TypeError for other than integers.
    """
    at = integers("one_hot", tensor)
    if num_classes == -1 and not at.size:
        raise RuntimeError("one_hot: of no indices, the number of classes has to be given")
    n = int(at.max()) + 1 if num_classes == -1 else num_classes
    if n < 1 or (at.size and not 0 <= int(at.min()) <= int(at.max()) < n):
        found = f"indices from {at.min()} to {at.max()}" if at.size else "none"
        raise RuntimeError(f"one_hot: expected indices in [0, {n}), got {found}")
    return _one_hot(tensor, n=n)


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0
) -> Any:
    """The rows weight[input]: indices (...) and weight (num, dim) to (..., dim). The row `padding_idx` gets no gradient.

    With `max_norm`, the rows that are looked up are first scaled down, in weight itself, to this norm of order `norm_type`.
    Raises IndexError out of range, TypeError for other than integers.
    """
    at = integers("embedding", input)
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: expected a weight of shape (num, dim), got {tuple(weight.shape)}")
    n = weight.shape[0]
    _check_range("embedding", at, n)
    if max_norm is not None:
        _limit_rows(array_of(weight), np.unique(at), max_norm, norm_type)
    y = getitem(weight, (at, Ellipsis)) if at.ndim else getitem(weight, int(at))
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise IndexError(f"embedding: padding_idx {padding_idx} is out of range for {n} rows")
    return where(unsqueeze(at == padding_idx % n, -1), stop_gradient(y), y)


def _limit_rows(weight: Any, rows: Any, max_norm: float, norm_type: float) -> None:
    """Scale these rows down to the norm, in place and unrecorded."""
    norms = vector_norm(weight[rows], norm_type, -1, True)
    weight[rows] *= np.where(norms > max_norm, max_norm / (norms + 1e-7), 1).astype(weight.dtype)
    mark_written(weight)
