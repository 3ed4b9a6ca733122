"""Memory for results: the same blocks are handed out step after step.

The operating system gives memory in pages and clears each at its first touch, which for a result of megabytes costs as much as
computing it. A block that was used before costs nothing, and may still be in a cache.

    aligned(shape, dtype) -> array on the block that was returned last of those that fit, or on a new one

A block returns when nothing looks at it any more. `aligned` makes one array, the root, straight on the block's buffer. NumPy
keeps the root alive through every view, memoryview and DLPack capsule, whatever was derived from what, so a weak reference to
the root tells when the last one is gone. (Arrays take no part in the collection of cycles: the callback runs when the root is
really freed, never before finalizers that could bring it back.) What was built on the buffer itself, by way of `root.base`,
holds a reference to the buffer; such a block is left to its holder and never handed out again.

Idle blocks are bounded: before the pool grows to much more than was lately in use at once, or over the limit that was set, the
longest idle ones are given back to the operating system; so are those that nobody needed for a while.
"""

import atexit
import mmap
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from math import inf, prod
from sys import getrefcount
from threading import RLock
from typing import Any
from weakref import ref

import numpy as np

SMALLEST = 1 << 10  # bytes; below, neither a cache line nor a page fault is worth a microsecond
MAPPED = 1 << 20  # bytes from which a block is asked of the operating system, and not of malloc
HUGE = 1 << 21  # bytes of a huge page: one fault instead of 512
LINE = 64
SPARE, SLACK = 1.25, 32 << 20
WINDOW = 4096  # hand-outs; a block that was idle for as many is given back


class Pages(mmap.mmap):
    """The buffer of a large block: memory of the operating system's that no other process sees."""


class Bytes(bytearray):
    """The buffer of a small block."""


def aligned(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """np.empty on a block that begins on a cache line, from 1 KB on: a vector that straddles two costs double.

    Raises MemoryError where there is not enough.
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    step = 1 << (size.bit_length() - 4)  # eight sizes from each power of two to the next
    size = (size + step - 1) & -step
    _pool.turn += 1
    if not _pool.turn % WINDOW:
        _pool.sweep()
    try:
        block = _pool.idle[size].pop()
    except IndexError:
        block = _pool.larger(size) or _pool.grow(size)
    return block.lend(shape, dtype)


def aligned_like(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """np.empty_like(x, dtype): of x's shape and, where x is dense in memory, of its order of axes."""
    dtype = x.dtype if dtype is None else dtype
    if x.flags.c_contiguous:
        return aligned(x.shape, dtype)
    order = sorted(range(x.ndim), key=lambda axis: (-abs(x.strides[axis]), axis))
    back = sorted(range(x.ndim), key=order.__getitem__)
    return aligned([x.shape[axis] for axis in order], dtype).transpose(back)


def pooled(array: np.ndarray) -> bool:
    """Whether `array` is a root: it is the first on its block, as if it owned the memory."""
    return type(array.base) in (Pages, Bytes)


def empty_cache() -> None:
    """Give all idle blocks back to the operating system (torch.cuda.empty_cache)."""
    with _pool.lock:
        _pool.release(inf)


def set_memory_limit(limit: float | None) -> None:
    """Keep no idle blocks that would make the pool's memory, with what is in use, more than `limit` bytes.

    None, as at the start, lets the pool find its limit by what is in use; 0 keeps none. What is in use is never limited.
    Raises ValueError for a negative limit.
    """
    if limit is not None and not limit >= 0:
        raise ValueError(f"set_memory_limit: expected bytes >= 0 or None, got {limit}")
    with _pool.lock:
        _pool.limit = inf if limit is None else limit
        _pool.release(_pool.reserved - _pool.limit)


def memory_stats() -> dict[str, int]:
    """The pool's numbers under torch.cuda.memory_stats' names: bytes in use ("allocated") and held ("reserved").

    num_alloc counts arrays handed out, num_device_alloc new blocks, num_device_free blocks given back. Exact while one thread
    allocates at a time.
    """
    return {
        "allocated_bytes.all.current": _pool.used,
        "allocated_bytes.all.peak": max(_pool.peak, _pool.highest),
        "reserved_bytes.all.current": _pool.reserved,
        "reserved_bytes.all.peak": _pool.most_reserved,
        "num_alloc": _pool.turn,
        "num_device_alloc": _pool.made,
        "num_device_free": _pool.made - len(_pool.blocks),
    }


def reset_peak_memory_stats() -> None:
    """Let the peaks begin again at what is in use and held now."""
    _pool.peak = _pool.highest = _pool.used
    _pool.most_reserved = _pool.reserved


class _Pool:
    """Idle blocks by size, the last returned on top. Lists are only pushed to and popped from, which no other thread can
    interrupt and a garbage collection in the middle cannot upset: a block returns in whatever thread drops its last array."""

    def __init__(self) -> None:
        self.idle: defaultdict[int, list[_Block]] = defaultdict(list)
        self.blocks: set[_Block] = set()
        self.lock = RLock()  # for growing and giving back; reentrant, as a finalizer may allocate
        self.limit: float = inf
        self.turn = self.made = self.used = self.reserved = self.most_reserved = 0
        self.peak = self.recent = self.highest = 0  # most in use: before the present window, in the window before it, in it

    def larger(self, size: int) -> "_Block | None":
        """An idle block of up to twice the size: over training steps that takes less memory than exact fits."""
        limit = 2 * size
        while size < limit:
            size += 1 << (size.bit_length() - 4)  # the next of the eight
            if self.idle.get(size):
                with suppress(IndexError):  # another thread took it
                    return self.idle[size].pop()
        return None

    def grow(self, size: int) -> "_Block":
        with self.lock:
            needed = max(self.recent, self.highest, self.used + size) * SPARE + SLACK
            self.release(self.reserved + size - min(needed, self.limit))
            try:
                block = _Block(size, self)
            except (OSError, MemoryError, OverflowError):
                self.release(inf)
                try:
                    block = _Block(size, self)
                except (OSError, MemoryError, OverflowError):
                    raise MemoryError(f"no memory for an array of {size} bytes") from None
            self.blocks.add(block)
            self.made += 1
            self.reserved += size
            self.most_reserved = max(self.most_reserved, self.reserved)
        return block

    def release(self, excess: float, before: float = inf) -> None:
        """Give back idle blocks, those first that returned first, until `excess` bytes are gone; none returned after `before`."""
        while excess > 0:
            oldest = min([blocks for blocks in list(self.idle.values()) if blocks], key=_since, default=[])
            try:
                if oldest[0].returned > before:
                    return
                block = oldest.pop(0)
            except IndexError:  # none, or another thread took it
                if not oldest and not any(self.idle.values()):
                    return
                continue
            self.forget(block)
            excess -= block.size

    def forget(self, block: "_Block") -> None:
        self.blocks.discard(block)
        self.reserved -= block.size

    def sweep(self) -> None:
        with self.lock:
            self.release(inf, before=self.turn - WINDOW)
            self.peak, self.recent, self.highest = max(self.peak, self.highest), self.highest, self.used


class _Block:
    """A piece of memory and, while it is lent, the weak reference to the root of all arrays on it."""

    __slots__ = ("buffer", "lease", "offset", "open", "pool", "returned", "size")

    alone = 0  # references to the buffer when a root is the only array on it; counted below

    def __init__(self, size: int, pool: _Pool):
        self.size, self.pool, self.lease, self.returned = size, pool, None, 0
        mapped = size >= MAPPED and hasattr(mmap, "MAP_ANONYMOUS")
        unit = HUGE if mapped and size >= HUGE else LINE
        self.buffer = Pages(-1, size + unit, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if mapped else Bytes(size + unit)
        self.open = memoryview(self.buffer)  # while there is one, nobody can close or resize the buffer
        self.offset = -np.frombuffer(self.buffer, np.uint8).ctypes.data % unit
        if unit == HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self.buffer.madvise(mmap.MADV_HUGEPAGE, self.offset, size & -HUGE)

    def lend(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        pool = self.pool
        pool.used += self.size
        if pool.used > pool.highest:
            pool.highest = pool.used
        try:
            root = np.ndarray(shape, dtype, self.buffer, self.offset)
            self.lease = ref(root, self.back)
            return root
        except BaseException:  # an interrupt, at whichever step: the memory goes with the last of what holds the buffer
            self.lease = None
            pool.used -= self.size
            pool.forget(self)
            raise

    def back(self, _lease: ref, getrefcount: Any = getrefcount) -> None:
        """The root is gone. Runs in any thread, in the middle of anything."""
        pool = self.pool
        pool.used -= self.size
        self.returned = pool.turn
        if getrefcount(self.buffer) > self.alone or pool.reserved > pool.limit:
            pool.forget(self)
        else:
            pool.idle[self.size].append(self)


def _since(blocks: list[_Block]) -> float:
    """When the longest idle of them returned."""
    try:
        return blocks[0].returned
    except IndexError:
        return inf


def _close() -> None:
    """Nothing returns any more: the interpreter takes things apart in an order of its own."""
    for block in _pool.blocks:
        block.lease = None


_pool = _Pool()
atexit.register(_close)


def _references() -> int:
    """What `back` counts for a buffer that nothing but its root is on."""
    block, found = _Block(SMALLEST, _pool), []
    root = np.ndarray(1, np.uint8, block.buffer)
    _lease = ref(root, lambda _: found.append(getrefcount(block.buffer)))
    del root
    return found[0]


_Block.alone = _references()
