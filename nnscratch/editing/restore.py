"""Restoring with a trained autoencoder: denoise, enhance (twice the size), colourise; images (C, H, W) in 0..1 of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data.transforms.fixed import luminance
from ..tensor import as_tensor, to_numpy
from .fitting import as_a_whole, by_channel, in_tiles

TILE = 256  # pixels of a side that are worked on at once
OVERLAP = 1 / 8


def restored(model: Any, images: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """`model.restore` of a batch (N, C, H, W), as an array in 0..1."""
    weight = next(iter(model.parameters()))
    with no_grad():
        x, mask = (None if a is None else as_tensor(a.astype(weight.dtype)).to(weight.device) for a in (images, known))
        return np.clip(to_numpy(model.restore(x, mask)), 0, 1)


def _require(model: Any, purpose: str, *also: str) -> None:
    found = getattr(model, "purpose", None)
    if found not in (purpose, *also):
        what = f"an autoencoder trained to {found}" if found else f"a {type(model).__name__}"
        raise ValueError(f"to {purpose}, an autoencoder trained to {purpose} is needed, not {what}")


def denoise(model: Any, image: np.ndarray) -> np.ndarray:
    """Without noise. A dense model sees the image scaled to its size; a convolutional one works at full size."""
    _require(model, "denoise", "reconstruct")
    f = lambda x: restored(model, x)
    if not model.any_size:
        return by_channel(lambda x: np.stack([as_a_whole(f, one, model.sides) for one in x]), image, model.channels)
    return by_channel(lambda x: np.stack([in_tiles(f, one, (TILE, TILE), overlap=OVERLAP) for one in x]), image, model.channels)


def enhance(model: Any, image: np.ndarray) -> np.ndarray:
    """Twice as large, (C, 2 H, 2 W)."""
    _require(model, "enhance")
    tile = (TILE // 2, TILE // 2)
    tiled = lambda x: np.stack([in_tiles(lambda t: restored(model, t), one, tile, overlap=OVERLAP, scale=2) for one in x])
    return by_channel(tiled, image, model.channels)


def colourise(model: Any, image: np.ndarray) -> np.ndarray:
    """In colours, (3, H, W): those of the model's image, with the luminance Y of the given one.

        y = m + (Y(x) - Y(m)),   Y = 0.299 R + 0.587 G + 0.114 B

    as in Zhang, Isola and Efros (2016), where the network is asked for the two colour channels alone. A colour picture is seen in
    grey, so the colours are the model's throughout.
    """
    _require(model, "colourise")
    grey = luminance(image[None])[0].astype(np.float32)
    coloured = in_tiles(lambda x: restored(model, x), grey, (TILE, TILE), overlap=OVERLAP)
    return np.clip(coloured + (grey - luminance(coloured[None])[0]), 0, 1)
