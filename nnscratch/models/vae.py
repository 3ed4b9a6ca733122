"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..ops import exp, randn, randn_like, sigmoid
from ..tensor import Tensor


class VAE(nn.Module):
    """A variational autoencoder with dense layers and a Bernoulli likelihood (Kingma & Welling 2014, appendix C).

        encoder:   h = relu(W1 x + b1);   mu = W2 h + b2;   logvar = W3 h + b3
        latent:    z = mu + exp(logvar / 2) eps,   eps ~ N(0, 1)          (the reparameterisation, equation 10)
        decoder:   h = relu(W4 z + b4);   p = sigmoid(W5 h + b5)

    Images (N, C, H, W) or (N, C H W) with values in 0..1; D = C H W. Grey values are taken as probabilities of white.
    """

    def __init__(self, image_shape: Sequence[int] = (1, 28, 28), hidden: int = 400, latent: int = 20):
        super().__init__()
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "hidden": hidden, "latent": latent}
        self.image_shape, self.latent = tuple(image_shape), latent
        pixels = math.prod(image_shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (N, latent) of q(z | x)."""
        h = self.encoder(x)
        return self.mu(h), self.logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor, generator: Any = None) -> Tensor:
        """z = mu + exp(logvar / 2) eps: a sample that gradients pass through."""
        return mu + exp(logvar * 0.5) * randn_like(mu, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        """Logits (N, C, H, W) of p(x | z)."""
        return self.decoder(z).reshape(-1, *self.image_shape)

    def forward(self, x: Tensor, generator: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, mu, logvar) with one sample of z for each image."""
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar, generator)), mu, logvar

    def loss(self, x: Tensor, generator: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """(total, reconstruction, KL): the negative ELBO in nats, summed over pixels and latents, averaged over the images.

        reconstruction = -sum_d [x log p + (1 - x) log(1 - p)],   KL = -1/2 sum_j (1 + logvar - mu² - exp(logvar)).
        """
        logits, mu, logvar = self(x, generator)
        x = x.reshape(logits.shape)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") * (1 / len(x))
        kl = F.gaussian_kl(mu, logvar)
        return reconstruction + kl, reconstruction, kl

    def reconstruct(self, x: Tensor) -> Tensor:
        """The images decoded from the mean of q(z | x)."""
        return sigmoid(self.decode(self.encode(x)[0]))

    def sample(self, n: int, generator: Any = None) -> Tensor:
        """n new images (N, C, H, W): the decoder's means for z ~ N(0, 1)."""
        weight = self.mu.weight
        return sigmoid(self.decode(randn(n, self.latent, generator=generator, dtype=weight.dtype, device=weight.device)))
