"""Change one attribute of images: along a direction of latent space, or by another label for a conditional decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import Generator
from ..tensor import as_tensor, to_numpy
from .latents import drawn, encode


def class_means(codes: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean code (classes, latent) of each class. Raises ValueError for one without examples."""
    counts = np.bincount(labels, minlength=classes)
    if len(codes) != len(labels) or len(counts) > classes or not counts.all():
        raise ValueError(
            f"class_means: expected examples of each of {classes} classes, got {counts.tolist()} of {len(codes)} codes"
        )
    return np.stack([codes[labels == k].mean(0) for k in range(classes)])


def direction(codes: np.ndarray, having: np.ndarray, without: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The latent direction (latent,) of an attribute from codes (N, latent) of examples that have it or not (boolean (N,)).

        d = mean of codes with it - mean of codes without it             (Larsen et al. 2016, section 4.2)

    What d has in common with the directions `without` is removed (Gram-Schmidt), so that these attributes stay as they are as far
    as the directions tell (Shen et al. 2020, "Interpreting the latent space of GANs", section 3.2). z + d has the attribute,
    z - d loses it, and a part of d does so by degrees. Raises ValueError without examples of both kinds.
    """
    having = np.asarray(having, bool)
    if having.shape != (len(codes),) or having.all() or not having.any():
        raise ValueError(
            f"direction: expected examples with and without the attribute, got {having.sum()} of {len(having)} with it"
        )
    d = codes[having].mean(0) - codes[~having].mean(0)
    basis: list[np.ndarray] = []
    for other in without:
        rest = other - sum((b * (b @ other) for b in basis), np.zeros_like(other))
        if (norm := np.linalg.norm(rest)) > 1e-8:
            basis.append(rest / norm)
    return d - sum((b * (b @ d) for b in basis), np.zeros_like(d))


def along(model: Any, images: np.ndarray, step: np.ndarray, labels: Any = None) -> np.ndarray:
    """The images (N, C, H, W) with `step`, (latent,) or (N, latent), added to their codes."""
    return drawn(model, encode(model, images, labels) + step.astype(images.dtype), labels)


def relabel(model: Any, images: np.ndarray, labels: Any, wanted: Any) -> np.ndarray:
    """The images as a conditional model draws them with the labels `wanted` (N,) instead of their own `labels` (N,).

    z from q(z | x, y), then p(x | z, y'): what y says need not be in z, so all else stays (Kingma et al. 2014, "Semi-supervised
    learning with deep generative models", section 4.2: analogies).
    """
    labels, wanted = (np.broadcast_to(np.asarray(y), (len(images),)) for y in (labels, wanted))
    return drawn(model, encode(model, images, labels), wanted)


def likely_labels(model: Any, images: np.ndarray, samples: int = 4, seed: int = 0, batch: int = 250) -> np.ndarray:
    """The label (N,) under which a conditional VAE gives each image the largest ELBO: Bayes' rule with equal priors."""
    found, generator = [], Generator(seed)
    with no_grad():
        for start in range(0, len(images), batch):
            x, state = as_tensor(images[start : start + batch]), generator.get_state()
            scores = []
            for k in range(model.classes):
                generator.set_state(state)  # the same noise for each label
                log_w = model.log_weights(x, samples, generator, labels=np.full(len(x), k))
                scores.append(to_numpy(log_w).mean(1))
            found.append(np.stack(scores).argmax(0))
    return np.concatenate(found)
