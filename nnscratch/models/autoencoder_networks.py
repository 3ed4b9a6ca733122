"""The networks of the autoencoders: dense, convolutional with a narrow middle, convolutional with shortcuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from .. import nn
from ..ops import cat, relu
from ..tensor import Tensor


def dense(image_shape: Sequence[int], hidden: Sequence[int]) -> nn.Module:
    """C H W - hidden - ... and back, ReLU between and a sigmoid last: the code is the last of `hidden`."""
    pixels = math.prod(image_shape)
    widths = [pixels, *hidden, *reversed(hidden[:-1]), pixels]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    layers[-1] = nn.Sigmoid()
    return nn.Sequential(*layers, nn.Unflatten(1, tuple(image_shape)))


def hourglass(channels: int, widths: Sequence[int], code: int) -> nn.Module:
    """Convolutions 4x4 with stride 2 to a code of `code` channels at a quarter of the side, and transposed ones back."""
    first, second = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(second, code, 1),
        nn.Conv2d(code, second, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(first, channels, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


class UNet(nn.Module):
    """Down by two, in the middle, and up by two, with what each level saw laid beside what comes back (Ronneberger et al. 2015).

        a = enter x;   b = down1 a;   c = middle down2 b;   b' = join2 [up2 c, b];   a' = join1 [up1 b', a];   y = leave a'

    with a ReLU after each but the last; the last axes of b have half the side of x, those of c a quarter.
    """

    def __init__(self, inputs: int, channels: int, widths: Sequence[int]):
        super().__init__()
        first, second = widths
        self.enter = nn.Conv2d(inputs, first, 3, padding=1)
        self.down1 = nn.Conv2d(first, second, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(second, second, 4, stride=2, padding=1)
        self.middle = nn.Sequential(
            nn.Conv2d(second, second, 3, padding=1), nn.ReLU(), nn.Conv2d(second, second, 3, padding=1), nn.ReLU()
        )
        self.up2 = nn.ConvTranspose2d(second, second, 4, stride=2, padding=1)
        self.join2 = nn.Conv2d(2 * second, second, 3, padding=1)
        self.up1 = nn.ConvTranspose2d(second, first, 4, stride=2, padding=1)
        self.join1 = nn.Conv2d(2 * first, first, 3, padding=1)
        self.leave = nn.Conv2d(first, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a = relu(self.enter(x))
        b = relu(self.down1(a))
        c = self.middle(relu(self.down2(b)))
        b = relu(self.join2(cat([relu(self.up2(c)), b], 1)))
        a = relu(self.join1(cat([relu(self.up1(b)), a], 1)))
        return self.leave(a)
