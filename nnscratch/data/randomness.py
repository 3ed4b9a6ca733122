"""Random numbers for data that depend on *what* is drawn, not on *when*.

Order and augmentation are keyed by (seed, epoch) and (seed, epoch, batch), so a resumed or prefetching loader draws
exactly what an uninterrupted one draws, and its state is three integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..backend import Generator, default_generator

_current: ContextVar[np.random.Generator | None] = ContextVar("nnscratch.data.generator", default=None)


def keyed_generator(seed: int, *key: int) -> np.random.Generator:
    """A generator that is a function of (seed, *key) alone: Philox (Salmon et al. 2011) started by a SeedSequence."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def current_generator() -> np.random.Generator:
    """The generator of the batch being loaded inside a `DataLoader`, else nnscratch's default one.

    A dataset or sampler that takes its random numbers from here is reproducible and resumable without further work.
    """
    generator = _current.get()
    return default_generator.numpy if generator is None else generator


@contextmanager
def using_generator(generator: np.random.Generator) -> Iterator[None]:
    """`with using_generator(g): ...`: make `current_generator()` return `g` in this thread, inside the block."""
    token = _current.set(generator)
    try:
        yield
    finally:
        _current.reset(token)


def as_numpy_generator(generator: Any = None, seed: int | None = None) -> np.random.Generator:
    """The NumPy generator behind `generator` (nnscratch's or NumPy's), or one started from `seed`, or the current one.

    Raises ValueError when both are given, TypeError for anything that is not a generator.
    """
    if generator is not None and seed is not None:
        raise ValueError("give either generator or seed, not both")
    if seed is not None:
        return Generator(seed).numpy
    if generator is None:
        return current_generator()
    if isinstance(generator, Generator):
        return generator.numpy
    if isinstance(generator, np.random.Generator):
        return generator
    raise TypeError(f"generator: expected nnscratch.Generator, numpy.random.Generator or None, got {type(generator).__name__}")
