"""Where the taps of a block of pixels lie: the tables by which tiles find their operands."""

import numpy as np

from .geometry import Gather
from .simd import aligned, at, kernel


def padded(source: np.ndarray, gather: Gather) -> np.ndarray:
    """The channels-last source with the columns of zeros that the gather needs."""
    (low, high), width = gather.pads, source.shape[-2]
    if not low + high:
        return source
    wider = aligned((*source.shape[:-2], low + width + high, source.shape[-1]), source.dtype)
    wider[..., :low, :] = 0
    wider[..., low : low + width, :] = source
    wider[..., low + width :, :] = 0
    return wider


@kernel
def block_places(gather, first, pixels, low, high, table, targets, block):
    """Fill table[t - low, i] and targets[i]: offsets of taps low .. high and of the results of `block` pixels from `first` on.

    Pixels past the end repeat the last one. The tables lie flat in memory. Returns the number of pixels.
    """
    across, taps = len(gather.cols), gather.cols.shape[1]
    n, place = divmod(first, len(gather.rows) * across)
    a, b = divmod(place, across)
    count, begin = min(block, pixels - first), 0
    while begin < count:  # runs of pixels in one row
        size = min(count - begin, across - b)
        start, places, results = n * gather.target_image + gather.row_targets[a], at(targets, begin), at(gather.col_targets, b)
        for i in range(size):
            places[i] = start + results[i]
        for t in range(low, high):
            s, u = divmod(t, taps)
            row, places, cols = gather.rows[a, s], at(table, (t - low) * block + begin), at(gather.cols, b * taps + u)
            start = n * gather.image + row
            for i in range(size):
                places[i] = start + cols[i * taps] if row >= 0 and cols[i * taps] >= 0 else -1
        begin, b, a = begin + size, 0, a + 1
        if a == len(gather.rows):
            n, a = n + 1, 0
    for i in range(count, block):
        targets[i] = targets[count - 1]
        for t in range(high - low):
            table[t * block + i] = table[t * block + count - 1]
    return count


@kernel
def window_places(gather, first, windows, table, block):
    """The same of the four results in each of the block / 4 2x2 windows from `first` on; returns the number of windows."""
    height, width, count = len(gather.rows) // 2, len(gather.cols) // 2, min(block // 4, windows - first)
    taps = gather.rows.shape[1] * gather.cols.shape[1]
    for i in range(count):
        n, place = divmod(first + i, height * width)
        a, b = divmod(place, width)
        for q in range(4):
            t, start = 0, n * gather.image
            for row in gather.rows[2 * a + q // 2]:
                for col in gather.cols[2 * b + q % 2]:
                    table[t * block + 4 * i + q] = start + row + col if row >= 0 and col >= 0 else -1
                    t += 1
    for i in range(4 * count, block):
        for t in range(taps):
            table[t * block + i] = table[t * block + 4 * count - 1]
    return count
