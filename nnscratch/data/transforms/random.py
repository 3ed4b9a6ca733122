"""Random transforms (augmentation): settings are drawn on the CPU, one per image, and applied to the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backend import array_module
from ..resample import sample_bilinear, size_pair
from .base import Transform
from .fixed import luminance


def _probability(p: float, name: str) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected a probability between 0 and 1, got {p}")
    return p


def _per_image(values: np.ndarray, x: Any) -> Any:
    """One value per image, on x's device, shaped (N, 1, 1, 1); floats in x's dtype."""
    if values.dtype.kind == "f":
        values = values.astype(x.dtype)
    return array_module(x).asarray(values)[:, None, None, None]


class RandomHorizontalFlip(Transform):
    """Mirror left and right with probability `p`."""

    needs_float = False

    def __init__(self, p: float = 0.5):
        self.p = _probability(p, "RandomHorizontalFlip")

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        return np.where(_per_image(rng.random(len(x)) < self.p, x), x[..., ::-1], x)


class RandomVerticalFlip(Transform):
    """Mirror top and bottom with probability `p`."""

    needs_float = False

    def __init__(self, p: float = 0.5):
        self.p = _probability(p, "RandomVerticalFlip")

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        return np.where(_per_image(rng.random(len(x)) < self.p, x), x[..., ::-1, :], x)


class RandomCrop(Transform):
    """A window of `size` at a random place, after `padding` pixels of `fill` were added on every side."""

    needs_float = False

    def __init__(self, size: int | tuple[int, int], padding: int = 0, fill: float = 0):
        self.size, self.fill = size_pair(size), fill
        if not isinstance(padding, (int, np.integer)) or padding < 0:
            raise ValueError(f"RandomCrop: expected padding to be 0 or more pixels, got {padding!r}")
        self.padding = int(padding)

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        (h, w), p = self.size, self.padding
        height, width = x.shape[2] + 2 * p, x.shape[3] + 2 * p
        if h > height or w > width:
            raise ValueError(f"RandomCrop: cannot cut {h}x{w} out of {height}x{width} (padding included)")
        xp = array_module(x)
        top = xp.asarray(rng.integers(height - h + 1, size=len(x)))
        left = xp.asarray(rng.integers(width - w + 1, size=len(x)))
        if p:
            x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=self.fill)
        rows, columns = top[:, None] + xp.arange(h), left[:, None] + xp.arange(w)
        image, channel = xp.arange(len(x))[:, None, None, None], xp.arange(x.shape[1])[:, None, None]
        return x[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


class RandomRotation(Transform):
    """Rotate about the centre by an angle from `degrees`, (low, high) or d for (-d, d); positive is counter-clockwise.

    Interpolated bilinearly; what comes from outside the image is `fill`.
    """

    def __init__(self, degrees: float | tuple[float, float], fill: float = 0.0):
        low, high = degrees if isinstance(degrees, (tuple, list)) else (-degrees, degrees)
        if not low <= high:
            raise ValueError(f"RandomRotation: expected degrees (low, high) or a number >= 0, got {degrees}")
        self.degrees, self.fill = (low, high), fill

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        angle = np.deg2rad(rng.uniform(*self.degrees, size=len(x)))
        cos, sin = (_per_image(f(angle), x)[..., 0] for f in (np.cos, np.sin))
        xp, (h, w) = array_module(x), x.shape[2:]
        dy = (xp.arange(h, dtype=x.dtype) - (h - 1) / 2)[:, None]
        dx = xp.arange(w, dtype=x.dtype) - (w - 1) / 2
        # The output pixel at (dy, dx) shows the input point that the rotation carries there; y points down.
        ys, xs = (h - 1) / 2 + sin * dx + cos * dy, (w - 1) / 2 + cos * dx - sin * dy
        return sample_bilinear(x, ys, xs, self.fill)


class GaussianNoise(Transform):
    """x + N(mean, sigma^2), independent in every pixel and channel; limited to 0..1 where `clip`."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True):
        if sigma < 0:
            raise ValueError(f"GaussianNoise: expected sigma >= 0, got {sigma}")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        noise = array_module(x).asarray(rng.standard_normal(x.shape, dtype=np.float32), dtype=x.dtype)
        y = x + (noise * self.sigma + self.mean)
        return np.clip(y, 0, 1) if self.clip else y


class SaltAndPepper(Transform):
    """Set a fraction `amount` of the pixels to 1 (a fraction `salt` of them) or 0, in all channels."""

    def __init__(self, amount: float = 0.05, salt: float = 0.5):
        self.amount, self.salt = _probability(amount, "SaltAndPepper amount"), _probability(salt, "SaltAndPepper salt")

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        u = array_module(x).asarray(rng.random((len(x), 1, *x.shape[2:])))
        y = np.where(u < self.amount, x.dtype.type(0), x)
        return np.where(u < self.amount * self.salt, x.dtype.type(1), y)


class ColorJitter(Transform):
    """Random brightness, contrast and saturation, in this order, for images in 0..1 with 1 or 3 channels.

    Each blends the image with another one, factor * x + (1 - factor) * other, limited to 0..1; other is black for
    brightness, the mean luminance for contrast, the luminance of each pixel for saturation. A setting s draws the
    factor from [max(0, 1 - s), 1 + s]; a pair (low, high) from there.
    """

    def __init__(
        self,
        brightness: float | tuple[float, float] = 0,
        contrast: float | tuple[float, float] = 0,
        saturation: float | tuple[float, float] = 0,
    ):
        self.brightness = self._range("brightness", brightness)
        self.contrast = self._range("contrast", contrast)
        self.saturation = self._range("saturation", saturation)

    @staticmethod
    def _range(name: str, setting: float | tuple[float, float]) -> tuple[float, float]:
        if isinstance(setting, (tuple, list)):
            low, high = setting
        else:
            low, high = max(0.0, 1 - setting), 1 + setting
        if not 0 <= low <= high:
            raise ValueError(f"ColorJitter: expected {name} >= 0 or a pair 0 <= low <= high, got {setting}")
        return low, high

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        others: tuple[Callable[[Any], Any], ...] = (
            np.zeros_like,
            lambda x: luminance(x).mean(axis=(1, 2, 3), keepdims=True),
            luminance,
        )
        for (low, high), other in zip((self.brightness, self.contrast, self.saturation), others):
            if (low, high) != (1, 1):
                factor = _per_image(rng.uniform(low, high, size=len(x)), x)
                x = np.clip(factor * x + (1 - factor) * other(x), 0, 1)
        return x


class Cutout(Transform):
    """Fill `n_holes` squares of side `size` with `fill`; centres are uniform over the image, so squares may stick out.

    DeVries and Taylor (2017), "Improved regularization of convolutional neural networks with cutout".
    """

    needs_float = False

    def __init__(self, size: int, n_holes: int = 1, fill: float = 0):
        if size <= 0 or n_holes < 0:
            raise ValueError(f"Cutout: expected size > 0 and n_holes >= 0, got {size} and {n_holes}")
        self.size, self.n_holes, self.fill = size, n_holes, fill

    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        xp, (h, w) = array_module(x), x.shape[2:]
        hidden = xp.zeros((len(x), 1, h, w), dtype=bool)
        for _ in range(self.n_holes):
            top, left = (_per_image(rng.integers(n, size=len(x)) - self.size // 2, x) for n in (h, w))
            rows, columns = xp.arange(h)[:, None] - top, xp.arange(w) - left
            hidden |= (rows >= 0) & (rows < self.size) & (columns >= 0) & (columns < self.size)
        return np.where(hidden, x.dtype.type(self.fill), x)
