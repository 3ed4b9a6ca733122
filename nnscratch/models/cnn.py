"""Convolutional classifiers in three sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import nn
from ..tensor import Tensor


class Preset(NamedTuple):
    """Channels of the convolutions, how many of them a 2x2 max-pool follows, and the width of the hidden layer."""

    channels: tuple[int, ...]
    pools: int
    hidden: int


PRESETS = {
    "small": Preset((32, 64, 64), 2, 128),  # for 28x28 and smaller
    "medium": Preset((32, 64, 128), 3, 1024),  # for 64x64
    "large": Preset((64, 128, 256), 3, 1000),  # for 32x32 in colour
}


class CNN(nn.Module):
    """[Conv 3x3 - ReLU (- max-pool 2x2)] three times, then Linear - ReLU - Linear (after LeCun et al. 1998).

    Images (N, in_channels, H, W) -> logits (N, classes); the class probabilities are their softmax. `preset` gives `channels`,
    `pools` and `hidden`, each of which can also be given; dropout acts with probability `dropout` before the last layer and half
    of it before the hidden one. Multiply-adds for a 1x28x28 image with the small preset: 6.0 million.
    Raises ValueError for an unknown preset or an image smaller than its poolings need.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int | Sequence[int] = 28,
        classes: int = 10,
        preset: str = "small",
        *,
        channels: Sequence[int] | None = None,
        pools: int | None = None,
        hidden: int | None = None,
        dropout: float = 0.5,
    ):
        super().__init__()
        if preset not in PRESETS:
            raise ValueError(f"CNN: unknown preset {preset!r}, expected one of {', '.join(PRESETS)}")
        default = PRESETS[preset]
        channels = tuple(default.channels if channels is None else channels)
        pools = default.pools if pools is None else pools
        hidden = default.hidden if hidden is None else hidden
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 2**pools:
            raise ValueError(f"CNN: {pools} poolings need images of at least {2**pools} pixels, got {height}x{width}")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "image_size": [height, width],
            "classes": classes,
            "preset": preset,
            "channels": list(channels),
            "pools": pools,
            "hidden": hidden,
            "dropout": dropout,
        }
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(zip((in_channels, *channels), channels)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            if i < pools:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        width_in = channels[-1] * (height >> pools) * (width >> pools)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout / 2),
            nn.Linear(width_in, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
