"""How far generated images are from real ones, by the features that a fixed network gives them.

A number means something only beside others with the same network, the same data and the same number of images: Fréchet distances
fall as there are more of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import to_numpy


def feature_pair(name: str, real: Any, fake: Any, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features, float64 (N, D) and (M, D), with N, M >= least. Raises ValueError for anything else."""
    a, b = (to_numpy(x).astype(np.float64) for x in (real, fake))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"{name}: expected features (N, D) and (M, D), got shapes {a.shape} and {b.shape}")
    if min(len(a), len(b)) < least:
        raise ValueError(f"{name}: at least {least} images of each kind are needed, got {len(a)} real and {len(b)} generated")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"{name}: the features are not all finite")
    return a, b


def frechet_distance(real: Any, fake: Any) -> float:
    """Distance of two Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017); 0 for equal sets, at least 0.

        |m - m'|² + tr(C + C' - 2 (C^½ C' C^½)^½)

    with unbiased covariances C. The trace of the root is the sum of the roots of the eigenvalues of the symmetric C^½ C' C^½,
    exact also where C is singular. It is named after its features: with Inception's it is the FID, with LeNet's the LeNet-FID.
    Raises ValueError for fewer than two images of a kind.
    """
    a, b = feature_pair("frechet_distance", real, fake, 2)
    c, d = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(c)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ d @ root)
    means = a.mean(0) - b.mean(0)
    distance = means @ means + np.trace(c) + np.trace(d) - 2 * np.sqrt(np.maximum(product, 0)).sum()
    return max(float(distance), 0.0)  # rounding can leave a little less than nothing


def kid(real: Any, fake: Any, subsets: int = 100, size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Kernel distance (Binkowski et al. 2018): mean and standard error over `subsets` draws of `size` images of each kind.

    The unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x·y / D + 1)³:

        mean over i≠j of k(x_i, x_j) + mean over i≠j of k(y_i, y_j) - 2 mean of k(x_i, y_j)

    It needs fewer images than a Fréchet distance and may be a little below 0. `size` shrinks to the number of images.
    """
    a, b = feature_pair("kid", real, fake, 2)
    if subsets < 1 or size < 2:
        raise ValueError(f"kid: expected at least one subset of at least two images, got subsets={subsets} and size={size}")
    size, rng = min(size, len(a), len(b)), np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x, y = a[rng.choice(len(a), size, replace=False)], b[rng.choice(len(b), size, replace=False)]
        xx, yy, xy = ((p @ q.T / p.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        values.append(within - 2 * xy.mean())
    error = np.std(values, ddof=1) / np.sqrt(subsets) if subsets > 1 else 0.0
    return float(np.mean(values)), float(error)


def inception_score(probabilities: Any, splits: int = 10) -> tuple[float, float]:
    """exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al. 2016): mean and deviation over splits.

    `probabilities` (N, classes) of a classifier, rows that sum to 1; the splits are consecutive parts of almost equal size. From
    1 (every image has the same classes) to the number of classes (each image surely of one, all classes equally often).
    The name belongs to Inception's probabilities: name the score after the classifier where it is another. Raises ValueError.
    """
    p = to_numpy(probabilities).astype(np.float64)
    if p.ndim != 2 or not 1 <= splits <= len(p):
        raise ValueError(f"inception_score: expected (N, classes) with N of at least splits, got {p.shape} and splits={splits}")
    if (p < 0).any() or not np.allclose(p.sum(1), 1, atol=1e-4):
        raise ValueError("inception_score: expected probabilities, rows of at least 0 that sum to 1")
    scores = []
    for part in np.array_split(p, splits):
        ratio = np.divide(part, part.mean(0), out=np.ones_like(part), where=part > 0)  # 0 log 0 = 0
        scores.append(np.exp((part * np.log(ratio)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def mode_coverage(predicted: Any, classes: int, least: float = 0.1) -> tuple[int, float]:
    """(covered, divergence) of the classes `predicted` (N,) that a classifier sees in generated images.

    A class is covered when it has at least `least` of an equal share, N / classes. divergence is the KL divergence of the
    frequencies from equal ones, in nats: 0 for equal ones, log(classes) for a single class. Raises ValueError.
    """
    p = to_numpy(predicted)
    if p.ndim != 1 or not len(p) or p.dtype.kind not in "iu" or p.min() < 0 or p.max() >= classes:
        raise ValueError(f"mode_coverage: expected class indices (N,) in 0..{classes - 1}, got {p.dtype} of shape {p.shape}")
    share = np.bincount(p, minlength=classes) / len(p)
    seen = share[share > 0]
    return int((share >= least / classes).sum()), float((seen * np.log(seen * classes)).sum())
