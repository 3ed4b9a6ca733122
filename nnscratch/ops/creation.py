"""New tensors: constants, ranges, and the likes of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor, array_of

__all__ = [
    "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "logspace", "ones", "ones_like", "zeros",
    "zeros_like",
]  # fmt: skip


def size_of(name: str, size: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as `f(2, 3)`, `f((2, 3))` or `f([2, 3])`. Raises TypeError or RuntimeError for what is no shape."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    for n in size:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"{name}: a size is made of integers, got {n!r}")
    shape = tuple([int(n) for n in size])
    if min(shape, default=0) < 0:
        raise RuntimeError(f"{name}: a size cannot be negative, got {shape}")
    return shape


def made(array: Any, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A fresh array as a leaf on `device`."""
    return Tensor(array if device is None else backend.to_device(array, device), requires_grad)


def _float_dtype(dtype: Any) -> np.dtype:
    return backend.get_default_dtype() if dtype is None else np.dtype(dtype)


def _number_dtype(dtype: Any, *values: Any) -> np.dtype:
    """dtype, or what torch infers from Python numbers: bool, int64 or the default dtype."""
    if dtype is not None:
        return np.dtype(dtype)
    kinds = [np.asarray(v).dtype.kind for v in values]
    if "f" in kinds:
        return backend.get_default_dtype()
    return backend.bool_ if set(kinds) == {"b"} else backend.int64


def zeros(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, in the default dtype unless another is given."""
    return made(np.zeros(size_of("zeros", size), _float_dtype(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return made(np.ones(size_of("ones", size), _float_dtype(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    return made(np.empty(size_of("empty", size), _float_dtype(dtype)), device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of `fill_value`, whose kind decides the dtype: bool, int64 or the default dtype."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    shape = size_of("full", size if isinstance(size, (tuple, list)) else (size,))
    return made(np.full(shape, fill_value, _number_dtype(dtype, fill_value)), device, requires_grad)


def _like(make: Any, input: Any, dtype: Any, device: str | None, requires_grad: bool, *fill: Any) -> Tensor:
    array = array_of(input)
    return made(make(array, *fill, dtype=dtype), device, requires_grad)


def zeros_like(input: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype, device and memory layout of `input`."""
    return _like(np.zeros_like, input, dtype, device, requires_grad)


def ones_like(input: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype, device and memory layout of `input`."""
    return _like(np.ones_like, input, dtype, device, requires_grad)


def empty_like(input: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised, with the shape, dtype, device and memory layout of `input`."""
    return _like(np.empty_like, input, dtype, device, requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` everywhere, with the shape, dtype, device and memory layout of `input`."""
    return _like(np.full_like, input, dtype, device, requires_grad, fill_value)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to but without end: ⌈(end - start) / step⌉ numbers; int64 if all are integers.

    Raises RuntimeError when step is 0 or leads away from end.
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: from {start} a step of {step} leads away from {end}")
    dtype = _number_dtype(dtype, start, end, step, 0)
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    n = -((start - end) // step) if whole else math.ceil((end - start) / step)
    return made((np.arange(n) * step + start).astype(dtype), device, requires_grad)


def _between(name: str, start: float, end: float, steps: int) -> np.ndarray:
    if steps < 0:
        raise RuntimeError(f"{name}: the number of steps cannot be negative, got {steps}")
    return np.linspace(float(start), float(end), steps)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included. Raises RuntimeError for negative steps."""
    return made(_between("linspace", start, end, steps).astype(_float_dtype(dtype)), device, requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """base^t for `steps` evenly spaced t from start to end. Raises RuntimeError for negative steps."""
    return made((base ** _between("logspace", start, end, steps)).astype(_float_dtype(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """The n × m matrix (m = n by default) with ones on the diagonal."""
    n, m = size_of("eye", (n, n if m is None else m))
    return made(np.eye(n, m, dtype=_float_dtype(dtype)), device, requires_grad)
