"""Style transfer: one picture's things in another one's textures, as the features of a trained CNN tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..ops import clamp
from ..optim import Adam
from ..tensor import Tensor, as_tensor, to_numpy


def gram(a: Tensor) -> Tensor:
    """G_ij = sum over places of A_i A_j / (h w): features (N, K, h, w) -> (N, K, K).

    Gatys, Ecker and Bethge (2016), "Image style transfer using convolutional neural networks", equation 3; divided by the number
    of places, so that pictures of different sizes can be compared.
    """
    n, k, h, w = a.shape
    flat = a.reshape(n, k, h * w)
    return flat @ flat.transpose(1, 2) * (1 / (h * w))


def rectified(features: nn.Module, x: Tensor) -> list[Tensor]:
    """The outputs of every ReLU among the layers of a Sequential: the features of each convolution."""
    found = []
    for layer in features.children():
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found.append(x)
    return found


def transfer(
    model: Any,
    content: np.ndarray,
    style: np.ndarray,
    *,
    strength: float = 1.0,
    smoothness: float = 0.02,
    steps: int = 200,
    lr: float = 0.03,
    weights: Sequence[float] | None = None,
) -> np.ndarray:
    """The picture `content` (C, H, W) in 0..1 in the style of `style` (C, H', W'), by gradient descent on its pixels with Adam.

        L = content + strength * style + smoothness * total variation
        content = |F_l(x) - F_l(c)|² / |F_l(c)|²                                 at the last convolution l
        style   = mean over convolutions of |G_l(x) - G_l(s)|² / |G_l(s)|²       (weighted by `weights`)

    (Gatys et al., equations 1, 4, 5 and 7, with each term divided by the size of its target, so that the weights mean the same
    for every network.) The network's `features` is a Sequential of convolutions; the picture may be of any size that its
    poolings can halve. Starts from `content`.
    """
    features = getattr(model, "features", None)
    if features is None or not any(isinstance(layer, nn.ReLU) for layer in features.children()):
        raise ValueError(
            f"style transfer needs a network with convolutional `features`, such as a cnn, not {type(model).__name__}"
        )
    device = next(iter(model.parameters())).device
    with no_grad():
        wanted = rectified(features, as_tensor(content[None]).to(device))[-1]
        textures = [gram(a) for a in rectified(features, as_tensor(style[None]).to(device))]
    shares = np.full(len(textures), 1.0) if weights is None else np.asarray(weights, float)
    if shares.shape != (len(textures),) or shares.sum() <= 0:
        raise ValueError(f"weights: expected {len(textures)} numbers that are not all 0, got {weights}")
    shares = shares / shares.sum()
    scale = 1 / float(wanted.square().sum().item() + 1e-12)
    scales = [float(share / (g.square().sum().item() + 1e-12)) for share, g in zip(shares, textures)]
    x = as_tensor(content[None].copy()).to(device).requires_grad_()
    optimizer = Adam([x], lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + float(np.cos(np.pi * step / steps)))
        optimizer.zero_grad()
        found = rectified(features, x)
        loss = (found[-1] - wanted).square().sum() * scale
        for a, g, s in zip(found, textures, scales):
            loss = loss + (gram(a) - g).square().sum() * (s * strength)
        across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
        (loss + (across.square().mean() + down.square().mean()) * smoothness).backward()
        optimizer.step()
        with no_grad():
            x.data[...] = clamp(x, 0.0, 1.0).data
    return to_numpy(x)[0]
