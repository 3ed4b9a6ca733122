"""The arrays that entries are tried with: what to draw, and from where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Draw:
    """An array to be drawn. A free one is an input of the gradient check, any other is held constant."""

    shape: tuple[int, ...]
    make: Callable[[np.random.Generator, tuple[int, ...]], Any] = field(repr=False, compare=False)
    free: bool = True
    kind: str = ""

    def __repr__(self) -> str:
        return " ".join([*([self.kind] if self.kind else []), "x".join(map(str, self.shape)) or "scalar"])

    @property
    def fixed(self) -> Draw:
        return replace(self, free=False, kind="fixed " + self.kind if self.kind else "fixed")


def normal(*shape: int) -> Draw:
    """Standard normal numbers."""
    return Draw(shape, lambda rng, s: rng.standard_normal(s))


def within(low: float, high: float, *shape: int) -> Draw:
    """Uniform numbers between two bounds."""
    return Draw(shape, lambda rng, s: rng.uniform(low, high, s), kind=f"in [{low:g}, {high:g}]")


def positive(*shape: int) -> Draw:
    """Numbers from 0.5 to 2."""
    return within(0.5, 2.0, *shape)


def nonzero(*shape: int) -> Draw:
    """Numbers of either sign, from 0.5 to 2 in size."""
    return Draw(shape, lambda rng, s: rng.choice([-1.0, 1.0], s) * rng.uniform(0.5, 2.0, s), kind="nonzero")


def apart(*shape: int) -> Draw:
    """Numbers no two of which are closer than 0.2, in random order: without ties, now or a small step away."""

    def make(rng: np.random.Generator, s: tuple[int, ...]) -> Array:
        n = int(np.prod(s))
        return rng.permutation(0.3 * (np.arange(n) - n / 2) + rng.uniform(0.05, 0.15, n)).reshape(s)

    return Draw(shape, make, kind="distinct")


def shares(*shape: int) -> Draw:
    """Positive numbers that add up to 1 along axis 1 (or along the only one)."""

    def make(rng: np.random.Generator, s: tuple[int, ...]) -> Array:
        p = rng.uniform(0.2, 1.0, s)
        return p / p.sum(axis=min(1, len(s) - 1), keepdims=True)

    return Draw(shape, make, kind="shares")


def signs(*shape: int) -> Draw:
    """Constant ±1, both of them present."""
    return Draw(shape, lambda rng, s: np.where(_alternating(rng, s), 1.0, -1.0), free=False, kind="signs")


def coins(*shape: int) -> Draw:
    """A boolean mask with both values."""
    return Draw(shape, _alternating, free=False, kind="mask")


def below(n: int, *shape: int) -> Draw:
    """Integers from 0 to n - 1."""
    return Draw(shape, lambda rng, s: rng.integers(0, n, s), free=False, kind=f"below {n}")


def given(values: Any) -> Draw:
    """These very values, held constant."""
    array = np.asarray(values)
    return Draw(array.shape, lambda _rng, _s: array, free=False, kind=str(array.tolist()).replace(" ", ""))


def at(values: Any) -> Draw:
    """These very values, as an input of the check."""
    return replace(given(np.asarray(values, np.float64)), free=True)


def _alternating(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.permutation(np.arange(int(np.prod(shape))) % 2 == 0).reshape(shape)
