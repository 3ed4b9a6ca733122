"""Autoencoders: an image through a network and back to an image, whole, or restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..ops import cat, clamp, where
from ..tensor import Tensor
from .autoencoder_networks import UNet, dense, hourglass

PURPOSES = ("reconstruct", "denoise", "enhance", "inpaint", "colourise")


class Autoencoder(nn.Module):
    """A network from image to image, trained by squared error towards the whole image (Hinton & Salakhutdinov 2006; for damaged
    inputs Vincent et al. 2008).

        reconstruct   y = g(f(x)):  the code f(x) is narrower than x, so what is usual survives and what is odd does not
        denoise       y = x + f(x)                      the network finds the noise (Zhang et al. 2017)
        enhance       y = u + f(u),  u = x enlarged twice, bicubically (Kim et al. 2016)
        inpaint       y = f(x, m) where the mask m is 0, x where it is 1
        colourise     y = x + f(x):  colours added to a grey image

    Images (N, C, H, W) with values in 0..1. `restore` does what the purpose says; `forward` is f on its own input.
    `architecture` 'conv' works for any size: sides are padded to a multiple of 4 and cut back; 'dense' is fixed to `image_size`
    and only reconstructs. Evaluated, `restore` keeps its result in 0..1. Raises ValueError for what does not go together.
    """

    def __init__(
        self,
        channels: int = 1,
        image_size: int | Sequence[int] = 28,
        purpose: str = "reconstruct",
        architecture: str = "conv",
        *,
        widths: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (128, 32),
        code: int = 8,
    ):
        super().__init__()
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if purpose not in PURPOSES:
            raise ValueError(f"Autoencoder: unknown purpose {purpose!r}, expected one of {', '.join(PURPOSES)}")
        if architecture not in ("conv", "dense"):
            raise ValueError(f"Autoencoder: unknown architecture {architecture!r}, expected conv or dense")
        if architecture == "dense" and purpose not in ("reconstruct", "denoise"):
            raise ValueError(f"Autoencoder: the dense architecture reconstructs and denoises, it cannot {purpose}")
        if purpose == "colourise" and channels != 3:
            raise ValueError(f"Autoencoder: to colourise, images need 3 channels, these have {channels}")
        self.config: dict[str, Any] = {
            "channels": channels,
            "image_size": [height, width],
            "purpose": purpose,
            "architecture": architecture,
            "widths": list(widths),
            "hidden": list(hidden),
            "code": code,
        }
        self.purpose, self.channels, self.sides = purpose, channels, (height, width)
        self.any_size = architecture == "conv"
        self.residual = self.any_size and purpose in ("denoise", "enhance", "colourise")
        inputs = {"inpaint": channels + 1, "colourise": 1}.get(purpose, channels)
        if not self.any_size:
            self.network: nn.Module = dense((channels, height, width), hidden)
        elif purpose == "reconstruct":
            self.network = hourglass(channels, widths, code)
        else:
            self.network = UNet(inputs, channels, widths)

    def forward(self, x: Tensor) -> Tensor:
        """f(x): (N, inputs, H, W) -> (N, C, H, W)."""
        height, width = x.shape[2:]
        if not self.any_size:
            if (height, width) != self.sides:
                raise ValueError(f"Autoencoder: this dense model takes images of {self.sides}, got {height}x{width}")
            return self.network(x)
        below, right = -height % 4, -width % 4
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        y = self.network(x)
        return y[:, :, :height, :width] if below or right else y

    def restore(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """The image that `x` shows damaged (N, C, H, W): without noise, twice as large, with colours.

        To inpaint, `known` (N, 1, H, W) is 1 where x is to be kept and 0 where it is to be made up; x itself is not looked at
        there. Other purposes take none. Raises ValueError for another number of channels, or a missing mask.
        """
        wanted = 1 if self.purpose == "colourise" else self.channels
        if x.ndim != 4 or x.shape[1] != wanted:
            raise ValueError(f"Autoencoder: to {self.purpose}, expected images (N, {wanted}, H, W), got {tuple(x.shape)}")
        if (known is None) == (self.purpose == "inpaint"):
            raise ValueError(f"Autoencoder: to {self.purpose}, {'give the mask `known`' if known is None else 'give no mask'}")
        if self.purpose == "enhance":
            x = F.interpolate(x, scale_factor=2, mode="bicubic")
        if known is not None:
            known = known.to(dtype=x.dtype).expand(len(x), 1, *x.shape[2:])
            y = where(known > 0.5, x, self(cat([where(known > 0.5, x, 0.0), known], 1)))
        else:
            y = self(x) + x if self.residual else self(x)
        return y if self.training else clamp(y, 0.0, 1.0)

    def anomaly_score(self, x: Tensor) -> Tensor:
        """How badly each image is restored from itself: its mean squared error (N,). What was rare in training scores high."""
        if self.purpose not in ("reconstruct", "denoise"):
            raise ValueError(
                f"Autoencoder: an anomaly score needs a model that reconstructs or denoises, not one to {self.purpose}"
            )
        return F.mse_loss(self.restore(x), x, reduction="none").mean((1, 2, 3))
