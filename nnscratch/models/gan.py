"""Generative adversarial networks: what all of them share, and the first one, of dense layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..autograd import no_grad
from ..ops import randn
from ..tensor import Tensor


class Adversarial(nn.Module):
    """A generator G that turns noise into images and a discriminator D that scores how real an image looks.

        z ~ N(0, 1), (N, latent);   x = G(z), (N, C, H, W);   D(x): scores (N,), before any sigmoid

    G and D work on the scale `low`..1 of G's last layer (0..1 after a sigmoid, -1..1 after a tanh); data sets and `sample` have
    0..1, and `to_scale` leads from there to G's scale. A sub-class sets `generator` and `discriminator`.
    """

    low = -1.0
    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, image_shape: Sequence[int], latent: int):
        super().__init__()
        if len(image_shape) != 3 or min(image_shape) < 1 or latent < 1:
            name = type(self).__name__
            raise ValueError(f"{name}: expected image_shape (C, H, W) and latent of at least 1, got {image_shape} and {latent}")
        self.image_shape, self.latent = tuple(image_shape), latent

    def noise(self, n: int, generator: Any = None) -> Tensor:
        """n latent vectors z ~ N(0, 1), (n, latent)."""
        weight = next(iter(self.generator.parameters()))
        return randn(n, self.latent, generator=generator, dtype=weight.dtype, device=weight.device)

    def to_scale(self, images: Tensor) -> Tensor:
        """Images in 0..1 on the scale of G and D."""
        return images * (1 - self.low) + self.low if self.low else images

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N,) of images on the scale of G and D."""
        return self.discriminator(x).reshape(-1)

    def decode(self, z: Tensor) -> Tensor:
        """The images (N, C, H, W) in 0..1 of latent vectors; in evaluation mode each by itself, whatever the others are."""
        x = self.generator(z)
        return (x - self.low) / (1 - self.low) if self.low else x

    def sample(self, n: int, generator: Any = None) -> Tensor:
        """n new images (n, C, H, W) in 0..1."""
        with no_grad():
            return self.decode(self.noise(n, generator))


class GAN(Adversarial):
    """Dense layers on flat images of D = C H W pixels (Goodfellow et al. 2014).

        generator:      h = relu(W1 z + b1);            x = sigmoid(W2 h + b2)      latent -> hidden -> D
        discriminator:  h = leaky_relu(V1 x + c1, 0.2); s = V2 h + c2               D -> hidden -> 1

    The 784-pixel form has latent 100 and hidden 128.
    """

    low = 0.0

    def __init__(self, image_shape: Sequence[int] = (1, 28, 28), latent: int = 100, hidden: int = 128):
        super().__init__(image_shape, latent)
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "latent": latent, "hidden": hidden}
        pixels = math.prod(image_shape)
        self.generator = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid(), nn.Unflatten(1, self.image_shape)
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1), nn.Flatten(0)
        )
