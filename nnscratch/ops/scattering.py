"""scatter_reduce: elements sent to places and reduced there, composed of ops that have derivatives of any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import nondifferentiable
from ..tensor import array_of
from .arithmetic import add, astype, div, floor_divide, stop_gradient, sub
from .compare import isfinite, logical_and, where
from .dims import axis_of
from .index import checked_places, integers, used_part
from .reduce import prod
from .shape import cat, unsqueeze
from .views import getitem, positions, put, reshape, setitem

__all__ = ["scatter_reduce"]


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """For dim = 1, all src[i][j][k] with index[i][j][k] = m reduced to y[i][m][k], with x[i][m][k] among them if `include_self`.

    `reduce` is 'sum', 'prod', 'mean' (of integers rounded down), 'amax' or 'amin'. Where nothing is sent, x stays. Equal extremes
    share the gradient evenly. Raises RuntimeError for another reduce, different dtypes, and as `gather`.
    """
    if reduce not in _REDUCE:
        raise RuntimeError(f"scatter_reduce: unknown reduce {reduce!r}; expected one of {', '.join(map(repr, _REDUCE))}")
    if input.dtype != src.dtype:
        raise RuntimeError(f"scatter_reduce: expected a src of {input.dtype}, as x is, got {src.dtype}")
    if input.ndim == 0:
        input, src, index = [reshape(v, (1,)) for v in (input, src, index)]
        return reshape(scatter_reduce(input, dim, index, src, reduce, include_self=include_self), ())
    xp = backend.array_module(array_of(input))
    index = xp.asarray(integers("scatter_reduce", index))
    src = used_part("scatter_reduce", src, index)
    at = checked_places("scatter_reduce", input.shape, axis_of(dim, input.ndim), index)
    kept = xp.ones(input.shape, bool)  # which elements of x take part
    if not include_self:
        kept[at] = False
    return _REDUCE[reduce](input, src, at, kept)


def _sum(x: Any, src: Any, at: tuple, kept: Any) -> Any:
    return add(where(kept, x, 0), put(src, at, x.shape))


def _mean(x: Any, src: Any, at: tuple, kept: Any) -> Any:
    count = put(np.ones_like(kept, x.dtype, shape=src.shape), at, x.shape) + kept
    return (div if x.dtype.kind == "f" else floor_divide)(_sum(x, src, at, kept), count)


def _prod(x: Any, src: Any, at: tuple, kept: Any) -> Any:
    """Of what is sent to a place the n-th goes into layer n, between ones; then `prod` over the layers, which does not divide."""
    layer = _turn(positions(at, x.shape, kept))
    layers = int(layer.max()) + 1 if layer.size else 0
    ones = np.ones_like(kept, x.dtype, shape=(layers, *x.shape))
    factors = cat([unsqueeze(where(kept, x, 1), 0), setitem(ones, (layer, *at), src)])
    return astype(prod(factors, 0), dtype=x.dtype)


def _turn(places: Any) -> Any:
    """How often each place has been named before."""
    order = np.argsort(places, axis=None, kind="stable")
    ordered = places.reshape(-1)[order]
    turn = np.empty_like(ordered)
    turn[order] = backend.array_module(places).arange(len(order)) - np.searchsorted(ordered, ordered)
    return turn.reshape(places.shape)


@nondifferentiable
def _extreme(x, src, *, at, kept, ufunc):
    y = np.copy(x)
    if not kept.all():
        y[at] = src  # any one of them, in the place of x
    ufunc.at(y, at, src)
    return y


def _largest(x: Any, src: Any, at: tuple, kept: Any, ufunc: Any = np.maximum) -> Any:
    """The extreme, plus a zero that has the derivative of the mean of all that equal it."""
    y = _extreme(x, src, at=at, kept=kept, ufunc=ufunc)
    if y.dtype.kind != "f":
        return y
    mine, theirs = logical_and(kept, x == y), src == getitem(y, at)
    count = add(astype(mine, dtype=x.dtype), put(astype(theirs, dtype=x.dtype), at, x.shape))
    mean = div(add(where(mine, x, 0), put(where(theirs, src, 0), at, x.shape)), count)
    return where(isfinite(y), add(y, sub(mean, stop_gradient(mean))), mean)


def _smallest(x: Any, src: Any, at: tuple, kept: Any) -> Any:
    return _largest(x, src, at, kept, np.minimum)


_REDUCE = {"sum": _sum, "prod": _prod, "mean": _mean, "amax": _largest, "amin": _smallest}
