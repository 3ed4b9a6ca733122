"""How a matrix product is cut into items, passes, panels and tiles: by shape alone, so that threads do not change the bits.

    y (rows, columns) = a (rows, depth) b (depth, columns)

An item is `block` rows times `group` columns of the result, over `deep` of the depth: all of it, or where the result is small
and the depth great a part, whose results are added in the end. Its share of b is copied into panels, VECTORS vectors wide, that
stay in the cache. Rows of a, ROWS at a time, go over them: straight from memory where the rows of a are contiguous, else from a
copy. `part` of the depth is taken at a time, as much as the cache holds.

Since y' = b' a', either operand may play either role; the plan with the lower estimate is taken.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .simd import MANY_REGISTERS, VECTOR_BYTES

ROWS, VECTORS = 8 if MANY_REGISTERS else 4, 3  # of a tile
PANELS = 1 << 19  # bytes of the copies for one pass: they and what tiles read and write stay in the cache of a core
SHORTEST = 128  # products per pass, for which reading and writing the result costs little
BLOCK = 512  # rows for which copying a group of b costs little
SINGLE = 1 << 18  # products that are not worth dividing
ITEMS = 16  # of work at least, where the shape allows it
ENOUGH = 8  # where fewer save copying b once more
KEPT = 1 << 21  # most elements of panels that are kept for the next block, and of results that are added in the end
PARTS_DEPTH = 256  # least depth of a part
# Cycles per element: copying b, by where it comes from; reading a in place; writing y, transposing it, adding to it. Copying a
# takes longer by a factor, and so does what is done in short runs.
NEAR, BETWEEN, FAR, IN_PLACE, WRITING, TRANSPOSING, ADDING = 0.25, 0.4, 0.6, 0.1, 0.15, 0.4, 0.5
A_TO_B, RUN, NARROW = 1.4, 128, 56


class Plan(NamedTuple):
    """`swap` says that the kernel computes y' = b' a'. It reads `sizes`, and has `room` elements of scratch memory a worker."""

    swap: bool
    items: int
    parts: int
    sizes: np.ndarray
    room: int


class _Cut(NamedTuple):
    group: int
    block: int
    deep: int
    part: int
    keep: bool
    items: int
    cycles: float


@lru_cache(maxsize=1024)
def plan(rows: int, depth: int, columns: int, a_rows: bool, b_rows: bool, lanes: int, stream: bool) -> Plan:
    """`a_rows` and `b_rows` say whether the rows of a and b are contiguous, else columns; `stream`, whether y is past caching."""
    cut = min(_cuts(rows, depth, columns, a_rows, b_rows, lanes), key=_cycles)
    other = min(_cuts(columns, depth, rows, not b_rows, not a_rows, lanes), key=_cycles)
    swap = cut.cycles > other.cycles + TRANSPOSING * rows * columns
    if swap:
        cut, rows, columns, a_rows = other, columns, rows, not b_rows
    group, block, deep, part, keep, items, _ = cut
    apart = part * ROWS + lanes  # between the copies of a's tiles; not a power of two, which would share few lines of the cache
    a_place = (depth if keep else part) * group
    y_place = a_place + (0 if a_rows else apart * (block // ROWS + lanes))
    room = y_place + (block * group if swap else 0)
    stream = stream and not swap and part == depth and columns % lanes == 0
    sizes = rows, depth, columns, group, block, deep, part, apart, a_place, y_place, swap, keep, stream, lanes
    return Plan(swap, items, -(-depth // deep), np.array(sizes, np.int64), _up(room, lanes))


def _cuts(rows: int, depth: int, columns: int, a_rows: bool, b_rows: bool, lanes: int) -> Iterator[_Cut]:
    """Ways that make about as many items as are wanted."""
    unit, cached = VECTORS * lanes, PANELS * lanes // VECTOR_BYTES
    wanted = max(1, min(ITEMS, rows * depth * columns // SINGLE))
    splits = [(n, depth) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24)]
    parts = min(ITEMS, depth // PARTS_DEPTH, KEPT // (rows * columns))
    if parts > 1 and not a_rows:
        splits.append((1, _up(-(-depth // parts), 32)))
    for n, deep in splits:
        parts = -(-depth // deep)
        widest = max((5 if a_rows and rows > 4 * unit else 16) * unit, cached // deep)
        group = min(_up(columns, lanes), _up(min(-(-columns // n), widest), unit))
        groups = -(-columns // group)
        fewest = -(-rows // BLOCK)
        for blocks in {max(fewest, round(wanted / (groups * parts))), fewest if groups * parts >= ENOUGH else 0} - {0}:
            block = _up(-(-rows // blocks), ROWS)
            blocks = -(-rows // block)
            keep = blocks > 1 and parts == 1 and depth * group <= KEPT
            part = max(SHORTEST, cached // (group if a_rows else group + min(block, 256)))
            part = -(-deep // max(1, round(deep / part)))
            items = groups * blocks * parts
            a = IN_PLACE if a_rows else A_TO_B * _copying(rows * depth / cached, block, NARROW)
            b = _copying(columns * depth / cached, group if b_rows else PANELS, 0)
            cycles = _up(rows, ROWS) * _up(columns, lanes) / (2 * lanes) * (1 + 0.5 / items)  # the last item may be waited for
            cycles += groups * rows * a + (min(blocks, 2) if keep else blocks) * columns * b
            written = WRITING * (1 + RUN / group) * -(-deep // part) + (ADDING if parts > 1 else 0)
            yield _Cut(group, block, deep, part, keep, items, depth * cycles + parts * rows * columns * written)


def _copying(size: float, run: int, narrow: int) -> float:
    """Cycles per element of copying an operand of so many times the panels' size, of which `run` elements lie side by side."""
    return NEAR if size <= 1 else BETWEEN * (1 + (narrow / run) ** 2) if size <= 8 else FAR * (1 + RUN / run)


def _cycles(cut: _Cut) -> float:
    return cut.cycles


def _up(count: int, unit: int) -> int:
    return -(-count // unit) * unit
