"""The deep convolutional GAN, for square images of any size from 8 pixels on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import init
from .gan import Adversarial


def sides(size: int) -> list[int]:
    """The sides of the feature maps from the innermost to the image: halved, rounded up, until at most 4 are left.

    28: [4, 7, 14, 28];  32: [4, 8, 16, 32];  64: [4, 8, 16, 32, 64].
    """
    found = [size]
    while found[0] > 4:
        found.insert(0, (found[0] + 1) // 2)
    return found


def kernel(side: int) -> int:
    """Of the step between ceil(side / 2) and side, stride 2 and padding 1: 4 for even sides, 3 for odd ones."""
    return 4 - side % 2


class DCGAN(Adversarial):
    """Transposed convolutions up, strided convolutions down (Radford et al. 2016).

        generator:      ConvT 100 - 256 - 128 - 64 - C   (4x4; strides 1, 2, 2, 2); batch norm and ReLU between, tanh at the end
        discriminator:  Conv C - 64 - 128 - 256 - 1      (4x4; strides 2, 2, 2, 1); batch norm but in the first, LeakyReLU 0.2

    without biases, weights from N(0, 0.02²), batch norm's from N(1, 0.02²). So for 32x32; 64x64 has one more layer of 512
    channels, 28x28 (4, 7, 14, 28) a kernel of 3x3 between 4 and 7. `width` is the number of channels next to the image.

    `norm` of the discriminator: 'batch'; 'layer' (over C, H, W of each image); 'none'. `spectral_norm` divides each of its
    weights by its largest singular value (Miyato et al. 2018), and then 'none' is the default of `norm`.
    Raises ValueError for images that are not square or smaller than 8x8, and for another norm.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        latent: int = 100,
        width: int = 64,
        norm: str | None = None,
        spectral_norm: bool = False,
    ):
        super().__init__(image_shape, latent)
        name = type(self).__name__
        channels, height, size = image_shape
        if height != size or size < 8:
            raise ValueError(f"{name}: expected square images of at least 8x8 pixels, got {height}x{size}")
        norm = norm or ("none" if spectral_norm else "batch")
        if norm not in _NORMS:
            raise ValueError(f"{name}: unknown norm {norm!r}, expected one of {', '.join(_NORMS)}")
        self.config: dict[str, Any] = {"image_shape": list(image_shape), "latent": latent, "width": width}
        self.config |= {"norm": norm, "spectral_norm": spectral_norm}
        path = sides(size)
        widths = [width << k for k in reversed(range(len(path) - 1))]  # of the feature maps from the innermost on
        up: list[nn.Module] = [
            nn.Unflatten(1, (latent, 1, 1)),
            nn.ConvTranspose2d(latent, widths[0], path[0], bias=False),
        ]
        for side, before, after in zip(path[1:], widths, (*widths[1:], channels)):
            up += [nn.BatchNorm2d(before), nn.ReLU()]
            up.append(nn.ConvTranspose2d(before, after, kernel(side), stride=2, padding=1, bias=False))
        down: list[nn.Module] = []
        for side, before, after in zip(reversed(path), (channels, *reversed(widths)), reversed(widths)):
            down.append(nn.Conv2d(before, after, kernel(side), stride=2, padding=1, bias=False))
            down += [_NORMS[norm](after)] if norm != "none" and before != channels else []
            down.append(nn.LeakyReLU(0.2))
        down += [nn.Conv2d(widths[0], 1, path[0], bias=False), nn.Flatten(0)]
        self.generator = nn.Sequential(*up, nn.Tanh())
        self.discriminator = nn.Sequential(*down)
        self.apply(_initialise)
        if spectral_norm:
            for layer in self.discriminator:
                if isinstance(layer, nn.Conv2d):
                    nn.utils.spectral_norm(layer)


def _layer_norm(channels: int) -> nn.Module:
    """Over channels and pixels of each image together: a group norm with one group."""
    return nn.GroupNorm(1, channels)


_NORMS: dict[str, Any] = {"batch": nn.BatchNorm2d, "layer": _layer_norm, "none": nn.Identity}


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        init.normal_(layer.weight, 1.0, 0.02)
