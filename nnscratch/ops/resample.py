"""Resizing of spatial axes, and pixel shuffles. A resize is linear and separable: one small matrix per axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import floor, prod
from typing import Any

import numpy as np

from .adaptive import adaptive_avg_pool, axis_map
from .views import expand, getitem, permute, reshape

__all__ = ["interpolate", "pixel_shuffle", "pixel_unshuffle", "upsample"]

MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}


def interpolate(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resize the spatial axes of (N, C, *spatial) to `size`, or to floor(spatial * scale_factor).

    mode: 'nearest', 'nearest-exact', 'area' for 1 to 3 spatial axes, 'linear' for 1, 'bilinear' and 'bicubic' (Keys 1981,
    a = -3/4) for 2, 'trilinear' for 3. With `align_corners` the first and last samples of input and output coincide, else the
    edges of their outer pixels do. `recompute_scale_factor` takes the scale from the sizes instead of from `scale_factor`;
    as in torch, so do the linear modes on an axis that keeps its size, and 'nearest' on one of an image that keeps or doubles it.
    'nearest' takes element floor(i in / out) and 'nearest-exact' floor((i + 1/2) in / out) in exact arithmetic, where PyTorch's
    rounding may land one element lower. The other modes are matrix products: a NaN or infinity reaches its whole row and column.
    Raises ValueError for arguments that do not fit together, RuntimeError for integers, NotImplementedError for antialias.
    """
    rank = input.ndim - 2
    if mode not in MODES:
        raise ValueError(f"interpolate: unknown mode {mode!r}; there are {', '.join(MODES)}")
    if rank not in MODES[mode]:
        axes = " or ".join(str(r + 2) for r in MODES[mode])
        raise ValueError(f"interpolate: mode {mode!r} needs an input of {axes} axes, got shape {tuple(input.shape)}")
    if antialias:
        raise NotImplementedError("interpolate: antialias is not supported; blur the input first, or use mode 'area'")
    between = mode in ("linear", "bilinear", "bicubic", "trilinear")
    if align_corners is not None and not between:
        raise ValueError(f"interpolate: align_corners has no meaning for mode {mode!r}")
    sizes, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    by_size = {"nearest": (1, 2) if rank == 2 else (), "linear": (1,), "bilinear": (1,), "trilinear": (1,)}.get(mode, ())
    scales = tuple(None if m / n in by_size else scale for n, m, scale in zip(input.shape[2:], sizes, scales))
    if mode == "area":
        return adaptive_avg_pool(input, sizes)
    if not between:
        return _nearest(input, sizes, scales, exact=mode == "nearest-exact")
    if input.dtype.kind != "f":
        raise RuntimeError(f"interpolate: mode {mode!r} needs a floating-point input, got {input.dtype}")
    taps = _cubic if mode == "bicubic" else _linear
    maps = tuple(
        None if n == m and scale in (None, 1.0) else _matrix(taps, n, m, scale, bool(align_corners))
        for n, m, scale in zip(input.shape[2:], sizes, scales)
    )
    return axis_map(input, maps=maps)


def upsample(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Another name for `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _sizes(input, size, scale_factor, recompute) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Output sizes, and per axis the scale that positions are computed with (None: the ratio of the sizes)."""
    spatial = input.shape[2:]
    rank = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: give either size or scale_factor, got size={size!r}, scale_factor={scale_factor!r}")
    if min(spatial) < 1:
        raise ValueError(f"interpolate: input has an empty spatial axis, shape {tuple(input.shape)}")
    given = size if size is not None else scale_factor
    values = (given,) * rank if isinstance(given, (int, float, np.number)) else tuple(given)
    if len(values) != rank:
        what = "size" if size is not None else "scale_factor"
        raise ValueError(f"interpolate: {what} must be one number or {rank} numbers, got {given!r}")
    scales: tuple[float | None, ...] = (None,) * rank
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor needs scale_factor, not size")
        sizes = tuple(int(v) for v in values)
    else:
        sizes = tuple(floor(n * float(v)) for n, v in zip(spatial, values))
        if not recompute:
            scales = tuple(float(v) for v in values)
    if min(sizes) < 1:
        raise ValueError(f"interpolate: the output would have the sizes {sizes} (input {tuple(input.shape)})")
    return sizes, scales


# ------------------------------------------------------------------------------------------------------------- nearest


def _nearest(x: Any, sizes: tuple[int, ...], scales: tuple[float | None, ...], exact: bool) -> Any:
    """Each output element is one input element: copies for whole factors, an index otherwise."""
    if all(m % n == 0 and scale in (None, m / n) for n, m, scale in zip(x.shape[2:], sizes, scales)):
        return _repeat(x, tuple(m // n for n, m in zip(x.shape[2:], sizes)))
    for axis, (n, m, scale) in enumerate(zip(x.shape[2:], sizes, scales), start=2):
        twice = 2 * np.arange(m) + exact  # twice the position in output pixels
        if scale is None:
            places = twice * n // (2 * m)
        else:
            places = np.floor(twice / (2 * scale)).astype(np.int64)
        x = getitem(x, (slice(None),) * axis + (np.minimum(places, n - 1),))
    return x


def _repeat(x: Any, factors: tuple[int, ...]) -> Any:
    """(N, C, *spatial) with every pixel as a block of `factors`; one copy, channels-last."""
    n, channels, *spatial = x.shape
    if all(f == 1 for f in factors):
        return x
    last = permute(x, (0, *range(2, x.ndim), 1))
    split = [length for size in spatial for length in (size, 1)]
    stretched = [length for size, f in zip(spatial, factors) for length in (size, f)]
    blocks = expand(reshape(last, (n, *split, channels)), (n, *stretched, channels))
    y = reshape(blocks, (n, *(size * f for size, f in zip(spatial, factors)), channels))
    return permute(y, (0, x.ndim - 1, *range(1, x.ndim - 1)))


# -------------------------------------------------------------------------------------------------------- between pixels


@lru_cache(maxsize=256)
def _matrix(taps: Callable, n: int, m: int, scale: float | None, align_corners: bool) -> np.ndarray:
    """The (m, n) matrix of a 1-d resize from n to m samples."""
    at = np.arange(m, dtype=np.float64)
    if align_corners:
        position = at * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        position = (at + 0.5) * (n / m if scale is None else 1.0 / scale) - 0.5
    matrix = np.zeros((m, n))
    for place, weight in taps(position):
        np.add.at(matrix, (np.arange(m), np.clip(place, 0, n - 1)), weight)  # beyond the edge, the edge pixel counts
    matrix.flags.writeable = False
    return matrix


def _linear(position: np.ndarray):
    first = np.floor(position).astype(np.int64)
    t = position - first
    return [(first, 1 - t), (first + 1, t)]


def _cubic(position: np.ndarray, a: float = -0.75):
    """The cubic convolution kernel of Keys (1981), eq. 15 with torch's a."""
    first = np.floor(position).astype(np.int64)
    t = position - first

    def near(d):  # |d| <= 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):  # 1 < |d| < 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(first - 1, far(t + 1)), (first, near(t)), (first + 1, near(1 - t)), (first + 2, far(2 - t))]


# ------------------------------------------------------------------------------------------------------- pixel shuffles


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels to space (Shi et al. 2016): (*, C r², H, W) -> (*, C, r H, r W).

    Raises ValueError where the channels are not a multiple of r².
    """
    r = upscale_factor
    *lead, channels, h, w = _at_least_3d("pixel_shuffle", input, r)
    if channels % (r * r):
        raise ValueError(f"pixel_shuffle: {channels} channels are not a multiple of upscale_factor² = {r * r}")
    c = channels // (r * r)
    last = permute(reshape(input, (prod(lead), c, r, r, h, w)), (0, 4, 2, 5, 3, 1))  # channels-last, like a convolution's output
    y = permute(reshape(last, (prod(lead), h * r, w * r, c)), (0, 3, 1, 2))
    return reshape(y, (*lead, c, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Space to channels, the inverse of `pixel_shuffle`: (*, C, r H, r W) -> (*, C r², H, W).

    Raises ValueError where height or width is not a multiple of r.
    """
    r = downscale_factor
    *lead, c, height, width = _at_least_3d("pixel_unshuffle", input, r)
    if height % r or width % r:
        raise ValueError(f"pixel_unshuffle: height {height} and width {width} are not multiples of downscale_factor {r}")
    h, w = height // r, width // r
    last = permute(reshape(input, (prod(lead), c, h, r, w, r)), (0, 2, 4, 1, 3, 5))
    y = permute(reshape(last, (prod(lead), h, w, c * r * r)), (0, 3, 1, 2))
    return reshape(y, (*lead, c * r * r, h, w))


def _at_least_3d(name: str, input: Any, factor: int) -> tuple[int, ...]:
    if input.ndim < 3:
        raise ValueError(f"{name}: input must have at least 3 axes, got shape {tuple(input.shape)}")
    if factor < 1:
        raise ValueError(f"{name}: the factor must be at least 1, got {factor}")
    return input.shape
