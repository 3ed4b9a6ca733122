"""Damage to images, of the kinds that an autoencoder learns to mend."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import generator_or_default
from ..data.transforms.fixed import luminance
from ..nn import functional as F
from ..tensor import Tensor, as_tensor, to_numpy


def corrupt(
    x: Tensor, purpose: str, *, noise: str = "gaussian", amount: float = 0.2, generator: Any = None
) -> tuple[Tensor, Tensor | None]:
    """(damaged, known): images (N, C, H, W) as `Autoencoder.restore` takes them to give x back, and its mask or None.

    reconstruct   x itself
    denoise       gaussian: x + s e, e ~ N(0, 1), with s in 0..amount drawn for each image; salt-and-pepper: a share in
                  0..amount of the pixels, drawn for each image, is 0 or 1
    enhance       the mean of each 2x2 block, so H and W must be even
    inpaint       the pixels where `known` is 0 are 0 (see `random_masks`)
    colourise     the luminance (N, 1, H, W)
    """
    if purpose == "reconstruct":
        return x, None
    if purpose == "enhance":
        return F.avg_pool2d(x, 2), None
    if purpose == "colourise":
        return luminance(x), None
    if purpose == "inpaint":
        known = random_masks(len(x), x.shape[2], x.shape[3], generator)
        mask = as_tensor(known.astype(x.dtype)).to(device=x.device)
        return x * mask, mask
    if purpose != "denoise" or noise not in ("gaussian", "salt-and-pepper"):
        raise ValueError(f"corrupt: unknown purpose {purpose!r} or noise {noise!r}")
    draw, images = generator_or_default(generator).numpy, to_numpy(x)
    level = draw.random((len(x), 1, 1, 1), dtype=np.float32) * np.float32(amount)
    if noise == "gaussian":
        damaged = images + level * draw.standard_normal(images.shape, dtype=np.float32)
    else:
        u = draw.random((len(x), 1, *x.shape[2:]), dtype=np.float32)
        damaged = np.where(u < level, (u < level / 2).astype(images.dtype), images)
    return as_tensor(damaged.astype(x.dtype)).to(device=x.device), None


def plain_repair(damaged: Tensor, known: Tensor | None, purpose: str) -> np.ndarray:
    """What needs no training, (N, C, H, W) in 0..1: the noisy image itself, a bicubic enlargement, the mean of each image's known
    pixels in its hole, grey for colours. An autoencoder is worth its training by what it does better.
    """
    if purpose == "enhance":
        damaged = F.interpolate(damaged, scale_factor=2, mode="bicubic")
    x = np.clip(to_numpy(damaged), 0, 1)
    if purpose == "colourise":
        return x.repeat(3, 1)
    if known is None:
        return x
    mask = np.broadcast_to(to_numpy(known), x.shape) > 0.5
    mean = (x * mask).sum((2, 3), keepdims=True) / np.maximum(mask.sum((2, 3), keepdims=True), 1)
    return np.where(mask, x, mean).astype(x.dtype)


def random_masks(n: int, height: int, width: int, generator: Any = None) -> np.ndarray:
    """Masks (n, 1, height, width), False where a picture is to be made up: one rectangle in each.

    Half of them hide a block with sides between a quarter and a half of the picture's, anywhere; the others a whole half: left,
    right, upper or lower.
    """
    draw = generator_or_default(generator).numpy
    known = np.ones((n, 1, height, width), bool)
    for mask in known[:, 0]:
        if draw.random() < 0.5:
            h, w = (int(draw.integers(max(1, side // 4), max(2, side // 2 + 1))) for side in (height, width))
            top, left = int(draw.integers(height - h + 1)), int(draw.integers(width - w + 1))
            mask[top : top + h, left : left + w] = False
        else:
            half = int(draw.integers(4))
            at = slice(None, (height, width)[half % 2] // 2) if half < 2 else slice((height, width)[half % 2] // 2, None)
            mask[at if half % 2 == 0 else slice(None), at if half % 2 else slice(None)] = False
    return known
