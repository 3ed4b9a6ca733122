"""Repeating, turning, cutting triangles, padding and running sums: what is more than a view, composed of views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, primitive
from ..tensor import Tensor, array_of
from .arithmetic import astype, clone, mul, sub
from .compare import where
from .dims import axes_of, axis_of, ints
from .index import index_select
from .reduce import sum
from .shape import cat, flatten, movedim, narrow
from .trigonometric import logaddexp
from .views import _setitem, expand, getitem, permute, put, reshape

__all__ = [
    "cumprod", "cumsum", "diag", "diag_embed", "diagonal", "diff", "flip", "fliplr", "flipud", "logcumsumexp", "meshgrid",
    "pad", "repeat", "repeat_interleave", "roll", "rot90", "tile", "trace", "tril", "triu",
]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- repeating


def repeat(x: Any, repeats: Sequence[int]) -> Any:
    """x laid repeats[i] times side by side along dimension i; new dimensions come first. Raises RuntimeError for too few."""
    repeats = ints(repeats)
    extra = len(repeats) - x.ndim
    if extra < 0:
        raise RuntimeError(f"repeat: expected at least {x.ndim} repeats for shape {tuple(x.shape)}, got {repeats}")
    shape = (1,) * extra + tuple(x.shape)
    kept = [m for n in shape for m in (1, n)]
    whole = expand(reshape(x, tuple(kept)), [m for n, r in zip(shape, repeats) for m in (r, n)])
    return clone(reshape(whole, tuple([n * r for n, r in zip(shape, repeats)])))


def tile(input: Any, dims: Sequence[int]) -> Any:
    """`repeat` in which missing repeats are 1."""
    dims = ints(dims)
    return repeat(input, (1,) * (input.ndim - len(dims)) + dims)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Each element repeated in place, all equally often or each as `repeats` says; of the flattened x for dim None.

    Raises RuntimeError for a number of repeats that does not fit.
    """
    if dim is None:
        input, dim = flatten(input), 0
    axis = axis_of(dim, input.ndim)
    n = input.shape[axis]
    times = np.asarray(backend.to_device(repeats.data, "cpu") if isinstance(repeats, Tensor) else repeats)
    if times.size not in (1, n) or times.ndim > 1:
        raise RuntimeError(f"repeat_interleave: expected one repeat or {n}, got shape {times.shape}")
    return index_select(input, axis, np.repeat(np.arange(n), times if times.size == n else int(times.reshape(()))))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid: each vector expanded over the lengths of all. 'xy' exchanges the first two dimensions."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing is 'ij' or 'xy', got {indexing!r}")
    order = list(range(len(tensors)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    sizes = [math.prod(tensors[i].shape) for i in order]
    grids = []
    for i, x in enumerate(tensors):
        if x.ndim > 1:
            raise RuntimeError(f"meshgrid: expected vectors, got shape {tuple(x.shape)}")
        at = order.index(i)
        grids.append(expand(reshape(x, (1,) * at + (-1,) + (1,) * (len(sizes) - at - 1)), sizes))
    return tuple(grids)


# ------------------------------------------------------------------------------------------------------------- turning


def flip(input: Any, dims: int | Sequence[int]) -> Any:
    """A copy with the order of elements along `dims` reversed."""
    axes = axes_of(dims, input.ndim)
    return clone(getitem(input, tuple([slice(None, None, -1 if i in axes else None) for i in range(input.ndim)])))


def fliplr(input: Any) -> Any:
    """Columns in reverse order (dimension 1)."""
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """Rows in reverse order (dimension 0)."""
    return flip(input, 0)


def roll(input: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """Elements shifted along `dims`, those that fall off coming in at the other end; of the flattened x without dims.

    Raises RuntimeError where shifts and dims do not match.
    """
    shifts = ints(shifts)
    if dims is None:
        if len(shifts) != 1:
            raise RuntimeError(f"roll: without dims expected one shift, got {shifts}")
        return reshape(roll(flatten(input), shifts, 0), input.shape)
    dims = ints(dims)
    if len(dims) != len(shifts):
        raise RuntimeError(f"roll: expected as many shifts as dims, got {shifts} and {dims}")
    for shift, dim in zip(shifts, dims):
        n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 0
        cut = n - shift % n if n else 0
        input = cat([narrow(input, dim, cut, n - cut), narrow(input, dim, 0, cut)], dim) if 0 < cut < n else clone(input)
    return input


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """x turned k times by 90 degrees in the plane of two dimensions, from the first towards the second. Raises RuntimeError."""
    axes = axes_of(dims, input.ndim)
    if len(axes) != 2:
        raise RuntimeError(f"rot90: expected two dims, got {tuple(dims)}")
    a, b = axes
    turned = list(range(input.ndim))
    turned[a], turned[b] = b, a
    k %= 4
    if k == 0:
        return clone(input)
    if k == 2:
        return flip(input, axes)
    return permute(flip(input, b), turned) if k == 1 else flip(permute(input, turned), b)


# --------------------------------------------------------------------------------------------- triangles and diagonals


def _triangle(name: str, x: Any, diagonal: int, lower: bool) -> Any:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: expected at least 2 dimensions, got shape {tuple(x.shape)}")
    array = array_of(x)
    below = backend.array_module(array).tri(*x.shape[-2:], diagonal if lower else diagonal - 1, bool)
    return where(below, x, 0) if lower else where(below, 0, x)


def tril(input: Any, diagonal: int = 0) -> Any:
    """The elements of each matrix on and below a diagonal (positive: above the main one), 0 elsewhere."""
    return _triangle("tril", input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The elements of each matrix on and above a diagonal (positive: above the main one), 0 elsewhere."""
    return _triangle("triu", input, diagonal, False)


def _diagonal_slice(m: int, n: int, offset: int) -> slice:
    """Where a diagonal of an (m, n) matrix lies in the flattened matrix."""
    length = max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))
    start = offset if offset >= 0 else -offset * n
    return slice(start, start + (length - 1) * (n + 1) + 1, n + 1) if length else slice(0, 0, 1)


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of each matrix in dimensions dim1 and dim2, as the last dimension. Raises RuntimeError, IndexError."""
    a, b = axes_of((dim1, dim2), input.ndim)
    input = movedim(input, (a, b), (-2, -1))
    m, n = input.shape[-2:]
    return getitem(reshape(input, (*input.shape[:-2], m * n)), (..., _diagonal_slice(m, n, offset)))


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in dimensions dim1 and dim2, with the last dimension of x on a diagonal and 0 elsewhere."""
    n = input.shape[-1] + abs(offset)
    y = put(input, (..., _diagonal_slice(n, n, offset)), (*input.shape[:-1], n * n))
    return movedim(reshape(y, (*input.shape[:-1], n, n)), (-2, -1), axes_of((dim1, dim2), input.ndim + 1))


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal. Raises RuntimeError for other dimensions."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag: expected a vector or a matrix, got shape {tuple(input.shape)}")
    return diag_embed(input, diagonal) if input.ndim == 1 else clone(_diagonal(input, diagonal))


_diagonal = diagonal


def trace(input: Any) -> Any:
    """Σ x_ii of a matrix. Raises RuntimeError."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {tuple(input.shape)}")
    return sum(diagonal(input))


# ------------------------------------------------------------------------------------------------------------- padding


_PAD_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Padding (low, high) of the last dimension, then of the one before it, and so on; negative amounts cut off.

    'constant' fills with value (0), 'reflect' mirrors without repeating the edge, 'replicate' repeats the edge, 'circular' wraps
    around. Raises RuntimeError for an odd number of amounts, for too many, and for more padding than can be mirrored or wrapped.
    """
    amounts = ints(pad)
    if len(amounts) % 2 or len(amounts) > 2 * input.ndim:
        raise RuntimeError(f"pad: expected at most {input.ndim} pairs of amounts for shape {tuple(input.shape)}, got {amounts}")
    pairs = [(0, 0)] * (input.ndim - len(amounts) // 2) + list(zip(amounts[::2], amounts[1::2]))[::-1]
    shape = tuple([n + low + high for n, (low, high) in zip(input.shape, pairs)])
    if min(shape, default=0) < 0:
        raise RuntimeError(f"pad: cutting {amounts} from shape {tuple(input.shape)} leaves a negative size")
    if mode == "constant":
        kept = getitem(input, tuple([slice(max(0, -lo), n - max(0, -hi)) for n, (lo, hi) in zip(input.shape, pairs)]))
        place = tuple([slice(max(0, lo), n - max(0, hi)) for n, (lo, hi) in zip(shape, pairs)])
        if not value:
            return put(kept, place, shape)
        array = array_of(kept)
        return _setitem(np.full_like(array, value, shape=shape), kept, index=place)
    if mode not in _PAD_MODES:
        raise ValueError(f"pad: mode is 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    for axis, (low, high) in enumerate(pairs):
        n = input.shape[axis]
        kept = np.arange(n)[max(0, -low) : n - max(0, -high)]
        limit = {"reflect": n - 1, "circular": len(kept)}.get(mode, math.inf if n else 0)
        if max(low, high) > limit:
            raise RuntimeError(f"pad: mode {mode!r} cannot pad ({low}, {high}) in dim {axis} of size {n}")
        if low or high:
            wraps = mode == "circular"  # it repeats what was kept, the others what was there before the cut
            places = np.pad(kept if wraps else np.arange(n), (max(0, low), max(0, high)), _PAD_MODES[mode])
            input = index_select(input, axis, places if wraps else places[max(0, -low) : len(places) - max(0, -high)])
    return input


# -------------------------------------------------------------------------------------------------------- running sums


@primitive
def _cumsum(x, *, axis, reverse):
    if reverse:
        return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)
    return np.cumsum(x, axis=axis, dtype=None if x.dtype.kind in "fi" else np.int64)


defvjp(_cumsum, lambda g, _y, _x, *, axis, reverse: _cumsum(g, axis=axis, reverse=not reverse))


def _running(x: Any, dim: int, dtype: Any) -> tuple[Any, int]:
    """x as it is accumulated, with at least one dimension, and the axis."""
    if dtype is not None or x.dtype.kind != "f":
        x = astype(x, dtype=np.int64 if dtype is None else dtype)
    return (x if x.ndim else reshape(x, (1,))), axis_of(dim, x.ndim)


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """y[i] = x[0] + ... + x[i] along `dim`. Integers and booleans are summed in int64."""
    shape = input.shape
    input, axis = _running(input, dim, dtype)
    return reshape(_cumsum(input, axis=axis, reverse=False), shape)


def _accumulated(op: Any, x: Any, dim: int, dtype: Any) -> Any:
    """x[0] op ... op x[i] along `dim`, in log n steps that each double the reach."""
    shape = x.shape
    x, axis = _running(x, dim, dtype)
    before, step = (slice(None),) * axis, 1
    while step < x.shape[axis]:
        head = getitem(x, (*before, slice(0, step)))
        x = cat([head, op(getitem(x, (*before, slice(step, None))), getitem(x, (*before, slice(0, -step))))], axis)
        step *= 2
    return clone(x) if shape == x.shape else reshape(x, shape)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """y[i] = x[0] · ... · x[i] along `dim`; no derivative of any order divides, so zeros are exact."""
    return _accumulated(mul, input, dim, dtype)


def logcumsumexp(input: Any, dim: int) -> Any:
    """y[i] = log(exp x[0] + ... + exp x[i]) along `dim`, without overflow. Raises RuntimeError for integers."""
    if input.dtype.kind != "f":
        raise RuntimeError(f"logcumsumexp: expected a floating-point tensor, got {input.dtype}; convert it first")
    return _accumulated(logaddexp, input, dim, None)


def diff(input: Any, n: int = 1, dim: int = -1) -> Any:
    """The differences y[i] = x[i + 1] - x[i] along `dim`, n times over."""
    before = (slice(None),) * axis_of(dim, input.ndim)
    for _ in range(n):
        input = sub(getitem(input, (*before, slice(1, None))), getitem(input, (*before, slice(None, -1))))
    return input
