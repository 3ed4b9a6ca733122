"""Sums down the columns of a contiguous (positions, C), and maps with a number for each column; None where NumPy is to do it.

    sums(x)         moments(x) -> mean, biased variance         dots(x, g, middle) -> sum(g), sum(g (x - middle))
    affine(x, middle, scale, shift) -> (x - middle) scale + shift
    combine(x, g, middle, scale, slope, constant) -> g scale + (x - middle) slope + constant

Sums are put together in float64, and returned so. Arrays of numbers for the columns are (C,).
"""

from __future__ import annotations

from .arrays import Array
from .compiled import compiled


def moments(x: Array) -> tuple[Array, Array] | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.moments(x)


def sums(x: Array) -> Array | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.dots(x, x, x[0])[0]


def affine(x: Array, middle: Array, scale: Array, shift: Array | None) -> Array | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.affine(x, middle, scale, shift)


def dots(x: Array, g: Array, middle: Array) -> tuple[Array, Array] | None:
    cpu = _cpu(x, g)
    return None if cpu is None else cpu.dots(x, g, middle)


def combine(x: Array, g: Array, middle: Array, scale: Array, slope: Array, constant: Array) -> Array | None:
    cpu = _cpu(x, g)
    return None if cpu is None else cpu.combine(x, g, middle, scale, slope, constant)


def _cpu(*matrices: Array):
    return compiled("columns", *matrices) if all(x.flags.carray for x in matrices) else None
