"""How arrays reach the compiled kernels, and how threads share the work.

    @parallel
    def _scale(index, x, y, factor): ...                          # one item of the work, compiled

    _scale(count, x, y, factor, nanoseconds=x.size)               # all items 0 <= index < count, on as many threads as pay

Items must not depend on each other, nor their results on the thread that computes them: then 1 and 2 threads give the same bits.
An item with one parameter more gets the number of its worker as its second, 0 <= worker < threads(), for scratch memory.
"""

import os
import sys
from collections.abc import Callable
from threading import Lock
from typing import Any

import numba
import numpy as np
from numba import njit
from numba.core.caching import FunctionCache
from numba.np.ufunc import parallel as _layer

from .parallel import parallel_for
from .simd import LOOSE, SOURCES, aligned, kernel

SMALL = 30_000  # nanoseconds of one core, below which waking another costs more than it brings

numba.get_num_threads()  # starts Numba's threads, whose functions the compiled code refers to
_one_at_a_time = numba.threading_layer() == "workqueue"  # which breaks when two threads use it at the same time
_lock = Lock()
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # the child has none of the parent's threads, and GNU OpenMP aborts when asked for them
    os.register_at_fork(after_in_child=_after_fork)


class _Cache(FunctionCache):
    """Numba's cache on disk, keyed by this folder's sources: it would not see a change in a function called."""

    _noted = False

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        return sig, codegen.magic_tuple(), SOURCES

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except (AttributeError, ImportError):  # written for a named tuple that is gone from the sources
            self.flush()
            found = None
        if found is None and not _Cache._noted and sys.stderr.isatty() and not os.environ.get("NNSCRATCH_QUIET"):
            _Cache._noted = True
            print("nnscratch: compiling kernels for this CPU, once (`nnscratch warmup` does all ahead) ...", file=sys.stderr)
        return found


class parallel:
    """Decorator: a kernel that runs once for each item of work. See the head of this file."""

    def __init__(self, item: Callable) -> None:
        compiled = self.item = kernel(item)

        def entry(count, threads, *arguments):
            return parallel_for(compiled, count, threads, arguments)

        entry.__qualname__, entry.__module__ = f"{item.__module__}.{item.__qualname__}", item.__module__
        self.entry = njit(nogil=True, error_model="numpy", fastmath=LOOSE)(entry)
        self.entry._cache = _Cache(entry)
        self.__doc__, self.__name__ = item.__doc__, item.__name__

    def __call__(self, count: int, *arguments: Any, nanoseconds: float) -> None:
        """Run items 0 to count - 1. `nanoseconds` estimates what all of them together take on one core.

        Raises MemoryError when an item could not get its scratch memory.
        """
        most = threads()
        if most > 1 and _one_at_a_time:
            with _lock:
                failed = self.entry(count, _paying(most, count, nanoseconds), *arguments)
        else:
            failed = self.entry(count, _paying(most, count, nanoseconds), *arguments)
        if failed:
            raise MemoryError(f"{failed} of {count} items of the kernel {self.__name__} ran out of memory")


def threads() -> int:
    """Most workers that a kernel called now can have."""
    return 1 if _forked else _layer._get_num_threads()  # numba.get_num_threads, without asking first whether it has started


def _paying(most: int, count: int, nanoseconds: float) -> int:
    """How many of at most `most` workers to wake."""
    return 1 if nanoseconds < SMALL else min(most, max(count, 1))


def result_like(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Uninitialised channels-last block for a result of `shape` (N, C, *spatial)."""
    return aligned((shape[0], *shape[2:], shape[1]), x.dtype)
