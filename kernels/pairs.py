"""Losses between two arrays of one shape, element by element, in one compiled pass; `cpu.pairs.LOSSES` names them.

`takes` says whether the arrays are for it; total and each may only be called then.
"""

from __future__ import annotations

from .arrays import Array
from .compiled import compiled, memory_order, part_in_use


def takes(x: Array, t: Array) -> bool:
    """Whether `total` and `each` serve these arrays: large, of one type and shape, x without gaps."""
    return compiled("pairs", x, t) is not None and x.shape == t.shape and x.flags.behaved and memory_order(x) is not None


def total(name: str, x: Array, t: Array, parameter: float) -> float:
    """The sum of the loss, of float32 in float32 within blocks and in float64 over them."""
    return part_in_use("pairs").total(name, x, t, parameter)


def each(mode: str, name: str, x: Array, t: Array, parameter: float, factor: float) -> Array:
    """factor times the loss ("value"), or its derivative "by_x" or "by_t", of every element, in x's memory order."""
    return part_in_use("pairs").each(mode, name, x, t, parameter, factor)
