"""MovingShapes: short films of one or two shapes or digits that bounce off the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dataset import Dataset, take
from .digits import load_digits_arrays
from .images import to_float
from .resample import sample_bilinear
from .shapes import COLOURS, check_counts, check_seed, draw_attributes, shape_masks, uniform

_DIGIT_RADIUS = 0.25  # half the side of a digit, as a fraction of the picture's


class MovingShapes(Dataset):
    """`n` sequences of `frames` pictures: `dataset[i]` is (float32 (T, C, size, size),), a function of (seed, i).

    `objects` 1 or 2 move straight on at constant speed and are reflected where they touch an edge (None: one or two
    at random); shapes (C = 3) also spin, and the second passes in front of the first. `kind='digits'` moves the
    embedded digits (C = 1) instead, added up to white. `data` holds all sequences as uint8, `attributes` the arrays
    (n, 2) they were drawn from: 'x', 'y' at the first frame, 'vx', 'vy' per frame (fractions of the side), 'visible',
    'size', and either 'shape', 'colour', 'rotation', 'spin' (degrees per frame) or 'digit'. `transform` gets all frames
    of a sequence, or of all sequences in a batch, as one batch of pictures (T, C, H, W).
    """

    def __init__(
        self,
        n: int = 1000,
        frames: int = 20,
        seed: int = 0,
        size: int = 32,
        transform: Callable | None = None,
        *,
        kind: str = "shapes",
        objects: int | None = None,
    ):
        if kind not in ("shapes", "digits"):
            raise ValueError(f"kind: expected 'shapes' or 'digits', got {kind!r}")
        if objects not in (None, 1, 2):
            raise ValueError(f"objects: expected 1, 2 or None, got {objects!r}")
        check_counts(n=n, frames=frames, size=size)
        check_seed(seed)
        self.transform = transform
        self.attributes = _draw_motion(seed, np.arange(n), kind, objects)
        render = _film_of_shapes if kind == "shapes" else _film_of_digits
        blocks = (slice(start, start + 16) for start in range(0, n, 16))
        films = [render({k: v[block] for k, v in self.attributes.items()}, frames, size) for block in blocks]
        self.data = np.concatenate(films)

    @property
    def arrays(self) -> tuple[np.ndarray]:
        return (self.data,)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any]:
        return (self._transformed(to_float(self.data[index])),)

    def batch(self, indices: Any) -> tuple[Any]:
        return (self._transformed(to_float(take(self.data, indices))),)

    def _transformed(self, films: Any) -> Any:
        if self.transform is None:
            return films
        frames = self.transform(films.reshape(-1, *films.shape[-3:]))
        return frames.reshape(*films.shape[:-3], *frames.shape[1:])


def _draw_motion(seed: int, index: np.ndarray, kind: str, objects: int | None) -> dict[str, np.ndarray]:
    """Attributes (n, 2): one column per object. The streams 0 and 1 are the objects', 2 is the sequence's."""
    columns = []
    for k in range(2):
        sizes = (0.14, 0.24) if kind == "shapes" else (_DIGIT_RADIUS, _DIGIT_RADIUS)
        drawn = draw_attributes(seed, index, k, sizes)
        extra = [uniform(seed, index, 16 * k + j) for j in range(8, 12)]
        direction, speed = 2 * np.pi * extra[0], 0.02 + 0.04 * extra[1]
        drawn |= {"vx": speed * np.cos(direction), "vy": speed * np.sin(direction), "spin": 16 * extra[2] - 8}
        if kind == "digits":
            drawn["digit"] = (extra[3] * 1797).astype(np.int64)
            drawn = {key: v for key, v in drawn.items() if key in ("x", "y", "vx", "vy", "size", "digit")}
        columns.append(drawn)
    attributes = {key: np.stack([column[key] for column in columns], axis=1) for key in columns[0]}
    second = uniform(seed, index, 32) < 0.5 if objects is None else np.full(len(index), objects == 2)
    return attributes | {"visible": np.stack([np.ones_like(second), second], axis=1)}


def _positions(start: np.ndarray, velocity: np.ndarray, radius: np.ndarray, frames: int) -> np.ndarray:
    """Positions (n, T) of a point that moves between radius and 1 - radius: straight motion, folded at the ends."""
    room = (1 - 2 * radius)[:, None]
    unfolded = np.mod((start - radius)[:, None] + velocity[:, None] * np.arange(frames), 2 * room)
    return radius[:, None] + room - np.abs(unfolded - room)


def _film_of_shapes(attributes: dict[str, np.ndarray], frames: int, size: int) -> np.ndarray:
    n = len(attributes["x"])
    film = np.zeros((n * frames, 3, size, size), np.float32)
    palette = np.array(list(COLOURS.values()), np.float32)
    for k in range(2):
        a = {key: value[:, k] for key, value in attributes.items()}
        x, y = (_positions(a[axis], a["v" + axis], a["size"], frames).ravel() for axis in "xy")
        rotation = (a["rotation"][:, None] + a["spin"][:, None] * np.arange(frames)).ravel()
        shape, radius, colour, visible = (np.repeat(a[key], frames) for key in ("shape", "size", "colour", "visible"))
        shown = np.flatnonzero(visible)
        cover = shape_masks(shape[shown], x[shown], y[shown], radius[shown], rotation[shown], size)[:, None]
        film[shown] += cover * (palette[colour[shown]][:, :, None, None] - film[shown])
    return np.rint(film * 255).astype(np.uint8).reshape(n, frames, 3, size, size)


def _film_of_digits(attributes: dict[str, np.ndarray], frames: int, size: int) -> np.ndarray:
    n = len(attributes["x"])
    film = np.zeros((n * frames, 1, size, size), np.float32)
    digits = load_digits_arrays()[0][:, None].astype(np.float32) / 16
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    cells = 8 / (2 * _DIGIT_RADIUS)  # digit pixels per picture side
    for k in range(2):
        a = {key: value[:, k] for key, value in attributes.items()}
        x, y = (_positions(a[axis], a["v" + axis], a["size"], frames).astype(np.float32).ravel()[:, None] for axis in "xy")
        shown = np.flatnonzero(np.repeat(a["visible"], frames))
        sprites = digits[np.repeat(a["digit"], frames)[shown]]
        ys, xs = ((centres - p[shown]) * cells + 3.5 for p in (y, x))
        ys, xs = np.broadcast_arrays(ys[:, :, None], xs[:, None, :])
        film[shown] = np.minimum(film[shown] + sample_bilinear(sprites, ys, xs), 1)
    return np.rint(film * 255).astype(np.uint8).reshape(n, frames, 1, size, size)
