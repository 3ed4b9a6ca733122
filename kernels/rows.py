"""Softmax, cross-entropy and layer normalisation in one compiled pass over each row; None where NumPy is to do it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array_module
from .compiled import compiled, gpu_part, part_in_use


def softmax(x: Array, axis: int, logarithm: bool = False) -> Array | None:
    """e^x / sum(e^x) along the axis, or its logarithm, where the axis is the fastest in memory."""
    last = np.moveaxis(x, axis, -1)
    cpu = _cpu(last)
    if cpu is None:
        return None
    return np.moveaxis(cpu.softmax(_matrix(last), int(logarithm)).reshape(last.shape), -1, axis)


def softmax_vjp(g: Array, y: Array, axis: int, logarithm: bool = False) -> Array | None:
    """The cotangent of x for y = softmax(x, axis, logarithm)."""
    last = np.moveaxis(y, axis, -1)
    cpu = _cpu(last, g)
    if cpu is None:
        return None
    given = _contiguous(np.moveaxis(g, axis, -1))
    return np.moveaxis(cpu.softmax_vjp(_matrix(given), _matrix(last), int(logarithm)).reshape(last.shape), -1, axis)


def nll(x: Array, target: Array) -> tuple[Array, Any] | None:
    """-log softmax(x)[target] of each row of a matrix, target (rows,); and what `nll_vjp` wants to be given."""
    cpu = _cpu(x)
    if cpu is None:
        return None
    target = _contiguous(target, np.int64)
    values, residuals = cpu.nll(x, target)
    return values, (target, *residuals)


def nll_vjp(g: Array, x: Array, residuals: Any) -> Array:
    """g (softmax(x) - one_hot(target)) for g (rows,)."""
    target, *rest = residuals
    module = part_in_use("rows") if type(x) is np.ndarray else gpu_part("rows", x)
    return module.nll_vjp(g, x, target, rest)  # type: ignore[union-attr]


def layer_norm(x: Array, w: Array | None, b: Array | None, eps: float) -> tuple[Array, Any] | None:
    """w (x - m) / sqrt(v + eps) + b of each row of a matrix; and m and the inverse root, for `layer_norm_vjp`."""
    cpu = _cpu(x)
    if not hasattr(cpu, "layer_norm"):
        return None
    return cpu.layer_norm(x, _numbers(w, x, 1), _numbers(b, x, 0), eps)


def layer_norm_vjp(g: Array, x: Array, w: Array | None, residuals: Any) -> tuple[Array, Array, Array] | None:
    """The cotangents of x, w and b."""
    cpu = _cpu(x, g)
    if not hasattr(cpu, "layer_norm"):
        return None
    return cpu.layer_norm_vjp(g, x, _numbers(w, x, 1), residuals)


def _numbers(w: Array | None, x: Array, default: int) -> Array:
    return np.full(x.shape[1], default, x.dtype) if w is None else np.require(w, requirements=["C", "A", "W"])


def _matrix(last: Array) -> Array:
    return last.reshape(-1, last.shape[-1])


def _contiguous(x: Array, dtype: Any = None) -> Array:
    if type(x) is np.ndarray:
        return np.require(x, dtype, requirements=["C", "A", "W"])
    return array_module(x).ascontiguousarray(x, dtype)


def _cpu(x: Array, *others: Array) -> Any:
    """The module that takes the matrix x, or what becomes one; None where NumPy is to do it."""
    if type(x) is np.ndarray:
        return compiled("rows", x, *others) if x.flags.carray else None
    module = compiled("rows", x, *others)
    return module if module is not None and module.takes(x) else None
