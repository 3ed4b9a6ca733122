"""Ops that pick or place elements by integer or boolean index. All are indexing (`getitem`, `setitem`) under another name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd import nondifferentiable
from ..tensor import Tensor
from .arithmetic import add, mul, stop_gradient
from .compare import where
from .dims import axis_of, size_along
from .shape import unbind, unsqueeze
from .views import broadcast_to, getitem, put, reshape, setitem

__all__ = [
    "argwhere",
    "embedding",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "one_hot",
    "scatter",
    "scatter_add",
    "take",
    "take_along_dim",
]


def _integers(name: str, index: Any) -> Any:
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


def _checked(name: str, shape: Sequence[int], axis: int, index: Any) -> tuple:
    """`along`, once the index is known to fit an array of this shape."""
    if index.ndim != len(shape) or any(n > m for i, (n, m) in enumerate(zip(index.shape, shape)) if i != axis):
        raise RuntimeError(f"{name}: index of shape {tuple(index.shape)} does not fit shape {tuple(shape)} along dim {axis}")
    _check_range(name, index, shape[axis] if shape else 1)
    return along(index, axis)


def gather(x: Any, dim: int, index: Any) -> Any:
    """y[i][j][k] = x[i][index[i][j][k]][k] for dim = 1, of the shape of index.

    Raises RuntimeError where index is larger than x in another dimension, IndexError out of range, TypeError for other than ints.
    """
    at = _integers("gather", index)
    if x.ndim == 0:
        return reshape(gather(reshape(x, (1,)), dim, at.reshape(-1)), at.shape)
    return getitem(x, _checked("gather", x.shape, axis_of(dim, x.ndim), at))


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` in which x and indices broadcast in the other dimensions; of the flattened x for dim None."""
    at = _integers("take_along_dim", indices)
    if dim is None:
        return take(x, at.reshape(-1))
    axis = axis_of(dim, x.ndim)
    if at.ndim != x.ndim:
        raise RuntimeError(f"take_along_dim: expected {x.ndim} dimensions in the indices, got shape {tuple(at.shape)}")
    shapes = [tuple(1 if i == axis else n for i, n in enumerate(s)) for s in (x.shape, at.shape)]
    shape = list(np.broadcast_shapes(*shapes))
    sizes = [(*shape[:axis], s[axis], *shape[axis + 1 :]) for s in (x.shape, at.shape)]
    at = np.where(at < 0, at + x.shape[axis], at)
    return gather(broadcast_to(x, sizes[0]), axis, np.broadcast_to(at, sizes[1]))


def _source(name: str, src: Any, at: Any) -> Any:
    """The part of src that an index uses."""
    if src.ndim != at.ndim or any(n > m for n, m in zip(at.shape, src.shape)):
        raise RuntimeError(f"{name}: index of shape {tuple(at.shape)} does not fit src of shape {tuple(src.shape)}")
    return src if src.shape == at.shape else getitem(src, tuple([slice(0, n) for n in at.shape]))


def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: float | None = None) -> Any:
    """A copy of x in which y[i][index[i][j][k]][k] = src[i][j][k] for dim = 1; src is a tensor or one number.

    Where an element is named twice, the last stays, and the gradient goes to all. Raises as `gather`.
    """
    at = _integers("scatter", index)
    src = value if src is None else src
    if hasattr(src, "ndim") and src.ndim:
        src = _source("scatter", src, at)
    return setitem(x, _checked("scatter", x.shape, axis_of(dim, x.ndim), at), src)


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """x with src[i][j][k] added at [i][index[i][j][k]][k] for dim = 1, every time an element is named. Raises as `gather`."""
    at = _integers("scatter_add", index)
    return add(x, put(_source("scatter_add", src, at), _checked("scatter_add", x.shape, axis_of(dim, x.ndim), at), x.shape))


# ------------------------------------------------------------------------------------------------- one index for slices


def _slices(name: str, x: Any, dim: int, index: Any) -> tuple:
    at = _integers(name, index)
    if at.ndim > 1:
        raise IndexError(f"{name}: expected a vector of indices, got shape {tuple(at.shape)}")
    axis, n = size_along(name, x, dim)
    _check_range(name, at, n)
    return (*[slice(None)] * axis, at.reshape(-1))


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices x[:, index] for dim = 1. Raises IndexError, TypeError."""
    return getitem(x, _slices("index_select", x, dim, index))


def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """x with alpha · source added to its slices x[:, index] for dim = 1, as often as it is named. Raises as `index_select`."""
    return add(x, put(source if alpha == 1 else mul(source, alpha), _slices("index_add", x, dim, index), x.shape))


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of x with y[:, index] = source for dim = 1. Raises IndexError, TypeError."""
    return setitem(x, _slices("index_copy", x, dim, index), source)


def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of x with y[:, index] = value (a number or a 0-d tensor) for dim = 1. Raises IndexError, TypeError."""
    return setitem(x, _slices("index_fill", x, dim, index), value)


def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """A copy of x with y[indices] = values, or += every time an element is named with `accumulate`. Raises IndexError."""
    at = tuple(indices)
    if not accumulate:
        return setitem(x, at, values)
    picked = getitem(stop_gradient(x), at)
    if not hasattr(values, "ndim"):
        values = mul(picked, 0) + values
    return add(x, put(broadcast_to(values, picked.shape), at, x.shape))


def take(x: Any, index: Any) -> Any:
    """The elements of the flattened x at `index`, in its shape. Raises IndexError, TypeError."""
    at = _integers("take", index)
    size = math.prod(x.shape)
    _check_range("take", at, size, -size)
    return reshape(getitem(reshape(x, (size,)), at.reshape(-1)), at.shape)


# -------------------------------------------------------------------------------------------------------------- by mask


def _mask(name: str, mask: Any) -> Any:
    array = mask.data if isinstance(mask, Tensor) else mask
    if array.dtype.kind != "b":
        raise TypeError(f"{name}: expected a boolean mask, got {array.dtype}")
    return array


def masked_select(x: Any, mask: Any) -> Any:
    """The elements of x where mask is true, as a vector; both broadcast. Raises TypeError."""
    m = _mask("masked_select", mask)
    shape = np.broadcast_shapes(tuple(x.shape), m.shape)
    return getitem(broadcast_to(x, shape), np.broadcast_to(m, shape))


def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    """A copy of x with the first elements of source, in their order, where mask is true. Raises RuntimeError for too few."""
    m = np.broadcast_to(_mask("masked_scatter", mask), tuple(x.shape))
    n = int(m.sum())
    if n > math.prod(source.shape):
        raise RuntimeError(f"masked_scatter: the mask takes {n} elements, the source has {math.prod(source.shape)}")
    return setitem(x, m, getitem(reshape(source, (math.prod(source.shape),)), slice(0, n)))


@nondifferentiable
def argwhere(x):
    """The indices of all elements that are not zero: one row for each, of shape (count, x.ndim)."""
    return np.stack(np.nonzero(x), axis=1) if x.ndim else np.zeros((int(x != 0), 0), np.int64)


def nonzero(x: Any, *, as_tuple: bool = False) -> Any:
    """`argwhere`, or with `as_tuple` its columns, which index x."""
    return unbind(argwhere(x if x.ndim or not as_tuple else reshape(x, (1,))), 1) if as_tuple else argwhere(x)


# ------------------------------------------------------------------------------------------------------------ by class


@nondifferentiable
def _one_hot(index, *, n):
    xp = backend.array_module(index)
    return (index[..., None] == xp.arange(n)).astype(np.int64)


def one_hot(index: Any, num_classes: int = -1) -> Any:
    """y[..., c] = 1 where index = c, else 0: (...) to (..., num_classes), int64; -1 takes the largest index + 1.

    Raises RuntimeError for indices that are negative or too large, TypeError for other than integers.
    """
    at = _integers("one_hot", index)
    if num_classes == -1 and not at.size:
        raise RuntimeError("one_hot: of no indices, the number of classes has to be given")
    n = int(at.max()) + 1 if num_classes == -1 else num_classes
    if n < 1 or (at.size and not 0 <= int(at.min()) <= int(at.max()) < n):
        found = f"indices from {at.min()} to {at.max()}" if at.size else "none"
        raise RuntimeError(f"one_hot: expected indices in [0, {n}), got {found}")
    return _one_hot(index, n=n)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows weight[input]: indices (...) and weight (num, dim) to (..., dim). The row `padding_idx` gets no gradient.

    Raises IndexError out of range, TypeError for other than integers.
    """
    at = _integers("embedding", input)
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: expected a weight of shape (num, dim), got {tuple(weight.shape)}")
    n = weight.shape[0]
    _check_range("embedding", at, n)
    y = getitem(weight, (at, Ellipsis)) if at.ndim else getitem(weight, int(at))
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise IndexError(f"embedding: padding_idx {padding_idx} is out of range for {n} rows")
    return where(unsqueeze(at == padding_idx % n, -1), stop_gradient(y), y)
