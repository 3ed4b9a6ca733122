"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..nn import functional as F
from ..ops import cat, clamp, exp, logsumexp, randn, randn_like, sigmoid
from ..tensor import Tensor, as_tensor
from .vae_networks import NETWORKS


def label_reader(latent: int, classes: int, hidden: int = 128) -> nn.Module:
    """Two hidden layers from a code to the logits of a label. Raises ValueError without labels."""
    if classes < 2:
        raise ValueError(f"VAE: a reader of labels needs a model with 2 classes or more, got {classes}")
    return nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes))


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
    numbers beside their input, q(z | x, y) and p(x | z, y), and every method needs `labels` (N,). With `reader` it has a network
    that is to read the label from the code, for `loss` to hold the encoder against (see `reader`).
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
        reader: bool = False,
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
            "reader": reader,
        }
        self.image_shape, self.latent, self.classes = tuple(image_shape), latent, classes
        self.likelihood, self.sigma = likelihood, sigma
        self.encoder, width, self.decoder = NETWORKS[architecture](self.image_shape, widths, latent + classes)
        self.mu = nn.Linear(width + classes, latent)
        self.logvar = nn.Linear(width + classes, latent)
        self.reader = label_reader(latent, classes) if reader else None

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
        self,
        x: Tensor,
        generator: Any = None,
        *,
        labels: Any = None,
        beta: float = 1.0,
        free_bits: float = 0.0,
        fader: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(total, reconstruction, KL) in nats: summed over pixels and latents, averaged over the images.

        total = reconstruction + beta sum_j max(KL_j, free_bits); with beta 1 and no free bits it is the negative ELBO. beta above
        1 presses the code (Higgins et al. 2017); `free_bits` nats of each latent, averaged over the batch, cost nothing (Kingma
        et al. 2016, equation 15). `fader` is the weight of `unread`. The returned KL is the plain one.
        """
        mu, logvar = self.encode(x, labels)
        z = self.reparameterize(mu, logvar, generator)
        f = self.decode(z, labels)
        reconstruction = -self.log_likelihood(f, x).mean()
        kl = F.gaussian_kl(mu, logvar)
        paid = clamp(self.kl_per_latent(mu, logvar), min=free_bits).sum() if free_bits else kl
        total = reconstruction + (paid if beta == 1 else paid * beta)
        return total + self.unread(z) * fader if fader else total, reconstruction, kl

    def unread(self, z: Tensor) -> Tensor:
        """-1/K sum_k log r_k(z), averaged over codes z (N, latent), for the shares r that the reader gives the K labels.

        It is least, log K, where the reader can only guess: an encoder that is trained for it leaves the label out of the code,
        and it takes another label to mean no more than that. The reader itself is trained by `reader_loss`, in turns. Lample et
        al. (2017), "Fader networks: manipulating images by sliding attributes", with the even guess as the encoder's aim (Tzeng
        et al. 2015, equation 5). Raises ValueError for a model without a reader.
        """
        return -F.log_softmax(self._read(z), 1).mean()

    def reader_loss(self, x: Tensor, labels: Any, generator: Any = None) -> Tensor:
        """The reader's cross-entropy in nats for codes of the images; no gradient goes to the encoder."""
        with no_grad():
            z = self.reparameterize(*self.encode(x, labels), generator)
        return F.cross_entropy(self._read(z), as_tensor(labels).to(device=z.device))

    def _read(self, z: Tensor) -> Tensor:
        if self.reader is None:
            raise ValueError("VAE: this model has no reader of labels from the code; make it with reader=True")
        return self.reader(z)

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
