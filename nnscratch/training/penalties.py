"""Penalties on the discriminator's gradient by its input: a gradient inside a loss, so that training takes second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import nn
from ..autograd import grad
from ..ops import rand, sqrt
from ..tensor import Tensor


def squared_gradient_norms(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """|∂ score(x)_n / ∂ x_n|² of each image, (N,): summed over all axes but the batch; differentiable by the weights.

    One backward pass serves all images, because each score depends on its own image only (so no batch norm).
    """
    x = x.detach().requires_grad_()
    (g,) = grad(score(x).sum(), [x], create_graph=True)
    return (g * g).reshape(len(x), -1).sum(1)


def r1_penalty(score: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """½ mean |∇ D(x)|² at real images (Mescheder et al. 2018, equation 9, without its γ)."""
    return 0.5 * squared_gradient_norms(score, real).mean()


def gradient_penalty(score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, generator: Any = None) -> Tensor:
    """mean (|∇ D(x̂)| - 1)² at x̂ = ε x + (1 - ε) G(z), one ε ~ U(0, 1) for each pair (Gulrajani et al. 2017, equation 3).

    Raises ValueError unless there are as many generated images as real ones, of one shape.
    """
    if real.shape != fake.shape:
        raise ValueError(f"gradient_penalty: expected real and generated images of one shape, got {real.shape} and {fake.shape}")
    share = rand(len(real), *(1,) * (real.ndim - 1), generator=generator, dtype=real.dtype, device=real.device)
    between = real.detach() * share + fake.detach() * (1 - share)
    # The root's derivative at 0 is infinite; a critic that is flat somewhere (all its ReLUs off) must not become NaN.
    norms = sqrt(squared_gradient_norms(score, between) + 1e-12)
    return ((norms - 1) ** 2).mean()


def mixes_images(network: nn.Module) -> list[str]:
    """The names of batch-norm layers in a network: with them a score depends on the other images of its batch."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) if hasattr(nn, "BatchNorm3d") else (nn.BatchNorm1d, nn.BatchNorm2d)
    return [name for name, layer in network.named_modules() if isinstance(layer, kinds)]
