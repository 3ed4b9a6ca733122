"""Elementwise primitives. Broadcasting is NumPy's; the engine sums a cotangent back over broadcast axes.

Two dtypes are combined as torch does: a Python number or a 0-d tensor never widens a tensor of the same kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import defvjp, primitive


def _promote(a: Any, b: Any) -> tuple[Any, Any]:
    """Cast two operands to the dtype torch would compute in; nothing to do when both dtypes agree."""
    da, db = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if da is db and da is not None:
        return a, b
    if (db is None and da is not None and da.kind == "f") or (da is None and db is not None and db.kind == "f"):
        return a, b  # NumPy does not widen for a Python number either
    dtype = result_type(a, b)
    if da is not None and da != dtype:
        a = a.astype(dtype)
    if db is not None and db != dtype:
        b = b.astype(dtype)
    return a, b


def result_type(*operands: Any) -> np.dtype:
    """torch's promotion: kinds are ordered bool < int < float; within the highest kind, tensors with dimensions decide over 0-d
    tensors, and those over Python numbers, which take the default dtype."""
    ranked = []
    for x in operands:
        if isinstance(x, np.generic):
            x = x.item()
        if hasattr(x, "dtype"):
            ranked.append(("biuf".index(x.dtype.kind) if x.dtype.kind != "u" else 1, 2 if x.ndim else 1, x.dtype))
        elif isinstance(x, bool):
            ranked.append((0, 0, backend.bool_))
        elif isinstance(x, int):
            ranked.append((1, 0, backend.int64))
        elif isinstance(x, float):
            ranked.append((3, 0, backend.get_default_dtype()))
        else:
            raise TypeError(f"expected a tensor, an array or a number, got {type(x).__name__}")
    kind = max((2 if k == 3 else min(k, 1)) for k, _, _ in ranked)
    level = max(l for k, l, _ in ranked if (2 if k == 3 else min(k, 1)) == kind)
    return np.result_type(*[d for k, l, d in ranked if (2 if k == 3 else min(k, 1)) == kind and l == level])


@primitive
def add(a, b):
    """a + b."""
    a, b = _promote(a, b)
    return np.add(a, b)


defvjp(add, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)


@primitive
def mul(a, b):
    """a · b."""
    a, b = _promote(a, b)
    return np.multiply(a, b)


defvjp(mul, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a)


@primitive
def tanh(x):
    """tanh x; derivative 1 - tanh² x."""
    return np.tanh(x)


defvjp(tanh, lambda g, y, _x: g - g * y * y)
