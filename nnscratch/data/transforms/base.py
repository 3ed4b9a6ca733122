"""What all transforms share: one image or a batch, and where random numbers come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...backend import is_array
from ..randomness import as_numpy_generator


class Transform(ABC):
    """A function of images. A subclass writes `apply` for batches (N, C, H, W).

    Raises TypeError for anything but an array, and for integer images where `needs_float`; ValueError for other than
    3 or 4 axes.
    """

    needs_float = True

    def __call__(self, x: Any, generator: Any = None) -> Any:
        name = type(self).__name__
        if not is_array(x):
            raise TypeError(f"{name}: expected an array, got {type(x).__name__}")
        if x.ndim not in (3, 4):
            raise ValueError(f"{name}: expected an image (C, H, W) or a batch (N, C, H, W), got shape {x.shape}")
        if self.needs_float and x.dtype.kind != "f":
            raise TypeError(f"{name}: expected floating-point images, got {x.dtype} (put ToFloat first)")
        rng = as_numpy_generator(generator)
        return self.apply(x, rng) if x.ndim == 4 else self.apply(x[None], rng)[0]

    @abstractmethod
    def apply(self, x: Any, rng: np.random.Generator) -> Any:
        """The transformed batch; `x` itself is left as it was."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({settings})"


class Compose:
    """The transforms one after the other. Functions that are not `Transform`s get the image alone."""

    def __init__(self, transforms: Sequence[Callable]):
        self.transforms = list(transforms)

    def __call__(self, x: Any, generator: Any = None) -> Any:
        rng = as_numpy_generator(generator)
        for transform in self.transforms:
            x = transform(x, rng) if isinstance(transform, (Transform, Compose)) else transform(x)
        return x

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


class Lambda(Transform):
    """`function` of a batch (N, C, H, W); one image is handed to it as a batch of one."""

    needs_float = False

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function

    def apply(self, x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG002
        return self.function(x)
