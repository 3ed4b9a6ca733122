"""Training that no single sample can sway by much (DP-SGD, Abadi et al. 2016), and how private it is, in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import backend, nn
from ..autograd import grad
from ..backend import default_generator
from ..data.randomness import current_generator
from ..tensor import Tensor, as_tensor

# Renyi orders that are tried: fine where a large epsilon has its best order, wide where a small one has.
ORDERS = (*(1 + k / 10 for k in range(1, 100)), *range(11, 65), 80, 96, 128, 192, 256, 384, 512)


class PoissonSampler:
    """Batches of Poisson sampling: each sample is in each batch with probability `rate` = batch_size / n, independently.

    Sizes vary about `batch_size`. The accountant's epsilon holds for this kind of sampling and no other.
    """

    def __init__(self, n: int, batch_size: int):
        if not min(n, 16) <= batch_size <= n:  # so that a batch is empty in one of millions only
            raise ValueError(f"PoissonSampler: expected a batch size from {min(n, 16)} to the {n} samples, got {batch_size}")
        self.n, self.batch_size = n, batch_size
        self.rate = batch_size / n

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        for _ in range(len(self)):
            yield np.flatnonzero(current_generator().random(self.n) < self.rate)


class PrivateLoss:
    """A loss whose gradient is that of DP-SGD: each sample's own, clipped, summed, with noise (Abadi et al. 2016, algorithm 1).

        g_i = grad loss(x_i),   g_i' = g_i / max(1, |g_i| / clip),   g = (sum_i g_i' + noise clip N(0, 1)) / batch_size

    |g_i| is taken over all parameters together. The gradients come from one backward pass a sample, on a batch of one, so any
    model without batch statistics can be trained. `batch_size` is the expected one: the size of the batch at hand is private too.
    The noise comes from the default generator: who knows its seed can take it away again, and checkpoints hold its state.
    Called with a model and a batch, it returns the mean of `loss` and of its numbers; the tensor's gradient is g.
    Raises ValueError for settings out of range, and for a model with batch norm, whose samples see each other.
    """

    def __init__(self, model: Any, loss: Callable[[Any, Any], Any], clip: float, noise: float, batch_size: int):
        if clip <= 0 or noise < 0 or batch_size < 1:
            raise ValueError(f"PrivateLoss: expected clip > 0, noise >= 0, batch_size >= 1, got {clip}, {noise}, {batch_size}")
        mixing = next((name for name, part in model.named_modules() if isinstance(part, _BATCH_NORMS)), None)
        if mixing is not None:
            raise ValueError(f"PrivateLoss: {mixing} is batch norm, through which the samples of a batch see each other")
        self.loss, self.clip, self.noise, self.batch_size = loss, clip, noise, batch_size

    def __call__(self, model: Any, batch: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
        parameters = [p for p in model.parameters() if p.requires_grad]
        sums, means = self.clipped(model, parameters, batch)
        value = means.pop("loss", 0.0)
        total = as_tensor(np.zeros((), sums[0].dtype)).to(device=parameters[0].device)
        draw = default_generator.numpy
        for p, clipped in zip(parameters, sums):
            noise = draw.standard_normal(clipped.shape).astype(clipped.dtype) * (self.noise * self.clip)
            g = (clipped + backend.array_module(clipped).asarray(noise)) / self.batch_size
            total = total + (p * Tensor(g)).sum()  # linear in p, so that its gradient is g
        return total + (value - total.item()), means

    def clipped(self, model: Any, parameters: Sequence[Tensor], batch: Sequence[Tensor]) -> tuple[list[Any], dict[str, float]]:
        """The sums of the samples' clipped gradients, an array for each parameter, and the means of the loss and its numbers."""
        sums = [np.zeros_like(p.data) for p in parameters]
        means: dict[str, float] = {}
        n = len(batch[0])
        for i in range(n):
            result = self.loss(model, tuple(part[i : i + 1] for part in batch))
            loss, numbers = result if isinstance(result, tuple) else (result, {})
            gradients = [None if g is None else g.data for g in grad(loss, parameters, allow_unused=True)]
            norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients if g is not None))
            share = 1 / max(1.0, norm / self.clip) if math.isfinite(norm) else 0.0  # a gradient without bound has no part
            for g, total in zip(gradients, sums):
                if g is not None and share:
                    total += g * total.dtype.type(share)
            for name, number in {"loss": loss.item(), **numbers}.items():
                means[name] = means.get(name, 0.0) + float(number) / n
        return sums, means


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def renyi_divergence(rate: float, noise: float, order: float) -> float:
    """The Renyi divergence of `order` between a step of DP-SGD with a sample and one without it (Mironov et al. 2019).

        D = 1 / (a - 1) log E_{z ~ N(0, s²)} [(1 - q + q exp((2 z - 1) / (2 s²)))^a]

    with the sampling rate q, the noise s in units of the clipping norm, and the order a > 1. The integral is a sum over evenly
    spaced z, which for so smooth an integrand that vanishes at both ends converges faster than any power of the spacing.
    """
    if not 0 <= rate <= 1 or noise < 0 or order <= 1:
        raise ValueError(f"renyi_divergence: expected rate in 0..1, noise >= 0 and order > 1, got {rate}, {noise}, {order}")
    if rate == 0:
        return 0.0
    if noise == 0:
        return math.inf
    if rate == 1:
        return order / (2 * noise**2)
    # The integrand is a mixture of bells between the means 0 and `order`, each of width `noise`.
    z, spacing = np.linspace(-12 * noise, order + 12 * noise, max(2000, int((order + 24 * noise) / noise * 40)), retstep=True)
    ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * z - 1) / (2 * noise**2))
    logs = order * ratio - z * z / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
    return max(0.0, (float(np.logaddexp.reduce(logs)) + math.log(spacing)) / (order - 1))


def epsilon(rate: float, noise: float, steps: int, delta: float) -> float:
    """The epsilon for which `steps` steps of DP-SGD are (epsilon, delta)-differentially private: the least over all ORDERS.

        epsilon = steps D(a) + log(1 / delta) / (a - 1)          (Mironov 2017, proposition 3)

    Whatever the other samples are, the odds that an observer of all weights gives to the presence of one sample change by at most
    the factor exp(epsilon), but for cases of probability delta. Raises ValueError for delta outside (0, 1).
    """
    if not 0 < delta < 1 or steps < 0:
        raise ValueError(f"epsilon: expected delta between 0 and 1 and steps >= 0, got {delta} and {steps}")
    if steps == 0 or rate == 0:
        return 0.0
    return min(steps * renyi_divergence(rate, noise, a) + math.log(1 / delta) / (a - 1) for a in ORDERS)
