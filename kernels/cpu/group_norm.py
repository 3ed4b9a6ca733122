"""Group normalisation of images that fit the second-level cache: sums and results of one before the next is read."""

import numpy as np

from .column_tiles import affine_tile, combine_tile, dots_tile, moments_tile
from .columns import CHUNK, wide
from .launch import parallel
from .simd import aligned, at, plain

IMAGES = 4  # at least, to share among threads


def applies(x: np.ndarray) -> bool:
    """Whether x (N, positions, C) is such a stack of images. Its sums are as long as those of `columns`."""
    return len(x) >= IMAGES and 0 < x[0].size <= CHUNK


def group_norm(
    x: np.ndarray, w: np.ndarray | None, b: np.ndarray | None, groups: int, eps: float
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(y, (m, inverse)) for x (N, positions, C): y = w (x - m) inverse + b, with m and inverse (N, groups) of each group."""
    n, _, channels = x.shape
    w = np.ones(channels, x.dtype) if w is None else plain(w)
    b = np.zeros(channels, x.dtype) if b is None else plain(b)
    images, _ = wide(x)
    y, m, inverse = aligned(x.shape, x.dtype), np.empty((n, groups), x.dtype), np.empty((n, groups), x.dtype)
    sizes = *images.shape[1:], channels, groups, float(eps)
    flat = images.reshape(-1), y.reshape(-1), w, b, m.reshape(-1), inverse.reshape(-1)
    _normalise(n, *flat, *sizes, nanoseconds=0.4 * x.nbytes)
    return y, (m, inverse)


@parallel
def _normalise(item, x, y, w, b, m, inverse, rows, width, channels, groups, eps):
    """One image as (rows, width): some positions side by side in a row."""
    start, each = item * rows * width, channels // groups
    numbers = np.empty((4, width), x.dtype)
    middle, first, second, shift = numbers[0], numbers[1], numbers[2], numbers[3]
    moments_tile(rows, width, width, at(x, start), at(middle, 0), at(first, 0), at(second, 0))
    for group in range(groups):
        mean, spread = 0.0, 0.0
        for begin in range(group * each, width, channels):
            for j in range(begin, begin + each):
                mean += np.float64(middle[j]) + np.float64(first[j]) / rows
        mean /= width // groups
        for begin in range(group * each, width, channels):
            for j in range(begin, begin + each):
                rest = np.float64(first[j]) / rows
                away = np.float64(middle[j]) + rest - mean
                spread += np.float64(second[j]) - first[j] * rest + rows * away * away
        scale = 1 / np.sqrt(spread / (rows * (width // groups)) + eps)
        m[item * groups + group], inverse[item * groups + group] = mean, scale
    for j in range(width):
        group, c = item * groups + j % channels // each, j % channels
        middle[j], first[j], shift[j] = m[group], inverse[group] * w[c], b[c]
    affine_tile(rows, width, width, at(x, start), at(y, start), at(middle, 0), at(first, 0), at(shift, 0), 1.0)


def group_norm_vjp(
    g: np.ndarray, x: np.ndarray, m: np.ndarray, inverse: np.ndarray, w: np.ndarray | None, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cotangents of x, w and b:

    gx = inverse (h - mean(h) - xhat mean(h xhat)),  h = w g,  xhat = (x - m) inverse;  gw = sum(g xhat),  gb = sum(g)
    """
    n, _, channels = x.shape
    w = np.ones(channels, x.dtype) if w is None else plain(w)
    images, _ = wide(x)
    gx, sums = aligned(x.shape, x.dtype), np.zeros((2, n, channels))
    flat = images.reshape(-1), g.reshape(-1), gx.reshape(-1), w, m.reshape(-1), inverse.reshape(-1), sums
    _normalise_vjp(n, *flat, *images.shape[1:], channels, groups, nanoseconds=0.6 * x.nbytes)
    gw, gb = sums.sum(1).astype(x.dtype)
    return gx, gw, gb


@parallel
def _normalise_vjp(item, x, g, gx, w, m, inverse, sums, rows, width, channels, groups):
    """One image as (rows, width), and its part of `sums`, those of g xhat and of g for each channel."""
    start, each = item * rows * width, channels // groups
    numbers = np.empty((6, width), x.dtype)
    middle, first, second, scale, lean, constant = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    for j in range(width):
        middle[j] = m[item * groups + j % channels // each]
    dots_tile(rows, width, width, at(x, start), at(g, start), at(middle, 0), at(first, 0), at(second, 0))
    for j in range(width):
        c = j % channels
        sums[0, item, c] += np.float64(second[j]) * inverse[item * groups + c // each]
        sums[1, item, c] += first[j]
    for group in range(groups):
        h, away, spread = 0.0, 0.0, np.float64(inverse[item * groups + group])
        for c in range(group * each, (group + 1) * each):
            h += w[c] * sums[1, item, c]
            away += w[c] * sums[0, item, c]
        share = spread * groups / (rows * width)
        for begin in range(group * each, width, channels):
            for j in range(begin, begin + each):
                scale[j], lean[j], constant[j] = spread * w[j % channels], -share * spread * away, -share * h
    combine_tile(
        rows, width, width, at(x, start), at(g, start), at(gx, start), at(middle, 0), at(scale, 0), at(lean, 0), at(constant, 0)
    )
