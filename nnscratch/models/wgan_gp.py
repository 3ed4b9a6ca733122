"""The Wasserstein GAN with gradient penalty: DCGAN's generator, and a critic that normalises each image by itself."""

from __future__ import annotations

from collections.abc import Sequence

from .dcgan import DCGAN


class WGANGP(DCGAN):
    """The layers of DCGAN with layer norm in the critic (Gulrajani et al. 2017).

        critic:     minimise  D(G(z)) - D(x) + λ (|∇ D(x̂)| - 1)²,   x̂ = ε x + (1 - ε) G(z),  ε ~ U(0, 1)       (equation 3)
        generator:  minimise  -D(G(z)), once in n_critic steps of the critic

    The norm is that of the gradient by one image, so D must score each image by itself. Batch norm would mix them; here it is
    layer norm (section 4, "No critic batch normalization"). Scores are no probabilities: the difference of the averages of D(x)
    and D(G(z)) estimates the Wasserstein distance.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        latent: int = 100,
        width: int = 64,
        norm: str | None = None,
        spectral_norm: bool = False,
    ):
        super().__init__(image_shape, latent, width, norm or "layer", spectral_norm)
