"""Softmax and cross-entropy of the rows of a contiguous matrix by the kernels of `rows.cuh`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, array_module
from .launch import launch

WIDE = 2048  # columns from which on a row has 256 threads
LARGEST = (1 << 31) - 256  # columns: the last step of a thread's count ends behind them


def takes(x: Array, *others: Array) -> bool:
    """Whether the kernels take these matrices: contiguous and of sizes that they can address."""
    return x.size > 0 and max(x.shape) < LARGEST and all(a.flags.c_contiguous for a in (x, *others))


def softmax(x: Array, logarithm: bool) -> Array:
    """softmax of each row, or its logarithm."""
    y = array_module(x).empty(x.shape, x.dtype)
    _run("softmax", x, (x, y), np.int32(logarithm))
    return y


def softmax_vjp(g: Array, y: Array, logarithm: bool) -> Array:
    """The cotangent of x for y = softmax(x, logarithm)."""
    gx = array_module(y).empty(y.shape, y.dtype)
    _run("softmax_vjp", y, (g, y, gx), np.int32(logarithm))
    return gx


def nll(x: Array, target: Array) -> tuple[Array, tuple[Array, Array]]:
    """-log softmax(x)[target] of each row, and what `nll_vjp` needs. Targets are int64 and in range."""
    loss, top, log_total = (array_module(x).empty((len(x),), x.dtype) for _ in range(3))
    _run("nll", x, (x, target, loss, top, log_total))
    return loss, (top, log_total)


def nll_vjp(g: Array, x: Array, target: Array, residuals: tuple[Array, Array]) -> Array:
    """g (softmax(x) - one_hot(target)); g (rows,)."""
    gx = array_module(x).empty(x.shape, x.dtype)
    _run("nll_vjp", x, (g, x, target, *residuals, gx))
    return gx


def _run(name: str, x: Array, arrays: tuple[Array, ...], *numbers: Any) -> None:
    rows, width = x.shape
    wide, kind = width >= WIDE, "f64" if x.dtype == np.float64 else "f32"
    grid, threads, shared = ((rows,), 256, 8 * x.itemsize) if wide else ((-(-rows // 4),), 128, 0)
    arguments = (*arrays, np.int32(rows), np.int32(width), *numbers)
    launch("rows", f"{name}_{'wide_' if wide else ''}{kind}", grid, threads, arguments, shared)
