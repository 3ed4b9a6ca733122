"""One picture explained: the part that a classifier sees, and three maps over it, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import explain
from ..autograd import no_grad
from ..data.resample import resize
from ..data.transforms.fixed import luminance
from ..ops import softmax
from ..tensor import as_tensor, to_numpy
from .image_io import Picture, strip


def is_classifier(model: Any) -> bool:
    """Whether a model gives scores of classes to images, by convolutions."""
    config = getattr(model, "config", {})
    return {"classes", "image_size", "in_channels"} <= config.keys() and hasattr(model, "features")


def centre(picture: Picture, sides: tuple[int, int]) -> np.ndarray:
    """The largest centred part (C, h, w) in 0..1 with the proportions of `sides`: what training on folders sees of a picture."""
    height, width = picture.size
    scale = min(height / sides[0], width / sides[1])
    h, w = max(1, round(scale * sides[0])), max(1, round(scale * sides[1]))
    top, left = (height - h) // 2, (width - w) // 2
    return picture.values[:, top : top + h, left : left + w]


def explained(model: Any, picture: Picture, target: int | None = None) -> tuple[Picture, np.ndarray, int]:
    """(strip, probabilities of the classes, the class explained: `target`, or the most probable).

    The strip shows the centre of the picture, then over it saliency, integrated gradients (summed over channels, in absolute
    value) and Grad-CAM. The model sees the centre at its size; transparency counts as white.
    """
    sides, channels = tuple(model.config["image_size"]), model.config["in_channels"]
    view = centre(_over_white(picture), sides)
    seen = luminance(view[None])[0] if channels == 1 else np.broadcast_to(view, (channels, *view.shape[1:]))
    x = resize(seen.astype(np.float32), sides)[None]
    device = next(iter(model.parameters())).device
    with no_grad():
        shares = to_numpy(softmax(model(as_tensor(x).to(device)), 1))[0]
    shown = int(shares.argmax()) if target is None else target
    tensor = as_tensor(x).to(device)
    maps = [
        explain.saliency(model, tensor, shown),
        np.abs(explain.integrated_gradients(model, tensor, shown).sum(1)),
        explain.grad_cam(model, tensor, shown),
    ]
    height, width = view.shape[1:]
    panels = [view, *(explain.overlay(view, np.maximum(resize(m[0], (height, width)), 0)) for m in maps)]
    shape = height * max(1, 224 // height) if height < 512 else 512
    empty = Picture(np.zeros((1, 1, 1), np.uint8))
    return strip([empty.edited(panel) for panel in panels], shape), shares, shown


def _over_white(picture: Picture) -> Picture:
    if picture.alpha is None:
        return picture
    share = picture.alpha / 255
    return Picture(np.rint(share * picture.pixels + (1 - share) * 255).astype(np.uint8))
