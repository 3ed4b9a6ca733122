"""Transforms without randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import array_module
from ..dataset import as_array
from ..images import to_float
from ..resample import resize, size_pair
from .base import Transform


class ToFloat(Transform):
    """uint8 0..255 -> float32 0..1; floats are left as they are."""

    needs_float = False

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        return to_float(x)


class Normalize(Transform):
    """(x - mean) / std; `mean` and `std` are numbers or one number per channel, std > 0."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        self.mean, self.std = np.atleast_1d(np.asarray(mean, np.float64)), np.atleast_1d(np.asarray(std, np.float64))
        if self.mean.ndim != 1 or self.std.ndim != 1:
            raise ValueError("Normalize: expected mean and std to be numbers or one number per channel")
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: expected std > 0, got {std}")

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        channels = x.shape[1]
        if any(len(v) not in (1, channels) for v in (self.mean, self.std)):
            raise ValueError(
                f"Normalize: {len(self.mean)} means and {len(self.std)} stds given, the images have {channels} channels"
            )
        xp = array_module(x)
        mean, std = (xp.asarray(v, dtype=x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std


class Resize(Transform):
    """Resize to (H, W) = `size`; an integer is the length of the shorter side, the other keeps the aspect ratio.

    `interpolation` is 'bilinear' (antialiased when shrinking, unless `antialias=False`) or 'nearest'. uint8 stays
    uint8.
    """

    needs_float = False

    def __init__(self, size: int | tuple[int, int], interpolation: str = "bilinear", antialias: bool = True):
        size_pair(size)
        if interpolation not in ("bilinear", "nearest"):
            raise ValueError(f"Resize: expected interpolation 'bilinear' or 'nearest', got {interpolation!r}")
        self.size, self.interpolation, self.antialias = size, interpolation, antialias

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        size = self.size
        if isinstance(size, (int, np.integer)):
            h, w = x.shape[2:]
            size = (size * h // min(h, w), size * w // min(h, w))
        return resize(x, size, self.interpolation, self.antialias)


class CenterCrop(Transform):
    """The middle `size` of each image. Raises ValueError for smaller images."""

    needs_float = False

    def __init__(self, size: int | tuple[int, int]):
        self.size = size_pair(size)

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        (h, w), (height, width) = self.size, x.shape[2:]
        if h > height or w > width:
            raise ValueError(f"CenterCrop: cannot cut {h}x{w} out of {height}x{width}")
        top, left = (height - h) // 2, (width - w) // 2
        return x[:, :, top : top + h, left : left + w]


def luminance(x: Any) -> Any:
    """Grey (N, 1, H, W) of RGB images: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); grey images as they are."""
    if x.shape[1] == 1:
        return x
    if x.shape[1] != 3:
        raise ValueError(f"expected images with 1 or 3 channels, got {x.shape[1]}")
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


class Grayscale(Transform):
    """Luminance of RGB images (ITU-R BT.601), repeated in `num_output_channels` (1 or 3) channels."""

    def __init__(self, num_output_channels: int = 1):
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: expected 1 or 3 output channels, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        return np.repeat(luminance(x), self.num_output_channels, axis=1)


class OneHot:
    """Labels (...) -> float32 (..., num_classes), for `target_transform`. Raises ValueError for labels out of range."""

    def __init__(self, num_classes: int):
        if num_classes <= 0:
            raise ValueError(f"OneHot: expected a positive number of classes, got {num_classes}")
        self.num_classes = num_classes

    def __call__(self, labels: Any) -> Any:
        labels = as_array(labels)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"OneHot: expected integer labels, got {labels.dtype}")
        if ((labels < 0) | (labels >= self.num_classes)).any():
            raise ValueError(f"OneHot: labels span {labels.min()}..{labels.max()}, expected 0..{self.num_classes - 1}")
        return array_module(labels).eye(self.num_classes, dtype=np.float32)[labels]

    def __repr__(self) -> str:
        return f"OneHot({self.num_classes})"
