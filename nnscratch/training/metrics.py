"""Metrics on plain arrays: classification, and the quality of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import to_numpy

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1_score",
    "mae",
    "mse",
    "precision",
    "precision_recall_f1",
    "psnr",
    "recall",
    "ssim",
    "top_k_accuracy",
]


def _labels(x: Any) -> np.ndarray:
    """Class indices (N,): as given, or the largest of scores (N, classes)."""
    x = to_numpy(x) if not isinstance(x, (list, tuple)) else np.asarray(x)
    if x.ndim == 2:
        x = x.argmax(1)
    if x.ndim != 1:
        raise ValueError(f"expected class indices (N,) or scores (N, classes), got shape {x.shape}")
    return x


def _pair(predicted: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    p, t = _labels(predicted), _labels(target)
    if p.shape != t.shape:
        raise ValueError(f"got {len(p)} predictions and {len(t)} targets")
    if not len(t):
        raise ValueError("there are no targets: a metric of nothing is undefined")
    return p, t


def accuracy(predicted: Any, target: Any) -> float:
    """The share of correct predictions; `predicted` holds class indices (N,) or scores (N, classes)."""
    p, t = _pair(predicted, target)
    return float((p == t).mean())


def top_k_accuracy(scores: Any, target: Any, k: int = 5) -> float:
    """The share of targets among the k largest scores. A tie counts the classes with smaller indices as larger."""
    scores, t = to_numpy(scores), _labels(target)
    if scores.ndim != 2 or len(scores) != len(t) or not 1 <= k <= scores.shape[1]:
        raise ValueError(f"expected scores (N, classes) for {len(t)} targets and k in 1..classes, got {scores.shape} and k={k}")
    own = scores[np.arange(len(t)), t][:, None]
    earlier = np.arange(scores.shape[1]) < t[:, None]
    rank = (scores > own).sum(1) + ((scores == own) & earlier).sum(1)
    return float((rank < k).mean())


def confusion_matrix(predicted: Any, target: Any, classes: int | None = None) -> np.ndarray:
    """Counts (classes, classes): row = the true class, column = the predicted one."""
    p, t = _pair(predicted, target)
    n = int(max(p.max(), t.max())) + 1 if classes is None else classes
    if min(p.min(), t.min()) < 0 or max(p.max(), t.max()) >= n:
        raise ValueError(f"class indices must be in 0..{n - 1}, got {min(p.min(), t.min())}..{max(p.max(), t.max())}")
    return np.bincount(t * n + p, minlength=n * n).reshape(n, n)


def precision_recall_f1(
    predicted: Any, target: Any, average: str | None = "macro", classes: int | None = None
) -> tuple[Any, ...]:
    """(precision, recall, F1): TP / (TP + FP), TP / (TP + FN), and their harmonic mean; 0 where a denominator is 0.

    `average`: 'macro' is the plain mean over classes, 'weighted' the mean by their number of targets, 'micro' counts all
    classes together, None gives arrays with one value a class.
    """
    if average not in ("macro", "micro", "weighted", None):
        raise ValueError(f"average: expected 'macro', 'micro', 'weighted' or None, got {average!r}")
    counts = confusion_matrix(predicted, target, classes).astype(float)
    hits, predictions, targets = counts.diagonal(), counts.sum(0), counts.sum(1)
    if average == "micro":
        hits, predictions, targets = hits.sum(keepdims=True), predictions.sum(keepdims=True), targets.sum(keepdims=True)

    def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.divide(a, b, out=np.zeros_like(b), where=b > 0)

    values = ratio(hits, predictions), ratio(hits, targets), ratio(2 * hits, predictions + targets)
    if average is None:
        return values
    present = (predictions + targets) > 0  # a class that occurs nowhere does not lower a mean
    weights = targets if average == "weighted" else present.astype(float)
    return tuple(float((v * weights).sum() / weights.sum()) for v in values)


def precision(predicted: Any, target: Any, average: str | None = "macro", classes: int | None = None) -> Any:
    """TP / (TP + FP): see `precision_recall_f1`."""
    return precision_recall_f1(predicted, target, average, classes)[0]


def recall(predicted: Any, target: Any, average: str | None = "macro", classes: int | None = None) -> Any:
    """TP / (TP + FN): see `precision_recall_f1`."""
    return precision_recall_f1(predicted, target, average, classes)[1]


def f1_score(predicted: Any, target: Any, average: str | None = "macro", classes: int | None = None) -> Any:
    """2 TP / (2 TP + FP + FN): see `precision_recall_f1`."""
    return precision_recall_f1(predicted, target, average, classes)[2]


def _images(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = to_numpy(a), to_numpy(b)
    if a.shape != b.shape:
        raise ValueError(f"expected two arrays of one shape, got {a.shape} and {b.shape}")
    return a.astype(np.float64), b.astype(np.float64)


def mse(a: Any, b: Any) -> float:
    """Mean of (a - b)²."""
    a, b = _images(a, b)
    return float(np.square(a - b).mean())


def mae(a: Any, b: Any) -> float:
    """Mean of |a - b|."""
    a, b = _images(a, b)
    return float(np.abs(a - b).mean())


def psnr(a: Any, b: Any, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range² / MSE); infinite for equal images."""
    error = mse(a, b)
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(a: Any, b: Any, data_range: float = 1.0, window: int = 11, sigma: float = 1.5) -> float:
    """Structural similarity (Wang et al. 2004), averaged over the places of the window, channels and images.

        SSIM = (2 mu_a mu_b + C1)(2 cov + C2) / ((mu_a² + mu_b² + C1)(var_a + var_b + C2)),   C = (0.01 L)², (0.03 L)²

    with means, variances and the covariance under a Gaussian window. Shapes (..., H, W); only windows that lie wholly inside
    count. For images smaller than the window it shrinks to the largest odd size that fits. Raises ValueError.
    """
    a, b = _images(a, b)
    if a.ndim < 2 or window < 1 or window % 2 == 0:
        raise ValueError(f"ssim: expected images (..., H, W) and an odd window, got shape {a.shape} and window {window}")
    side = min(window, *a.shape[-2:])
    side -= 1 - side % 2
    offsets = np.arange(side) - side // 2
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        for axis in (-2, -1):
            x = np.lib.stride_tricks.sliding_window_view(x, side, axis=axis) @ kernel
        return x

    mu_a, mu_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mu_a**2, blur(b * b) - mu_b**2
    cov = blur(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return float(values.mean())
