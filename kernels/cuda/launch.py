"""Launching a kernel of a family on the arrays' device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, array_module
from . import loader

NOTHING = np.uint64(0)  # a null pointer


class Device:
    """Where an array lives: equal for all arrays there, so that what is kept for a device can be found again."""

    def __init__(self, xp: Any, index: int) -> None:
        self.xp, self.index = xp, index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.xp is other.xp and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.xp), self.index))

    def asarray(self, array: np.ndarray) -> Array:
        """The array, copied there."""
        with self.xp.cuda.Device(self.index):
            return self.xp.asarray(array)


def device(array: Array) -> Device:
    return Device(array_module(array), array.device.id)


def operand(array: Array) -> Array:
    """A contiguous array itself, or a copy where it does not begin on 16 bytes, as a view may: kernels copy so many at once."""
    return array.copy() if array.data.ptr % 16 else array


def launch(family: str, name: str, grid: tuple[int, ...], threads: int, arguments: tuple[Any, ...], shared: int = 0) -> None:
    """Run a kernel with one-dimensional blocks. Arguments are arrays and NumPy numbers of exactly the declared types."""
    loader.function(family, name)(grid, (threads,), arguments, shared_mem=shared)
