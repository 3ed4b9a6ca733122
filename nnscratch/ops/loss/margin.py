"""Losses that ask for a distance of at least a margin. Exactly at the margin the gradient is the loss's own side, as in torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import backend
from ...tensor import array_of
from ..activation import relu
from ..compare import clamp, minimum, where
from ..index import gather
from ..powers import sqrt
from ..reduce import mean, sum, vector_norm
from ..shape import unsqueeze
from .classification import check_weight, class_indices
from .common import check_same_shape, reduce

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "triplet_margin_loss",
]


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """x where t = 1, max(0, margin - x) where t = -1: for distances x of similar and dissimilar pairs.

    Shapes: the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("hinge_embedding_loss", input=input, target=target)
    near = where(target == 1, input, 0.0)
    far = where(target == -1, clamp(margin - input, 0.0), 0.0)
    return reduce("hinge_embedding_loss", near + far, reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """max(0, margin - t (x1 - x2)): with t = 1, x1 should be the larger by the margin; with t = -1, x2.

    Shapes: all the same. Raises ValueError for shapes or reduction.
    """
    check_same_shape("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduce("margin_ranking_loss", clamp(margin - target * (input1 - input2), 0.0), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """1 - cos(x1, x2) where t = 1, max(0, cos(x1, x2) - margin) where t = -1.

    input1, input2: (N, D) or (D); target: (N) or (). Raises ValueError for shapes or reduction.
    """
    name = "cosine_embedding_loss"
    check_same_shape(name, input1=input1, input2=input2)
    if input1.ndim not in (1, 2) or tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ValueError(
            f"{name}: inputs of shape {tuple(input1.shape)} and a target of shape {tuple(target.shape)}; "
            "expected (N, D) and (N), or (D) and ()"
        )
    norms = (sum(input1 * input1, -1) + 1e-12) * (sum(input2 * input2, -1) + 1e-12)
    cosine = sum(input1 * input2, -1) / sqrt(norms)
    loss = where(target == 1, 1.0 - cosine, 0.0) + where(target == -1, clamp(cosine - margin, 0.0), 0.0)
    return reduce(name, loss, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + d(a, p) - d(a, n)) with d(x, y) = ||x - y + eps||_p over the last axis (Schroff et al. 2015).

    `swap` takes min(d(a, n), d(p, n)) for the last term (Balntas et al. 2016). Shapes: all (N, D) or (D). Raises ValueError for
    shapes, reduction, or a margin that is not positive.
    """
    name = "triplet_margin_loss"
    check_same_shape(name, anchor=anchor, positive=positive, negative=negative)
    if margin <= 0:
        raise ValueError(f"{name}: margin must be greater than 0, got {margin}")
    near = vector_norm(anchor - positive + eps, p, -1)
    far = vector_norm(anchor - negative + eps, p, -1)
    if swap:
        far = minimum(far, vector_norm(positive - negative + eps, p, -1))
    return reduce(name, clamp(margin + near - far, 0.0), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """w[t] Σ_{c ≠ t} max(0, margin - x_t + x_c)^p / C: the multi-class hinge loss (Crammer & Singer 2001 for p = 1).

    input: scores (N, C) or (C); target: class indices (N) or (); weight: (C); p: 1 or 2. Raises ValueError for shapes, p or
    reduction, IndexError for an index that is no class.
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p}")
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: input must have shape (N, C) or (C), got {tuple(input.shape)}")
    check_weight(name, weight, input.shape[-1])
    indices, _ = class_indices(name, input, target, input.ndim - 1)
    correct = unsqueeze(indices, -1)
    hinge = relu(margin - gather(input, -1, correct) + input)
    hinge = where(correct == backend.array_module(indices).arange(input.shape[-1]), 0.0, hinge if p == 1 else hinge * hinge)
    loss = mean(hinge, -1)
    if weight is not None:
        loss = loss * weight[indices]
    return reduce(name, loss, reduction)


def multilabel_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Σ_t Σ_c max(0, 1 - x_t + x_c) / C over the target classes t and the other classes c.

    input: scores (N, C) or (C); target: of the same shape, each row a list of class indices that ends before the first -1. Raises
    ValueError for shapes or reduction, TypeError for targets that are not integers, IndexError for an index that is no class.
    """
    name = "multilabel_margin_loss"
    check_same_shape(name, input=input, target=target)
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: input must have shape (N, C) or (C), got {tuple(input.shape)}")
    target = array_of(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: class indices must be integers, got {target.dtype}")
    classes = input.shape[-1]
    listed = np.cumprod(target != -1, axis=-1) == 1
    outside = listed & ((target < 0) | (target >= classes))
    if outside.any():
        raise IndexError(f"{name}: target {int(target[outside][0])} is out of range for {classes} classes")
    xp = backend.array_module(target)
    times = ((target[..., None] == xp.arange(classes)) & listed[..., None]).sum(axis=-2)  # how often each class is a target
    pairs = times[..., :, None] * (times == 0)[..., None, :]
    hinge = relu(1.0 - unsqueeze(input, -1) + unsqueeze(input, -2))
    return reduce(name, sum(hinge * pairs.astype(input.dtype), (-2, -1)) / classes, reduction)
