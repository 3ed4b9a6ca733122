"""How likely a VAE finds images it has not seen: bounds on log p(x) in nats for each image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..tensor import Tensor, to_numpy


def importance_bound(
    model: Any, x: Tensor, k: int = 500, *, labels: Any = None, generator: Any = None, chunk: int = 1000
) -> np.ndarray:
    """L_k = log (1/k sum_i w_i), w_i = p(x, z_i) / q(z_i | x), z_i ~ q(z | x): a lower bound on log p(x), float64 (N,).

    E L_1 is the ELBO; L_k rises with k towards log p(x) (Burda et al. 2016, theorem 1), and -L_k for k in the thousands is what
    papers call the negative log-likelihood of a VAE. The weights are summed as logarithms, from at most `chunk` images and
    samples at a time. `model` needs `log_weights` (see `VAE`). Raises ValueError for k below 1.
    """
    if k < 1 or chunk < 1:
        raise ValueError(f"importance_bound: expected k and chunk of at least 1, got {k} and {chunk}")
    totals = []
    images = max(1, min(len(x), chunk // k))
    with no_grad():
        for start in range(0, len(x), images):
            part = slice(start, start + images)
            own = None if labels is None else np.asarray(labels)[part]
            total = np.full(len(x[part]), -np.inf)
            for done in range(0, k, max(1, chunk // images)):
                count = min(max(1, chunk // images), k - done)
                weights = to_numpy(model.log_weights(x[part], count, generator, labels=own)).astype(np.float64)
                total = np.logaddexp(total, np.logaddexp.reduce(weights, 1))
            totals.append(total - math.log(k))
    return np.concatenate(totals) if totals else np.zeros(0)


def elbo(model: Any, x: Tensor, samples: int = 1, *, labels: Any = None, generator: Any = None) -> np.ndarray:
    """E log p(x | z) - KL(q(z | x) || p(z)), the evidence lower bound, float64 (N,): KL exactly, E as a mean over `samples`."""
    if samples < 1:
        raise ValueError(f"elbo: expected at least one sample, got {samples}")
    with no_grad():
        mu, logvar = model.encode(x, labels)
        kl = to_numpy((mu * mu + logvar.exp() - 1 - logvar).sum(1)).astype(np.float64) / 2
        total = np.zeros(len(x))
        for _ in range(samples):
            z = model.reparameterize(mu, logvar, generator)
            total += to_numpy(model.log_likelihood(model.decode(z, labels), x)).astype(np.float64)
    return total / samples - kl
