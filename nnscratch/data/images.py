"""ImageSet: images with a label each, kept compactly and handed out as floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .dataset import Dataset, apply_transforms, take
from .resample import resize


def to_float(images: Any) -> Any:
    """uint8 0..255 -> float32 0..1; floats as they are."""
    if images.dtype == np.uint8:
        return np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    if images.dtype.kind != "f":
        raise TypeError(f"to_float: expected uint8 or floating-point images, got {images.dtype}")
    return images


class ImageSet(Dataset):
    """Images (N, C, H, W) and labels (N,): `dataset[i]` is (image float32 (C, H, W) in 0..1, label int64).

    `data` holds the images as stored (uint8, or float32), `labels` the labels, `images` is all of `data` as float32.
    `size` resizes the stored images. `transform` gets one image from `[]` and a batch (N, C, H, W) from a loader;
    `target_transform` likewise the label or labels.
    """

    def __init__(
        self,
        data: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        *,
        size: int | tuple[int, int] | None = None,
    ):
        if data.ndim != 4 or labels.shape != data.shape[:1]:
            raise ValueError(
                f"ImageSet: expected images (N, C, H, W) and labels (N,), got shapes {data.shape} and {labels.shape}"
            )
        self.data = data if size is None else resize(data, size)
        self.labels = labels.astype(np.int64)
        self.classes = tuple(classes)
        self.transform, self.target_transform = transform, target_transform

    @property
    def images(self) -> np.ndarray:
        return to_float(self.data[:])

    @property
    def targets(self) -> np.ndarray:
        return self.labels

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self.data, self.labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return apply_transforms((to_float(self.data[index]), self.labels[index]), self.transform, self.target_transform)

    def batch(self, indices: Any) -> tuple[Any, Any]:
        images, labels = to_float(take(self.data, indices)), take(self.labels, indices)
        return apply_transforms((images, labels), self.transform, self.target_transform)
