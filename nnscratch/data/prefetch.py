"""A background thread that computes the items of an iterator ahead of its consumer."""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

_END = object()


class Prefetcher:
    """The items of `source`, at most `depth` of them computed ahead in one background thread.

    An exception in `source` is raised from `next` with its traceback. The thread ends after the item in hand when the
    source is exhausted or raises, on `close()`, when the prefetcher is dropped, and at interpreter exit.
    """

    def __init__(self, source: Iterator[Any], depth: int):
        ready: SimpleQueue = SimpleQueue()
        slots = threading.Semaphore(depth)
        stop = threading.Event()
        self._ready, self._slots = ready, slots
        # The thread must not refer to self: dropping the last outside reference is what ends it.
        run, work = contextvars.copy_context().run, (_produce, source, ready, slots, stop)
        thread = threading.Thread(target=run, args=work, name="nnscratch-prefetch", daemon=True)
        self.close = weakref.finalize(self, _stop, thread, slots, stop)
        thread.start()

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Any:
        if not self.close.alive:
            raise StopIteration
        item, error = self._ready.get()
        self._slots.release()
        if error is None and item is not _END:
            return item
        self.close()
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:
            del error  # the traceback holds this frame: without this, a cycle


def _produce(source: Iterator[Any], ready: SimpleQueue, slots: threading.Semaphore, stop: threading.Event) -> None:
    try:
        while True:
            slots.acquire()
            if stop.is_set():
                return
            ready.put((next(source, _END), None))
    except BaseException as error:  # whatever it is belongs to the consumer
        ready.put((None, error))


def _stop(thread: threading.Thread, slots: threading.Semaphore, stop: threading.Event) -> None:
    stop.set()
    slots.release()
    # Waiting keeps a stopped thread out of the next epoch's way and out of interpreter shutdown; the bound is for a
    # source that hangs. The collector may drop a prefetcher inside its own thread, which cannot wait for itself.
    if thread is not threading.current_thread():
        thread.join(timeout=1.0)
