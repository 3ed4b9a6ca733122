"""Shapes: drawn sprites whose every attribute is known, so that an edit of one can be measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from .images import ImageSet

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.16, 0.16),
    "orange": (1.00, 0.58, 0.10),
    "yellow": (0.98, 0.90, 0.20),
    "green": (0.20, 0.74, 0.26),
    "cyan": (0.16, 0.82, 0.88),
    "blue": (0.22, 0.36, 0.94),
    "magenta": (0.86, 0.26, 0.82),
    "white": (0.96, 0.96, 0.96),
}


def uniform(seed: int, index: np.ndarray, stream: int) -> np.ndarray:
    """Uniform numbers in [0, 1), each a function of (seed, its index, stream) alone: a SplitMix64 hash.

    Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators". Unlike a generator's stream,
    number i does not depend on how many are drawn, and the numbers are the same under every version of NumPy.
    """
    z = np.zeros(1, np.uint64)
    # Each part is mixed in on its own: seed ^ index at once would make another seed the same pictures in another order.
    for part in (seed, index, stream):
        z = z ^ np.asarray(part).astype(np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * 2.0**-53


# Signed distances to the outline in units of the shape's radius, negative inside; u points right, v down.


def _circle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - 0.9


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(u, v) - 0.7) - 0.24


def _polygon(u: np.ndarray, v: np.ndarray, corners: int) -> np.ndarray:
    """A regular polygon with a corner at distance 1 straight above the centre, folded onto half of one side."""
    half = np.pi / corners
    angle = np.mod(np.arctan2(u, -v), 2 * half) - half
    return np.hypot(u, v) * np.cos(angle) - np.cos(half)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _polygon(u, v, 3)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _polygon(u, v, 4)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: all edges fold onto the one from the tip (0, 1) to the notch at radius 0.45."""
    half = np.pi / 5
    angle = np.abs(np.mod(np.arctan2(u, -v) + half, 2 * half) - half)
    radius = np.hypot(u, v)
    across, along = radius * np.sin(angle), radius * np.cos(angle)
    edge = np.array([0.45 * np.sin(half), 0.45 * np.cos(half) - 1])
    nx, ny = np.array([-edge[1], edge[0]], np.float32) / np.float32(np.hypot(*edge))
    return across * nx + (along - 1) * ny


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(u - 0.95, v - 0.3), np.maximum(u - 0.3, v - 0.95))


_OUTLINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}
SHAPES = tuple(_OUTLINES)
SIZES = (0.16, 0.34)  # the smallest and the largest radius drawn, in fractions of the picture's side
_PERIOD = np.array([0.0, 90.0, 120.0, 72.0, 90.0, 0.0])  # degrees after which a shape looks the same; 0: always


def shape_masks(
    shape: np.ndarray, x: np.ndarray, y: np.ndarray, size: np.ndarray, rotation: np.ndarray, pixels: int
) -> np.ndarray:
    """The part of each pixel that each shape covers: float32 (N, pixels, pixels). Arguments as in `render_shapes`."""
    masks = np.empty((len(shape), pixels, pixels), np.float32)
    centres = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    columns = [np.asarray(a, np.float32)[:, None, None] for a in (x, y, size, np.deg2rad(rotation))]
    for kind, name in enumerate(SHAPES):
        members = np.flatnonzero(shape == kind)
        for start in range(0, len(members), 64):  # a block that stays in cache
            block = members[start : start + 64]
            cx, cy, radius, angle = (column[block] for column in columns)
            dx, dy = (centres - cx) / radius, (centres[:, None] - cy) / radius
            cos, sin = np.cos(angle), np.sin(angle)
            distance = _OUTLINES[name](cos * dx - sin * dy, sin * dx + cos * dy)
            masks[block] = np.clip(0.5 - distance * radius * pixels, 0, 1)
    return masks


def render_shapes(shape: Any, colour: Any, x: Any, y: Any, size: Any, rotation: Any, *, pixels: int = 32) -> np.ndarray:
    """Pictures of shapes on black: float32 (N, 3, pixels, pixels) in 0..1, antialiased.

    Each argument has N values: `shape` and `colour` are indices into SHAPES and COLOURS (`colour` also (N, 3) in
    0..1); the centre `x` (to the right), `y` (down) and the radius `size` are fractions of the picture's side;
    `rotation` is in degrees counter-clockwise.
    """
    colour = np.asarray(colour)
    rgb = colour if colour.ndim == 2 else np.array(list(COLOURS.values()))[colour]
    shape, x, y, size, rotation = (np.asarray(a) for a in (shape, x, y, size, rotation))
    masks = shape_masks(shape, x, y, size, rotation, pixels)
    return masks[:, None] * rgb.astype(np.float32)[:, :, None, None]


def draw_attributes(seed: int, index: np.ndarray, stream: int = 0, sizes: tuple[float, float] = SIZES) -> dict:
    """The attributes of the shapes with the given indices; shapes lie wholly inside the picture."""
    u = [uniform(seed, index, 16 * stream + k) for k in range(6)]
    shape = (u[0] * len(SHAPES)).astype(np.int64)
    size = sizes[0] + u[2] * (sizes[1] - sizes[0])
    return {
        "shape": shape,
        "colour": (u[1] * len(COLOURS)).astype(np.int64),
        "size": size,
        "x": size + u[3] * (1 - 2 * size),
        "y": size + u[4] * (1 - 2 * size),
        "rotation": u[5] * _PERIOD[shape],
    }


class Shapes(ImageSet):
    """`n` pictures (N, 3, size, size) of one shape each; picture i is a function of (seed, i) alone.

    `attributes` maps 'shape', 'colour', 'size', 'x', 'y', 'rotation' to arrays of N values in the units of
    `render_shapes`, which draws pictures from them. `rotation` is below the angle after which the shape looks the same
    (0 for circle and ring). The label is the `label` attribute: 'shape', 'colour' or 'size', whose three classes are
    thirds of the range of radii; `attribute_names` has the names of the classes. Raises ValueError for other arguments.
    """

    attribute_names: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"shape": SHAPES, "colour": tuple(COLOURS), "size": ("small", "medium", "large")}
    )

    def __init__(
        self,
        n: int = 10_000,
        seed: int = 0,
        size: int = 32,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        *,
        label: str = "shape",
    ):
        if label not in tuple(self.attribute_names):
            raise ValueError(f"label: expected one of {', '.join(self.attribute_names)}, got {label!r}")
        check_counts(n=n, size=size)
        check_seed(seed)
        self.attributes: dict[str, np.ndarray] = draw_attributes(seed, np.arange(n))
        data = np.empty((n, 3, size, size), np.uint8)
        for start in range(0, n, 1024):
            part = slice(start, start + 1024)
            pictures = render_shapes(**{k: v[part] for k, v in self.attributes.items()}, pixels=size)
            data[part] = np.rint(pictures * 255)
        labels = self.attributes[label]
        if label == "size":
            labels = np.searchsorted(np.linspace(*SIZES, 4)[1:3], labels, side="right").astype(np.int64)
        super().__init__(data, labels, self.attribute_names[label], transform, target_transform)


def check_counts(**counts: int) -> None:
    """Raise ValueError unless every named value is a positive integer."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
            raise ValueError(f"{name}: expected a positive integer, got {value!r}")


def check_seed(seed: int) -> None:
    """Raise ValueError unless `seed` is an integer in 0..2^64 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected an integer in 0..2**64 - 1, got {seed!r}")
