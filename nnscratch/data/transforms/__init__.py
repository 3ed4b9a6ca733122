"""Image transforms. All take one image (C, H, W) or a batch (N, C, H, W); random ones draw anew for each image.

`t(x, generator)`: without a generator a random transform draws from that of the batch being loaded
(`current_generator`), which makes augmentation resumable, or from nnscratch's default one outside a loader.
"""

from .base import Compose, Lambda, Transform
from .fixed import CenterCrop, Grayscale, Normalize, OneHot, Resize, ToFloat
from .random import (
    ColorJitter,
    Cutout,
    GaussianNoise,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
    SaltAndPepper,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Cutout",
    "GaussianNoise",
    "Grayscale",
    "Lambda",
    "Normalize",
    "OneHot",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "SaltAndPepper",
    "ToFloat",
    "Transform",
]
