"""A judge of edits on `Shapes`: it reads all six attributes from a picture, so that one can count what an edit has changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..data.shapes import COLOURS, SHAPES
from ..nn import functional as F
from ..tensor import Tensor, as_tensor, to_numpy

ATTRIBUTES = ("shape", "colour", "size", "x", "y", "rotation")
# How far a reading may be off and still count as the same: in parts of the picture's side (1/32 is a pixel of a Shapes picture);
# for the rotation in parts of the angle after which the shape looks the same.
TOLERANCE = {"size": 1 / 32, "x": 1 / 16, "y": 1 / 16, "rotation": 1 / 8}
PERIOD = np.array([0.0, 90.0, 120.0, 72.0, 90.0, 0.0])  # degrees, by shape; 0: circle and ring look the same at any angle


class ShapeJudge(nn.Module):
    """[Conv 3x3 - ReLU - max-pool] three times, Linear - ReLU, and a linear reading of each attribute.

    Images (N, 3, 32, 32) -> {'shape': logits (N, 6), 'colour': logits (N, 8), 'place': size, x, y (N, 3), 'turn': (N, 2)}. The
    turn is (cos, sin) of the rotation as a part of the shape's period: equal looks have equal turns.
    """

    def __init__(self, channels: tuple[int, int, int] = (32, 64, 128), hidden: int = 256):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * 16, hidden), nn.ReLU())
        self.shape, self.colour = nn.Linear(hidden, len(SHAPES)), nn.Linear(hidden, len(COLOURS))
        self.place, self.turn = nn.Linear(hidden, 3), nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        return {"shape": self.shape(h), "colour": self.colour(h), "place": self.place(h), "turn": self.turn(h)}

    def loss(self, x: Tensor, attributes: dict[str, np.ndarray]) -> Tensor:
        """Cross-entropies of shape and colour, and squared errors of the others, weighed to be of one size."""
        found = self(x)
        place = np.stack([attributes[name] for name in ("size", "x", "y")], 1).astype(np.float32)
        turns, turned = turn_of(attributes["shape"], attributes["rotation"])
        return (
            F.cross_entropy(found["shape"], as_tensor(attributes["shape"]))
            + F.cross_entropy(found["colour"], as_tensor(attributes["colour"]))
            + F.mse_loss(found["place"], as_tensor(place)) * 100
            + ((found["turn"] - as_tensor(turns)).square().sum(1) * as_tensor(turned)).mean()
        )

    def read(self, images: Any, batch: int = 256) -> dict[str, np.ndarray]:
        """The attributes (N,) of images (N, 3, 32, 32) in 0..1, in the units of `Shapes.attributes`."""
        with no_grad():
            parts = [self(as_tensor(images[k : k + batch])) for k in range(0, len(images), batch)]
        found = {name: np.concatenate([to_numpy(part[name]) for part in parts]) for name in parts[0]}
        shape = found["shape"].argmax(1)
        angle = np.mod(np.arctan2(found["turn"][:, 1], found["turn"][:, 0]) / (2 * np.pi), 1.0)
        size, x, y = found["place"].T
        rotation = angle * PERIOD[shape]
        return {"shape": shape, "colour": found["colour"].argmax(1), "size": size, "x": x, "y": y, "rotation": rotation}


def turn_of(shape: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((cos, sin) (N, 2) of the rotation as a part of the shape's period, 1 or 0 (N,) whether it can be seen), float32."""
    period = PERIOD[shape]
    part = 2 * np.pi * np.divide(rotation, period, out=np.zeros(len(shape)), where=period > 0)
    return np.stack([np.cos(part), np.sin(part)], 1).astype(np.float32), (period > 0).astype(np.float32)


def agrees(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each attribute whether (N,) what was found is what was wanted, within TOLERANCE.

    Rotations are compared as parts of the wanted shape's period; those of circles and rings always agree.
    """
    result = {name: found[name] == wanted[name] for name in ("shape", "colour")}
    result |= {name: np.abs(found[name] - wanted[name]) <= TOLERANCE[name] for name in ("size", "x", "y")}
    period = PERIOD[wanted["shape"]]
    part = np.divide(found["rotation"] - wanted["rotation"], period, out=np.zeros(len(period)), where=period > 0)
    result["rotation"] = np.abs(part - np.rint(part)) <= TOLERANCE["rotation"]
    return result
