"""Norms, random signs and typical sizes, safe at every scale."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def norm(a: Array, axis: int | None = None) -> Any:
    """The Euclidean norm, safe from overflow at 1e300 and underflow at 1e-300."""
    top = np.max(np.abs(a), axis=axis, keepdims=True, initial=0.0)
    unit = np.where((top > 0) & np.isfinite(top), top, 1.0)
    total = np.sqrt(np.sum((a / unit) ** 2, axis=axis)) * np.squeeze(unit, axis)
    return float(total) if axis is None else total


def weighted(us: Array, e: Array) -> Array:
    """The norm of u·e for each cotangent u, where u = 0 silences even an infinite e."""
    return norm(np.where(us == 0, 0.0, us * e), axis=1)


def signs(rng: np.random.Generator, shape: Any) -> Array:
    """Random signs times magnitudes in [1/2, 3/2]: no element is overlooked for being near zero; exact in every float dtype."""
    return rng.choice([-1.0, 1.0], shape) * rng.integers(32, 97, shape) / 64


def magnitude(x: Array) -> float:
    """The typical size of the finite entries; 1 for zeros."""
    values = np.abs(x[np.isfinite(x)].astype(np.float64))
    top = values.max(initial=0.0)
    return float(top * np.sqrt(np.mean((values / top) ** 2))) if top > 0 else 1.0
