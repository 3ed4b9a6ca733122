"""Functions of single elements and their derivatives by the kernels of `elementwise.cuh`, in the array's memory order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, array_module
from ..compiled import memory_order
from .launch import launch
from .versions import MULTIPROCESSORS

THREADS = 256
# The formulas' parameters, in the order of the kernels' a, b and c.
PARAMETERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("relu", "exp", "log", "tanh", "sigmoid", "silu", "mish", "gelu", "gelu_tanh"), ()),
    "leaky_relu": ("slope",),
    "hardtanh": ("low", "high"),
    "elu": ("alpha", "scale", "rate"),
    "softplus": ("beta", "threshold"),
}


def forward(name: str, x: Array, **parameters: float) -> Array | None:
    """y = f(x) in x's memory order; None where x has gaps."""
    order = memory_order(x)
    if order is None:
        return None
    y = empty_like(x, order)
    _run(f"forward_{name}", (x, y), x, _numbers(name, x, parameters))
    return y


def backward(name: str, g: Array, v: Array, **parameters: float) -> Array | None:
    """g f'(x) in v's memory order, where v is f(x) or x; None where v has gaps. g of another order is copied."""
    order = memory_order(v)
    if order is None or g.shape != v.shape:
        return None
    gx = empty_like(v, order)
    _run(f"backward_{name}", (ordered(g, v, order), v, gx), v, _numbers(name, v, parameters))
    return gx


def masked(x: Array, keep: Array, scale: float) -> Array | None:
    """scale x where `keep` holds, else 0, in x's memory order; None where x has gaps."""
    order = memory_order(x)
    if order is None:
        return None
    y = empty_like(x, order)
    _run("masked", (x, ordered(keep, x, order), y), x, (x.dtype.type(scale),))
    return y


def empty_like(x: Array, order: tuple[int, ...], dtype: Any = None) -> Array:
    """Uninitialised, of x's shape and memory order."""
    back = sorted(range(x.ndim), key=order.__getitem__)
    sizes = [x.shape[axis] for axis in order]
    return array_module(x).empty(sizes, x.dtype if dtype is None else dtype).transpose(back)


def ordered(g: Array, x: Array, order: tuple[int, ...]) -> Array:
    """g itself where its elements lie in memory as x's do, else a copy that does."""
    if g.strides == x.strides or memory_order(g) == order:
        return g
    copy = empty_like(x, order, g.dtype)
    copy[...] = g
    return copy


def _numbers(name: str, x: Array, parameters: dict[str, float]) -> tuple[Any, ...]:
    values = [parameters[p] for p in PARAMETERS[name]]
    return tuple(x.dtype.type(value) for value in (*values, 0, 0, 0)[:3])


def _run(name: str, arrays: tuple[Array, ...], x: Array, numbers: tuple[Any, ...]) -> None:
    if not x.size:
        return
    grid = min(-(-x.size // THREADS), 16 * MULTIPROCESSORS)
    kind = "f64" if x.dtype == np.float64 else "f32"
    launch("elementwise", f"{name}_{kind}", (grid,), THREADS, (*arrays, np.int64(x.size), *numbers))
