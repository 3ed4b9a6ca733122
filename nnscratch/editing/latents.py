"""Latent codes of images: through an encoder where the model has one, else by searching for the code that draws the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import Generator
from ..ops import randn
from ..optim import Adam
from ..tensor import Tensor, as_tensor, to_numpy


def draws(model: Any) -> bool:
    """Whether a model turns latent codes into images: a VAE (`means`) or a generator (`decode`, `noise`)."""
    return hasattr(model, "means") or (hasattr(model, "decode") and hasattr(model, "noise"))


def decode(model: Any, z: Any, labels: Any = None) -> Tensor:
    """Images (N, C, H, W) of codes z (N, latent); a conditional model needs `labels` (N,). Gradients pass through.

    Values are in 0..1, but for the means of a Gaussian likelihood, which may lie a little outside.
    """
    z = as_tensor(z)
    return model.means(z, labels) if hasattr(model, "means") else model.decode(z)


def drawn(model: Any, z: Any, labels: Any = None, batch: int = 64) -> np.ndarray:
    """`decode` without gradients, in batches, as an array limited to 0..1."""
    with no_grad():
        parts = [
            to_numpy(decode(model, _to(model, z[k : k + batch]), None if labels is None else labels[k : k + batch]))
            for k in range(0, len(z), batch)
        ]
    return np.clip(np.concatenate(parts), 0, 1)


def encode(model: Any, images: Any, labels: Any = None, **search: Any) -> np.ndarray:
    """Codes (N, latent) of images (N, C, H, W) in 0..1: the means of q(z | x), or where there is no encoder, `project`'s."""
    if not hasattr(model, "encode"):
        return project(model, images, **search)
    with no_grad():
        return to_numpy(model.encode(_to(model, images), labels)[0])


def noise(model: Any, n: int, generator: Any = None) -> np.ndarray:
    """n codes (n, latent) from N(0, 1)."""
    return to_numpy(randn(n, model.latent, generator=generator))


def project(
    model: Any,
    images: Any,
    known: Any = None,
    *,
    labels: Any = None,
    steps: int = 300,
    starts: int = 8,
    lr: float = 0.1,
    prior: float = 1e-3,
    seed: int = 0,
) -> np.ndarray:
    """Codes (N, latent) whose images agree best with `images` (N, C, H, W) where `known` (N, 1 or C, H, W) is true.

        z* = argmin_z  mean over known pixels of (G(z) - x)² + prior |z|² / latent

    Bora et al. (2017), "Compressed sensing using generative models", equation 3. The problem is not convex: `starts` codes from
    N(0, 1) are improved by `steps` steps of Adam each, its rate falling to zero, and the best is kept.
    """
    x = as_tensor(_to(model, images))
    n, dtype = len(x), x.dtype
    seen = np.ones(x.shape, dtype) if known is None else np.broadcast_to(to_numpy(known), x.shape).astype(dtype)
    if not seen.any((1, 2, 3)).all():
        raise ValueError("project: an image without known pixels says nothing about its code")
    weights = _to(model, seen / seen.sum((1, 2, 3), keepdims=True))
    repeated = None if labels is None else np.tile(np.asarray(labels), starts)
    z = randn(starts * n, model.latent, generator=Generator(seed), dtype=dtype, device=x.device).requires_grad_()
    optimizer = Adam([z], lr=lr)
    for step in range(steps + 1):
        images_now = decode(model, z, repeated).reshape(starts, n, *x.shape[1:])
        errors = ((images_now - x).square() * weights).sum((2, 3, 4)) + z.square().mean(1).reshape(starts, n) * prior
        if step == steps:
            break
        optimizer.zero_grad()
        errors.sum().backward()
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + float(np.cos(np.pi * step / steps)))
        optimizer.step()
    best = to_numpy(errors).argmin(0)
    return to_numpy(z).reshape(starts, n, -1)[best, np.arange(n)]


def _to(model: Any, array: Any) -> Tensor:
    """On the model's device."""
    return as_tensor(array).to(next(iter(model.parameters())).device)
