"""A small convolutional classifier whose features compare generators; for handwritten digits its weights are in the package."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files

from .. import nn
from ..serialization import load
from ..tensor import Tensor

# Of weights/lenet.safetensors as tools/lenet.py wrote it. Another network would give other distances under the same name.
SHA256 = "ef17ca236b34715f884870a2e7962a0d977e8dc4b1fe9964b4ebd3de80b17dd0"
ACCURACY = 0.9946  # on MNIST's 10,000 test images


class LeNet(nn.Module):
    """[Conv 5x5 - ReLU - max-pool 2x2] twice, then Linear 120 - ReLU - Linear 84 - ReLU - Linear (after LeCun et al. 1998).

    Images (N, in_channels, size, size) in 0..1 -> logits (N, classes); `features` are the 84 numbers before the last layer.
    """

    def __init__(self, in_channels: int = 1, size: int = 28, classes: int = 10):
        super().__init__()
        if size < 4:
            raise ValueError(f"LeNet: expected images of at least 4x4 pixels, got {size}x{size}")
        side = size // 2 // 2
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.head = nn.Linear(84, classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, 84)."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def pretrained_lenet() -> LeNet:
    """The LeNet of LeNet-FID: trained on MNIST's 60,000 training images, 28x28, white on black in 0..1; always the same weights.

    Raises RuntimeError where the file in the package is not the one that belongs to this version.
    """
    with as_file(files(__package__) / "weights" / "lenet.safetensors") as path:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != SHA256:
            raise RuntimeError(f"{path}: its SHA-256 is {found}, expected {SHA256}; install the package again")
        weights = load(path)
    model = LeNet()
    model.load_state_dict({name: w.float() for name, w in weights.items()})
    model.eval()
    return model
