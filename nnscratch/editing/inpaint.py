"""Fill in missing pixels: by an autoencoder, by a model that completes rows, or by the best fitting image of a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Generator
from ..data.resample import resize
from ..tensor import as_tensor, to_numpy
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
    pixels. `search` has options of `project`, or `seed` and `candidates` of the row LSTM's draws. Raises ValueError for other
    models and for a mask that leaves no pixel known.
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


def _completed(model: Any, x: np.ndarray, known: np.ndarray, seed: int = 0, candidates: int = 16) -> np.ndarray:
    """A row LSTM's completion; of `candidates` one that agrees with what is known below and to the right of the hole."""
    device = next(iter(model.parameters())).device
    tensors = [as_tensor(a.astype(x.dtype)).to(device) for a in (x, known)]
    return to_numpy(model.complete(*tensors, Generator(seed), candidates=candidates))


def _best_drawing(model: Any, x: np.ndarray, known: np.ndarray, **search: Any) -> np.ndarray:
    """The image of the code that fits best; for a conditional model under the label that fits best."""
    labels = [None] if not getattr(model, "classes", 0) else [np.full(len(x), k) for k in range(model.classes)]
    images = np.stack([drawn(model, project(model, x, known, labels=y, **search), y) for y in labels])
    errors = (np.square(images - x) * known).sum((2, 3, 4))
    return images[errors.argmin(0), np.arange(len(x))]


def can_inpaint(model: Any) -> bool:
    """Whether `inpaint` knows what to do with a model."""
    return getattr(model, "purpose", None) == "inpaint" or hasattr(model, "complete") or draws(model)


def _smooth_fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole in the mean of the known pixels, so that scaling mixes nothing strange into its border."""
    mean = image[:, ~hole].mean(1)
    return np.where(hole, mean[:, None, None], image).astype(image.dtype)


def _filler(model: Any, search: dict[str, Any]) -> tuple[Filler, int, tuple[int, int]]:
    """How the model fills, the channels of its images, and their height and width."""
    if getattr(model, "purpose", None) == "inpaint":
        return lambda x, m: restored(model, x, ~m), model.channels, tuple(model.sides)
    if can_inpaint(model):
        channels, *sides = model.image_shape
        fill = _completed if hasattr(model, "complete") else _best_drawing
        return lambda x, m: fill(model, x, ~m, **search), channels, (sides[0], sides[1])
    what = f"an autoencoder trained to {model.purpose}" if hasattr(model, "purpose") else f"a {type(model).__name__}"
    raise ValueError(f"to inpaint, an autoencoder trained to inpaint, a VAE, a GAN or a row LSTM is needed, not {what}")
