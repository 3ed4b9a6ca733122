"""Whether ops are recorded, per thread; and the clock that orders what happens."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _Mode(threading.local):
    recording = True


mode = _Mode()
clock = itertools.count(1)  # stamps nodes and in-place writes; a node is always younger than its parents
observers: list[Any] = []  # checkpoint and anomaly mode: each is called with every recorded node and its result


class set_grad_enabled(ContextDecorator):
    """`with set_grad_enabled(flag): ...` or `@set_grad_enabled(flag)`: record the graph or not, in this thread."""

    def __init__(self, mode: bool):
        self.mode = bool(mode)
        self._before: list[bool] = []

    def __enter__(self) -> set_grad_enabled:
        self._before.append(mode.recording)
        mode.recording = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._before.pop()

    def _recreate_cm(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)  # a decorated function may run in several threads at once


class _Switch(set_grad_enabled):
    """A grad mode that is used as `with mode():`, `@mode()` or bare `@mode`."""

    flag = False

    def __new__(cls, function: Callable | None = None) -> Any:
        if function is not None:
            return set_grad_enabled(cls.flag)(function)
        return super().__new__(cls)

    def __init__(self, function: Callable | None = None):  # noqa: ARG002
        super().__init__(self.flag)


class no_grad(_Switch):
    """Context manager and decorator: results inside do not require grad. Per thread, re-entrant."""


class enable_grad(_Switch):
    """Context manager and decorator: record again inside `no_grad`."""

    flag = True


class inference_mode(no_grad):
    """The same as `no_grad`: there is no further bookkeeping here that it could switch off."""


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread."""
    return mode.recording
