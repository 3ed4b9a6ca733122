"""The norm of all gradients together, and what clipping it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend, ops
from ..kernels import optimizer as kernels


def total_norm(arrays: Sequence[Any], norm_type: float = 2.0) -> Any:
    """The norm of all elements of all arrays, as a NumPy or CuPy scalar."""
    if not arrays:
        return np.zeros((), backend.get_default_dtype())
    if norm_type == 2 and (norm := kernels.norm(arrays)) is not None:
        return arrays[0].dtype.type(norm)
    norms = [ops.vector_norm(a, float(norm_type)) for a in arrays]
    return norms[0] if len(norms) == 1 else ops.vector_norm(backend.array_module(arrays[0]).stack(norms), float(norm_type))


def clip_factor(norm: Any, max_norm: float) -> float:
    """min(1, max_norm / (norm + 1e-6)), as in torch; NaN where the norm is."""
    return min(max_norm / (float(norm) + 1e-6), 1.0)  # min keeps its first argument where that is NaN
