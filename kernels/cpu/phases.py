"""A strided convolution as convolutions with stride 1, one for each residue of the place (a phase), in tiles for Winograd.

With r * stride taps along an axis, each phase has r of them: conv sums over the phases of its source, conv_input computes each
phase of its result by itself. With stride 1 there is one phase. No image is taken apart: phases are tables of places.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ..spec import ConvSpec

PADDING = -1


class Tiles(NamedTuple):
    """Offsets into one channels-last image of the source and of the result, tile by tile, along rows and columns.

    Along each axis there are `tiles` tiles for each of the `results` phases of the result, with n places for each of the
    `sources` phases of the source.
    """

    rows: np.ndarray  # (results * tiles, sources * n)
    cols: np.ndarray
    row_targets: np.ndarray  # (results * tiles, m)
    col_targets: np.ndarray
    image: int  # elements of one image of the source
    target_image: int  # and of the result
    tiles: tuple[int, int]
    sources: tuple[int, int]
    results: tuple[int, int]
    taps: np.ndarray  # (phases, r * r) of the kernel; the phases of columns run faster

    @property
    def per_phase(self) -> int:
        """Tiles of one image and one phase of the result."""
        return prod(self.tiles)


def taps_of(spec: ConvSpec) -> int | None:
    """r, where every phase has r taps along both axes; None where phases differ, or there are no two axes."""
    if spec.rank != 2 or spec.dilation != (1, 1) or spec.groups != 1:
        return None
    counts = {divmod(k, s) for k, s in zip(spec.kernel, spec.stride, strict=True)}
    (count, rest), *others = counts
    return count if not rest and not others else None


@lru_cache(maxsize=1024)
def tiles(spec: ConvSpec, m: int, flipped: bool) -> Tiles:
    """Of conv, or of conv_input (`flipped`), whose phases have their taps in reverse order; spec must have a `taps_of`."""
    r = taps_of(spec) or 0
    size, result = (spec.output, spec.input) if flipped else (spec.input, spec.output)
    channels, outputs = (spec.out_channels, spec.in_channels) if flipped else (spec.in_channels, spec.out_channels)
    axes = [(_flipped_axis if flipped else _axis)(spec, axis, m, r) for axis in range(2)]
    (rows, row_targets, down), (cols, col_targets, across) = axes
    taps = down[:, None, :, None] * spec.kernel[1] + across[None, :, None, :]
    one, phases = (1, 1), (len(down), len(across))
    sources, results = (one, phases) if flipped else (phases, one)
    return Tiles(
        _scaled(_within(rows, size[0]), size[1] * channels),
        _scaled(_within(cols, size[1]), channels),
        _scaled(_within(row_targets, result[0]), result[1] * outputs),
        _scaled(_within(col_targets, result[1]), outputs),
        prod(size) * channels,
        prod(result) * outputs,
        (len(rows) // results[0], len(cols) // results[1]),
        sources,
        results,
        taps.reshape(prod(phases), r * r),
    )


@lru_cache(maxsize=1024)
def pooled_tiles(spec: ConvSpec, m: int) -> Tiles:
    """`tiles` of a conv whose results go through a 2x2 max-pool: the targets are a tile's m / 2 windows per axis."""
    sizes, outputs, per_tile = [size // 2 for size in spec.output], spec.out_channels, m // 2
    starts = [np.arange(-(-size // m))[:, None] * per_tile + np.arange(per_tile) for size in spec.output]
    rows, cols = (_within(places, size) for places, size in zip(starts, sizes, strict=True))
    return tiles(spec, m, False)._replace(
        row_targets=_scaled(rows, sizes[1] * outputs),
        col_targets=_scaled(cols, outputs),
        target_image=prod(sizes) * outputs,
    )


def _axis(spec: ConvSpec, axis: int, m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(places, targets, taps): y[p] = sum over phases and j < r of x[(p + j) * stride + phase - low] * w[j * stride + phase]."""
    stride, low = spec.stride[axis], spec.padding[axis][0]
    starts, phases = np.arange(0, spec.output[axis], m), np.arange(stride)
    places = (starts[:, None, None] + np.arange(m + r - 1)) * stride + phases[:, None] - low
    return places.reshape(len(starts), -1), starts[:, None] + np.arange(m), np.arange(r) * stride + phases[:, None]


def _flipped_axis(spec: ConvSpec, axis: int, m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """gx[q * stride + phase - low] = sum over j < r of g[q - j] * w[j * stride + phase], for all phases one after another."""
    stride, low = spec.stride[axis], spec.padding[axis][0]
    phases = np.arange(stride)
    firsts, ends = -((phases - low) // stride), -((phases - low - spec.input[axis]) // stride)  # of the q that lie in gx
    starts = firsts[:, None] + np.arange(0, max(1, (ends - firsts).max()), m)
    places = starts[..., None] + np.arange(m + r - 1) - (r - 1)
    targets = (starts[..., None] + np.arange(m)) * stride + phases[:, None, None] - low
    taps = np.arange(r) * stride + phases[:, None]
    return places.reshape(-1, m + r - 1), targets.reshape(-1, m), taps[:, ::-1]


def _within(places: np.ndarray, size: int) -> np.ndarray:
    return np.where((places >= 0) & (places < size), places, PADDING)


def _scaled(places: np.ndarray, step: int) -> np.ndarray:
    return np.where(places < 0, PADDING, places * step)
