"""How a picture of any size and colour meets a model of one size.

- `in_tiles`: a model whose result at a pixel depends on the neighbourhood alone (denoising, enhancing, colouring by convolutions)
  works on the picture at full size, in overlapping tiles where it is large. Where tiles overlap their results are blended.
- `as_a_whole`: a model that looks at the image as a whole (dense layers, latent codes, rows) sees the picture scaled to its size,
  whatever the proportions, and the result is scaled back.
- `around`: to fill a hole, such a model gets a window around it: the hole's box with half its sides added on each side, but not
  less than the model's size where the picture has that. So a small hole in a large picture is filled at the picture's own detail.
- `by_channel`: a model of grey images edits each channel of a colour picture by itself; a model of colour images sees a grey
  picture in three equal channels, and of its result the luminance is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.resample import resize
from ..data.transforms.fixed import luminance

Function = Callable[[np.ndarray], np.ndarray]  # images (N, C, H, W) in 0..1 -> (N, C, H, W)


def in_tiles(
    f: Function, image: np.ndarray, tile: tuple[int, int], *, overlap: float = 0.5, scale: int = 1, batch: int = 8
) -> np.ndarray:
    """f on overlapping tiles of an image (C, H, W): y = sum_t w_t f(tile_t) / sum_t w_t, with tents w_t over the tiles.

    `overlap` is the part of a tile that its neighbour shares, at least 0 and below 1. f may enlarge tiles `scale` times and
    change the number of channels. An image that fits into one tile is given to f as it is.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"in_tiles: overlap must be at least 0 and below 1, got {overlap}")
    h, w = image.shape[1:]
    if h <= tile[0] and w <= tile[1]:
        return f(image[None])[0]
    sides = min(h, tile[0]), min(w, tile[1])
    rows, columns = (_intervals(n, side, overlap, scale) for n, side in zip((h, w), sides))
    places, result = [(i, j) for i in rows for j in columns], np.zeros(0)
    for k in range(0, len(places), batch):
        some = places[k : k + batch]
        parts = f(np.stack([image[:, i : i + sides[0], j : j + sides[1]] for i, j in some]))
        if not result.size:
            result = np.zeros((parts.shape[1], h * scale, w * scale), parts.dtype)
        for (i, j), part in zip(some, parts):
            top, left = i * scale, j * scale
            result[:, top : top + part.shape[1], left : left + part.shape[2]] += part * rows[i][:, None] * columns[j]
    return result


def _intervals(n: int, side: int, overlap: float, scale: int) -> dict[int, np.ndarray]:
    """{start: weights} of intervals of a side that cover 0..n, evenly spread; weights, `scale` a pixel, sum to 1 everywhere."""
    step = max(1, round(side * (1 - overlap)))
    starts = np.unique(np.linspace(0, n - side, max(1, -(-(n - side) // step) + 1)).round().astype(int))
    places = np.arange(side * scale)
    tent = np.minimum(places + 1, side * scale - places).astype(np.float32)
    spans = {int(start): slice(start * scale, (start + side) * scale) for start in starts}
    total = np.zeros(n * scale, np.float32)
    for span in spans.values():
        total[span] += tent
    return {start: tent / total[span] for start, span in spans.items()}


def as_a_whole(f: Function, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """f on the image (C, H, W) scaled to `size`, its result scaled back."""
    return resize(f(resize(image, size)[None])[0], (image.shape[1], image.shape[2]))


def around(box: tuple[int, int, int, int], picture: tuple[int, int], least: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the window around a box (top, bottom, left, right) in a picture of a size, as described above."""
    spans = []
    for start, end, n, smallest in ((*box[:2], picture[0], least[0]), (*box[2:], picture[1], least[1])):
        length = min(n, max(2 * (end - start), smallest))
        first = min(max(0, (start + end - length) // 2), n - length)
        spans.append(slice(first, first + length))
    return spans[0], spans[1]


def by_channel(f: Function, image: np.ndarray, channels: int) -> np.ndarray:
    """f, which takes images of `channels` channels (1 or 3), on an image (C, H, W) with 1 or 3; the result has C channels."""
    if len(image) == channels:
        return f(image[None])[0]
    if channels == 1:
        return f(image[:, None])[:, 0]
    return luminance(f(np.repeat(image, 3, axis=0)[None]))[0]
