"""Which dtype an op computes in, and NumPy operands cast to it.

torch's rule: kinds are ordered bool < int < float; within the highest kind present, tensors with dimensions decide over 0-d
tensors, and those over Python numbers. So neither a Python number nor a 0-d tensor widens a tensor of the same kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend

__all__ = ["result_type"]

_NUMBERS = {bool, int, float}
_KIND = {"b": 0, "i": 1, "u": 1, "f": 2}


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an op on these tensors, arrays and numbers (torch.result_type, for any number of operands).

    Raises TypeError for anything but numbers and arrays of real numbers or booleans.
    """
    ranked = []
    for x in operands:
        if hasattr(x, "dtype"):
            if x.dtype.kind not in _KIND:
                raise TypeError(f"expected real numbers or booleans, got an array of {x.dtype}")
            ranked.append((_KIND[x.dtype.kind], 2 if x.ndim else 1, x.dtype))
        elif isinstance(x, bool):
            ranked.append((0, 0, backend.bool_))
        elif isinstance(x, int):
            ranked.append((1, 0, backend.int64))
        elif isinstance(x, float):
            ranked.append((2, 0, backend.get_default_dtype()))
        else:
            raise TypeError(f"expected a tensor, an array or a number, got {type(x).__name__}")
    top = max(rank[:2] for rank in ranked)
    return np.result_type(*[dtype for kind, level, dtype in ranked if (kind, level) == top])


def promote(*operands: Any) -> list[Any]:
    """The arrays among the operands cast to their common dtype; Python numbers stay, NumPy does not widen for them."""
    dtype = result_type(*operands)
    return [x.astype(dtype) if hasattr(x, "dtype") and x.dtype != dtype else x for x in operands]


def promote_pair(a: Any, b: Any) -> Any:
    """`promote` for two operands, quick where there is nothing to do: equal dtypes, or a float array and a number."""
    kind_a, kind_b = type(a), type(b)
    if kind_a is np.ndarray:
        if a.dtype is b.dtype if kind_b is np.ndarray else kind_b in _NUMBERS and a.dtype.kind == "f":
            return a, b
    elif kind_b is np.ndarray and kind_a in _NUMBERS and b.dtype.kind == "f":
        return a, b
    return promote(a, b)


def promote_floats(a: Any, b: Any) -> Any:
    """`promote_pair`, and integers as the default dtype: what atan2, hypot, ... compute in."""
    a, b = promote_pair(a, b)
    return (a, b) if floating(a, b) else (as_float(a), as_float(b))


def floating(a: Any, b: Any) -> bool:
    """Whether two promoted operands are of a floating-point dtype."""
    dtype = getattr(a, "dtype", None) or getattr(b, "dtype", None) or result_type(a, b)
    return dtype.kind == "f"


def as_float(x: Any) -> Any:
    """x itself, or integers and booleans as the default dtype: what exp, sin, ... compute in."""
    if not hasattr(x, "dtype"):
        return np.asarray(x, backend.get_default_dtype())
    return x if x.dtype.kind == "f" else x.astype(backend.get_default_dtype())
