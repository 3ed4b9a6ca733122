"""DiffAugment: augment what the discriminator sees, real and generated alike, by operations that gradients pass through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import arange, mean, rand, randint
from ..tensor import Tensor, as_tensor

POLICIES = ("color", "translation", "cutout")


def diff_augment(x: Tensor, policy: Sequence[str] = POLICIES, *, span: float = 2.0, generator: Any = None) -> Tensor:
    """A random change of each image (N, C, H, W) by each part of `policy`, in order (Zhao et al. 2020, with its strengths).

    color: brightness + U(-½, ½), saturation times U(0, 2), contrast times U(½, 3/2); translation: by up to an eighth of the side,
    zeros move in; cutout: a square of half the side becomes 0. `span` is the width of the images' scale, 2 for -1..1.
    With it the discriminator cannot learn a few images by heart. The generator's loss must see its images through it too, or the
    generator learns to draw augmented images. Raises ValueError for an unknown part.
    """
    for name in policy:
        if name not in _PARTS:
            raise ValueError(f"diff_augment: unknown part {name!r} of the policy, expected some of {', '.join(POLICIES)}")
    for name in policy:
        x = _PARTS[name](x, span, generator)
    return x


def _uniform(x: Tensor, low: float, high: float, generator: Any) -> Tensor:
    """One number in low..high for each image, (N, 1, 1, 1)."""
    return rand(len(x), 1, 1, 1, generator=generator, dtype=x.dtype, device=x.device) * (high - low) + low


def _color(x: Tensor, span: float, generator: Any) -> Tensor:
    x = x + _uniform(x, -span / 4, span / 4, generator)
    if x.shape[1] > 1:
        grey = mean(x, 1, keepdim=True)
        x = (x - grey) * _uniform(x, 0.0, 2.0, generator) + grey
    level = mean(x, (1, 2, 3), keepdim=True)
    return (x - level) * _uniform(x, 0.5, 1.5, generator) + level


def _translation(x: Tensor, _span: float, generator: Any) -> Tensor:
    """Rows and columns are moved by products with shifted unit matrices: linear in the image, so its own derivative."""
    n, _, height, width = x.shape
    down, right = (_shift(n, side, x, generator) for side in (height, width))
    return down @ x @ right.mT


def _shift(n: int, side: int, x: Tensor, generator: Any) -> Tensor:
    """Matrices (N, 1, side, side) with ones at (i, i - shift)."""
    most = int(side * 0.125 + 0.5)
    by = randint(-most, most + 1, (n, 1, 1, 1), generator=generator, device=x.device)
    place = arange(side, device=x.device)
    return (place[:, None] - place == by).to(x.dtype)


def _cutout(x: Tensor, _span: float, generator: Any) -> Tensor:
    n, _, *sides = x.shape
    inside = None
    for side, form in zip(sides, ((-1, 1), (1, -1))):
        size = int(side * 0.5 + 0.5)
        # The middle may lie anywhere in the image, so that a part of the square can hang over its edge.
        start = randint(0, side + 1 - size % 2, (n, 1, 1, 1), generator=generator, device=x.device) - size // 2
        offset = arange(side, device=x.device).reshape(form) - start
        within = (offset >= 0) & (offset < size)
        inside = within if inside is None else inside & within
    return x * (~as_tensor(inside)).to(x.dtype)


_PARTS = {"color": _color, "translation": _translation, "cutout": _cutout}
