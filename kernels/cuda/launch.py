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

    def asarray(self, array: np.ndarray, *, for_all: bool = False) -> Array:
        """The array, copied there in the order of the current stream; with `for_all` before this returns."""
        with self.xp.cuda.Device(self.index):
            return self.xp.asarray(array, blocking=for_all)


def device(array: Array) -> Device:
    return Device(array_module(array), array.device.id)


def operand(array: Array) -> Array:
    """A contiguous array itself, or a copy where it does not begin on 16 bytes, as a view may: kernels copy so many at once."""
    return array.copy() if array.data.ptr % 16 else array


def shared_memory(array: Array) -> int:
    """Bytes of shared memory that a block can have where the array lives."""
    return loader.largest_shared(array.device.id)


def launch(family: str, name: str, grid: tuple[int, ...], threads: int, arguments: tuple[Any, ...], shared: int = 0) -> None:
    """Run a kernel with one-dimensional blocks. Arguments are arrays and NumPy numbers of exactly the declared types.

    Raises RuntimeError for an array that is not on the current device, where results are made and kernels run.
    """
    current = None
    for a in arguments:
        if not isinstance(a, np.generic):
            current = array_module(a).cuda.Device().id if current is None else current
            if a.data.device_id != current:
                raise RuntimeError(
                    f"an array is on cuda:{a.data.device_id}, the current device is cuda:{current}: compute inside "
                    f"`with nnscratch.cuda.device({a.data.device_id}):`, or move it with `.to('cuda:{current}')`"
                )
    loader.function(family, name)(grid, (threads,), arguments, shared_mem=shared)
