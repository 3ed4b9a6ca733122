"""Whether ops are recorded, per thread; and the clock that orders what happens."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from functools import wraps
from typing import Any


class _Mode(threading.local):
    recording = True


mode = _Mode()
clock = itertools.count(1)  # stamps nodes and in-place writes; a node is always younger than its parents
observers: list[Any] = []  # checkpoint and anomaly mode: each is called with every recorded node and its result


class _GradMode(ContextDecorator):
    """`with ...:` or `@...`: record the graph or not. A decorated generator function runs in the mode, its consumer does not."""

    def __init__(self, flag: bool):
        self._flag = bool(flag)
        self._before: list[bool] = []

    def __enter__(self) -> Any:
        self._before.append(mode.recording)
        mode.recording = self._flag
        return self

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._before.pop()

    def _recreate_cm(self) -> _GradMode:
        return _GradMode(self._flag)  # a decorated function may run in several threads at once

    def __call__(self, function: Any) -> Any:
        return self._stepwise(function) if inspect.isgeneratorfunction(function) else super().__call__(function)

    def _stepwise(self, function: Callable) -> Callable:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
            steps = function(*args, **kwargs)
            resume, value = steps.send, None
            try:
                while True:
                    with self._recreate_cm():
                        try:
                            item = resume(value)
                        except StopIteration as end:
                            return end.value
                    try:
                        resume, value = steps.send, (yield item)
                    except Exception as error:
                        resume, value = steps.throw, error
            finally:
                value = None  # an exception would hold this frame, and this frame the exception
                with self._recreate_cm():
                    steps.close()

        return run


class set_grad_enabled(_GradMode):
    """`set_grad_enabled(flag)`: record the graph or not, in this thread, from now on; as `with` or `@`, only there."""

    def __init__(self, mode: bool):
        super().__init__(mode)
        super().__enter__()
        self._at_once = True

    def __enter__(self) -> set_grad_enabled:
        if not self._at_once:
            super().__enter__()
        self._at_once = False
        return self

    def __call__(self, function: Any) -> Any:
        if self._at_once:
            self.__exit__()
            self._at_once = False
        return super().__call__(function)


class _Switch(_GradMode):
    """A grad mode that is used as `with mode():`, `@mode()` or bare `@mode`."""

    flag = False

    def __new__(cls, function: Callable | None = None) -> Any:
        if function is not None:
            return _GradMode(cls.flag)(function)
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
