"""Ways between two latent codes, and the images along them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .latents import drawn

WAYS = ("linear", "spherical")


def linear(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """(1 - t) a + t b."""
    return (1 - t) * a + t * b


def spherical(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b, with the angle w between a and b (Shoemake 1985, section 3.3).

    Codes from N(0, 1) in many dimensions have nearly one length; the straight way between two of them leads through shorter ones,
    which the model has never seen, while this way keeps the length (White 2016, "Sampling generative networks", section 2.1).
    Where a and b point in one direction, or in opposite ones, the way is straight.
    """
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip((a * b).sum() / norms, -1, 1)) if norms else 0.0
    if np.sin(angle) < 1e-6:
        return linear(a, b, t)
    return ((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)).astype(a.dtype)


def path(codes: np.ndarray, steps: int, way: str = "spherical", *, closed: bool = False) -> np.ndarray:
    """Codes along the way through `codes` (K, latent), in order: `steps` for each of its pieces, and the last one.

    `closed` leads back to the first instead, so that an animation can be repeated without a jump: K * steps codes.
    """
    if way not in WAYS:
        raise ValueError(f"way: expected one of {', '.join(WAYS)}, got {way!r}")
    if len(codes) < 2 or steps < 1:
        raise ValueError(f"path: expected at least two codes and one step, got {len(codes)} and {steps}")
    between = linear if way == "linear" else spherical
    ends = [*codes, codes[0]] if closed else list(codes)
    found = [between(a, b, k / steps) for a, b in pairwise(ends) for k in range(steps)]
    return np.stack(found if closed else [*found, ends[-1]])


def interpolate(model: Any, codes: np.ndarray, steps: int = 8, way: str = "spherical", labels: Any = None) -> np.ndarray:
    """The images (N, C, H, W) along `path(codes, steps, way)`; a conditional model draws all of them with one label."""
    z = path(codes, steps, way)
    return drawn(model, z, None if labels is None else np.full(len(z), labels))
