"""Sums down the columns of matrices and maps with a number for each column, compiled; None where NumPy is to do it.

    sums(x)         moments(x) -> mean, biased variance         affine(x, middle, scale, shift) -> act(z)
    dots(x, g, middle) -> sum(h), sum(h (x - middle))           combine(x, g, middle, scale, lean, constant)
                                                                    -> h scale + (x - middle) lean + constant

with z = (x - middle) scale + shift, act(z) = z where z > 0, else slope z, and h = g act'(z), which is g where slope is 1.
x and g are contiguous, (positions, C) or (matrices, positions, C); numbers for the columns (C,) or (matrices, C).
Sums are put together in float64, and returned so.
"""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from .arrays import Array
from .compiled import compiled


def takes(x: Array) -> bool:
    """Whether the functions here will not give None for x."""
    return _cpu(x) is not None


def sums(x: Array) -> Array | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.dots(x, x, x[..., 0, :])[0]


def moments(x: Array) -> tuple[Array, Array] | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.moments(x)


def affine(x: Array, middle: Array, scale: Array, shift: Array | None, slope: float = 1.0) -> Array | None:
    cpu = _cpu(x)
    return None if cpu is None else cpu.affine(x, middle, scale, shift, slope)


def dots(
    x: Array, g: Array, middle: Array, scale: Array | None = None, shift: Array | None = None, slope: float = 1.0
) -> tuple[Array, Array] | None:
    cpu = _cpu(x, g)
    return None if cpu is None else cpu.dots(x, g, middle, scale, shift, slope)


def combine(
    x: Array,
    g: Array,
    middle: Array,
    scale: Array,
    lean: Array,
    constant: Array,
    shift: Array | None = None,
    slope: float = 1.0,
) -> Array | None:
    cpu = _cpu(x, g)
    return None if cpu is None else cpu.combine(x, g, middle, scale, lean, constant, shift, slope)


def _cpu(*matrices: Array) -> Any:
    module = compiled("columns", *matrices)
    if module is None:
        return None
    fits = all(x.flags.carray for x in matrices) if type(matrices[0]) is ndarray else module.takes(*matrices)
    return module if fits else None
