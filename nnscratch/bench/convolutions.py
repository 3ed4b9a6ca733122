"""Convolutions of ResNet-50 (He et al. 2015), of a DCGAN and of the training steps, and some that nobody tuned for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .layer import BOTH_GRADIENTS, Layer, module_layer

RESNET = [  # (channels, outputs, size, kernel, stride), by stages; batch 8
    (3, 64, 224, 7, 2),
    (64, 64, 56, 1, 1),
    (64, 64, 56, 3, 1),
    (64, 256, 56, 1, 1),
    (256, 64, 56, 1, 1),
    (128, 128, 56, 3, 2),
    (128, 128, 28, 3, 1),
    (128, 512, 28, 1, 1),
    (256, 512, 56, 1, 2),
    (256, 256, 14, 3, 1),
    (1024, 256, 14, 1, 1),
    (512, 512, 7, 3, 1),
    (512, 2048, 7, 1, 1),
]
DCGAN = [  # (channels, outputs, size), 4x4 with stride 2; batch 64
    (3, 64, 32),
    (64, 128, 16),
    (128, 256, 8),
]
PLAIN = [  # (channels, outputs, size, batch, padding) of the training steps, and odd ones; 3x3
    (3, 64, 32, 128, 1),
    (64, 128, 16, 128, 1),
    (128, 256, 8, 128, 1),
    (3, 32, 64, 32, 0),
    (32, 64, 31, 32, 0),
    (64, 128, 14, 32, 0),
    (1, 16, 28, 128, 1),
    (20, 50, 27, 50, 1),
    (37, 61, 19, 7, 1),
]


def layers() -> Iterable[Layer]:
    for channels, outputs, size, kernel, stride in RESNET:
        name = f"{channels}-{outputs} {kernel}x{kernel}{f'/{stride}' if stride > 1 else ''} @{size}"
        options: dict[str, Any] = {"stride": stride, "padding": kernel // 2}
        yield _layer(f"ResNet {name}", "convolutions of ResNet-50", (8, channels, size, size), outputs, kernel, **options)
    group = "convolutions of DCGAN"
    options = {"stride": 2, "padding": 1}
    for channels, outputs, size in DCGAN:
        yield _layer(f"DCGAN {channels}-{outputs} 4x4/2 @{size}", group, (64, channels, size, size), outputs, 4, **options)
        name, ends = f"DCGAN {outputs}-{channels} 4x4/2 transposed @{size // 2}", (64, outputs, size // 2, size // 2)
        yield _layer(name, group, ends, channels, 4, "ConvTranspose2d", **options)
    group = "other convolutions"
    for channels, outputs, size, batch, padding in PLAIN:
        name = f"conv {channels}-{outputs} 3x3 @{size}, batch {batch}{'' if padding else ', valid'}"
        yield _layer(name, group, (batch, channels, size, size), outputs, 3, padding=padding)
    yield _layer("conv depthwise 64 3x3 @28, batch 32", group, (32, 64, 28, 28), 64, 3, padding=1, groups=64)
    yield _layer("conv 32-16 2x2/2 transposed @7, batch 128", group, (128, 32, 7, 7), 16, 2, "ConvTranspose2d", stride=2)


def _layer(name: str, group: str, shape: tuple, outputs: int, kernel: int, kind: str = "Conv2d", **options: Any) -> Layer:
    images = shape[1] <= 3 and kind == "Conv2d"  # which need no gradient
    parts = ("forward", "weight gradient") if images else BOTH_GRADIENTS
    return module_layer(name, shape, group, kind, shape[1], outputs, kernel, images=images, parts=parts, bias=False, **options)
