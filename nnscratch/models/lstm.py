"""A recurrent network that reads an image row by row and names its class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..tensor import Tensor


class RowClassifier(nn.Module):
    """Two LSTM layers over the rows of an image, and a linear layer on the last step (Le et al. 2015, with rows for pixels).

        h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1}),   x_t = row t of the image, all channels side by side
        logits   = W h_H + b

    Images (N, C, H, W) -> logits (N, classes). The width and the channels are fixed by the model, the height is free.
    `dropout` acts between the layers and before the last one.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int | Sequence[int] = 28,
        classes: int = 10,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "image_size": [height, width],
            "classes": classes,
            "hidden": hidden,
            "layers": layers,
            "dropout": dropout,
        }
        self.row = (in_channels, width)
        self.lstm = nn.LSTM(in_channels * width, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        if (channels, width) != self.row:
            raise ValueError(f"RowClassifier: expected images (N, {self.row[0]}, H, {self.row[1]}), got {tuple(x.shape)}")
        rows = x.permute(0, 2, 3, 1).reshape(n, height, width * channels)
        output, _ = self.lstm(rows)
        return self.classifier(output[:, -1])
