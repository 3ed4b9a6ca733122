"""Fidelity and diversity of generated images, told apart by nearest neighbours among features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .features import feature_pair


def _distances(a: np.ndarray, b: np.ndarray, rows: int = 1024) -> Iterator[np.ndarray]:
    """Squared distances (a few rows of a, M) at a time."""
    squares = np.einsum("md,md->m", b, b)
    for start in range(0, len(a), rows):
        x = a[start : start + rows]
        yield np.maximum(np.einsum("nd,nd->n", x, x)[:, None] + squares - 2 * x @ b.T, 0)


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each point to its k-th neighbour in the same set, itself not counted."""
    # The point itself is the nearest of all, at 0.
    return np.concatenate([np.partition(d, k, axis=1)[:, k] for d in _distances(x, x)])


def _checked(name: str, real: Any, fake: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    if k < 1:
        raise ValueError(f"{name}: k must be at least 1, got {k}")
    a, b = feature_pair(name, real, fake, k + 1)
    centre = a.mean(0)  # differences of large numbers lose digits
    return a - centre, b - centre


def precision_recall_of_generator(real: Any, fake: Any, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019) of features (N, D) and (M, D).

    A set's manifold is the union of the balls around its points that reach to their k-th neighbours. Precision: the share of
    generated images on the manifold of the real ones (do they look real?). Recall: the share of real images on the manifold of
    the generated ones (does everything occur?). Raises ValueError for fewer than k + 1 images of a kind.
    """
    a, b = _checked("precision_recall_of_generator", real, fake, k)
    real_radii, fake_radii = _radii(a, k), _radii(b, k)
    inside = np.concatenate([(d <= real_radii).any(1) for d in _distances(b, a)])
    reached = np.concatenate([(d <= fake_radii).any(1) for d in _distances(a, b)])
    return float(inside.mean()), float(reached.mean())


def density_coverage(real: Any, fake: Any, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020), which an outlier among the images moves less than precision and recall.

    Density: how many of the real images' balls a generated one lies in, over k (about 1 for equal distributions; it may be more).
    Coverage: the share of real images with a generated one in their ball.
    """
    a, b = _checked("density_coverage", real, fake, k)
    radii = _radii(a, k)
    density, covered = 0.0, np.zeros(len(a), bool)
    for d in _distances(b, a):
        inside = d <= radii
        density += inside.sum()
        covered |= inside.any(0)
    return float(density / (k * len(b))), float(covered.mean())
