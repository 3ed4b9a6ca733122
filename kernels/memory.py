"""Memory for results: the same blocks are handed out step after step.

The operating system gives memory in pages and clears each at its first touch, which for a result of megabytes costs as much as
computing it. A block that was used before costs nothing, and may still be in a cache.

    aligned(shape, dtype) -> array on the block that was returned last of those that fit, or on a new one

A block returns when nothing looks at it any more. `aligned` makes one array, the root, straight on the block's buffer. NumPy
keeps the root alive through every view, memoryview and DLPack capsule, whatever was derived from what, so a weak reference to
the root tells when the last one is gone. (Arrays take no part in the collection of cycles: the callback runs when the root is
really freed, never before finalizers that could bring it back.) What was built on the buffer itself, by way of `root.base`,
holds a reference to the buffer; such a block is left to its holder and never handed out again.

Arrays are dropped in any thread and in the middle of anything. The callback is therefore no code of ours but a deque's `append`,
which nothing can interrupt; all else is done when the next array is asked for.

Idle blocks are bounded: before the pool grows to much more than was lately in use at once, or over the limit that was set, the
longest idle ones are given back to the operating system; so are those that nobody needed for a while.
"""

import mmap
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
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
    pool = _pool
    pool.turn += 1
    if pool.returned:
        pool.settle()
    if not pool.turn % WINDOW:
        pool.sweep()
    blocks = pool.idle[size]
    try:
        block = blocks.pop() if blocks else None
    except IndexError:  # another thread took it
        block = None
    if block is None:
        block = pool.larger(size) or pool.grow(size)
    return block.lend(shape, dtype, pool)


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
        _pool.recount()
        _pool.release(inf)


def set_memory_limit(limit: float | None) -> None:
    """Keep no idle blocks that would make the pool's memory, with what is in use, more than `limit` bytes.

    None, as at the start, lets the pool find its limit by what is in use; 0 keeps none. What is in use is never limited. A limit
    is seen to when the next array is asked for. Raises ValueError for a negative limit.
    """
    if limit is not None and not limit >= 0:
        raise ValueError(f"set_memory_limit: expected bytes >= 0 or None, got {limit}")
    _pool.limit = inf if limit is None else limit
    _pool.settle()


def memory_stats() -> dict[str, int]:
    """The pool's numbers under torch.cuda.memory_stats' names: bytes in use ("allocated") and held ("reserved").

    num_alloc counts arrays handed out, num_device_alloc new blocks, num_device_free blocks given back.
    """
    _pool.settle()
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
    _pool.settle()
    _pool.peak = _pool.highest = _pool.used
    _pool.most_reserved = _pool.reserved


class _Lease(ref):
    """A weak reference to the root on a block."""

    __slots__ = ("block",)
    block: "_Block"


class _Block:
    """A piece of memory; while it is lent, with the reference to the root of all arrays on it."""

    __slots__ = ("buffer", "idle_since", "lease", "offset", "open", "size")

    alone = 0  # references to a buffer that no array is on; counted below

    def __init__(self, size: int):
        self.size, self.idle_since = size, 0
        self.lease: _Lease | None = None
        mapped = size >= MAPPED and hasattr(mmap, "MAP_ANONYMOUS")
        unit = HUGE if mapped and size >= HUGE else LINE
        self.buffer = Pages(-1, size + unit, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if mapped else Bytes(size + unit)
        self.open = memoryview(self.buffer)  # while there is one, nobody can close or resize the buffer
        self.offset = -np.frombuffer(self.buffer, np.uint8).ctypes.data % unit
        if isinstance(self.buffer, Pages) and unit == HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self.buffer.madvise(mmap.MADV_HUGEPAGE, self.offset, size & -HUGE)

    def lend(self, shape: Sequence[int], dtype: np.dtype, pool: "_Pool") -> np.ndarray:
        root = np.ndarray(shape, dtype, self.buffer, self.offset)
        lease = _Lease(root, pool.returned.append)
        lease.block, self.lease = self, lease
        pool.used += self.size
        if pool.used > pool.highest:
            pool.highest = pool.used
        return root


class _Pool:
    """Idle blocks by size, the last returned on top.

    Several threads may be at it: blocks change hands by `append` and `pop`, of which each is one step. An interrupt may lose a
    block between two steps, and then it is in nobody's hands, until `recount` misses it.
    """

    def __init__(self) -> None:
        self.returned: deque[_Lease] = deque()
        self.idle: defaultdict[int, list[_Block]] = defaultdict(list)
        self.blocks: set[_Block] = set()
        self.lock = RLock()  # for growing and giving back; reentrant, as a finalizer may allocate
        self.limit: float = inf
        self.turn = self.made = self.used = self.reserved = self.most_reserved = 0
        self.peak = self.recent = self.highest = 0  # most in use: before the present window, in the window before it, in it

    def settle(self) -> None:
        """Take back the blocks whose arrays have gone."""
        while self.returned:
            try:
                lease = self.returned.popleft()
            except IndexError:  # another thread took it
                break
            block = lease.block
            if block.lease is not lease:
                continue
            block.lease, block.idle_since = None, self.turn
            self.used -= block.size
            if getrefcount(block.buffer) > _Block.alone or block not in self.blocks:
                self.forget(block)
            else:
                self.idle[block.size].append(block)
        if self.reserved > self.limit:
            with self.lock:
                self.release(self.reserved - self.limit)

    def larger(self, size: int) -> _Block | None:
        """An idle block of up to twice the size: over training steps that takes less memory than exact fits."""
        for blocks in map(self.idle.get, _larger_sizes(size)):
            if blocks:
                with suppress(IndexError):  # another thread took it
                    return blocks.pop()
        return None

    def grow(self, size: int) -> _Block:
        with self.lock:
            needed = max(self.recent, self.highest, self.used + size) * SPARE + SLACK
            self.release(self.reserved + size - min(needed, self.limit))
            try:
                block = _Block(size)
            except (OSError, MemoryError, OverflowError):
                self.release(inf)
                try:
                    block = _Block(size)
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
                if oldest[0].idle_since > before:
                    return
                block = oldest.pop(0)
            except IndexError:  # none, or another thread took it
                if not any(self.idle.values()):
                    return
                continue
            self.forget(block)
            excess -= block.size

    def forget(self, block: _Block) -> None:
        if block in self.blocks:
            self.blocks.discard(block)
            self.reserved -= block.size

    def sweep(self) -> None:
        """At the end of a window: give back what was idle all the while."""
        with self.lock:
            self.recount()
            self.release(inf, before=self.turn - WINDOW)
            self.peak, self.recent, self.highest = max(self.peak, self.highest), self.highest, self.used

    def recount(self) -> None:
        """Forget the blocks that an interrupt lost, and see what is in use."""
        self.settle()
        idle = {block for blocks in list(self.idle.values()) for block in blocks}
        for block in self.blocks - idle:
            if block.lease is None or block.lease() is None:
                block.lease = None  # if it has just come back, settle is to pass it over
                self.forget(block)
        self.used = sum([block.size for block in self.blocks - idle])


@lru_cache(maxsize=1024)
def _larger_sizes(size: int) -> tuple[int, ...]:
    """The sizes of blocks above one of them, up to twice as large."""
    sizes = [size]
    while sizes[-1] < 2 * size:
        sizes.append(sizes[-1] + (1 << (sizes[-1].bit_length() - 4)))  # the next of the eight
    return tuple(sizes[1:])


def _since(blocks: list[_Block]) -> float:
    """When the longest idle of them returned."""
    try:
        return blocks[0].idle_since
    except IndexError:
        return inf


def _unlock() -> None:
    _pool.lock = RLock()  # which a thread may have held that the child process does not have


_pool = _Pool()
_Block.alone = (lambda block: getrefcount(block.buffer))(_Block(SMALLEST))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
