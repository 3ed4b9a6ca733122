"""Resizing and rotating images by array operations: separable weights, and bilinear look-up at arbitrary points."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import array_module


def size_pair(size: int | tuple[int, int], name: str = "size") -> tuple[int, int]:
    """`size` as (height, width); ValueError unless both are positive integers."""
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or any(isinstance(s, bool) or not isinstance(s, (int, np.integer)) or s <= 0 for s in pair):
        raise ValueError(f"{name}: expected a positive integer or a pair of them, got {size!r}")
    return int(pair[0]), int(pair[1])


def resize_weights(n_in: int, n_out: int, mode: str = "bilinear", antialias: bool = True) -> np.ndarray:
    """The (n_out, n_in) matrix that resizes one axis.

    Pixel centres sit at i + 1/2. 'nearest' copies the input pixel whose area holds the output centre; 'bilinear'
    weighs by a triangle of half-width one input pixel, widened to n_in / n_out when `antialias` is on and the axis
    shrinks.
    """
    if mode == "nearest":
        return np.eye(n_in)[(2 * np.arange(n_out) + 1) * n_in // (2 * n_out)]  # integers: centres on a border are exact
    if mode != "bilinear":
        raise ValueError(f"mode: expected 'nearest' or 'bilinear', got {mode!r}")
    scale = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * scale
    if antialias and scale > 1:
        distance = np.abs(np.arange(n_in) + 0.5 - centres[:, None]) / scale
        weights = np.maximum(0.0, 1.0 - distance)
    else:
        inside = np.clip(centres - 0.5, 0, n_in - 1)  # beyond the outermost centres the edge pixel repeats
        weights = np.maximum(0.0, 1.0 - np.abs(np.arange(n_in) - inside[:, None]))
    return weights / weights.sum(axis=1, keepdims=True)


def resize(images: Any, size: int | tuple[int, int], mode: str = "bilinear", antialias: bool = True) -> Any:
    """Images (..., H, W) at `size`; floats keep their dtype, uint8 is rounded to uint8."""
    h, w = size_pair(size)
    if images.shape[-2:] == (h, w):
        return images
    xp = array_module(images)
    dtype = np.dtype(np.float32) if images.dtype == np.uint8 else images.dtype
    rows = xp.asarray(resize_weights(images.shape[-2], h, mode, antialias), dtype=dtype)
    columns = xp.asarray(resize_weights(images.shape[-1], w, mode, antialias), dtype=dtype)
    out = np.matmul(np.matmul(rows, images.astype(dtype)), columns.T)
    return np.rint(out).astype(np.uint8) if images.dtype == np.uint8 else out


def sample_bilinear(images: Any, ys: Any, xs: Any, fill: float = 0.0) -> Any:
    """images (N, C, H, W) looked up at points ys, xs (N, OH, OW), in pixels from the first one's centre.

    Points between pixels are interpolated; every pixel outside the image has the value `fill`.
    """
    n, _, h, w = images.shape
    top, left = np.floor(ys), np.floor(xs)
    which = array_module(images).arange(n)[:, None, None]
    out: Any = 0.0
    for row, weight_y in ((top, 1 - (ys - top)), (top + 1, ys - top)):
        for column, weight_x in ((left, 1 - (xs - left)), (left + 1, xs - left)):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            r = np.clip(row, 0, h - 1).astype(np.int64)
            c = np.clip(column, 0, w - 1).astype(np.int64)
            values = np.where(inside[..., None], images[which, :, r, c], fill)
            out = out + (weight_y * weight_x)[..., None] * values
    return np.moveaxis(out, -1, 1).astype(images.dtype)
