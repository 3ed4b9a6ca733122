"""Group normalisation of (N, C, *spatial) by kernels for rows or columns; None where NumPy is to do it.

One group of (N, C) is layer normalisation: passes over rows. With positions in space the sums of a group are those of its columns
in each image, in channels-last memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from . import columns, rows
from .arrays import Array, channels_last
from .compiled import compiled

FEW = 8  # positions, below which the numbers for the columns weigh as much as the columns


def forward(x: Array, w: Array | None, b: Array | None, groups: int, eps: float) -> tuple[Array, Any] | None:
    """y, and (m, inverse): the mean and 1 / sqrt(variance + eps) of each group, (N, groups)."""
    if x.ndim == 2 and groups == 1:
        found = rows.layer_norm(x, w, b, eps)
        return found and (found[0], tuple(a.reshape(-1, 1) for a in found[1]))
    images = _images(x)
    if images is None:
        return None
    n, channels = len(x), x.shape[1]
    cpu = compiled("group_norm", images)
    if cpu is not None and cpu.applies(images):
        y, kept = cpu.group_norm(images, w, b, groups, eps)
        return _back(y, x), kept
    mean, variance = (a.reshape(n, groups, channels // groups) for a in columns.moments(images))  # type: ignore[union-attr]
    centre = mean.mean(2, keepdims=True)
    variance = (variance + (mean - centre) ** 2).mean(2)
    m, inverse = centre[..., 0].astype(x.dtype), (1 / np.sqrt(variance + eps)).astype(x.dtype)
    scale = _by_channel(inverse, channels)
    y = columns.affine(images, _by_channel(m, channels), scale if w is None else scale * w, b)
    return _back(y, x), (m, inverse)


def backward(
    g: Array, residuals: Any, needs: Sequence[bool], x: Array, w: Array | None, groups: int
) -> tuple[Array | None, Array, Array] | None:
    """The cotangents of x (if needed), w and b."""
    if type(g) is not np.ndarray:
        return None
    if x.ndim == 2 and groups == 1:
        return rows.layer_norm_vjp(np.require(g, requirements=["C", "A", "W"]), x, w, [a.reshape(-1) for a in residuals])
    images = _images(x)
    if images is None or g.dtype != x.dtype:
        return None
    n, channels, g = len(x), x.shape[1], channels_last(g).reshape(images.shape)
    m, inverse = residuals
    cpu = compiled("group_norm", images)
    if needs[0] and cpu is not None and cpu.applies(images) and g.flags.carray:
        gx, gw, gb = cpu.group_norm_vjp(g, images, m, inverse, w, groups)
        return _back(gx, x), gw, gb
    middle, spread = _by_channel(m, channels), _by_channel(inverse, channels)
    total, dot = columns.dots(images, g, middle)  # type: ignore[misc]
    gw, gb = ((dot * spread).sum(0).astype(x.dtype), total.sum(0).astype(x.dtype))
    if not needs[0]:
        return None, gw, gb
    # As in nnscratch.ops.groupnorm: the means of h = g w and of h xhat over a group.
    weights = 1.0 if w is None else w
    share = groups / (channels * images.shape[1])
    h, h_away = ((weights * a).reshape(n, groups, -1).sum(2) * share for a in (total, dot))
    lean, constant = (_by_channel(a.astype(x.dtype), channels) for a in (-(inverse**3) * h_away, -inverse * h))
    gx = columns.combine(images, g, middle, spread * weights, lean, constant)
    return _back(gx, x), gw, gb


def _images(x: Array) -> Array | None:
    """x as contiguous (N, positions, C), if it is for the kernels."""
    positions = prod(x.shape[2:])
    if type(x) is not np.ndarray or positions < FEW or compiled("columns", x) is None:
        return None
    last = np.require(channels_last(x), requirements=["A", "W"])
    return last.reshape(len(x), positions, x.shape[1])


def _by_channel(values: Array, channels: int) -> Array:
    """(N, groups) repeated for the channels of each group: (N, C)."""
    return np.repeat(values, channels // values.shape[1], axis=1)


def _back(images: Array | None, x: Array) -> Array:
    return np.moveaxis(images.reshape(len(x), *x.shape[2:], x.shape[1]), -1, 1)  # type: ignore[union-attr]
