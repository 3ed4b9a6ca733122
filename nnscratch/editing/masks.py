"""Regions of an image that are to be filled in: boolean (H, W), True where pixels are missing."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..data import DataError, read_image
from ..data.randomness import as_numpy_generator

REGIONS = ("left", "lower", "centre", "random")


def region_mask(region: str, size: tuple[int, int], generator: Any = None) -> np.ndarray:
    """A mask for an image of `size` (height, width).

    'left': the left half; 'lower': the lower half; 'centre': the middle half of each side, a quarter of the image; 'random': a
    rectangle of a quarter to a half of each side, anywhere inside. Raises ValueError for another name.
    """
    if region not in REGIONS:
        raise ValueError(f"unknown region {region!r}: expected one of {', '.join(REGIONS)}")
    (height, width), mask = size, np.zeros(size, bool)
    if region == "left":
        mask[:, : (width + 1) // 2] = True
    elif region == "lower":
        mask[height // 2 :] = True
    elif region == "centre":
        mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    else:
        rng = as_numpy_generator(generator)
        (top, bottom), (left, right) = (_interval(n, rng) for n in size)
        mask[top:bottom, left:right] = True
    return mask


def _interval(n: int, rng: np.random.Generator) -> tuple[int, int]:
    length = int(rng.integers(max(1, n // 4), max(1, n // 2) + 1))
    start = int(rng.integers(n - length + 1))
    return start, start + length


def read_mask(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """The mask in a picture of the same size: its light pixels (grey of 128 and more) are to be filled in.

    Raises DataError for a file that cannot be read, is of another size, or marks nothing or everything.
    """
    light = read_image(path, mode="L")[0] >= 128
    if light.shape != size:
        raise DataError(f"{path}: the mask is {light.shape[1]}x{light.shape[0]} pixels, the picture {size[1]}x{size[0]}")
    if light.all() or not light.any():
        raise DataError(
            f"{path}: the mask is {'white' if light.all() else 'black'} all over; white marks what is to be filled in"
        )
    return light


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the smallest rectangle around the True pixels. Raises ValueError where there are none."""
    if not mask.any():
        raise ValueError("the mask marks no pixel")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
