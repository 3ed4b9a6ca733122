"""The networks of a VAE: from an image to a vector, and from a code back to an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import nn

CHANNELS = (32, 64)  # of the two convolutions


def dense(image_shape: Sequence[int], hidden: Sequence[int], code: int) -> tuple[nn.Module, int, nn.Module]:
    """Linear - ReLU for each of `hidden`, and the same backwards: (encoder, the width of its output, decoder).

    784-400-20 has hidden (400,); 12288-4096-4096-z, for 64x64 colour images, (4096, 4096). Without hidden layers both maps are
    linear, and with a Gaussian likelihood the model is probabilistic PCA.
    """
    pixels = math.prod(image_shape)
    encoder: list[nn.Module] = [nn.Flatten()]
    decoder: list[nn.Module] = []
    for before, after in zip((pixels, *hidden), hidden):
        encoder += [nn.Linear(before, after), nn.ReLU()]
    for before, after in zip((code, *reversed(hidden)), reversed(hidden)):
        decoder += [nn.Linear(before, after), nn.ReLU()]
    decoder.append(nn.Linear(hidden[0] if hidden else code, pixels))
    return nn.Sequential(*encoder), hidden[-1] if hidden else pixels, nn.Sequential(*decoder)


def conv(image_shape: Sequence[int], hidden: Sequence[int], code: int) -> tuple[nn.Module, int, nn.Module]:
    """Two convolutions 4x4 with stride 2 before the dense layers, two transposed ones after them.

    C - 32 - 64 channels at H/2 and H/4. Raises ValueError for sides that are not multiples of 4.
    """
    channels, height, width = image_shape
    if height % 4 or width % 4 or not hidden:
        raise ValueError(f"VAE: 'conv' needs sides that are multiples of 4 and a hidden layer, got {height}x{width}, {hidden}")
    first, second = CHANNELS
    small = (second, height // 4, width // 4)
    inner, out, back = dense(small, hidden, code)
    encoder = nn.Sequential(
        nn.Conv2d(channels, first, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 4, stride=2, padding=1),
        nn.ReLU(),
        *inner,
    )
    decoder = nn.Sequential(
        *back,
        nn.ReLU(),
        nn.Unflatten(1, small),
        nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(first, channels, 4, stride=2, padding=1),
    )
    return encoder, out, decoder


NETWORKS: dict[str, Callable[[Sequence[int], Sequence[int], int], tuple[nn.Module, int, nn.Module]]] = {
    "dense": dense,
    "conv": conv,
}
