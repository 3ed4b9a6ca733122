"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..nn import functional as F
from ..ops import cat, clamp, exp, logsumexp, randn, randn_like, sigmoid
from ..tensor import Tensor, as_tensor
from .vae_networks import NETWORKS


class VAE(nn.Module):
    """A variational autoencoder (Kingma & Welling 2014): a latent code z for each image x, and a likelihood that is bounded.

        encoder     q(z | x) = N(mu(x), diag exp(logvar(x)))
        latent      z = mu + exp(logvar / 2) eps,   eps ~ N(0, 1)                  (the reparameterisation, equation 10)
        decoder     p(x | z) = Bernoulli(sigmoid(f(z)))   or   N(f(z), sigma²),    p(z) = N(0, 1)
        ELBO        log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z))            (equation 7)
        with        KL = -1/2 sum_j (1 + logvar_j - mu_j² - exp(logvar_j))         (appendix B)

    Images (N, C, H, W) or (N, C H W) with values in 0..1; to the Bernoulli likelihood, grey values are probabilities of white.
    `architecture` 'dense' has the layers `hidden` between the image and `latent` numbers, 'conv' two convolutions before one
    (see `vae_networks`). With `classes` the model is conditional (Sohn et al. 2015): heads and decoder see the label y as one-hot
    numbers beside their input, q(z | x, y) and p(x | z, y), and every method needs `labels` (N,).
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        hidden: int | Sequence[int] = 400,
        latent: int = 20,
        *,
        architecture: str = "dense",
        likelihood: str = "bernoulli",
        sigma: float = 0.1,
        classes: int = 0,
    ):
        super().__init__()
        if architecture not in NETWORKS:
            raise ValueError(f"VAE: unknown architecture {architecture!r}, expected one of {', '.join(NETWORKS)}")
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"VAE: unknown likelihood {likelihood!r}, expected bernoulli or gaussian")
        if latent < 1 or classes < 0 or sigma <= 0:
            raise ValueError(f"VAE: expected latent >= 1, classes >= 0 and sigma > 0, got {latent}, {classes} and {sigma}")
        widths = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "hidden": list(widths),
            "latent": latent,
            "architecture": architecture,
            "likelihood": likelihood,
            "sigma": sigma,
            "classes": classes,
        }
        self.image_shape, self.latent, self.classes = tuple(image_shape), latent, classes
        self.likelihood, self.sigma = likelihood, sigma
        self.encoder, width, self.decoder = NETWORKS[architecture](self.image_shape, widths, latent + classes)
        self.mu = nn.Linear(width + classes, latent)
        self.logvar = nn.Linear(width + classes, latent)

    # -------------------------------------------------------------------------------------------------- distributions

    def encode(self, x: Tensor, labels: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (N, latent) of q(z | x)."""
        h = self._beside(self.encoder(x.reshape(-1, *self.image_shape)), labels)
        return self.mu(h), self.logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor, generator: Any = None) -> Tensor:
        """z = mu + exp(logvar / 2) eps: a sample that gradients pass through."""
        return mu + exp(logvar * 0.5) * randn_like(mu, generator=generator)

    def decode(self, z: Tensor, labels: Any = None) -> Tensor:
        """f(z) (N, C, H, W): the logits of a Bernoulli likelihood, the means of a Gaussian one."""
        return self.decoder(self._beside(z, labels)).reshape(-1, *self.image_shape)

    def means(self, z: Tensor, labels: Any = None) -> Tensor:
        """Images (N, C, H, W): the expected x under p(x | z)."""
        f = self.decode(z, labels)
        return sigmoid(f) if self.likelihood == "bernoulli" else f

    def log_likelihood(self, f: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) (N,) in nats, summed over the pixels, for f = decode(z)."""
        x = x.reshape(f.shape)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(f, x, reduction="none").sum((1, 2, 3))
        constant = 0.5 * math.log(2 * math.pi * self.sigma**2) * math.prod(self.image_shape)
        return F.mse_loss(f, x, reduction="none").sum((1, 2, 3)) * (-0.5 / self.sigma**2) - constant

    def _beside(self, h: Tensor, labels: Any) -> Tensor:
        """h with the one-hot labels appended, where the model is conditional."""
        if not self.classes:
            return h
        if labels is None:
            raise ValueError(f"VAE: this model is conditional on {self.classes} classes; give labels")
        return cat([h, F.one_hot(as_tensor(labels), self.classes).to(device=h.device, dtype=h.dtype)], 1)

    # --------------------------------------------------------------------------------------------------------- bounds

    def forward(self, x: Tensor, generator: Any = None, *, labels: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """(f(z), mu, logvar) with one sample of z for each image."""
        mu, logvar = self.encode(x, labels)
        return self.decode(self.reparameterize(mu, logvar, generator), labels), mu, logvar

    def loss(
        self, x: Tensor, generator: Any = None, *, labels: Any = None, beta: float = 1.0, free_bits: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(total, reconstruction, KL) in nats: summed over pixels and latents, averaged over the images.

        total = reconstruction + beta sum_j max(KL_j, free_bits); with beta 1 and no free bits it is the negative ELBO. beta above
        1 presses the code (Higgins et al. 2017); `free_bits` nats of each latent, averaged over the batch, cost nothing (Kingma
        et al. 2016, equation 15). The returned KL is the plain one.
        """
        f, mu, logvar = self(x, generator, labels=labels)
        reconstruction = -self.log_likelihood(f, x).mean()
        kl = F.gaussian_kl(mu, logvar)
        paid = clamp(self.kl_per_latent(mu, logvar), min=free_bits).sum() if free_bits else kl
        return reconstruction + (paid if beta == 1 else paid * beta), reconstruction, kl

    @staticmethod
    def kl_per_latent(mu: Tensor, logvar: Tensor) -> Tensor:
        """KL_j (latent,) in nats, averaged over the images."""
        return (mu * mu + exp(logvar) - 1 - logvar).mean(0) * 0.5

    def log_weights(self, x: Tensor, k: int, generator: Any = None, *, labels: Any = None) -> Tensor:
        """log w (N, k) of k samples z ~ q(z | x) for each image: w = p(x | z) p(z) / q(z | x) (Burda et al. 2016)."""
        n = len(x)
        mu, logvar = self.encode(x, labels)
        eps = randn(k, n, self.latent, generator=generator, dtype=mu.dtype, device=mu.device)
        z = mu + exp(logvar * 0.5) * eps
        prior = (eps * eps + logvar - z * z).sum(-1) * 0.5  # log p(z) - log q(z | x): their constants cancel
        # Sample by sample the same images and labels again.
        images = x.reshape(1, n, *self.image_shape).expand(k, n, *self.image_shape).reshape(k * n, *self.image_shape)
        tiled = None if labels is None else np.tile(np.asarray(labels), k)
        likelihood = self.log_likelihood(self.decode(z.reshape(k * n, self.latent), tiled), images)
        return (likelihood.reshape(k, n) + prior).transpose(0, 1)

    def importance_loss(self, x: Tensor, k: int, generator: Any = None, *, labels: Any = None) -> Tensor:
        """-log (1/k sum_i w_i), averaged over the images: the bound of the importance-weighted autoencoder, equation 8."""
        return math.log(k) - logsumexp(self.log_weights(x, k, generator, labels=labels), 1).mean()

    # --------------------------------------------------------------------------------------------------------- images

    def reconstruct(self, x: Tensor, labels: Any = None) -> Tensor:
        """The images decoded from the mean of q(z | x)."""
        return self.means(self.encode(x, labels)[0], labels)

    def sample(self, n: int, generator: Any = None, labels: Any = None) -> Tensor:
        """n new images (N, C, H, W): the decoder's means for z ~ N(0, 1)."""
        weight = self.mu.weight
        return self.means(randn(n, self.latent, generator=generator, dtype=weight.dtype, device=weight.device), labels)
