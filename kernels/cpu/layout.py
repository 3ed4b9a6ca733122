"""Arrays as kernels want them, channels-last: of those that are channels-first a transposed matrix for each image."""

import numpy as np

from ..arrays import LAST
from .launch import parallel
from .simd import aligned, at, lanes, plain
from .transpose import transpose_tile

SMALL = 1 << 12  # elements that NumPy copies in less time than a call takes
FEW = 8  # rows or columns for which vectors would be mostly empty
STRIP = 256  # columns to an item of work


def operand(x: np.ndarray) -> np.ndarray:
    """x (N, C, *spatial) as (N, *spatial, C), `plain`, whatever it costs."""
    last = x.transpose(LAST[x.ndim])
    if last.flags.carray:
        return last
    if x.flags.carray and x.size > SMALL and x.dtype.char in "fd":
        return transposed(x.reshape(*x.shape[:2], -1)).reshape(last.shape)
    return plain(last)


def transposed(x: np.ndarray) -> np.ndarray:
    """y (n, columns, rows) = x (n, rows, columns) of contiguous matrices."""
    n, rows, columns = x.shape
    y = aligned((n, columns, rows), x.dtype)
    items = n * -(-columns // STRIP)
    _transpose(items, x.reshape(-1), y.reshape(-1), rows, columns, lanes(x.dtype), nanoseconds=x.size / 2)
    return y


@parallel
def _transpose(item, x, y, rows, columns, lanes):
    n, strip = divmod(item, (columns + STRIP - 1) // STRIP)
    start, first = n * rows * columns, strip * STRIP
    last = min(columns, first + STRIP)
    if rows == 3:  # colour images, for which a loop of known length is twice as fast
        red, green, blue, pixels = x[start:], x[start + columns :], x[start + 2 * columns :], y[start:]
        for j in range(first, last):
            pixels[3 * j], pixels[3 * j + 1], pixels[3 * j + 2] = red[j], green[j], blue[j]
    elif min(rows, columns) < FEW:
        for j in range(first, last):
            for i in range(rows):
                y[start + j * rows + i] = x[start + i * columns + j]
    else:
        places, targets = np.arange(lanes) * columns, np.arange(lanes) * rows
        for i in range(0, rows, lanes):
            for j in range(first, last, lanes):
                high, wide = min(lanes, rows - i), min(lanes, last - j)
                source, target = at(x, start + i * columns + j), at(y, start + j * rows + i)
                transpose_tile(source, at(places, 0), high, wide, 1, 0, target, at(targets, 0), high)
