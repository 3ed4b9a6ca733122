"""Ctrl-C and SIGTERM: finish the step, save, and leave."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interrupted(Exception):
    """Training stopped on a signal, after a checkpoint was written; `signum` is the signal."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Signals:
    """Inside the block the first SIGINT or SIGTERM is only noted in `received`; the second acts as it did before.

    Outside the main thread, where Python allows no handlers, nothing changes.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def _note(self, signum: int, frame: Any) -> None:  # noqa: ARG002
        self.received = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)

    def __exit__(self, *exc: object) -> None:
        self._restore()
