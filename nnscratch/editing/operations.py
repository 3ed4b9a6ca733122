"""The editing operations by name: which models can do each, and how a whole picture goes through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.resample import resize
from ..data.transforms.fixed import luminance
from . import attribute, restore, style
from .image_io import Picture
from .inpaint import can_inpaint, inpaint
from .interpolate import path
from .latents import drawn, draws, encode

# (model, picture, options) -> the panels that show the edit: the picture first, the result last.
Edit = Callable[[Any, Picture, dict[str, Any]], list[Picture]]


@dataclass(frozen=True)
class Operation:
    """One entry of OPERATIONS: `able(model)`, what it `needs` in words, and the options it takes, some of which it `requires`."""

    about: str
    able: Callable[[Any], bool]
    needs: str
    edit: Edit
    options: tuple[str, ...] = ()
    requires: tuple[str, ...] = field(default=())


def _restorer(purpose: str) -> str:
    return f"a run of: nnscratch train autoencoder --purpose {purpose}"


def _has_purpose(*purposes: str) -> Callable[[Any], bool]:
    return lambda model: getattr(model, "purpose", None) in purposes


def _whole(f: Callable[[Any, np.ndarray], np.ndarray]) -> Edit:
    return lambda model, picture, options: [picture, picture.edited(f(model, picture.values))]


def _inpaint(model: Any, picture: Picture, options: dict[str, Any]) -> list[Picture]:
    """The mask as the second panel, so that the strip shows what was known."""
    mask = options["mask"]
    holes = np.where(mask, np.uint8(0), np.uint8(255) if picture.alpha is None else picture.alpha)
    filled = picture.edited(inpaint(model, picture.values, mask, seed=options.get("seed") or 0))
    return [picture, Picture(picture.pixels, holes), filled]


def as_model_sees(model: Any, picture: Picture) -> np.ndarray:
    """The picture as one image (1, C, h, w) in the size and the colours of a model that takes images as a whole."""
    channels, *sides = model.image_shape
    values = picture.values
    if channels == 1:
        values = luminance(values[None])[0]
    return resize(np.broadcast_to(values, (channels, *picture.size)).astype(np.float32), tuple(sides))[None]


def _back(picture: Picture, image: np.ndarray) -> Picture:
    """An image (C, h, w) of the model at the size of the picture, with its transparency."""
    return picture.edited(resize(image, picture.size))


def _attribute(model: Any, picture: Picture, options: dict[str, Any]) -> list[Picture]:
    """Along the way between the mean codes of two classes (`means`), or without these by the label of a conditional model."""
    image, to, source = as_model_sees(model, picture), options["to"], options.get("source")
    conditional, means = bool(getattr(model, "classes", 0)), options.get("means")
    if means is None:
        own = attribute.likely_labels(model, image) if source is None else [source]
        return [picture, _back(picture, attribute.relabel(model, image, own, [to])[0])]
    labels = attribute.likely_labels(model, image) if conditional else None
    others = np.delete(means, to, 0).mean(0) if source is None else means[source]
    step = (options.get("strength") or 1.0) * (means[to] - others)
    return [picture, _back(picture, attribute.along(model, image, step, labels)[0])]


def _style(model: Any, picture: Picture, options: dict[str, Any]) -> list[Picture]:
    """At a working size of at most `side` pixels; the network's number of channels decides about colour."""
    channels = model.config["in_channels"]
    content, texture = (_reduced(p, channels, options.get("side") or 256) for p in (picture, options["style"]))
    chosen = {name: options[name] for name in ("strength", "steps") if options.get(name) is not None}
    return [picture, options["style"], _back(picture, style.transfer(model, content, texture, **chosen))]


def _reduced(picture: Picture, channels: int, side: int) -> np.ndarray:
    values = luminance(picture.values[None])[0] if channels == 1 else np.broadcast_to(picture.values, (3, *picture.size))
    scale = min(1.0, side / max(picture.size))
    height, width = (max(16, round(n * scale)) for n in picture.size)
    return resize(values.astype(np.float32), (height, width))


def interpolated(model: Any, pictures: list[Picture], steps: int, way: str, label: int | None = None) -> np.ndarray:
    """The images (N, C, h, w) between the codes of pictures, in order, at the model's size."""
    images = np.concatenate([as_model_sees(model, p) for p in pictures])
    labels = None
    if getattr(model, "classes", 0):
        labels = attribute.likely_labels(model, images) if label is None else np.full(len(images), label)
    z = path(encode(model, images, labels), steps, way)
    if labels is not None:  # half-way the label changes too
        labels = labels[np.rint(np.arange(len(z)) / steps).astype(int)]
    return drawn(model, z, labels)


def _unused(model: Any, picture: Picture, options: dict[str, Any]) -> list[Picture]:
    raise NotImplementedError("interpolation takes several pictures: see `interpolated`")


_DRAWS = "a run of a VAE or a GAN: nnscratch train vae, or dcgan"

OPERATIONS: dict[str, Operation] = {
    "denoise": Operation("take noise out", _has_purpose("denoise", "reconstruct"), _restorer("denoise"), _whole(restore.denoise)),
    "enhance": Operation("make twice as large", _has_purpose("enhance"), _restorer("enhance"), _whole(restore.enhance)),
    "colourise": Operation("give colours", _has_purpose("colourise"), _restorer("colourise"), _whole(restore.colourise)),
    "inpaint": Operation(
        "fill in what --mask marks",
        can_inpaint,
        f"{_restorer('inpaint')}, or of a row-lstm, a VAE or a GAN",
        _inpaint,
        ("mask", "seed"),
        ("mask",),
    ),
    "interpolate": Operation("what lies between two or more pictures", draws, _DRAWS, _unused, ("way", "steps", "gif")),
    "attribute": Operation(
        "make it look like the class --to",
        lambda model: draws(model) and hasattr(model, "encode"),
        "a run of a VAE: nnscratch train map-vae, window-vae, or vae (with --conditional, the label itself is changed)",
        _attribute,
        ("to", "source", "strength", "examples"),
        ("to",),
    ),
    "style": Operation(
        "paint it in the textures of the picture --style",
        lambda model: hasattr(model, "features") and "in_channels" in getattr(model, "config", {}),
        "a run of a convolutional classifier: nnscratch train cnn",
        _style,
        ("style", "strength", "steps", "side"),
        ("style",),
    ),
}


def able(model: Any) -> list[str]:
    """The operations that a model can do."""
    return [name for name, operation in OPERATIONS.items() if operation.able(model)]
