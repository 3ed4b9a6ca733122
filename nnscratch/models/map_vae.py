"""A variational autoencoder whose code is a map: a few numbers for every patch of the image, where the patch is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..ops import cat
from ..tensor import Tensor, as_tensor
from .vae import VAE, label_reader


class MapVAE(VAE):
    """The VAE with a convolutional code of `code` channels at a quarter of the image's sides; labels are planes beside it.

        encoder   Conv 4x4 / 2 - ReLU - Conv 4x4 / 2 - ReLU, then 1x1 to the means and to the log-variances
        decoder   Conv 3x3 - ReLU - ConvT 4x4 / 2 - ReLU - ConvT 4x4 / 2

    What is where is told by each patch for itself, so sharp pictures are learned fast, and another label leaves every outline
    where it is. In exchange the patches of a sample from N(0, 1) know nothing of each other: it edits, it does not invent.
    Everything else is the VAE's. Raises ValueError for sides that are not multiples of 4.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        code: int = 4,
        *,
        widths: Sequence[int] = (32, 64),
        likelihood: str = "bernoulli",
        sigma: float = 0.1,
        classes: int = 0,
        reader: bool = False,
    ):
        nn.Module.__init__(self)  # not the VAE's, whose networks would be made in vain
        channels, height, width = image_shape
        if height % 4 or width % 4:
            raise ValueError(f"MapVAE: the sides must be multiples of 4, got {height}x{width}")
        if likelihood not in ("bernoulli", "gaussian") or code < 1 or classes < 0 or sigma <= 0:
            given = f"{likelihood!r}, {code}, {classes} and {sigma}"
            raise ValueError(
                f"MapVAE: expected likelihood bernoulli or gaussian, code >= 1, classes >= 0, sigma > 0, got {given}"
            )
        first, second = widths
        self.config = {
            "image_shape": list(image_shape),
            "code": code,
            "widths": list(widths),
            "likelihood": likelihood,
            "sigma": sigma,
            "classes": classes,
            "reader": reader,
        }
        self.image_shape, self.classes, self.likelihood, self.sigma = tuple(image_shape), classes, likelihood, sigma
        self.code_shape = (code, height // 4, width // 4)
        self.latent = math.prod(self.code_shape)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
        )
        self.mu: nn.Module = nn.Conv2d(second + classes, code, 1)  # type: ignore[assignment]
        self.logvar: nn.Module = nn.Conv2d(second + classes, code, 1)  # type: ignore[assignment]
        self.decoder = nn.Sequential(
            nn.Conv2d(code + classes, second, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, channels, 4, stride=2, padding=1),
        )
        self.reader = label_reader(self.latent, classes) if reader else None

    def encode(self, x: Tensor, labels: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (N, latent) of q(z | x), maps laid out flat."""
        h = self._beside(self.encoder(x.reshape(-1, *self.image_shape)), labels)
        return self.mu(h).flatten(1), self.logvar(h).flatten(1)

    def decode(self, z: Tensor, labels: Any = None) -> Tensor:
        return self.decoder(self._beside(z.reshape(-1, *self.code_shape), labels))

    def _beside(self, h: Tensor, labels: Any) -> Tensor:
        """h with a plane of ones for the label, and of zeros for the others."""
        if not self.classes:
            return h
        if labels is None:
            raise ValueError(f"MapVAE: this model is conditional on {self.classes} classes; give labels")
        hot = F.one_hot(as_tensor(labels), self.classes).to(device=h.device, dtype=h.dtype)
        return cat([h, hot.reshape(len(h), -1, 1, 1).expand(len(h), self.classes, *h.shape[2:])], 1)
