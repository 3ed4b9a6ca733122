"""Distances and similarities of vectors. Where two points coincide, the derivative of their distance is taken as 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arithmetic import add, div, mul, sub
from .compare import clamp
from .reduce import sum, vector_norm
from .shape import broadcast_tensors, unsqueeze
from .views import getitem

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """‖x1 - x2 + eps‖_p over the last dimension."""
    return vector_norm(add(sub(x1, x2), eps), p, -1, keepdim)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """y_ij = ‖x1_i - x2_j‖_p: (..., n, d) and (..., m, d) to (..., n, m). Raises RuntimeError."""
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"cdist: expected (..., n, d) and (..., m, d), got shapes {tuple(x1.shape)} and {tuple(x2.shape)}")
    return vector_norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1)


def pdist(input: Any, p: float = 2.0) -> Any:
    """‖x_i - x_j‖_p for all i < j of the rows of a matrix, as a vector. Raises RuntimeError."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist: expected a matrix, got shape {tuple(input.shape)}")
    i, j = np.triu_indices(input.shape[0], 1)
    return vector_norm(sub(getitem(input, i), getitem(input, j)), p, -1)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1·x2 / (max(‖x1‖, eps) · max(‖x2‖, eps)) over `dim`; both broadcast."""
    x1, x2 = broadcast_tensors(x1, x2)
    a = div(x1, clamp(vector_norm(x1, 2, dim, True), min=eps))
    b = div(x2, clamp(vector_norm(x2, 2, dim, True), min=eps))
    return sum(mul(a, b), dim)
