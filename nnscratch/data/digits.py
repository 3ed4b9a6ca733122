"""Digits: 1,797 real handwritten digits, part of the package (no download)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import numpy as np

from .images import ImageSet
from .resample import resize, size_pair


def load_digits_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """images uint8 (1797, 8, 8) with values 0..16, labels (1797,), and the numbers of the 300 test images."""
    with (
        (files(__package__) / "embedded" / "digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return archive["images"], archive["labels"], archive["test"].astype(np.int64)


class Digits(ImageSet):
    """UCI handwritten digits (Alpaydin and Kaynak, 1998; CC BY 4.0): float32 (N, 1, size, size) in 0..1, labels 0..9.

    1,497 images for training; 300 for testing, 30 of each digit, always the same ones. `train=None` gives all 1,797.
    The originals are 8x8 with 17 grey levels; a larger `size` is interpolated ('bilinear' or 'nearest').
    """

    def __init__(
        self,
        train: bool | None = True,
        size: int | tuple[int, int] = 8,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        *,
        interpolation: str = "bilinear",
    ):
        images, labels, test = load_digits_arrays()
        if train is not None:
            keep = np.ones(len(labels), bool)
            keep[test] = False
            if not train:
                keep = ~keep
            images, labels = images[keep], labels[keep]
        data = resize(images[:, None].astype(np.float32) / 16, size_pair(size), interpolation)
        super().__init__(data, labels, [str(digit) for digit in range(10)], transform, target_transform)
