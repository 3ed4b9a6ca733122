"""Hide regions of pictures: by one colour, by coarse blocks, or blurred.

What remains of a region:

    mask       nothing: its pixels become one colour
    pixelate   the averages of at most `cells` x `cells` blocks, each shown as a block
    blur       the same few averages, interpolated smoothly

A convolution with a Gaussian, which is what blurring usually means, can be undone in part (it is linear and its spectrum known);
here both work from a handful of averages, so that no more than `cells`² numbers a channel survive. They still tell the rough
colours, and one of a few known faces can be recognised from as little (McPherson, Shokri and Shmatikov 2016, "Defeating image
obfuscation with deep learning"). Where that matters, mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.resample import resize_weights
from .image_io import Picture

METHODS = ("mask", "pixelate", "blur")


class Region(NamedTuple):
    """A rectangle of pixels: rows top <= i < bottom, columns left <= j < right."""

    top: int
    bottom: int
    left: int
    right: int


def parse_region(text: str, size: tuple[int, int]) -> Region:
    """The region X,Y,WIDTH,HEIGHT of a picture of `size` (height, width), or 'all'; X and Y from its upper left corner.

    Each number is in pixels, or with % in hundredths of the picture's side; a part that sticks out is cut off. Fractions of
    pixels are rounded so that the region only grows. Raises ValueError for other text and for a region wholly outside.
    """
    height, width = size
    if text == "all":
        return Region(0, height, 0, width)
    try:
        x, y, w, h = (_pixels(part, side) for part, side in zip(text.split(","), (width, height, width, height), strict=True))
    except ValueError:
        raise ValueError(
            f"region {text!r}: expected X,Y,WIDTH,HEIGHT in pixels or %, such as 40,25,60,80 or 10%,0,50%,50%"
        ) from None
    if not (w > 0 and h > 0):
        raise ValueError(f"region {text!r}: width and height must be above 0")
    left, top = max(0, int(np.floor(x))), max(0, int(np.floor(y)))
    right, bottom = min(width, int(np.ceil(x + w))), min(height, int(np.ceil(y + h)))
    if left >= right or top >= bottom:
        raise ValueError(f"region {text!r} lies outside the picture of {width}x{height} pixels")
    return Region(top, bottom, left, right)


def _pixels(text: str, side: int) -> float:
    value = float(text.removesuffix("%")) * (side / 100 if text.endswith("%") else 1)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def anonymize(picture: Picture, method: str, regions: Sequence[Region], *, cells: int = 6, colour: int = 0) -> Picture:
    """The picture with each of `regions` hidden by `method` ('mask', 'pixelate' or 'blur').

    Inside a region the result depends on the old pixels only through the averages named above (for 'mask': not at all). So does
    the transparency there, which could show an outline: masks are opaque. `colour` is the grey level of masks, 0..255. Regions
    may overlap: they are hidden one after the other.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if cells < 1:
        raise ValueError(f"cells: expected at least 1, got {cells}")
    alpha = () if picture.alpha is None else (picture.alpha[None],)
    hidden = [layer.copy() for layer in (picture.pixels, *alpha)]
    for layer, opaque in zip(hidden, (colour, 255)):
        for top, bottom, left, right in regions:
            part = layer[:, top:bottom, left:right]
            part[...] = opaque if method == "mask" else _coarse(part, cells, smooth=method == "blur")
    return Picture(hidden[0], hidden[1][0] if alpha else None)


def _coarse(part: np.ndarray, cells: int, smooth: bool) -> np.ndarray:
    """(C, h, w) rebuilt from block averages, at most `cells` a side and of at least two pixels where there are two."""
    h, w = part.shape[1:]
    rows, columns = (min(cells, max(1, n // 2)) for n in (h, w))
    averages = _block_means(h, rows) @ part.astype(np.float64) @ _block_means(w, columns).T
    averages = np.rint(averages)  # fewer digits survive than one could compute
    mode = "bilinear" if smooth else "nearest"
    return np.rint(resize_weights(rows, h, mode) @ averages @ resize_weights(columns, w, mode).T).astype(np.uint8)


def _block_means(n: int, blocks: int) -> np.ndarray:
    """(blocks, n): row k averages the pixels that 'nearest' enlargement will give the colour of block k."""
    members = resize_weights(blocks, n, "nearest").T
    return members / members.sum(axis=1, keepdims=True)
