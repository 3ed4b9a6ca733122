"""Fill in missing pixels: by an autoencoder, by a model that completes rows, or by the best fitting image of a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.resample import resize
from .fitting import around, by_channel
from .latents import drawn, draws, project
from .masks import bounding_box
from .restore import restored

# Images (N, C, h, w) in 0..1 of the model's size and masks (N, 1, h, w), True where pixels are missing -> images.
Filler = Callable[[np.ndarray, np.ndarray], np.ndarray]


def inpaint(model: Any, image: np.ndarray, mask: np.ndarray, **search: Any) -> np.ndarray:
    """The image (C, H, W) in 0..1 with new pixels where `mask` (H, W) is True; all others stay exactly as they are.

        y = (1 - m) x + m f(x)

    The model gets a window around the hole, scaled to its size (see `fitting`). f is the model's own completion for an
    autoencoder trained to inpaint and for a row LSTM; for a VAE or GAN the image that `latents.project` finds from the known
    pixels (`search` has its options). Raises ValueError for other models and for a mask that leaves no pixel known.
    """
    filler, channels, sides = _filler(model, search)
    if mask.shape != image.shape[1:] or mask.dtype != bool:
        raise ValueError(f"inpaint: expected a boolean mask {image.shape[1:]}, got {mask.dtype} {mask.shape}")
    if mask.all():
        raise ValueError("inpaint: the mask covers the whole image; nothing is known to go by")
    rows, columns = around(bounding_box(mask), mask.shape, sides)
    part, hole = image[:, rows, columns], mask[rows, columns]
    if hole.all():  # a wide hole against the border: what is known lies farther away
        rows, columns = slice(0, mask.shape[0]), slice(0, mask.shape[1])
        part, hole = image, mask
    missing = resize(hole.astype(np.float32), sides)
    small_hole = missing > max(0.05, missing.min())  # what a missing pixel has leaked into does not count as known
    small = resize(_smooth_fill(part, hole), sides)
    f = lambda x: filler(x, np.broadcast_to(small_hole, (len(x), 1, *sides)))
    filled = resize(by_channel(f, small, channels), hole.shape)
    result = image.copy()
    result[:, rows, columns] = np.where(hole, np.clip(filled, 0, 1), part)
    return result


def _smooth_fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole in the mean of the known pixels, so that scaling mixes nothing strange into its border."""
    mean = image[:, ~hole].mean(1)
    return np.where(hole, mean[:, None, None], image).astype(image.dtype)


def _filler(model: Any, search: dict[str, Any]) -> tuple[Filler, int, tuple[int, int]]:
    """How the model fills, the channels of its images, and their height and width."""
    if getattr(model, "purpose", None) == "inpaint":
        return lambda x, m: restored(model, x, ~m), model.channels, tuple(model.sides)
    if hasattr(model, "complete"):
        return lambda x, m: model.complete(x, ~m), 1, tuple(model.image_shape[1:])
    if draws(model):
        channels, *sides = model.image_shape
        return lambda x, m: drawn(model, project(model, x, ~m, **search)), channels, (sides[0], sides[1])
    what = f"an autoencoder trained to {model.purpose}" if hasattr(model, "purpose") else f"a {type(model).__name__}"
    raise ValueError(f"to inpaint, an autoencoder trained to inpaint, a VAE, a GAN or a row LSTM is needed, not {what}")
