"""Softmax, its logarithm, cross-entropy and layer normalisation of the rows of a contiguous matrix, forward and back."""

from __future__ import annotations

import numpy as np

from .launch import parallel
from .row_tiles import (
    layer_norm_tile,
    layer_norm_vjp_tile,
    log_softmax_tile,
    nll_tile,
    nll_vjp_tile,
    softmax_tile,
    softmax_vjp_tile,
)
from .simd import aligned, at

CHUNK = 1 << 13  # elements of an item of work
CHUNKS = 32  # items whose sums are put together
SOFTMAX, LOG_SOFTMAX, SOFTMAX_VJP, LOG_SOFTMAX_VJP = range(4)


def softmax(x: np.ndarray, logarithm: bool) -> np.ndarray:
    """softmax of each row, or its logarithm."""
    y = aligned(x.shape, x.dtype)
    top, log_total = aligned((len(x),), x.dtype), aligned((len(x),), x.dtype)
    items, size = _items(x)
    flat = x.reshape(-1), y.reshape(-1), y.reshape(-1), top, log_total
    _softmax(items, LOG_SOFTMAX if logarithm else SOFTMAX, *flat, *x.shape, size, nanoseconds=0.3 * x.nbytes)
    return y


def softmax_vjp(g: np.ndarray, y: np.ndarray, logarithm: bool) -> np.ndarray:
    """The cotangent of x for y = softmax(x, logarithm)."""
    gx = aligned(y.shape, y.dtype)
    items, size = _items(y)
    flat = y.reshape(-1), g.reshape(-1), gx.reshape(-1), gx.reshape(-1), gx.reshape(-1)
    _softmax(items, LOG_SOFTMAX_VJP if logarithm else SOFTMAX_VJP, *flat, *y.shape, size, nanoseconds=0.3 * y.nbytes)
    return gx


def nll(x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """-log softmax(x)[target] of each row, and what `nll_vjp` needs. Targets are int64 and in range."""
    values, top, log_total = (aligned((len(x),), x.dtype) for _ in range(3))
    items, size = _items(x)
    _nll(items, 0, x.reshape(-1), target, values, top, log_total, values, *x.shape, size, nanoseconds=0.3 * x.nbytes)
    return values, (top, log_total)


def nll_vjp(g: np.ndarray, x: np.ndarray, target: np.ndarray, residuals: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """g (softmax(x) - one_hot(target)); g (rows,)."""
    gx = aligned(x.shape, x.dtype)
    items, size = _items(x)
    _nll(items, 1, x.reshape(-1), target, g, *residuals, gx.reshape(-1), *x.shape, size, nanoseconds=0.3 * x.nbytes)
    return gx


def layer_norm(x: np.ndarray, w: np.ndarray, b: np.ndarray, eps: float) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """w (x - m) / sqrt(v + eps) + b with the mean and variance of each row; and m and the inverse root."""
    y, mean, inverse = aligned(x.shape, x.dtype), aligned((len(x),), x.dtype), aligned((len(x),), x.dtype)
    items, size = _items(x)
    flat = x.reshape(-1), x.reshape(-1), y.reshape(-1), w, b
    _layer_norm(items, 0, *flat, mean, inverse, float(eps), *x.shape, size, nanoseconds=0.3 * x.nbytes)
    return y, (mean, inverse)


def layer_norm_vjp(
    g: np.ndarray, x: np.ndarray, w: np.ndarray, residuals: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cotangents of x, w and b."""
    gx = aligned(x.shape, x.dtype)
    size = max(-(-len(x) // CHUNKS), CHUNK // x.shape[1], 1)
    items = -(-len(x) // size)
    sums = aligned((2, items, x.shape[1]), x.dtype)
    sums[...] = 0
    flat = x.reshape(-1), g.reshape(-1), gx.reshape(-1), w, sums.reshape(-1)
    _layer_norm(items, 1, *flat, *residuals, 0.0, *x.shape, size, nanoseconds=0.3 * x.nbytes)
    gw, gb = np.add.reduce(sums, axis=1)
    return gx, gw, gb


def _items(x: np.ndarray) -> tuple[int, int]:
    """Items of work, and rows in each but the last."""
    size = max(1, CHUNK // x.shape[1])
    return -(-len(x) // size), size


@parallel
def _softmax(item, kind, a, b, c, top, log_total, rows, width, size):
    row, count = item * size, min(size, rows - item * size)
    start = row * width
    if kind == SOFTMAX:
        softmax_tile(count, width, at(a, start), at(b, start))
    elif kind == LOG_SOFTMAX:
        log_softmax_tile(count, width, at(a, start), at(b, start), at(top, row), at(log_total, row))
    else:
        softmax_vjp_tile(count, width, at(a, start), at(b, start), at(c, start), kind - SOFTMAX_VJP)


@parallel
def _nll(item, mode, x, target, g, top, log_total, gx, rows, width, size):
    row, count = item * size, min(size, rows - item * size)
    known = count, width, at(x, row * width), at(target, row), at(g, row), at(top, row), at(log_total, row)
    if mode == 0:
        nll_tile(*known)
    else:
        nll_vjp_tile(*known, at(gx, row * width))


@parallel
def _layer_norm(item, mode, x, g, y, w, b, mean, inverse, eps, rows, width, size):
    row, count = item * size, min(size, rows - item * size)
    start = row * width
    if mode == 0:
        layer_norm_tile(count, width, at(x, start), at(y, start), at(w, 0), at(b, 0), eps, at(mean, row), at(inverse, row))
    else:
        half = len(b) // 2
        known = count, width, at(x, start), at(g, start), at(w, 0), at(mean, row), at(inverse, row), at(y, start)
        layer_norm_vjp_tile(*known, at(b, item * width), at(b, half + item * width))
