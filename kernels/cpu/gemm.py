"""Blocks of products in panels of packed weights: the core of direct convolution."""

import numpy as np

from .simd import ROWS_1, ROWS_2, ROWS_4, WIDEST, at, inlined, lanes, shifted
from .tiles import gather_tile

BLOCK = 96  # rows (pixels); a multiple of every tile's rows
DEPTH = 512  # products per pass over a block: their weights, read once for every tile, stay in the cache
RATE = 50  # products a nanosecond of one core, to estimate times
ITEMS = 16  # of work at least, where the shape allows it


def split_vectors(columns: int, blocks: int, dtype: np.dtype) -> int:
    """Vectors of result columns per item of work, so that `blocks` of rows make enough items."""
    vectors = -(-columns // lanes(dtype))
    splits = max(1, min(-(-vectors // WIDEST), ITEMS // max(1, blocks)))
    return -(-vectors // (splits * WIDEST)) * WIDEST


@inlined
def gather_panel(source, target, zeros, table, targets, taps, weights, base, count, depth, width, vector, vectors, lanes):
    """Result channels from `vector` on, `vectors` wide, of one block; in passes whose weights, at `base`, stay cached."""
    stride, columns = BLOCK, vectors * lanes
    width = min(columns, width - vector * lanes)
    target = shifted(target, vector * lanes)
    tap_step = depth * columns
    channels = min(depth, DEPTH)
    together = max(1, DEPTH // depth)
    for t in range(0, taps, together):
        n_taps = min(together, taps - t)
        for c in range(0, depth, channels):
            n = min(channels, depth - c)
            panel = at(weights, base + t * tap_step + c * columns)
            more = t + c > 0
            start = shifted(source, c)
            if vectors == 4:
                for i in range(0, count, ROWS_4):
                    gather_tile(
                        ROWS_4, 4, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more, None,
                    )  # fmt: skip
            elif vectors == 2:
                for i in range(0, count, ROWS_2):
                    gather_tile(
                        ROWS_2, 2, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more, None,
                    )  # fmt: skip
            else:
                for i in range(0, count, ROWS_1):
                    gather_tile(
                        ROWS_1, 1, start, zeros, at(table, t * stride + i), stride, n_taps, n, panel, tap_step,
                        target, at(targets, i), count - i, width, more, None,
                    )  # fmt: skip
